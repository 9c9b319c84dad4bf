"""What the venue says of the account by itself: each report to the process it belongs to, the rest booked or looked
into."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.reconciler import Reconciler
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import Event
from carryfold.domain.execution import Execution, funding_paid
from carryfold.domain.execution.reports import AccountMoved, FillReport, FundingReport, OrderReport, StreamReport

__all__ = ["Hall", "Listener"]


class Hall(Protocol):
    """What the listener needs of the broker."""

    account: Account
    metrics: Metrics
    notices: Notices
    pace: Pace
    reconciler: Reconciler
    trading: Trading
    turn: asyncio.Lock

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The processes at work, by pair."""

    @property
    def past(self) -> Collection[Execution]:
        """Processes that have ended."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log and apply; the caller holds the turn."""


class Listener:
    """The one reader of the account's stream."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    async def listen(self) -> None:
        """For ever. Raises VenueError for a key that is refused, LogError."""
        async for report in self._hall.trading.stream():
            if isinstance(report, StreamReport):
                self._tell_stream(report)
            elif isinstance(report, FundingReport):
                await self._book_funding(report)
            elif isinstance(report, AccountMoved):
                if not self._hall.workers:  # what our own trades move is looked at when they have ended
                    self._hall.reconciler.wake()
            elif not self.hand_over(report):
                await self._late(report)
        raise VenueError("the account's stream has ended")

    def hand_over(self, report: OrderReport | FillReport) -> bool:
        """True if a process at work knows the order."""
        worker = self._hall.workers.get(report.symbol)
        if worker is None or not worker.process.owns(report.client_id):
            return False
        worker.tell(report)
        return True

    def _tell_stream(self, report: StreamReport) -> None:
        hall = self._hall
        hall.metrics.feed("account", up=report.up)
        if not report.up:
            hall.notices.alert("feed", f"the account's stream is down: {report.reason}")
            return
        for worker in hall.workers.values():
            worker.tell(report)
        hall.reconciler.wake()

    async def _book_funding(self, report: FundingReport) -> None:
        hall, books = self._hall, self._hall.account.books
        pair = hall.account.pairs.get(report.symbol)
        if pair is None or report.settled_at < books.started_at:
            return
        async with hall.turn:
            if (report.symbol, report.settled_at) not in books.funding:
                await hall.commit([funding_paid(books.run, pair, report, hall.pace.now())])

    async def _late(self, report: OrderReport | FillReport) -> None:
        """A report of a process that is over, or of nobody."""
        hall = self._hall
        process = next((one for one in hall.past if one.owns(report.client_id)), None)
        if process is not None:
            async with hall.turn:
                events = process.reported(report, hall.pace.now())
                if events:
                    await hall.commit(events)
            if events:
                hall.notices.alert("late_fill", f"{report.client_id}: a report after its process had ended")
                hall.reconciler.wake()
        elif isinstance(report, FillReport) and report.symbol in hall.account.pairs:
            hall.reconciler.wake()
