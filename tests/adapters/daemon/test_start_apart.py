"""A restart while the prices of a held pair's legs are far apart."""

from pathlib import Path

import pytest

from carryfold.adapters.bybit import instruments
from carryfold.adapters.venues import VenueError
from carryfold.domain.events import RunStarted
from tests.adapters.daemon.world import daemon, events_of, exchange, run, settings_for


@pytest.mark.parametrize("pairs", ["top:7", "BTCUSDT,ETHUSDT"])
def test_a_run_is_taken_up_with_pairs_that_would_not_be_chosen_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: str
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with daemon(tmp_path / "home", settings_for(venue, pairs=pairs)) as first:
                before = first.pairs
            monkeypatch.setattr(instruments, "MAX_PRICE_GAP", -1.0)  # every pair is further apart than that
            async with daemon(tmp_path / "home", settings_for(venue, pairs=pairs)) as again:
                assert {spec.symbol for spec in again.pairs} == {spec.symbol for spec in before}
            with pytest.raises(VenueError):
                async with daemon(tmp_path / "new", settings_for(venue, pairs=pairs)):
                    pass

    run(work())
    assert len(events_of(tmp_path / "home", RunStarted)) == 1
