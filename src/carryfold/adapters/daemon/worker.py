"""Drives one two-leg process: what it wants logged is logged, what it wants sent is sent, what is heard is told it.

Everything that happens to the process happens in one task, one thing after the other, and in the office's turn: between
what it proposes and the log nothing else of the run is booked. Requests to the venue are tasks of their own, and what
comes of them waits in the inbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.venue import Trading, VenueError
from carryfold.domain.events import Event
from carryfold.domain.execution import Execution, Quotes, Summary
from carryfold.domain.execution.actions import Actions
from carryfold.domain.execution.reports import FillReport, OrderReport, OrderRequest, StreamReport, Unknown

__all__ = ["Office", "Worker"]

INBOX_MAX: Final = 10_000
LONGEST_WAIT_S: Final = 1.0
"""A quote that arrives is looked at this soon at the latest."""

Handle = Callable[[int], Sequence[Event]]


class Office(Protocol):
    """What a worker needs of the broker."""

    metrics: Metrics
    notices: Notices
    pace: Pace
    trading: Trading
    turn: asyncio.Lock
    """Held from reading the books until what follows from them is in the log and applied."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log events of the run; every process and the books have them applied. The caller holds the turn."""

    def quotes(self, symbol: str) -> Quotes:
        """The latest of both legs."""

    def may_open(self) -> bool:
        """False while halted, flattening, stopping, or not agreed with the venue."""

    async def missed(self, since: int) -> Sequence[FillReport]:
        """Executions since a time. Raises VenueError."""


class Worker:
    """One process at work."""

    def __init__(self, process: Execution, office: Office) -> None:
        self.process = process
        self._office = office
        self._inbox: deque[Handle] = deque()
        self._arrived = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._fetching = False

    @property
    def symbol(self) -> str:
        """The pair it works on."""
        return self.process.spec.pair.symbol

    def tell(self, report: OrderReport | FillReport | StreamReport) -> None:
        """A report of the private stream, or a fetched execution."""
        self._post(lambda now: self.process.reported(report, now))

    async def run(self) -> Summary:
        """Until the process has ended. Raises LogError."""
        try:
            while True:
                actions = await self._step()
                for alert in actions.alerts:
                    self._office.notices.alert(alert.code, alert.text, pair=self.symbol)
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
        office = self._office
        async with office.turn:
            while self._inbox:
                events = self._inbox.popleft()(office.pace.now())
                if events:
                    await office.commit(events)
            actions = self.process.step(office.pace.now(), office.quotes(self.symbol), may_open=office.may_open())
            if actions.log:
                await office.commit(actions.log)
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
        pace = self._office.pace
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
            self._office.notices.alert("inbox", f"{self.symbol}: more reports than can be taken in")
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

    async def _place(self, order: OrderRequest) -> None:
        office = self._office
        try:
            outcome = await office.trading.place(order)
        except VenueError as error:  # the key or the account is refused; the queries will tell when it no longer is
            office.notices.alert("refused", str(error), pair=self.symbol)
            outcome = Unknown(str(error))
        office.metrics.ordered(type(outcome).__name__.lower())
        self._post(lambda now: self.process.placed(order.client_id, outcome, now))

    async def _cancel(self, order: OrderRequest) -> None:
        try:
            await self._office.trading.cancel(order)
        except VenueError as error:
            self._office.notices.alert("refused", str(error), pair=self.symbol)

    async def _query(self, order: OrderRequest) -> None:
        try:
            answer = await self._office.trading.query(order.client_id, order.symbol, order.leg)
        except VenueError as error:
            self._office.notices.say("query failed", pair=self.symbol, reason=str(error))
            answer = Unknown(str(error))
        self._post(lambda now: self.process.answered(order.client_id, answer, now))

    async def _fetch(self, since: int) -> None:
        try:
            for fill in await self._office.missed(since):
                self.tell(fill)
        except VenueError as error:
            self._office.notices.say("executions not told", pair=self.symbol, reason=str(error))
        finally:
            self._fetching = False
