"""A live run's side of its venues: decisions become processes, and reports of the venues find their process.

Everything that the run books goes through one lock. Its holder reads the books, and nothing else is booked until the
resulting events are in the log and applied. So books and processes see events in the order of the log, and two tasks
never book the same thing. Pairs go by their names in the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.dispatcher import Decision, Dispatcher
from carryfold.adapters.daemon.engine import Engine, numbered
from carryfold.adapters.daemon.listener import Listener
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.reconciler import Reconciler
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venues import Trading, VenueError
from carryfold.domain.events import (
    EntryDecided,
    Event,
    Halted,
    HedgeEnded,
    HoldingAdopted,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
)
from carryfold.domain.execution import Execution, ExecutionLimits, Quotes
from carryfold.domain.execution.reports import FillReport, OrderReport
from carryfold.eventlog import LogReader

__all__ = ["Broker"]

STOP_WITHIN_S: Final = 30.0


class Broker:
    """Implements the contexts of the dispatcher, the workers, the reconciler and the listeners of one live run. Call
    `load` once, then run every `listeners[...].listen` and `work` at the same time."""

    def __init__(
        self,
        run: Run,
        account: Account,
        engine: Engine,
        clock: DaemonClock,
        metrics: Metrics,
        notices: Notices,
        limits: ExecutionLimits,
        quotes: QuoteCache,
    ) -> None:
        self.run = run
        self.account = account
        self.ports: Mapping[str, Trading] = account.ports
        self.clock = clock
        self.metrics = metrics
        self.notices = notices
        self.lock = asyncio.Lock()
        self.engine = engine
        self.reconciler = Reconciler(self)
        self.dispatcher = Dispatcher(self, limits, quotes)
        self.listeners = [
            Listener(self, venue, port, "account" if len(self.ports) == 1 else f"{venue}.account")
            for venue, port in self.ports.items()
        ]
        self.is_new = True
        """True if the log has nothing yet that the run traded or found on the account."""
        self.on_rejection: Callable[[], None] = lambda: None
        """Called for each order that a venue rejected, because its rules may have changed."""
        self._quotes = quotes
        self._unstarted: list[tuple[Decision, int]] = []
        self._failure: asyncio.Future[None] | None = None

    # --- context of dispatcher, workers, reconciler and listeners ----------------------------------------------------

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run, then apply them to books and processes. The end of a process that left a leg alone
        and the Halted that follows from it are one commit. The caller holds the lock. Raises LogError."""
        assert self.lock.locked(), "the books were read under the same lock"
        events = [*events, *(self._halt_after(end) for end in events if _is_unhedged_end(end))]
        result = await self.engine.record(events)
        logged = numbered(result, events)
        self.account.apply(logged)
        if any(isinstance(event, OrderRejected) for event in events):
            self.on_rejection()
        running = (worker.process for worker in self.workers.values())
        for process in (*running, *self.ended_processes):
            for seq, event in logged:
                process.apply(event, result.recorded_at, seq)

    def quotes(self, name: str) -> Quotes:
        """The latest quotes of both legs."""
        return self._quotes.quotes(self.account.pairs[name].pair)

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or in disagreement with a venue."""
        return self.agreed and self.run.status().may_enter and not self.dispatcher.stopping

    async def fetch_fills(self, since: int) -> Sequence[FillReport]:
        """Executions since then, but not from before the run. Raises VenueError."""
        since = max(since, self.run.info.started_at)
        found = await asyncio.gather(*(port.fills_since(since) for port in self.ports.values()))
        return [fill for fills in found for fill in fills]

    @property
    def agreed(self) -> bool:
        """True while the log agrees with the venues."""
        return self.reconciler.agreed

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The running processes by pair."""
        return self.dispatcher.workers

    @property
    def ended_processes(self) -> Collection[Execution]:
        """Processes that have ended and may still get late fills."""
        return self.dispatcher.ended.values()

    def deliver(self, report: OrderReport | FillReport) -> bool:
        """Pass a report to the running process that owns the order; False if there is none."""
        worker = next((one for one in self.workers.values() if one.process.owns(report.client_id)), None)
        if worker is not None:
            worker.deliver(report)
        return worker is not None

    def repair(self, name: str) -> None:
        """Match the legs of a pair."""
        self.dispatcher.repair(name)

    def request_reconciliation(self) -> None:
        """Reconcile soon."""
        self.reconciler.wake()

    def fail(self, error: BaseException) -> None:
        """Let `work` raise."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def decided(self, run: Run, decision: Decision, seq: int) -> None:
        """A decision is in the log. It is carried out by a task, because the engine waits for this call."""
        if run is self.run:
            self.dispatcher.carry_out(decision, seq)

    # --- start and stop ----------------------------------------------------------------------------------------------

    def load(self, reader: LogReader) -> None:
        """Recover books, interrupted processes and decisions without a process from the log. Nothing is sent yet."""
        own = self.account.load(reader)
        traded = OrderIntended | ReconciliationCorrected | HoldingAdopted
        adopted = self.account.books.predecessor is not None
        self.is_new = not adopted and not any(isinstance(event, traded) for _, _, event in own)
        for name, pair in self.account.pairs.items():
            self.account.recount(name, *self.run.unit_of(pair.pair))
        self.dispatcher.load(own)
        decided = {event.pair: (event, seq) for seq, _, event in own if isinstance(event, Decision)}
        pending = [pair for pair, _ in self.run.pending() if self.account.name_of(pair) not in self.workers]
        self._unstarted = [decided[pair] for pair in pending if pair in decided]

    async def work(self) -> None:
        """Take up what was interrupted, then keep the log and the venues in agreement, for ever. Raises LogError."""
        self._failure = asyncio.get_running_loop().create_future()
        self.dispatcher.resume_interrupted()
        await self._deliver_missed_fills()
        await self.reconciler.check()  # a venue may have closed a leg meanwhile
        await self._settle_unstarted()
        reconciling = asyncio.ensure_future(self.reconciler.run())
        try:
            await asyncio.wait([reconciling, self._failure], return_when=asyncio.FIRST_COMPLETED)
            for done in (self._failure, reconciling):
                if done.done():
                    done.result()
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)

    async def stop(self) -> None:
        """Open nothing more, and give processes time to end. The next start takes up those that did not."""
        await self.dispatcher.stop(STOP_WITHIN_S)

    async def _deliver_missed_fills(self) -> None:
        """Executions of interrupted processes. If the venue does not answer, the processes query their orders."""
        try:
            for report in await self.account.fills():
                self.deliver(report)
        except VenueError as error:
            self.notices.info("executions not fetched", reason=str(error))

    async def _settle_unstarted(self) -> None:
        """Decisions that no process began before the last stop: exits begin now; entries are given up, and are decided
        anew if they are still wanted at the rates and prices of now."""
        for decision, seq in self._unstarted:
            if isinstance(decision, EntryDecided):
                await self.dispatcher.give_up(decision, seq, "the daemon was not running")
            else:
                self.dispatcher.carry_out(decision, seq)
        self._unstarted = []

    def _halt_after(self, end: Event) -> Halted:
        assert isinstance(end, HedgeEnded)
        name = self.account.name_of(end.pair)
        return Halted(self.run.info.run, self.clock.now(), f"{name} is unhedged: {end.reason}"[:200])


def _is_unhedged_end(event: Event) -> bool:
    """True for the end of a process that left one leg alone."""
    return isinstance(event, HedgeEnded) and event.outcome == "unhedged"
