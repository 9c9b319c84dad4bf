"""Drives one two-leg process: logs its events, sends its requests, and delivers every report to it.

One task does everything to the process, under the run's lock: nothing else of the run is booked between a step and the
log. Each order goes to the venue of its own instrument. Requests are tasks of their own; their answers wait in the
inbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.venues import Trading, VenueError
from carryfold.domain.events import Event
from carryfold.domain.execution import Execution, Quotes, Summary
from carryfold.domain.execution.actions import Actions
from carryfold.domain.execution.reports import FillReport, OrderReport, OrderRequest, StreamReport, Unknown

__all__ = ["ProcessContext", "Worker"]

INBOX_MAX: Final = 10_000
LONGEST_WAIT_S: Final = 1.0
"""The longest pause between two steps; a new quote is used after so long at the latest."""

Handle = Callable[[int], Sequence[Event]]


class ProcessContext(Protocol):
    """What a worker needs of the broker."""

    metrics: Metrics
    notices: Notices
    clock: DaemonClock
    ports: Mapping[str, Trading]
    """By venue."""
    lock: asyncio.Lock
    """Held from reading the books until the resulting events are in the log and applied."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run and apply them to books and processes. The caller holds the lock."""

    def quotes(self, name: str) -> Quotes:
        """The latest quotes of both legs of a pair."""

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or in disagreement with a venue."""

    async def fetch_fills(self, since: int) -> Sequence[FillReport]:
        """Executions since then (UTC ns). Raises VenueError."""


class Worker:
    """One running process."""

    def __init__(self, process: Execution, context: ProcessContext) -> None:
        self.process = process
        self._context = context
        self._inbox: deque[Handle] = deque()
        self._arrived = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._fetching = False

    @property
    def name(self) -> str:
        """The name of its pair."""
        return self.process.spec.pair.name

    def deliver(self, report: OrderReport | FillReport | StreamReport) -> None:
        """Pass on a report of the private stream, or a fetched execution."""
        self._post(lambda now: self.process.reported(report, now))

    async def run(self) -> Summary:
        """Drive the process to its end. Raises LogError."""
        try:
            while True:
                actions = await self._step()
                for alert in actions.alerts:
                    self._context.notices.alert(alert.code, alert.text, pair=self.name)
                if actions.log:
                    continue
                self._send(actions)
                if actions.ended:
                    return self.process.summary()
                await self._wait(actions.wake_at)
        finally:
            await self._drop_requests()

    async def _step(self) -> Actions:
        """Book everything in the inbox, one report after the other, then take one step."""
        context = self._context
        async with context.lock:
            while self._inbox:
                events = self._inbox.popleft()(context.clock.now())
                if events:
                    await context.commit(events)
            actions = self.process.step(context.clock.now(), context.quotes(self.name), may_open=context.may_open())
            if actions.log:
                await context.commit(actions.log)
        return actions

    def _send(self, actions: Actions) -> None:
        for order in actions.place:
            self._start(self._place(order))
        for order in actions.cancel:
            self._start(self._cancel(order))
        for order in actions.query:
            self._start(self._query(order))
        if actions.fetch_fills_since and not self._fetching:
            self._fetching = True
            self._start(self._fetch(actions.fetch_fills_since))

    async def _wait(self, until: int) -> None:
        """Until a report arrives or the time has come."""
        clock = self._context.clock
        seconds = min(max(until - clock.now(), 0) / 1e9, LONGEST_WAIT_S) / clock.speed
        self._arrived.clear()
        if self._inbox:
            return
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _post(self, handle: Handle) -> None:
        """Queue for the next step. A full inbox drops reports; the process's own queries make up for them."""
        if len(self._inbox) >= INBOX_MAX:
            self._context.notices.alert("inbox", f"{self.name}: more reports than the inbox holds")
            return
        self._inbox.append(handle)
        self._arrived.set()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _drop_requests(self) -> None:
        """Cancel requests whose answers are no longer needed. An order may still reach the venue."""
        requests = list(self._requests)
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    def _port(self, order: OrderRequest) -> Trading:
        return self._context.ports[self.process.instrument(order.client_id).venue]

    async def _place(self, order: OrderRequest) -> None:
        context = self._context
        try:
            outcome = await self._port(order).place(order)
        except VenueError as error:  # the key or the account is refused: queries will tell when it works again
            context.notices.alert("refused", str(error), pair=self.name)
            outcome = Unknown(str(error))
        context.metrics.ordered(type(outcome).__name__.lower())
        self._post(lambda now: self.process.placed(order.client_id, outcome, now))

    async def _cancel(self, order: OrderRequest) -> None:
        try:
            await self._port(order).cancel(order)
        except VenueError as error:
            self._context.notices.alert("refused", str(error), pair=self.name)

    async def _query(self, order: OrderRequest) -> None:
        try:
            answer = await self._port(order).query(order.client_id, order.symbol, order.kind)
        except VenueError as error:
            self._context.notices.info("query failed", pair=self.name, reason=str(error))
            answer = Unknown(str(error))
        self._post(lambda now: self.process.answered(order.client_id, answer, now))

    async def _fetch(self, since: int) -> None:
        try:
            for fill in await self._context.fetch_fills(since):
                self.deliver(fill)
        except VenueError as error:
            self._context.notices.info("executions not fetched", pair=self.name, reason=str(error))
        finally:
            self._fetching = False
