"""Fault cards at the level of the whole daemon: silent streams, a venue that is down, clocks, changed listings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.streams import PublicStreams
from carryfold.adapters.daemon import watch
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.venues import PairSpec
from carryfold.domain.events import (
    ClockStepped,
    EntryDecided,
    ExitDecided,
    FeedConnected,
    FeedLost,
    FillSimulated,
    FundingSettled,
    InstrumentChanged,
    InstrumentDelisted,
    RunStopped,
)
from carryfold.domain.fold.state import GATES
from carryfold.eventlog import AppendResult, Clock, Follow, GroupCommitter, send_command
from tests.adapters.daemon.test_commands import pending_halt
from tests.adapters.daemon.world import (
    SECOND,
    daemon,
    events_of,
    exchange,
    logged,
    parameter_set,
    run,
    settings_for,
    until,
    verify_all,
)  # fmt: skip

STALE = GATES.index("stale_price")
STALE_NS = 120 * SECOND
HOUR = 3_600 * SECOND


def test_f21_a_silent_stream_opens_nothing_and_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(self: BybitMarket, pairs: Sequence[PairSpec]) -> AsyncIterator[Any]:
        return PublicStreams(self.endpoint, pairs, history=self.history, silence_s=1.5).events()

    monkeypatch.setattr(BybitMarket, "stream", stream)

    async def work() -> None:
        async with exchange(speed=200.0) as venue:
            await pending_halt(tmp_path, venue)
            async with daemon(tmp_path, settings_for(venue, [parameter_set("run", "max_positions=7")])) as served:
                book = served.runs[0].state.book
                await until(lambda: int(served.runs[0].state.view["view_at"].min()) > 0)
                venue.faults.inject("silence", seconds=1e9, count=1 << 40)
                silent_at = served.clock.now()
                await until(lambda: served.clock.now() > silent_at + STALE_NS + 30 * SECOND)
                await asyncio.to_thread(send_command, tmp_path, "resume")
                before = int(book["refused"][0][STALE])
                await until(lambda: int(book["refused"][0][STALE]) >= before + 10)
                await logged(tmp_path, FeedLost, count=2)
                assert not events_of(tmp_path, EntryDecided)
                venue.faults.clear()
                await until(lambda: book["held"][0] > 0)

    run(work())
    lost = events_of(tmp_path, FeedLost)
    assert {event.feed for _, _, event in lost} == {"bybit.linear", "bybit.spot"}
    again = [event.feed for seq, _, event in events_of(tmp_path, FeedConnected) if seq > lost[0][0]]
    assert {*again} == {"bybit.linear", "bybit.spot"}
    check(tmp_path)


def test_f24_a_venue_that_is_down_across_a_settlement_settles_once_when_it_is_back(tmp_path: Path) -> None:
    async def work() -> tuple[int, int]:
        async with exchange(speed=600.0) as venue:
            choice = settings_for(venue, [parameter_set("run", "max_positions=7", "enter=-1", "exit=-1")])
            async with daemon(tmp_path, choice) as served:
                book = served.runs[0].state.book
                await until(lambda: book["held"][0] == len(served.pairs))
                await until(lambda: 2_000 <= venue.clock.now_ms() / 1_000 % 3_600 <= 2_900)
                venue.outage(1_800.0)
                down_at = served.clock.now()
                hour = (down_at // HOUR + 1) * HOUR
                await until(lambda: served.clock.now() > down_at + 1_700 * SECOND)
                assert int(book["held"][0]) == len(served.pairs), "positions are kept"
                paid = int(book["payments"][0])
                await logged(tmp_path, FundingSettled, lambda e: e.symbol == "SYN07USDT" and e.event_at == hour)
                await until(lambda: int(book["payments"][0]) > paid)
                await logged(tmp_path, FeedConnected, count=4)
                return down_at, hour

    down_at, hour = run(work())
    known = [at for _, at, e in events_of(tmp_path, FundingSettled) if e.event_at == hour and e.symbol == "SYN07USDT"]
    assert len(known) == 1
    assert known[0] >= down_at + 1_800 * SECOND - 10 * SECOND
    assert {e.feed for _, _, e in events_of(tmp_path, FeedLost)} == {"bybit.linear", "bybit.spot"}
    paid = [e for _, _, e in events_of(tmp_path, FillSimulated) if e.action == "funding"]
    assert len({(e.pair, e.values["settled_at"]) for e in paid}) == len(paid) > 0
    check(tmp_path)


def test_f27_switched_intervals_and_delistings_reach_a_run_while_it_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(speed=1_200.0, push_ms=25) as venue:
            choice = settings_for(venue, [parameter_set("run", "max_positions=7", "enter=-1", "exit=-1")])
            async with daemon(tmp_path, choice) as served:
                pair, names = served.runs[0].state.pair, [one.short.symbol for one in served.runs[0].pairs]
                eth = names.index("ETHUSDT")
                await until(lambda: bool(pair[eth]["held"]))
                venue.switch_interval("SYN05USDT", 1)
                venue.delist("ETHUSDT", 5_400.0)
                await logged(tmp_path, InstrumentDelisted)
                assert not pair[eth]["held"]
                await logged(tmp_path, InstrumentChanged, lambda e: e.symbol == "SYN05USDT" and e.interval_hours == 1.0)
                await logged(tmp_path, FundingSettled, lambda e: e.symbol == "SYN05USDT" and e.event_at // HOUR % 2)

    run(work())
    changed = [event for _, _, event in events_of(tmp_path, InstrumentChanged)]
    assert [e.interval_hours for e in changed if e.symbol == "SYN05USDT" and e.interval_hours] == [2.0, 1.0]
    (announced,) = [
        seq for seq, _, e in events_of(tmp_path, InstrumentChanged) if e.symbol == "ETHUSDT" and e.delist_at
    ]
    (left,) = [(seq, e) for seq, _, e in events_of(tmp_path, ExitDecided) if e.pair.short.symbol == "ETHUSDT"]
    (delisted,) = [seq for seq, _, _ in events_of(tmp_path, InstrumentDelisted)]
    assert announced < left[0] < delisted
    assert left[1].reason == "delisting"
    check(tmp_path)


def test_a_run_ends_after_the_commit_that_was_under_way_when_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, held = GroupCommitter.submit, asyncio.Event()

    def late(self: GroupCommitter, entries: Sequence[Any], follow: Follow | None = None) -> Future[AppendResult]:
        """Not before the stop is under way, and a minute of the venue's time on."""
        result: Future[AppendResult] = Future()

        def go_on() -> None:
            submit(self, entries, follow).add_done_callback(lambda done: result.set_result(done.result()))

        held.set()
        asyncio.get_running_loop().call_later(0.2, go_on)
        return result

    async def work() -> None:
        async with exchange() as venue, daemon(tmp_path, settings_for(venue)) as served:
            await until(lambda: bool(served.runs[0].state.book["held"][0]))
            monkeypatch.setattr(GroupCommitter, "submit", late)
            await held.wait()

    run(work())
    (*_, (before, known_at, _), (last, _, end)) = events_of(tmp_path)
    assert isinstance(end, RunStopped)
    assert last == before + 1
    assert end.event_at >= known_at
    check(tmp_path)


