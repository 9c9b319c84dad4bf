"""Write, fold, record, flush: in this order, one commit after the other, to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.run import FoldResult
from carryfold.domain.events import (
    ClockTicked,
    Event,
    ExitDecided,
    FillSimulated,
    FundingRevised,
    FundingSettled,
    RunStopped,
)
from carryfold.domain.instruments import carry_pair
from carryfold.domain.row_builder import RowBuilder
from carryfold.domain.rows import Kind, Rows
from carryfold.eventlog import AnyEntry, AppendResult, DiskFull, EventLog, Follow, LogClosed, LogReader
from carryfold.eventlog.entries import Columns, columns
from carryfold.eventlog.metapage import read_meta
from carryfold.eventlog.tables import data_file
from tests.adapters.daemon.world import events_of, kinds_of, run, until

PAIR = carry_pair("v", "A", 1, "A")
HOUR = 3_600 * 10**9


class Writer:
    """A committer that commits once it is released, or fails: at once, or after it has written everything."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.is_held = False
        self.error: Exception | None = None
        self.error_at_the_end: Exception | None = None
        self.waiting: list[tuple[Future[AppendResult], Columns]] = []

    def submit(self, entries: Any, follow: Follow | None = None) -> Future[AppendResult]:
        def until_the_end(result: AppendResult) -> Sequence[AnyEntry]:
            made = follow(result) if follow is not None else ()
            if self.error_at_the_end is not None:
                raise self.error_at_the_end
            return made

        future: Future[AppendResult] = Future()
        self.waiting.append((future, columns(entries)._replace(follow=until_the_end)))
        if not self.is_held:
            self.release()
        return future

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future, group in waiting:
            try:
                if self.error is not None:
                    raise self.error
                future.set_result(self.log.append_columns([group])[0])
            except (DiskFull, ArithmeticError) as error:
                future.set_exception(error)


