"""What a venue says of its account by itself: a report goes to its process, the rest is booked or calls for a look."""

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

__all__ = ["Listener", "ListenerContext"]


class ListenerContext(Protocol):
    """What the listener needs of the broker."""

    account: Account
    metrics: Metrics
    notices: Notices
    pace: Pace
    reconciler: Reconciler
    turn: asyncio.Lock

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The processes at work, by pair."""

    @property
    def past(self) -> Collection[Execution]:
        """Processes that have ended."""

    def hand_over(self, report: OrderReport | FillReport) -> bool:
        """True if a process at work knows the order, and takes the report."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log and apply; the caller holds the turn."""


class Listener:
    """The one reader of the stream of one venue's account."""

    def __init__(self, context: ListenerContext, venue: str, port: Trading, feed: str = "account") -> None:
        """`feed`: how metrics and alerts name the stream."""
        self._context = context
        self._venue = venue
        self._port = port
        self._feed = feed

    async def listen(self) -> None:
        """For ever. Raises VenueError for a key that is refused, LogError."""
        async for report in self._port.stream():
            if isinstance(report, StreamReport):
                self._stream_moved(report)
            elif isinstance(report, FundingReport):
                await self._book_funding(report)
            elif isinstance(report, AccountMoved):
                if not self._context.workers:  # what our own trades move is looked at when they have ended
                    self._context.reconciler.wake()
            elif not self._context.hand_over(report):
                await self._late(report)
        raise VenueError(f"the stream {self._feed} has ended")

    def _stream_moved(self, report: StreamReport) -> None:
        context = self._context
        context.metrics.feed(self._feed, up=report.up)
        if not report.up:
            context.notices.alert("feed", f"the stream {self._feed} is down: {report.reason}")
            return
        for worker in context.workers.values():
            worker.hand_over(report)
        context.reconciler.wake()

    async def _book_funding(self, report: FundingReport) -> None:
        context, books = self._context, self._context.account.books
        async with context.turn:
            paid = funding_paid(books, self._venue, report, context.pace.now())
            if paid is not None:
                await context.commit([paid])

    async def _late(self, report: OrderReport | FillReport) -> None:
        """A report of a process that is over, or of nobody."""
        context = self._context
        process = next((one for one in context.past if one.owns(report.client_id)), None)
        if process is not None:
            async with context.turn:
                events = process.reported(report, context.pace.now())
                if events:
                    await context.commit(events)
            if events:
                context.notices.alert("late_fill", f"{report.client_id}: a report after its process had ended")
                context.reconciler.wake()
        elif isinstance(report, FillReport) and self._is_ours(report):
            context.reconciler.wake()

    def _is_ours(self, report: FillReport) -> bool:
        """True for a trade in an instrument that is a leg of one of the run's pairs."""
        return bool(self._context.account.books.legs_of(self._venue, report.symbol, report.kind))
