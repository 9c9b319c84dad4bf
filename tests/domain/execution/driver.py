"""Plays the daemon in tests: logs and applies events, sends requests, delivers answers, and advances the time."""

import heapq
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from carryfold.domain.events import Event
from carryfold.domain.execution import Alert, Execution, ProcessSpec, ProcessState, Quotes
from carryfold.domain.execution.reports import FillReport, OrderReport, OrderRequest
from tests.domain.execution.facts import SECOND, quotes
from tests.domain.execution.venue import Behaviour, Venue

__all__ = ["Crashed", "Driver"]

STEPS_MAX = 20_000


class Crashed(Exception):
    """The process is gone; the log stays."""


class Driver:
    """Runs one process against its venue, or against two: `long_venue` is that of the long leg. `behave` decides what
    becomes of each request; `delay` how long each message takes (ns) and `copies` how often it comes (0: never). At
    each number of `crash_at` the process dies right after so many events were logged. A twin that knows the log alone
    has to be equal after every event."""

    def __init__(
        self,
        spec: ProcessSpec,
        venue: Venue,
        *,
        behave: Callable[[OrderRequest], Behaviour] = lambda _: Behaviour(),
        delay: Callable[[str], int] = lambda _: SECOND // 20,
        copies: Callable[[str], int] = lambda _: 1,
        quoted: Callable[[int], Quotes] = quotes,
        crash_at: frozenset[int] = frozenset(),
        long_venue: Venue | None = None,
    ) -> None:
        self.spec, self.venue = spec, venue
        self.ports = {spec.pair.pair.long.venue: long_venue or venue, spec.pair.pair.short.venue: venue}
        self.behave, self.delay, self.copies, self.quoted = behave, delay, copies, quoted
        self.crash_at = crash_at
        self.process = Execution.start(spec)
        self.twin = ProcessState.begin(spec)
        self.now = spec.started_at
        self.log: list[tuple[int, int, Event]] = []
        self.alerts: list[Alert] = []
        self.queries = 0
        self.requests: list[OrderRequest] = []
        self._inbox: list[tuple[int, int, Callable[[], tuple[Any, ...]]]] = []
        self._count = 0

    def run(self, *, until: int | None = None) -> "Driver":
        """Run until the process has ended and every message is delivered, or until a time."""
        for _ in range(STEPS_MAX):
            try:
                if self._round(until):
                    return self
            except Crashed:
                self.crash()
        raise AssertionError(f"it never ends: {self.process.summary()}")

    def _round(self, until: int | None) -> bool:
        """Step, advance to the next due time, deliver what is due. True if everything is over."""
        wake = self._turn()
        coming = self._inbox[0][0] if self._inbox else 2**62
        if self.process.ended and not self._inbox:
            return True
        at = min(coming, 2**62 if self.process.ended else wake)
        assert at < 2**61, f"nothing will ever happen: {self.process.summary()}"
        if until is not None and at > until:
            self.now = until
            return True
        self.now = max(self.now, at)
        while self._inbox and self._inbox[0][0] <= self.now:
            self._log(heapq.heappop(self._inbox)[2]())
        return False

    def crash(self) -> None:
        """Lose everything except the log and the venue, including messages on their way."""
        self._inbox.clear()
        self.process = Execution.recover(self.spec, self.log)

    def deliver(self, report: OrderReport | FillReport, at: int) -> None:
        """The private stream brings a report at `at`."""
        self._post(at, lambda: self.process.reported(report, self.now))

    @property
    def orders(self) -> list[OrderRequest]:
        return self.requests

    def port(self, request: OrderRequest) -> Venue:
        """The venue of the order's instrument."""
        return self.ports[self.process.instrument(request.client_id).venue]

    def of(self, kind: type[Any]) -> list[Any]:
        """The logged events of one kind."""
        return [event for _, _, event in self.log if isinstance(event, kind)]

    def _turn(self) -> int:
        """Step until there is nothing to log; gives the time to wake."""
        while True:
            actions = self.process.step(self.now, self.quoted(self.now))
            self.alerts += actions.alerts
            self._log(actions.log)
            for request in actions.place:
                self._place(request)
            for request in actions.query:
                self.queries += 1
                self._answer(request)
            if actions.fetch_fills_since:
                for venue in dict.fromkeys(self.ports.values()):
                    for fill in venue.fills():
                        if fill.event_at >= actions.fetch_fills_since:
                            self.deliver(fill, self.now + self.delay("fetch"))
            if not actions.log:
                return actions.wake_at

    def _place(self, request: OrderRequest) -> None:
        venue, behaviour = self.port(request), self.behave(request)
        self.requests.append(request)
        outcome = venue.place(request, behaviour, self.now)
        if request.client_id in venue.orders:
            truth = venue.orders[request.client_id]
            for fill in truth.fills:
                self._stream("fill", fill)
            self._stream("order", truth.report())
        at = self.now + self.delay("answer")
        self._post(at, lambda: self.process.placed(request.client_id, outcome, self.now))

    def _stream(self, what: str, report: OrderReport | FillReport) -> None:
        for _ in range(self.copies(what)):
            self.deliver(report, self.now + self.delay(what))

    def _answer(self, request: OrderRequest) -> None:
        outcome = self.port(request).query(request.client_id)
        at = self.now + self.delay("query")
        self._post(at, lambda: self.process.answered(request.client_id, outcome, self.now))

    def _post(self, at: int, message: Callable[[], tuple[Any, ...]]) -> None:
        self._count += 1
        heapq.heappush(self._inbox, (at, self._count, message))

    def _log(self, events: tuple[Any, ...]) -> None:
        for event in events:
            last_seq, last_at, _ = self.log[-1] if self.log else (self.spec.decision_seq, 0, None)
            known_at = max(self.now, last_at + 1)
            self.now = max(self.now, known_at)
            seq = last_seq + 1
            self.log.append((seq, known_at, event))
            self.process.apply(event, known_at, seq)
            self.twin.apply(event, known_at, seq)
            assert self.twin == self.process.state, "the state is a fold of the log"
            if len(self.log) in self.crash_at:
                raise Crashed

    def books(self) -> tuple[Decimal, Decimal]:
        """(coins long, coins short) in the process's state."""
        return self.process.state.long_coins, -self.process.state.short_coins