class Follower:
    """Stands for a run: keeps what it folded, and decides on request."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.decides = False
        self.fails = False
        self.bookings: list[Event] = []

    def fold(self, rows: Rows) -> FoldResult:
        if self.fails:
            raise ArithmeticError("a size is too large")
        self.rows += rows.tolist()
        return FoldResult([ExitDecided(1, 5, PAIR, 1, "r")] if self.decides else [], self.bookings)

    def kinds(self) -> list[Kind]:
        return [Kind(row[4]) for row in self.rows]


class Setting:
    """An engine over a log of its own."""

    def __init__(self, log: EventLog, reader: LogReader) -> None:
        self.log = log
        self.writer = Writer(log)
        self.follower = Follower()
        self.engine = Engine(log, self.writer, reader, RowBuilder(), Metrics())  # type: ignore[arg-type]
        self.engine.runs = [self.follower]  # type: ignore[list-item]


@contextmanager
def setting(home: Path) -> Iterator[Setting]:
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        yield Setting(log, reader)


def transactions_of(home: Path) -> int:
    """The number of commits so far."""
    meta = read_meta(data_file(home))
    assert meta is not None
    return meta.transaction


def settled(rate: float, at: int = HOUR) -> FundingSettled:
    return FundingSettled("v", "A", 1, at, rate)


def test_a_caller_that_is_cancelled_while_its_commit_is_on_the_way_leaves_no_commit_unfolded(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> str:
            one.writer.is_held = True
            task = asyncio.ensure_future(one.engine.record([ClockTicked(7)]))
            await until(lambda: bool(one.writer.waiting))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            end = asyncio.ensure_future(one.engine.end(lambda: [RunStopped(1, 9, "", f"{len(one.follower.rows)}")]))
            one.writer.is_held = False
            one.writer.release()
            await end
            return str(task.cancelled())

        assert run(work()) == "True"
        assert one.follower.kinds() == [Kind.CLOCK_TICKED]
    assert [event.state_hash for _, _, event in events_of(tmp_path, RunStopped)] == ["1"]


def test_a_commit_that_fails_is_the_callers_error_and_nothing_goes_on_after_it(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> None:
            one.writer.error = DiskFull("no room")
            with pytest.raises(DiskFull, match="no room"):
                await one.engine.record([ClockTicked(7)])
            one.writer.error = None
            with pytest.raises(DiskFull, match="no room"):
                await one.engine.append([ClockTicked(8)])

        run(work())
        assert one.follower.rows == []
    assert kinds_of(tmp_path) == []


def test_a_decision_that_cannot_be_recorded_stops_everything(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        one.follower.decides = True
        told: list[int] = []

        async def decided(_: Any, __: Any, seq: int) -> None:
            told.append(seq)

        async def work() -> None:
            one.engine.decided = decided
            await one.engine.record([ClockTicked(7)])
            one.writer.error_at_the_end = DiskFull("no room")
            with pytest.raises(DiskFull):
                await one.engine.record([ClockTicked(8)])
            one.writer.error_at_the_end = None
            with pytest.raises(DiskFull):
                await one.engine.record([ClockTicked(9)])

        run(work())
        assert told == [2], "nobody is told of what is not in the log"
        assert len(one.follower.rows) == 2, "it was folded before the disk refused it"
    assert kinds_of(tmp_path) == ["ClockTicked", "ExitDecided"]


def test_a_decision_is_on_the_disk_with_what_it_was_decided_on(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        one.follower.decides = True
        seen: list[tuple[int, int]] = []

        async def decided(_: Any, __: Any, seq: int) -> None:
            seen.append((seq, one.engine.last_seq))

        async def work() -> None:
            one.engine.decided = decided
            await one.engine.record([ClockTicked(7), ClockTicked(8)])

        before = transactions_of(tmp_path)
        run(work())
        assert seen == [(3, 3)]
        assert transactions_of(tmp_path) == before + 1


def test_each_decision_of_several_runs_is_told_with_its_own_seq(tmp_path: Path) -> None:
    booked = FillSimulated(1, 5, PAIR, "open", 1, {})
    told: list[tuple[object, int]] = []

    async def decided(follower: Any, _: Any, seq: int) -> None:
        told.append((follower, seq))

    with setting(tmp_path) as one:
        other = Follower()
        one.follower.decides = other.decides = True
        one.follower.bookings = [booked, booked]
        one.engine.runs.append(other)  # type: ignore[arg-type]
        one.engine.decided = decided
        run(one.engine.record([ClockTicked(7)]))
        assert told == [(one.follower, 2), (other, 5)]
    assert kinds_of(tmp_path) == ["ClockTicked", "ExitDecided", "FillSimulated", "FillSimulated", "ExitDecided"]


def test_a_fold_that_fails_keeps_what_it_could_not_fold_out_of_the_log(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        one.follower.fails = True

        async def work() -> None:
            for _ in range(2):
                with pytest.raises(ArithmeticError, match="too large"):
                    await one.engine.record([ClockTicked(7)])

        run(work())
        assert one.engine.last_seq == 0


def test_nothing_is_committed_after_the_end(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> None:
            await one.engine.end(lambda: [RunStopped(1, 9)])
            with pytest.raises(LogClosed, match="stopping"):
                await one.engine.record([ClockTicked(10)])

        run(work())
    assert kinds_of(tmp_path) == ["RunStopped"]


def test_commits_of_several_tasks_are_folded_in_the_order_of_the_log(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> None:
            one.follower.decides = True
            await asyncio.gather(*(one.engine.record([ClockTicked(at)]) for at in range(1, 40)))

        run(work())
        folded = [(row[2], row[1]) for row in one.follower.rows]
    logged = [(seq, event.event_at) for seq, _, event in events_of(tmp_path, ClockTicked)]
    assert folded == logged
    assert kinds_of(tmp_path) == ["ClockTicked", "ExitDecided"] * 39


def test_a_rate_that_comes_again_and_differs_is_a_revision_even_when_nothing_else_is_new(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> None:
            await one.engine.record([settled(1e-4)])
            await one.engine.record([settled(2e-4)])
            await one.engine.record([settled(2e-4), settled(1e-4)])

        run(work())
        assert one.follower.kinds() == [Kind.FUNDING_SETTLED, Kind.FUNDING_REVISED]
    (revised,) = [event for _, _, event in events_of(tmp_path, FundingRevised)]
    assert (revised.rate, kinds_of(tmp_path)) == (2e-4, ["FundingSettled", "FundingRevised"])
    assert revised.caused_by == 1


def test_of_what_the_log_has_already_nothing_is_folded_again(tmp_path: Path) -> None:
    with setting(tmp_path) as one:

        async def work() -> None:
            await one.engine.record([settled(1e-4)])
            result = await one.engine.record([settled(1e-4), settled(3e-4, 2 * HOUR)])
            assert (result.count, result.duplicates) == (1, 1)

        run(work())
        assert [row[1] for row in one.follower.rows] == [HOUR, 2 * HOUR]
        assert [row[2] for row in one.follower.rows] == [1, 2]


def test_notes_are_not_folded(tmp_path: Path) -> None:
    with setting(tmp_path) as one:
        run(one.engine.append([RunStopped(1, 9)]))
        assert one.follower.rows == []
        assert one.engine.last_seq == 1
