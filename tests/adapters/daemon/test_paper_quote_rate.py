"""A paper run that records as many quotes as a real one: one of each held pair every second."""

from pathlib import Path

from carryfold.domain.events import FillSimulated, FundingSettled, InstrumentListed, Quoted
from tests.adapters.daemon.world import (
    SECOND,
    daemon,
    events_of,
    exchange,
    parameter_set,
    run,
    settings_for,
    until,
    verify_all,
)  # fmt: skip

MIDNIGHT = 1_748_822_400 * SECOND


def test_held_pairs_are_paid_at_the_mark_of_the_settlement_under_the_usual_recording(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start="2025-06-01T23:58:30Z", speed=30.0, push_ms=20) as venue:
            sets = [parameter_set("run", "max_positions=7", "enter=-1", "exit=-1")]
            async with daemon(tmp_path, settings_for(venue, sets)) as served:
                book = served.runs[0].state.book
                await until(lambda: int(book["payments"][0]) >= 3)
                assert book["no_mark"][0] == 0

    run(work())
    known = {e.instrument: at for _, at, e in events_of(tmp_path, FundingSettled) if e.event_at == MIDNIGHT}
    times = {e.instrument: e.multiplier for _, _, e in events_of(tmp_path, InstrumentListed)}
    paid = [e for _, _, e in events_of(tmp_path, FillSimulated) if e.action == "funding"]
    assert {e.values["settled_at"] for e in paid} == {MIDNIGHT}
    for payment in paid:
        quotes = [e for _, at, e in events_of(tmp_path, Quoted) if e.instrument == payment.pair.short]
        since = [e for e in quotes if MIDNIGHT < e.event_at < known[payment.pair.short]]
        in_force = max((e for e in quotes if e.event_at <= MIDNIGHT), key=lambda e: e.event_at)
        assert len(since) > 8, "the venue tells of a settlement long after the next quotes"
        mid = (in_force.bid + in_force.ask) / 2 / times[payment.pair.short]
        assert abs(payment.values["mark"] / mid - 1) < 1e-3
    assert all(found.identical for found in verify_all(tmp_path))
