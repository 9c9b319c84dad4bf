"""The live run's dealings with the venue: decisions become processes, reports find theirs, the account is reconciled.

One process works on a pair at a time. What the venue's stream does not explain, and whatever was missed while it was
down, is found by reconciling: at the start, after each reconnection, after a report that belongs to nobody, and once a
minute. While log and venue do not agree nothing is opened; what is open is still hedged and closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteBoard
from carryfold.adapters.daemon.restored import restored_processes
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import (
    EntryDecided,
    Event,
    ExitDecided,
    Halted,
    OrderCancelled,
    OrderFilled,
    ReconciliationCorrected,
    RunArmed,
)
from carryfold.domain.execution import (
    Execution,
    ExecutionLimits,
    ProcessSpec,
    Quotes,
    Summary,
    funding_paid,
    process_id,
)
from carryfold.domain.execution.reports import (
    FillReport,
    FundingReport,
    Leg,
    OrderReport,
    StreamReport,
)
from carryfold.eventlog import LogReader

__all__ = ["Broker"]

RECONCILE_EVERY_S: Final = 60.0
RECONCILE_SOON_S: Final = 1.0
ARM_ATTEMPTS: Final = 12
REST_S: Final = 900.0
"""A pair whose entry came to nothing is left alone for so long: each attempt costs fees."""

STALE_DECISION_S: Final = 60.0
STOP_WITHIN_S: Final = 30.0
ENDED_KEPT: Final = 500
_NS: Final = 1_000_000_000

Decision = EntryDecided | ExitDecided


class Broker:
    """Implements `worker.Office` for the workers of one live run."""

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
        self.agreed = False
        self._engine = engine
        self._limits = limits
        self._board = board
        self._workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: dict[str, Execution] = {}
        self._resting: dict[str, int] = {}
        self._reasons: tuple[str, ...] = ()
        self._wake = asyncio.Event()
        self._reconciling = asyncio.Lock()
        self._stopping = False

    # --- what workers need -------------------------------------------------------------------------------------------

    async def book(self, events: Sequence[Event]) -> None:
        """Commit events of the run, then let books and processes have them."""
        result = await self._engine.record(events)
        self.account.apply(events)
        for process in (*self._processes(), *self._ended.values()):
            for event in events:
                process.apply(event, result.recorded_at)

    def quotes(self, symbol: str) -> Quotes:
        """The latest of both legs."""
        return self._board.quotes(symbol)

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or not agreed with the venue."""
        book = self.run.state.book[0]
        held_up = bool(book["halted"] or book["flatten"] or book["clock_off"])
        return self.agreed and not held_up and not self._stopping

    async def missed(self, since: int) -> Sequence[FillReport]:
        """Executions since a time, of this run's time. Raises VenueError."""
        return await self.trading.fills_since(max(since, self.run.info.started_at))

    # --- start and stop ----------------------------------------------------------------------------------------------

    async def begin(self, reader: LogReader) -> None:
        """Take up processes that a restart interrupted, then reconcile until log and venue agree, or give up for now
        and stay read-only. Raises VenueError for a key that must not be used."""
        own = self.account.load(reader)
        restored = restored_processes(self.run.info, self.account.pairs, own, self._limits)
        for process in restored:
            worker = self._employ(process)
            self.notices.say("process taken up again", process=process.spec.process, pair=worker.symbol)
        for report in await self.account.fills():
            self._hand_over(report)
        for worker in list(self._workers.values()):
            self._spawn(self._work(worker))
        await self._finish_stale(own)
        for _ in range(ARM_ATTEMPTS):
            await self.reconcile()
            if self.agreed:
                await self._engine.note([RunArmed(self.run.info.run, self.pace.now())])
                return
            await self.pace.sleep(2.0)
        self.notices.alert("read only", f"log and venue do not agree: {'; '.join(self._reasons)}")

    async def _finish_stale(self, own: Sequence[tuple[int, int, Event]]) -> None:
        """Decisions that nobody began to carry out: recent ones begin now, an old entry is given up."""
        last: dict[str, tuple[int, int, Decision]] = {}
        for seq, known_at, event in own:
            if isinstance(event, EntryDecided | ExitDecided):
                last[event.symbol] = seq, known_at, event
        for name, is_entry in self.run.pending():
            if name.symbol in self._workers or name.symbol not in last:
                continue
            seq, known_at, decision = last[name.symbol]
            if is_entry and self.pace.now() - known_at > STALE_DECISION_S * _NS:
                await self._give_up(decision, seq, "its time has passed: the daemon was not running")
            else:
                await self.decided(self.run, decision, seq)

    async def stop(self) -> None:
        """Open nothing more, and give processes time to end; what is left is taken up by the next start."""
        self._stopping = True
        end = self.pace.now() + round(STOP_WITHIN_S * _NS)
        while self._workers and self.pace.now() < end:
            await self.pace.sleep(0.1)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._workers:
            self.notices.alert("interrupted", f"stopped while trading {', '.join(sorted(self._workers))}")

    # --- decisions ---------------------------------------------------------------------------------------------------

    async def decided(self, run: Run, decision: Decision, seq: int) -> None:
        """A decision is in the log. It is carried out by a task: this is called between two commits."""
        if run is self.run:
            self._spawn(self._carry_out(decision, seq))

    async def _carry_out(self, decision: Decision, seq: int) -> None:
        symbol = decision.symbol
        while symbol in self._workers:
            await self.pace.sleep(0.05)
        if isinstance(decision, EntryDecided) and self.pace.now() < self._resting.get(symbol, 0):
            await self._give_up(decision, seq, "resting: the last entry came to nothing")
            return
        books = self.account.books.pairs[symbol]
        entry = isinstance(decision, EntryDecided)
        spec = ProcessSpec(
            tag=self.account.books.tag,
            run=self.run.info.run,
            decision_seq=seq,
            kind="entry" if entry else "exit",
            pair=self.account.pairs[symbol],
            thin=self._thin_leg(symbol),
            started_at=self.pace.now(),
            lots=decision.lots if entry else 0,
            spot_units=books.spot_units,
            perp_units=books.perp_units,
            price=Decimal(repr(float(decision.working.get("mid", 0.0)))),
            limits=self._limits,
        )
        worker = self._employ(Execution.start(spec))
        await self._work(worker)

    async def _give_up(self, decision: Decision, seq: int, reason: str) -> None:
        """End a decision that no process carries out."""
        info = self.run.info
        name = process_id(self.account.books.tag, info.run, seq, "entry")
        key = info.run, self.pace.now(), decision.venue, decision.symbol, decision.listing
        await self.book([OrderCancelled(*key, client_id=name, reason=f"nothing: {reason}", ended=True)])
        self.notices.say("decision given up", pair=decision.symbol, seq=seq, reason=reason)

    def _thin_leg(self, symbol: str) -> Leg:
        """The leg with less turnover goes first; the spot leg where it is not known."""
        view = self.run.state.view[self._id(symbol)]
        perp, spot = float(view["perp_hourly"]), float(view["spot_hourly"])
        return "perp" if 0.0 <= perp < spot else "spot"

    def _id(self, symbol: str) -> int:
        return next(i for i in self.run.ids if self.run.names[i].symbol == symbol)

    # --- processes ---------------------------------------------------------------------------------------------------

    def _processes(self) -> list[Execution]:
        return [worker.process for worker in self._workers.values()]

    def _employ(self, process: Execution) -> Worker:
        worker = Worker(process, self)
        self._workers[worker.symbol] = worker
        return worker

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """A process that breaks is a bug: the run halts, and the reconciliation shows what it left."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.notices.alert("broken", f"{type(task.exception()).__name__}: {task.exception()}")
            self.agreed = False
            self._wake.set()

    async def _work(self, worker: Worker) -> None:
        try:
            summary = await worker.run()
        finally:
            self._workers.pop(worker.symbol, None)
            self._ended[worker.process.spec.process] = worker.process
            while len(self._ended) > ENDED_KEPT:
                self._ended.pop(next(iter(self._ended)))
        await self._conclude(worker, summary)

    async def _conclude(self, worker: Worker, summary: Summary) -> None:
        self.notices.say(
            "process ended",
            process=summary.process,
            pair=worker.symbol,
            outcome=summary.outcome,
            orders=summary.orders,
            fees=str(summary.fees),
            unhedged_s=round(summary.unhedged_s, 3),
            peak_unhedged=str(summary.peak_unhedged),
        )
        if summary.outcome in ("unwound", "nothing") and worker.process.spec.kind == "entry":
            self._resting[worker.symbol] = self.pace.now() + round(REST_S * _NS)
        if summary.outcome == "unhedged":
            text = f"{worker.symbol} is unhedged by {summary.residual}: {summary.why}"
            await self.book([Halted(self.run.info.run, self.pace.now(), text[:200])])
        self._wake.set()

    # --- what the venue says -----------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """The private stream, for ever."""
        async for report in self.trading.stream():
            if isinstance(report, StreamReport):
                self._tell_stream(report)
            elif isinstance(report, FundingReport):
                await self._book_funding(report)
            elif not self._hand_over(report):
                await self._late(report)
        raise VenueError("the account's stream has ended")

    def _tell_stream(self, report: StreamReport) -> None:
        self.metrics.feed("account", up=report.up)
        if not report.up:
            self.notices.alert("feed", f"the account's stream is down: {report.reason}")
            return
        for worker in self._workers.values():
            worker.tell(report)
        self._wake.set()

    async def _book_funding(self, report: FundingReport) -> None:
        pair = self.account.pairs.get(report.symbol)
        key = report.symbol, report.settled_at
        if pair is None or key in self.account.books.funding or report.settled_at < self.run.info.started_at:
            return
        await self.book([funding_paid(self.run.info.run, pair, report, self.pace.now())])

    def _hand_over(self, report: OrderReport | FillReport) -> bool:
        """True if a process at work knows the order."""
        worker = self._workers.get(report.symbol)
        if worker is None or not worker.process.owns(report.client_id):
            return False
        worker.tell(report)
        return True

    async def _late(self, report: OrderReport | FillReport) -> None:
        """A report of a process that is over, or of nobody: booked, and looked into."""
        for process in self._ended.values():
            if process.owns(report.client_id):
                events = process.reported(report, self.pace.now())
                if events:
                    await self.book(events)
                    self.notices.alert("late_fill", f"{report.client_id}: a report after its process had ended")
                    self._wake.set()
                return
        if isinstance(report, FillReport) and report.symbol in self.account.pairs:
            self._wake.set()

    # --- reconciliation ----------------------------------------------------------------------------------------------

    async def keep_reconciled(self) -> None:
        """Once a minute, and soon after whatever calls for it."""
        while True:
            waiting = asyncio.ensure_future(self._wake.wait())
            pause = asyncio.ensure_future(self.pace.sleep(RECONCILE_EVERY_S))
            try:
                await asyncio.wait([waiting, pause], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                pause.cancel()
            if self._wake.is_set():
                await self.pace.sleep(RECONCILE_SOON_S)
            self._wake.clear()
            await self.reconcile()

    async def reconcile(self) -> None:
        """Compare with the venue, book what is found, repair what stands apart."""
        async with self._reconciling:
            try:
                found = await self.account.reconcile(self._workers)
            except VenueError as error:
                self.notices.say("not reconciled", reason=str(error))
                self.agreed = False
                return
            stale = [event for event in found.events if getattr(event, "symbol", "") in self._workers]
            if stale:  # a process began meanwhile: what was compared is no longer so
                self._wake.set()
                return
            if found.events:
                await self.book(found.events)
            for note in found.notes:
                self.notices.say("reconciled", note=note)
            self._judge(found.reasons)
            unexplained = any(isinstance(event, ReconciliationCorrected) for event in found.events)
            for symbol in found.repairs:
                if not unexplained and symbol not in self._workers:
                    self._repair(symbol)
            if any(isinstance(event, OrderFilled) for event in found.events):
                self._wake.set()

    def _judge(self, reasons: tuple[str, ...]) -> None:
        """Agreed or not; a person hears of a change."""
        if reasons and reasons != self._reasons:
            self.notices.alert("disagreement", "; ".join(reasons))
        if not reasons and self._reasons:
            self.notices.say("log and venue agree again")
        self._reasons = reasons
        self.agreed = not reasons

    def _repair(self, symbol: str) -> None:
        """Bring two legs together that something has moved apart."""
        books = self.account.books.pairs[symbol]
        spec = ProcessSpec(
            tag=self.account.books.tag,
            run=self.run.info.run,
            decision_seq=self._engine.last_seq,
            kind="repair",
            pair=self.account.pairs[symbol],
            thin=self._thin_leg(symbol),
            started_at=self.pace.now(),
            spot_units=books.spot_units,
            perp_units=books.perp_units,
            limits=self._limits,
        )
        self.notices.alert("repair", f"{symbol}: {books.spot_units} units of spot against {books.perp_units} short")
        self._spawn(self._work(self._employ(Execution.start(spec))))
