"""Turns decisions and repairs of a live run into processes, one at a time on each pair.

A decision waits for the process that is running on its pair. An entry is given up while its pair cools down after one
that opened nothing, and an exit is given up when nothing that the pair holds can be traded.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.recovery import Logged, interrupted_processes, last_repair
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.worker import ProcessContext, Worker
from carryfold.domain.events import EntryDecided, ExitDecided, Halted, HedgeEnded
from carryfold.domain.execution import Execution, ExecutionLimits, ProcessSpec, Summary, process_id
from carryfold.domain.execution.actions import GIVEN_UP
from carryfold.domain.execution.client_ids import Kind
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.instruments import Leg
from carryfold.eventlog import LogError

__all__ = ["Decision", "Dispatcher", "DispatcherContext"]

ENDED_KEPT: Final = 500
"""Ended processes that are kept for late fills."""

_OPENED_NOTHING: Final = ("unwound", "nothing")
_NS: Final = 1_000_000_000
_LEGS: Final[tuple[Leg, ...]] = ("long", "short")

Decision = EntryDecided | ExitDecided


class DispatcherContext(ProcessContext, Protocol):
    """What the dispatcher needs of the broker, beside what its workers need."""

    run: Run
    account: Account
    engine: Engine

    def request_reconciliation(self) -> None:
        """Reconcile soon."""

    def fail(self, error: BaseException) -> None:
        """End the daemon: nothing can go on."""


class Dispatcher:
    """`workers`: the running processes by pair; `ended`: those that have ended, by name, for late fills. Pairs go by
    their names in the run."""

    def __init__(self, context: DispatcherContext, limits: ExecutionLimits, quotes: QuoteCache) -> None:
        self.workers: dict[str, Worker] = {}
        self.ended: dict[str, Execution] = {}
        self.entry_cooldowns: dict[str, int] = {}
        """Until when (UTC ns) no entry is tried again, by pair."""
        self._repair_cooldowns: dict[str, int] = {}
        self._context = context
        self._limits = limits
        self._quotes = quotes
        self._cooldown_ns = nanoseconds(limits.cooldown_s)
        self._pair_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_repair = 0
        self._interrupted: list[Worker] = []
        self._halting = False
        self.stopping = False

    # --- start and stop ----------------------------------------------------------------------------------------------

    def load(self, own: Sequence[Logged]) -> None:
        """Recover cooldowns and interrupted processes from the run's events. Nothing is sent yet."""
        context = self._context
        self._last_repair = last_repair(own)
        for _, known_at, event in own:
            if isinstance(event, HedgeEnded) and _opened_nothing(event.work, event.outcome, event.orders):
                self.entry_cooldowns[context.account.name_of(event.pair)] = known_at + self._cooldown_ns
        for process in interrupted_processes(context.run.info, context.account.pairs, own, self._limits):
            worker = self._start_worker(process)
            self._interrupted.append(worker)
            context.notices.info("process taken up again", process=process.spec.process, pair=worker.name)

    def resume_interrupted(self) -> None:
        """Drive the processes that a restart interrupted."""
        for worker in self._interrupted:
            self._spawn(self._resume(worker))
        self._interrupted = []

    async def stop(self, within_s: float) -> None:
        """Start nothing more, and give running processes time to end. The next start takes up the others."""
        self.stopping = True
        clock = self._context.clock
        end = clock.now() + round(within_s * _NS)
        while self.workers and clock.now() < end:
            await clock.sleep(0.1)
        unfinished = sorted(self.workers)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if unfinished:
            self._context.notices.alert("interrupted", f"stopped while trading {', '.join(unfinished)}")

    # --- decisions ---------------------------------------------------------------------------------------------------

    def carry_out(self, decision: Decision, seq: int) -> None:
        """Start the process of a decision that is in the log at `seq`, as a task."""
        self._spawn(self._carry_out(decision, seq))

    async def give_up(self, decision: Decision, seq: int, reason: str) -> None:
        """End a decision without a process."""
        context, info = self._context, self._context.run.info
        kind: Kind = "entry" if isinstance(decision, EntryDecided) else "exit"
        process = process_id(context.account.books.tag, info.run, seq, kind)
        async with context.lock:
            key = info.run, context.clock.now(), decision.pair
            await context.commit([HedgeEnded(*key, process, kind, GIVEN_UP, reason, caused_by=seq)])
        name = context.account.name_of(decision.pair)
        context.notices.info("decision given up", pair=name, seq=seq, reason=reason)

    async def _carry_out(self, decision: Decision, seq: int) -> None:
        context = self._context
        name = context.account.name_of(decision.pair)
        async with self._pair_locks[name]:
            if self.stopping:
                return  # the next start finds it in the log
            if isinstance(decision, EntryDecided) and context.clock.now() < self.entry_cooldowns.get(name, 0):
                await self.give_up(decision, seq, "cooling down: the last entry opened nothing")
                return
            if isinstance(decision, ExitDecided) and self._is_stuck(name):
                await self.give_up(decision, seq, "nothing that is held trades any more")
                return
            kind: Kind = "entry" if isinstance(decision, EntryDecided) else "exit"
            lots = decision.lots if isinstance(decision, EntryDecided) else 0
            async with context.lock:
                spec = self._spec(name, kind, seq, lots, float(decision.working.get("mid", 0.0)))
                worker = self._start_worker(Execution.start(spec))
            await self._drive(worker)

    def _is_stuck(self, name: str) -> bool:
        """True if no order can change the holding, because the markets of its legs are closed."""
        account = self._context.account
        held = [leg for leg in _LEGS if account.books.pairs[name].held(leg)]
        return bool(held) and not any(account.listed(name).rules(leg).trading for leg in held)

    def _spec(self, name: str, kind: Kind, seq: int, lots: int = 0, mid: float = 0.0) -> ProcessSpec:
        context, books = self._context, self._context.account.books
        pair = context.account.recount(name, *context.run.unit_of(books.pairs[name].pair.pair))
        thin = context.run.thin_leg(pair.pair) if pair.long.trading else "short"
        return ProcessSpec(
            tag=books.tag,
            run=context.run.info.run,
            decision_seq=seq,
            kind=kind,
            pair=pair,
            thin=thin,
            started_at=context.clock.now(),
            lots=lots,
            long_units=books.pairs[name].long_units,
            short_units=books.pairs[name].short_units,
            price=Decimal(repr(mid or self._quotes.mid(pair.pair.long))),
            limits=self._limits,
        )

    # --- repairs -----------------------------------------------------------------------------------------------------

    def repair(self, name: str) -> None:
        """Match the legs of a pair, unless a process is running on it or a repair has just failed."""
        in_cooldown = self._context.clock.now() < self._repair_cooldowns.get(name, 0)
        if not (self.stopping or self._pair_locks[name].locked() or in_cooldown):
            self._spawn(self._repair(name))

    async def _repair(self, name: str) -> None:
        context = self._context
        async with self._pair_locks[name]:
            async with context.lock:
                books = context.account.books.pairs[name]
                if abs(books.long_units - books.short_units) < books.pair.lot_units:
                    return
                # Two repairs that begin at the same end of the log must not share a name: their orders would.
                self._last_repair = max(self._last_repair + 1, context.engine.last_seq)
                worker = self._start_worker(Execution.start(self._spec(name, "repair", self._last_repair)))
            context.notices.alert("repair", f"{name}: {books.long_units} units long, {books.short_units} short")
            await self._drive(worker)

    # --- processes ---------------------------------------------------------------------------------------------------

    def _start_worker(self, process: Execution) -> Worker:
        worker = Worker(process, self._context)
        assert worker.name not in self.workers, "one process a pair"
        self.workers[worker.name] = worker
        return worker

    async def _resume(self, worker: Worker) -> None:
        async with self._pair_locks[worker.name]:
            await self._drive(worker)

    async def _drive(self, worker: Worker) -> None:
        """One process from its first step to its end."""
        try:
            summary = await worker.run()
        finally:
            self.workers.pop(worker.name, None)
            self.ended[worker.process.spec.process] = worker.process
            while len(self.ended) > ENDED_KEPT:
                self.ended.pop(next(iter(self.ended)))
        self._conclude(worker, summary)

    def _conclude(self, worker: Worker, summary: Summary) -> None:
        self._context.notices.info(
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
        until = self._context.clock.now() + self._cooldown_ns
        kind = worker.process.spec.kind
        if _opened_nothing(kind, summary.outcome, summary.orders):
            self.entry_cooldowns[worker.name] = until
        if kind == "repair" and summary.outcome != "repaired":
            self._repair_cooldowns[worker.name] = until
        self._context.request_reconciliation()

    # --- tasks -------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A LogError ends the daemon. Any other error is a bug: the run halts, other processes go on, and the next
        reconciliation finds what this one left."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, LogError) or self._halting:
            self._context.fail(error)
            return
        self._context.notices.alert("broken", f"{type(error).__name__}: {error}")
        if not self.stopping:
            self._halting = True
            self._spawn(self._halt(f"a bug: {type(error).__name__}"))

    async def _halt(self, reason: str) -> None:
        context = self._context
        async with context.lock:
            await context.commit([Halted(context.run.info.run, context.clock.now(), reason)])
        self._halting = False
        context.request_reconciliation()


def _opened_nothing(kind: str, outcome: str, orders: int) -> bool:
    """True for an entry that sent orders and is flat again."""
    return kind == "entry" and outcome in _OPENED_NOTHING and orders > 0