@pytest.mark.parametrize("steps", [[300.0], [-300.0], [0.3] * 5, [-0.3] * 5], ids=["+5min", "-5min", "fast", "slow"])
def test_f25_a_clock_that_steps_or_drifts_pauses_entries_and_never_turns_the_log_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[float]
) -> None:
    monkeypatch.setattr(watch, "WATCH_EVERY_S", 0.02)
    monkeypatch.setattr(watch, "CLOCK_COMPARED_EVERY_S", 0.05)
    offset = [0]
    epoch = time.time_ns() - time.monotonic_ns()
    clock = DaemonClock(Clock(lambda: epoch + time.monotonic_ns() + offset[0], lambda: time.monotonic_ns()))  # noqa: PLW0108 - it is another one in `run`

    async def work() -> None:
        async with exchange(start="1970-01-01", speed=1.0, pairs=3, history_days=3) as venue:
            sets = [parameter_set("run", "cadence_s=1", "enter=-1", "exit=-1", "max_positions=1")]
            async with daemon(tmp_path, settings_for(venue, sets, speed=None), clock=clock) as served:
                book = served.runs[0].state.book
                await until(lambda: book["held"][0] > 0)
                for step in steps:
                    offset[0] += round(step * SECOND)
                    seen_at = clock.now() + SECOND // 10
                    await until(lambda: clock.now() > seen_at)  # noqa: B023 - waited for here
                await until(lambda: book["clock_off"][0] == 1)
                offset[0] = 0 if steps[0] < 0 else offset[0]
                if steps[0] < 0:
                    await until(lambda: book["clock_off"][0] == 0)

    run(work())
    times = [at for _, at, _ in events_of(tmp_path)]
    assert times == sorted(times)
    stepped = [event.step_ns for _, _, event in events_of(tmp_path, ClockStepped)]
    assert (stepped[0] > SECOND) == (steps[0] > 0)
    assert abs(stepped[0]) > SECOND
    check(tmp_path)


def check(home: Path) -> None:
    """Holds in every case: the log replays to its runs, and nothing was opened on an old price."""
    assert all(found.identical for found in verify_all(home))
    ages = [event.working["price_age"] for _, _, event in events_of(home, EntryDecided)]
    assert ages
    assert max(ages) <= STALE_NS
