"""The live run's dealings with the venue: decisions become processes, and what the venue says finds its process.

One process works on a pair at a time; what else is to be done with the pair waits its turn. Everything of the run goes
through one `turn`: whoever holds it reads the books, and nobody else books anything until what follows is in the log
and applied. So books and processes see events in the order of the log, and nothing is booked twice because two tasks
looked at the same moment.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.listener import Listener
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteBoard
from carryfold.adapters.daemon.reconciler import Reconciler
from carryfold.adapters.daemon.restored import last_repair, restored_processes
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import (
    EntryDecided,
    Event,
    ExitDecided,
    Halted,
    OrderCancelled,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
)
from carryfold.domain.execution import (
    Execution,
    ExecutionLimits,
    ProcessSpec,
    Quotes,
    Summary,
    process_id,
)
from carryfold.domain.execution.ids import Kind
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.reports import FillReport
from carryfold.eventlog import LogError, LogReader

__all__ = ["Broker"]

STOP_WITHIN_S: Final = 30.0
ENDED_KEPT: Final = 500
_IN_VAIN: Final = ("unwound", "nothing")
_NS: Final = 1_000_000_000

Decision = EntryDecided | ExitDecided


class Broker:
    """Implements `worker.Office` for the workers of one live run, and `reconciler.Desk`. `load` once, then
    `listener.listen` and `work` at the same time."""

    def __init__(
        self,
        run: Run,
        account: Account,
        engine: Engine,
        pace: Pace,
        metrics: Metrics,
        notices: Notices,
        limits: ExecutionLimits,
        board: QuoteBoard,
    ) -> None:
        self.run = run
        self.account = account
        self.trading: Trading = account.trading
        self.pace = pace
        self.metrics = metrics
        self.notices = notices
        self.turn = asyncio.Lock()
        self.engine = engine
        self.reconciler = Reconciler(self)
        self.listener = Listener(self)
        self._limits = limits
        self._rest_ns = nanoseconds(limits.rest_s)
        self._board = board
        self._workers: dict[str, Worker] = {}
        self._pair_turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: dict[str, Execution] = {}
        self.entries_rest: dict[str, int] = {}
        """Until when (UTC ns) no entry is tried again, by pair."""
        self._repairs_rest: dict[str, int] = {}
        self._repair_seq = 0
        self._interrupted: list[Worker] = []
        self._stale: list[tuple[Decision, int]] = []
        self.is_new = True
        """True if the log has nothing yet that the run did or found on the account."""
        self.rejected: Callable[[], None] = lambda: None
        """Told of each order that the venue refused: its rules may have changed."""
        self._failed: asyncio.Future[None] | None = None
        self._halting = False
        self._stopping = False

    # --- what workers need -------------------------------------------------------------------------------------------

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run, then let books and processes have them. A process that leaves a leg alone halts the
        run by the same commit, so that no restart can forget it. The caller holds the turn. Raises LogError."""
        assert self.turn.locked(), "whoever commits has read the books in the same turn"
        events = [*events, *(self._halt(end) for end in events if _ended_unhedged(end))]
        result = await self.engine.record(events)
        self.account.apply(events)
        if any(isinstance(event, OrderRejected) for event in events):
            self.rejected()
        for process in (*(worker.process for worker in self._workers.values()), *self._ended.values()):
            for event in events:
                process.apply(event, result.recorded_at)

    def quotes(self, symbol: str) -> Quotes:
        """The latest of both legs."""
        return self._board.quotes(symbol)

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or not agreed with the venue."""
        return self.agreed and self.run.standing().may_enter and not self._stopping

    async def missed(self, since: int) -> Sequence[FillReport]:
        """Executions since a time, of this run's time. Raises VenueError."""
        return await self.trading.fills_since(max(since, self.run.info.started_at))

    @property
    def agreed(self) -> bool:
        """True while log and venue say the same."""
        return self.reconciler.agreed

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The processes at work, by pair."""
        return self._workers

    @property
    def past(self) -> Collection[Execution]:
        """Processes that have ended, as far as they are kept: late fills are theirs."""
        return self._ended.values()

    # --- start and stop ----------------------------------------------------------------------------------------------

    def load(self, reader: LogReader) -> None:
        """Books, and processes that a restart interrupted, from the log. Nothing is sent or asked yet."""
        own = self.account.load(reader)
        self.is_new = not any(isinstance(event, OrderIntended | ReconciliationCorrected) for _, _, event in own)
        for symbol in self.account.pairs:
            self.account.pair(symbol, *self.run.unit_of(symbol))
        self._repair_seq = last_repair(own)
        for _, known_at, event in own:
            if isinstance(event, OrderCancelled) and event.ended and event.reason.partition(":")[0] in _IN_VAIN:
                self.entries_rest[event.symbol] = known_at + self._rest_ns
        for process in restored_processes(self.run.info, self.account.pairs, own, self._limits):
            worker = self._employ(process)
            self._interrupted.append(worker)
            self.notices.say("process taken up again", process=process.spec.process, pair=worker.symbol)
        decided = {event.symbol: (event, seq) for seq, _, event in own if isinstance(event, Decision)}
        pending = {name.symbol for name, _ in self.run.pending()} - {*self._workers}
        self._stale = [one for symbol, one in decided.items() if symbol in pending]

    async def work(self) -> None:
        """Take up what was interrupted, then keep log and venue together, for ever. Raises LogError."""
        self._failed = asyncio.get_running_loop().create_future()
        for worker in self._interrupted:
            self._spawn(self._resume(worker))
        self._interrupted = []
        await self._tell_missed()
        await self.reconciler.look()  # a leg may be gone: its pair has closed
        await self._finish_stale()
        reconciling = asyncio.ensure_future(self.reconciler.run())
        try:
            await asyncio.wait([reconciling, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for done in (self._failed, reconciling):
                if done.done():
                    done.result()
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)

    async def stop(self) -> None:
        """Open nothing more, and give processes time to end; what is left is taken up by the next start."""
        self._stopping = True
        end = self.pace.now() + round(STOP_WITHIN_S * _NS)
        while self._workers and self.pace.now() < end:
            await self.pace.sleep(0.1)
        left = sorted(self._workers)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if left:
            self.notices.alert("interrupted", f"stopped while trading {', '.join(left)}")

    async def _resume(self, worker: Worker) -> None:
        async with self._pair_turns[worker.symbol]:
            await self._employed(worker)

    async def _tell_missed(self) -> None:
        """Executions of interrupted processes. Where they are not told now, the processes ask for themselves."""
        try:
            for report in await self.account.fills():
                self.listener.hand_over(report)
        except VenueError as error:
            self.notices.say("executions not told", reason=str(error))

    async def _finish_stale(self) -> None:
        """Decisions of before that nobody began to carry out: exits begin now; an entry is given up, and decided again
        if it is still wanted at today's rates and prices."""
        for decision, seq in self._stale:
            if isinstance(decision, EntryDecided):
                await self._give_up(decision, seq, "the daemon was not running")
            else:
                await self.decided(self.run, decision, seq)
        self._stale = []

    # --- decisions ---------------------------------------------------------------------------------------------------

    async def decided(self, run: Run, decision: Decision, seq: int) -> None:
        """A decision is in the log. It is carried out by a task: this is called between two commits."""
        if run is self.run:
            self._spawn(self._carry_out(decision, seq))

    async def _carry_out(self, decision: Decision, seq: int) -> None:
        symbol = decision.symbol
        async with self._pair_turns[symbol]:
            if self._stopping:
                return  # the next start finds it in the log
            if isinstance(decision, EntryDecided) and self.pace.now() < self.entries_rest.get(symbol, 0):
                await self._give_up(decision, seq, "resting: the last entry came to nothing")
                return
            kind: Kind = "entry" if isinstance(decision, EntryDecided) else "exit"
            lots = decision.lots if isinstance(decision, EntryDecided) else 0
            async with self.turn:
                spec = self._spec(symbol, kind, seq, lots, float(decision.working.get("mid", 0.0)))
                worker = self._employ(Execution.start(spec))
            await self._employed(worker)

    def _spec(self, symbol: str, kind: Kind, seq: int, lots: int = 0, mid: float = 0.0) -> ProcessSpec:
        books = self.account.books
        return ProcessSpec(
            tag=books.tag,
            run=self.run.info.run,
            decision_seq=seq,
            kind=kind,
            pair=self.account.pair(symbol, *self.run.unit_of(symbol)),
            thin=self.run.thin_leg(symbol),
            started_at=self.pace.now(),
            lots=lots,
            spot_units=books.pairs[symbol].spot_units,
            perp_units=books.pairs[symbol].perp_units,
            price=Decimal(repr(mid or self._board.mid(symbol, "spot"))),
            limits=self._limits,
        )

    async def _give_up(self, decision: Decision, seq: int, reason: str) -> None:
        """End a decision that no process carries out."""
        info = self.run.info
        name = process_id(self.account.books.tag, info.run, seq, "entry")
        key = info.run, self.pace.now(), decision.venue, decision.symbol, decision.listing
        async with self.turn:
            await self.commit([OrderCancelled(*key, client_id=name, reason=f"given up: {reason}", ended=True)])
        self.notices.say("decision given up", pair=decision.symbol, seq=seq, reason=reason)

    # --- processes ---------------------------------------------------------------------------------------------------

    def _employ(self, process: Execution) -> Worker:
        worker = Worker(process, self)
        assert worker.symbol not in self._workers, "one process a pair"
        self._workers[worker.symbol] = worker
        return worker

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Without a log nothing can go on. A process that breaks is a bug: the run halts, others are still hedged, and
        the reconciliation shows what this one left."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, LogError) or self._halting:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)
            return
        self.notices.alert("broken", f"{type(error).__name__}: {error}")
        if not self._stopping:
            self._halting = True
            self._spawn(self._halt_for(f"a bug: {type(error).__name__}"))

    async def _halt_for(self, reason: str) -> None:
        async with self.turn:
            await self.commit([Halted(self.run.info.run, self.pace.now(), reason)])
        self._halting = False
        self.reconciler.wake()

    async def _employed(self, worker: Worker) -> None:
        """One process from its first step to its end."""
        try:
            summary = await worker.run()
        finally:
            self._workers.pop(worker.symbol, None)
            self._ended[worker.process.spec.process] = worker.process
            while len(self._ended) > ENDED_KEPT:
                self._ended.pop(next(iter(self._ended)))
        self._conclude(worker, summary)

    def _conclude(self, worker: Worker, summary: Summary) -> None:
        self.notices.say(
            "process ended",
            process=summary.process,
            pair=worker.symbol,
            outcome=summary.outcome,
            orders=summary.orders,
            fees=str(summary.fees),
            unhedged_s=round(summary.unhedged_s, 3),
            longest_unhedged_s=round(summary.longest_unhedged_s, 3),
            peak_unhedged=str(summary.peak_unhedged),
        )
        until = self.pace.now() + self._rest_ns
        kind = worker.process.spec.kind
        if kind == "entry" and summary.outcome in _IN_VAIN and summary.orders:
            self.entries_rest[worker.symbol] = until
        if kind == "repair" and summary.outcome != "repaired":
            self._repairs_rest[worker.symbol] = until
        self.reconciler.wake()

    def repair(self, symbol: str) -> None:
        """Bring two legs together that something has moved apart, unless the pair is at work or has just been tried in
        vain."""
        if self._stopping or self._pair_turns[symbol].locked() or self.pace.now() < self._repairs_rest.get(symbol, 0):
            return
        self._spawn(self._repair(symbol))

    async def _repair(self, symbol: str) -> None:
        async with self._pair_turns[symbol]:
            async with self.turn:
                books = self.account.books.pairs[symbol]
                if abs(books.spot_units - books.perp_units) < books.pair.lot_units:
                    return
                # Two repairs that begin at the same end of the log must not share a name: their orders would.
                self._repair_seq = max(self._repair_seq + 1, self.engine.last_seq)
                worker = self._employ(Execution.start(self._spec(symbol, "repair", self._repair_seq)))
            self.notices.alert("repair", f"{symbol}: {books.spot_units} units of spot, {books.perp_units} short")
            await self._employed(worker)

    def _halt(self, end: Event) -> Halted:
        assert isinstance(end, OrderCancelled)
        return Halted(self.run.info.run, self.pace.now(), f"{end.symbol} is {end.reason}"[:200])


def _ended_unhedged(event: Event) -> bool:
    """True for the last event of a process that leaves one leg alone."""
    process_ended = isinstance(event, OrderCancelled) and event.client_id[-1:] in ("e", "x", "r")
    return process_ended and isinstance(event, OrderCancelled) and event.reason.startswith("unhedged")
