"""All faults together, by seed, under the common checker; the results still match the exchange's ledger."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import exchange, run, settings_for, trading_on
from tests.adapters.daemon.live.storm import disturb, unleash

PAIRS = "BTCUSDT,1000SYN04USDT"


def weather(home: Path, seed: int) -> None:
    """One storm: two pairs are opened and closed twice; then it calms down, and everything has to be in order."""
    rng = Random(seed)

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIRS)
            async with trading_on(venue, home, settings) as session:
                unleash(venue, seed, rng.choice((0.3, 0.6, 1.0)))
                for _ in range(2):
                    await session.begin_open()
                    await session.until(lambda: session.figure("held") > 0 or bool(session.cooling_down()), "an entry")
                    await session.until(
                        lambda: session.is_quiet or bool(session.cooling_down()), "the end of the entries"
                    )
                    disturb(venue, rng)
                    await session.close()
                venue.faults.clear()
                await session.agree(60)
                assert ours(session).total == theirs(venue).total
            check(home, venue)

    run(work())


@pytest.mark.parametrize("seed", range(10))
def test_a_storm_leaves_log_and_venue_in_agreement(tmp_path: Path, seed: int) -> None:
    weather(tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1_000, 1_200))
def test_two_hundred_storms_leave_log_and_venue_in_agreement(tmp_path: Path, seed: int) -> None:
    weather(tmp_path, seed)
