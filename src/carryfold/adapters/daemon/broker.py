"""The live run's dealings with its venues: decisions become processes, and what a venue says finds its process.

One process works on a pair at a time; what else is to be done with the pair waits its turn. Everything of the run goes
through one lock, the `turn`: the holder reads the books, and nothing else is booked until what follows is in the log
and applied. So books and processes see events in the order of the log, and nothing is booked twice because two tasks
looked at the same moment. Pairs go by their names in the run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.engine import Engine, numbered
from carryfold.adapters.daemon.listener import Listener
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.reconciler import Reconciler
from carryfold.adapters.daemon.recovery import interrupted_processes, last_repair
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import (
    EntryDecided,
    Event,
    ExitDecided,
    Halted,
    HedgeEnded,
    HoldingAdopted,
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
from carryfold.domain.execution.plans import GIVEN_UP
from carryfold.domain.execution.reports import FillReport, OrderReport
from carryfold.domain.instruments import Leg
from carryfold.eventlog import LogError, LogReader

__all__ = ["Broker"]

STOP_WITHIN_S: Final = 30.0
ENDED_KEPT: Final = 500
_IN_VAIN: Final = ("unwound", "nothing")
_NS: Final = 1_000_000_000

_LEGS: Final[tuple[Leg, ...]] = ("long", "short")

Decision = EntryDecided | ExitDecided


class Broker:
    """Implements the contexts of the workers, of the reconciler and of the listeners of one live run. `load` once, then
    every `listeners[...].listen` and `work` at the same time."""

    def __init__(
        self,
        run: Run,
        account: Account,
        engine: Engine,
        pace: Pace,
        metrics: Metrics,
        notices: Notices,
        limits: ExecutionLimits,
        quotes: QuoteCache,
    ) -> None:
        self.run = run
        self.account = account
        self.ports: Mapping[str, Trading] = account.ports
        self.pace = pace
        self.metrics = metrics
        self.notices = notices
        self.turn = asyncio.Lock()
        self.engine = engine
        self.reconciler = Reconciler(self)
        self.listeners = [
            Listener(self, venue, port, "account" if len(self.ports) == 1 else f"{venue}.account")
            for venue, port in self.ports.items()
        ]
        self._limits = limits
        self._rest_ns = nanoseconds(limits.rest_s)
        self._quotes = quotes
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
        """Called for each order that the venue refused: its rules may have changed."""
        self._failed: asyncio.Future[None] | None = None
        self._halting = False
        self._stopping = False

    # --- what workers need -------------------------------------------------------------------------------------------

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run, then let books and processes have them. A process that leaves a leg alone halts the
        run by the same commit, so that no restart can forget it. The caller holds the turn. Raises LogError."""
        assert self.turn.locked(), "the books were read in the same turn"
        events = [*events, *(self._halt(end) for end in events if _is_unhedged_end(end))]
        result = await self.engine.record(events)
        logged = numbered(result, events)
        self.account.apply(logged)
        if any(isinstance(event, OrderRejected) for event in events):
            self.rejected()
        for process in (*(worker.process for worker in self._workers.values()), *self._ended.values()):
            for seq, event in logged:
                process.apply(event, result.recorded_at, seq)

    def quotes(self, name: str) -> Quotes:
        """The latest of both legs."""
        return self._quotes.quotes(self.account.pairs[name].pair)

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or not agreed with the venue."""
        return self.agreed and self.run.standing().may_enter and not self._stopping

    async def missed(self, since: int) -> Sequence[FillReport]:
        """Executions since a time, of this run's time. Raises VenueError."""
        asked = max(since, self.run.info.started_at)
        found = await asyncio.gather(*(port.fills_since(asked) for port in self.ports.values()))
        return [fill for fills in found for fill in fills]

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

    def hand_over(self, report: OrderReport | FillReport) -> bool:
        """True if a process at work knows the order, and takes the report."""
        worker = next((one for one in self._workers.values() if one.process.owns(report.client_id)), None)
        if worker is not None:
            worker.hand_over(report)
        return worker is not None

    # --- start and stop ----------------------------------------------------------------------------------------------

    def load(self, reader: LogReader) -> None:
        """Books, and processes that a restart interrupted, from the log. Nothing is sent or asked yet."""
        own = self.account.load(reader)
        traded = OrderIntended | ReconciliationCorrected | HoldingAdopted
        taken_over = self.account.books.predecessor is not None
        self.is_new = not taken_over and not any(isinstance(event, traded) for _, _, event in own)
        for name, pair in self.account.pairs.items():
            self.account.pair(name, *self.run.unit_of(pair.pair))
        self._repair_seq = last_repair(own)
        for _, known_at, event in own:
            if isinstance(event, HedgeEnded) and _is_in_vain(event.work, event.outcome, event.orders):
                self.entries_rest[self.account.name_of(event.pair)] = known_at + self._rest_ns
        for process in interrupted_processes(self.run.info, self.account.pairs, own, self._limits):
            worker = self._start_worker(process)
            self._interrupted.append(worker)
            self.notices.say("process taken up again", process=process.spec.process, pair=worker.name)
        decided = {event.pair: (event, seq) for seq, _, event in own if isinstance(event, Decision)}
        waiting = [pair for pair, _ in self.run.pending() if self.account.name_of(pair) not in self._workers]
        self._stale = [decided[pair] for pair in waiting if pair in decided]

    async def work(self) -> None:
        """Take up what was interrupted, then keep log and venue together, for ever. Raises LogError."""
        self._failed = asyncio.get_running_loop().create_future()
        for worker in self._interrupted:
            self._spawn(self._resume(worker))
        self._interrupted = []
        await self._hand_over_missed()
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
        async with self._pair_turns[worker.name]:
            await self._drive(worker)

    async def _hand_over_missed(self) -> None:
        """Executions of interrupted processes. Where they cannot be had now, the processes ask for themselves."""
        try:
            for report in await self.account.fills():
                self.hand_over(report)
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
        name = self.account.name_of(decision.pair)
        async with self._pair_turns[name]:
            if self._stopping:
                return  # the next start finds it in the log
            if isinstance(decision, EntryDecided) and self.pace.now() < self.entries_rest.get(name, 0):
                await self._give_up(decision, seq, "resting: the last entry came to nothing")
                return
            if isinstance(decision, ExitDecided) and self._is_stuck(name):
                await self._give_up(decision, seq, "nothing that is held trades any more")
                return
            kind: Kind = "entry" if isinstance(decision, EntryDecided) else "exit"
            lots = decision.lots if isinstance(decision, EntryDecided) else 0
            async with self.turn:
                spec = self._spec(name, kind, seq, lots, float(decision.working.get("mid", 0.0)))
                worker = self._start_worker(Execution.start(spec))
            await self._drive(worker)

    def _is_stuck(self, name: str) -> bool:
        """True if no order could change what is held: the legs that are on do not trade any more."""
        books = self.account.books.pairs[name]
        held = [leg for leg in _LEGS if books.held(leg)]
        return bool(held) and not any(self.account.listed(name).rules(leg).trading for leg in held)

    def _spec(self, name: str, kind: Kind, seq: int, lots: int = 0, mid: float = 0.0) -> ProcessSpec:
        books = self.account.books
        pair = self.account.pair(name, *self.run.unit_of(books.pairs[name].pair.pair))
        thin = self.run.thin_leg(pair.pair) if pair.long.trading else "short"
        return ProcessSpec(
            tag=books.tag,
            run=self.run.info.run,
            decision_seq=seq,
            kind=kind,
            pair=pair,
            thin=thin,
            started_at=self.pace.now(),
            lots=lots,
            long_units=books.pairs[name].long_units,
            short_units=books.pairs[name].short_units,
            price=Decimal(repr(mid or self._quotes.mid(pair.pair.long))),
            limits=self._limits,
        )

    async def _give_up(self, decision: Decision, seq: int, reason: str) -> None:
        """End a decision that no process carries out."""
        info = self.run.info
        kind: Kind = "entry" if isinstance(decision, EntryDecided) else "exit"
        process = process_id(self.account.books.tag, info.run, seq, kind)
        async with self.turn:
            key = info.run, self.pace.now(), decision.pair
            await self.commit([HedgeEnded(*key, process, kind, GIVEN_UP, reason, caused_by=seq)])
        name = self.account.name_of(decision.pair)
        self.notices.say("decision given up", pair=name, seq=seq, reason=reason)

    # --- processes ---------------------------------------------------------------------------------------------------

    def _start_worker(self, process: Execution) -> Worker:
        worker = Worker(process, self)
        assert worker.name not in self._workers, "one process a pair"
        self._workers[worker.name] = worker
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

    async def _drive(self, worker: Worker) -> None:
        """One process from its first step to its end."""
        try:
            summary = await worker.run()
        finally:
            self._workers.pop(worker.name, None)
            self._ended[worker.process.spec.process] = worker.process
            while len(self._ended) > ENDED_KEPT:
                self._ended.pop(next(iter(self._ended)))
        self._conclude(worker, summary)

    def _conclude(self, worker: Worker, summary: Summary) -> None:
        self.notices.say(
            "process ended",
            process=summary.process,
            pair=worker.name,
            outcome=summary.outcome,
            orders=summary.orders,
            fees=str(summary.fees),
            unhedged_s=round(summary.unhedged_s, 3),
            longest_unhedged_s=round(summary.longest_unhedged_s, 3),
            peak_unhedged=str(summary.peak_unhedged),
        )
        until = self.pace.now() + self._rest_ns
        kind = worker.process.spec.kind
        if _is_in_vain(kind, summary.outcome, summary.orders):
            self.entries_rest[worker.name] = until
        if kind == "repair" and summary.outcome != "repaired":
            self._repairs_rest[worker.name] = until
        self.reconciler.wake()

    def repair(self, name: str) -> None:
        """Bring two legs together that something has moved apart, unless the pair is at work or has just been tried in
        vain."""
        if self._stopping or self._pair_turns[name].locked() or self.pace.now() < self._repairs_rest.get(name, 0):
            return
        self._spawn(self._repair(name))

    async def _repair(self, name: str) -> None:
        async with self._pair_turns[name]:
            async with self.turn:
                books = self.account.books.pairs[name]
                if abs(books.long_units - books.short_units) < books.pair.lot_units:
                    return
                # Two repairs that begin at the same end of the log must not share a name: their orders would.
                self._repair_seq = max(self._repair_seq + 1, self.engine.last_seq)
                worker = self._start_worker(Execution.start(self._spec(name, "repair", self._repair_seq)))
            self.notices.alert("repair", f"{name}: {books.long_units} units long, {books.short_units} short")
            await self._drive(worker)

    def _halt(self, end: Event) -> Halted:
        assert isinstance(end, HedgeEnded)
        name = self.account.name_of(end.pair)
        return Halted(self.run.info.run, self.pace.now(), f"{name} is unhedged: {end.reason}"[:200])


def _is_unhedged_end(event: Event) -> bool:
    """True for the end of a process that leaves one leg alone."""
    return isinstance(event, HedgeEnded) and event.outcome == "unhedged"


def _is_in_vain(kind: str, outcome: str, orders: int) -> bool:
    """True for an entry that cost orders and opened nothing."""
    return kind == "entry" and outcome in _IN_VAIN and orders > 0
