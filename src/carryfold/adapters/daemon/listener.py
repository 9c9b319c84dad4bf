"""Listens to the private stream of one account.

Reports go to their processes, funding is booked, and anything else leads to a reconciliation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.reconciler import Reconciler
from carryfold.adapters.daemon.worker import Worker
from carryfold.adapters.venues import Trading, VenueError
from carryfold.domain.events import Event
from carryfold.domain.execution import Execution, funding_paid
from carryfold.domain.execution.reports import AccountMoved, FillReport, FundingReport, OrderReport, StreamReport

__all__ = ["Listener", "ListenerContext"]


class ListenerContext(Protocol):
    """What a listener needs of the broker."""

    account: Account
    metrics: Metrics
    notices: Notices
    clock: DaemonClock
    reconciler: Reconciler
    lock: asyncio.Lock

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The running processes by pair."""

    @property
    def ended_processes(self) -> Collection[Execution]:
        """Processes that have ended."""

    def deliver(self, report: OrderReport | FillReport) -> bool:
        """Pass a report to the running process that owns the order; False if there is none."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log and apply events; the caller holds the lock."""


class Listener:
    """The only reader of the stream of one account."""

    def __init__(self, context: ListenerContext, venue: str, port: Trading, feed: str = "account") -> None:
        """`feed`: the name of the stream in metrics and alerts."""
        self._context = context
        self._venue = venue
        self._port = port
        self._feed = feed

    async def listen(self) -> None:
        """Listen for ever. Raises LogError, and VenueError if the key is refused."""
        async for report in self._port.stream():
            if isinstance(report, StreamReport):
                self._on_stream(report)
            elif isinstance(report, FundingReport):
                await self._book_funding(report)
            elif isinstance(report, AccountMoved):
                if not self._context.workers:  # the effects of our own trades are reconciled when they have ended
                    self._context.reconciler.wake()
            elif not self._context.deliver(report):
                await self._on_late_report(report)
        raise VenueError(f"the stream {self._feed} has ended")

    def _on_stream(self, report: StreamReport) -> None:
        context = self._context
        context.metrics.feed(self._feed, up=report.up)
        if not report.up:
            context.notices.alert("feed", f"the stream {self._feed} is down: {report.reason}")
            return
        for worker in context.workers.values():
            worker.deliver(report)
        context.reconciler.wake()

    async def _book_funding(self, report: FundingReport) -> None:
        context, books = self._context, self._context.account.books
        async with context.lock:
            paid = funding_paid(books, self._venue, report, context.clock.now())
            if paid is not None:
                await context.commit([paid])

    async def _on_late_report(self, report: OrderReport | FillReport) -> None:
        """A report for a process that has ended, or for none."""
        context = self._context
        process = next((one for one in context.ended_processes if one.owns(report.client_id)), None)
        if process is not None:
            async with context.lock:
                events = process.reported(report, context.clock.now())
                if events:
                    await context.commit(events)
            if events:
                context.notices.alert("late_fill", f"{report.client_id}: a report came after its process had ended")
                context.reconciler.wake()
        elif isinstance(report, FillReport) and self._is_traded(report):
            context.reconciler.wake()

    def _is_traded(self, report: FillReport) -> bool:
        """True for an instrument that is a leg of one of the run's pairs."""
        return bool(self._context.account.books.legs_of(self._venue, report.symbol, report.kind))
