"""Drives one two-leg process: its events are logged, its requests sent, and every report handed to it.

Everything that happens to the process happens in one task, one thing after the other, and in the run's turn: between
what it proposes and the log nothing else of the run is booked. Each order goes to the venue of its own instrument.
Requests are tasks of their own, and what comes of them waits in the inbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import Event
from carryfold.domain.execution import Execution, Quotes, Summary
from carryfold.domain.execution.actions import Actions
from carryfold.domain.execution.reports import FillReport, OrderReport, OrderRequest, StreamReport, Unknown

__all__ = ["ProcessContext", "Worker"]

INBOX_MAX: Final = 10_000
LONGEST_WAIT_S: Final = 1.0
"""A quote that arrives is looked at this soon at the latest."""

Handle = Callable[[int], Sequence[Event]]


class ProcessContext(Protocol):
    """What a worker needs of the broker."""

    metrics: Metrics
    notices: Notices
    pace: Pace
    ports: Mapping[str, Trading]
    """By venue."""
    turn: asyncio.Lock
    """Held from reading the books until what follows from them is in the log and applied."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run; every process and the books have them applied. The caller holds the turn."""

    def quotes(self, name: str) -> Quotes:
        """The latest of both legs."""

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or not agreed with the venue."""

    async def missed(self, since: int) -> Sequence[FillReport]:
        """Executions since a time. Raises VenueError."""


class Worker:
    """One process at work."""

    def __init__(self, process: Execution, context: ProcessContext) -> None:
        self.process = process
        self._context = context
        self._inbox: deque[Handle] = deque()
        self._arrived = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._fetching = False

    @property
    def name(self) -> str:
        """The pair it works on."""
        return self.process.spec.pair.name

    def hand_over(self, report: OrderReport | FillReport | StreamReport) -> None:
        """A report of the private stream, or a fetched execution."""
        self._post(lambda now: self.process.reported(report, now))

    async def run(self) -> Summary:
        """Until the process has ended. Raises LogError."""
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
        """Take in all that has come, each thing booked before the next is looked at, then one step."""
        context = self._context
        async with context.turn:
            while self._inbox:
                events = self._inbox.popleft()(context.pace.now())
                if events:
                    await context.commit(events)
            actions = self.process.step(context.pace.now(), context.quotes(self.name), may_open=context.may_open())
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
        """Until something came, or it is time."""
        pace = self._context.pace
        seconds = min(max(until - pace.now(), 0) / 1e9, LONGEST_WAIT_S) / pace.speed
        self._arrived.clear()
        if self._inbox:
            return
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _post(self, handle: Handle) -> None:
        """A full inbox is a venue that talks nonsense: what is lost is asked for again by the process's own queries."""
        if len(self._inbox) >= INBOX_MAX:
            self._context.notices.alert("inbox", f"{self.name}: more reports than can be taken in")
            return
        self._inbox.append(handle)
        self._arrived.set()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _drop_requests(self) -> None:
        """Answers that nobody waits for any more. An order on its way stays on its way: only the venue can tell."""
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
        except VenueError as error:  # the key or the account is refused; the queries will tell when it no longer is
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
            self._context.notices.say("query failed", pair=self.name, reason=str(error))
            answer = Unknown(str(error))
        self._post(lambda now: self.process.answered(order.client_id, answer, now))

    async def _fetch(self, since: int) -> None:
        try:
            for fill in await self._context.missed(since):
                self.hand_over(fill)
        except VenueError as error:
            self._context.notices.say("executions not told", pair=self.name, reason=str(error))
        finally:
            self._fetching = False
