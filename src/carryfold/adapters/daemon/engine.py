"""The only way into the log: write, rows, folds, records, flush, in this order, one commit at a time.

An observation and the decisions that follow from it are two instants of the log, but one transaction and one flush: the
writer's thread folds what it has written, and writes the decisions, before it flushes both. So no crash leaves an
observation without its decisions, and a decision waits for the disk once.

Guarantees: every commit is one instant of every run's fold, however many events it has; a decision is on the disk
before anybody acts on it; while no commit is in flight, the state of a run is the fold of the log; cancelling a caller
never aborts a commit in flight. If the log or a fold refuses a commit, nothing of it is in the log, and the caller gets
the error. From then on everything is refused, because some of it may have been folded; only a start corrects that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.run import FoldResult, Run
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.domain.events import EntryDecided, Event, ExitDecided, FundingRevised, FundingSettled
from carryfold.domain.fold import State
from carryfold.domain.row_builder import RowBuilder
from carryfold.eventlog import AnyEntry, AppendResult, EventLog, Follow, GroupCommitter, Head, LogClosed, LogReader

__all__ = ["CapturedStates", "DecisionHandler", "Engine", "numbered"]

Decision = EntryDecided | ExitDecided
DecisionHandler = Callable[[Run, Decision, int], Awaitable[None]]
"""Called with a decision and its seq, once it is in the log."""


class CapturedStates(NamedTuple):
    """Copies of the states of all runs, by run, as of one `head` of the log."""

    head: Head
    states: dict[int, State]


class Engine:
    """The daemon's log and its runs."""

    def __init__(
        self, log: EventLog, committer: GroupCommitter, reader: LogReader, builder: RowBuilder, metrics: Metrics
    ) -> None:
        """`builder` has taken every event of the log."""
        self.runs: list[Run] = []
        self.decided: DecisionHandler | None = None
        self._log = log
        self._committer = committer
        self._reader = reader
        self._builder = builder
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[AppendResult]] = set()
        self._closed: BaseException | None = None
        self._has_failed = False

    @property
    def last_seq(self) -> int:
        """The last seq of the log."""
        return self._log.last.seq

    async def record(self, events: Sequence[Event]) -> AppendResult:
        """Commit market and outcome events, fold them, and record the decisions of the folds. Raises LogError."""
        return await self._to_the_end(lambda: self._record(events))

    async def append(self, events: Sequence[Event]) -> AppendResult:
        """Commit events that no fold sees. Raises LogError."""
        return await self._to_the_end(lambda: self._append(events))

    async def end(self, records: Callable[[], Sequence[Event]]) -> AppendResult:
        """Commit the last records, which are asked for once everything before them is folded; later commits are
        refused. Raises LogError."""
        return await self._to_the_end(lambda: self._end(records))

    async def capture(self) -> CapturedStates | None:
        """The states of all runs between two commits; None after a failed commit, because they may be ahead of the
        log."""
        async with self._turn:
            if self._has_failed:
                return None
            return CapturedStates(self._log.last, {run.info.run: run.state.copy() for run in self.runs})

    async def _to_the_end(self, work: Callable[[], Awaitable[AppendResult]]) -> AppendResult:
        """Do the work in its turn and to its end, even if the caller is cancelled meanwhile."""
        task = asyncio.ensure_future(self._in_turn(work))
        self._tasks.add(task)  # the loop itself keeps only weak references to its tasks
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _in_turn(self, work: Callable[[], Awaitable[AppendResult]]) -> AppendResult:
        async with self._turn:
            if self._closed is not None:
                raise self._closed
            try:
                return await work()
            except BaseException as error:
                self._closed, self._has_failed = error, True
                raise

    async def _record(self, events: Sequence[Event]) -> AppendResult:
        result = await self._commit(events)
        revisions = self._revisions(result, events)
        if revisions:
            await self._commit(revisions)
        return result

    async def _append(self, events: Sequence[Event]) -> AppendResult:
        result = await self._submit(events)
        self._metrics.committed(result.count)
        return result

    async def _end(self, records: Callable[[], Sequence[Event]]) -> AppendResult:
        result = await self._append(records())
        self._closed = LogClosed("the daemon is stopping")
        return result

    async def _submit(self, events: Sequence[Event], follow: Follow | None = None) -> AppendResult:
        return await asyncio.wrap_future(self._committer.submit(_entries(events), follow))

    async def _commit(self, events: Sequence[Event]) -> AppendResult:
        """Append and fold, with the records of what was decided; then `decided` is called."""
        began = time.perf_counter()
        folded: list[tuple[Run, FoldResult]] = []

        def fold(result: AppendResult) -> list[AnyEntry]:
            batch = [(result.recorded_at, event) for _, event in numbered(result, events)]
            rows = self._builder.build(result.first_seq, batch)
            folded.extend((run, run.fold(rows)) for run in self.runs)
            return _entries([event for _, one in folded for event in one.events])

        result = await self._submit(events, fold)
        self._metrics.committed(result.count + sum(len(one.events) for _, one in folded))
        if result.count:
            self._metrics.folded(time.perf_counter() - began)
        if decisions := sum(len(one.decisions) for _, one in folded):
            self._metrics.decided(decisions, time.perf_counter() - began)
        seq = result.last_seq + 1
        for run, one in folded:
            if self.decided is not None:
                for number, decision in enumerate(one.decisions):
                    await self.decided(run, decision, seq + number)
            seq += len(one.events)
        return result

    def _revisions(self, result: AppendResult, events: Sequence[Event]) -> list[Event]:
        """Revisions for settled rates that came again and differ. Of other contradictory live observations, such as a
        bar that was requested twice, the first one stays in force."""
        revised: list[Event] = []
        for conflict in result.conflicts:
            event = events[conflict.index]
            if not isinstance(event, FundingSettled):
                continue
            batch = next(self._reader.read(conflict.seq - 1, limit_batches=1))
            found = decode_batch(batch.payload, batch.first_seq)
            first = next((one for seq, _, one in found if seq == conflict.seq), None)
            if isinstance(first, FundingSettled) and first.rate != event.rate:
                name = event.venue, event.symbol, event.listing, event.event_at
                rates = event.rate, first.rate, event.interval_hours
                revised.append(FundingRevised(*name, *rates, caused_by=conflict.seq))
        return revised


def _entries(events: Sequence[Event]) -> list[AnyEntry]:
    return [(encode(event), event_key(event), None) for event in events]


def numbered(result: AppendResult, events: Sequence[Event]) -> list[tuple[int, Event]]:
    """(seq, event) of the events of an append that were stored."""
    kept = events if result.kept is None else [events[index] for index in result.kept]
    return list(enumerate(kept, result.first_seq))
