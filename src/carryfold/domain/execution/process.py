"""One two-leg process that carries out a decision: events, answers, quotes and time in; events and requests out.

    process = Execution.start(spec)
    actions = process.step(now, quotes)                   # log and apply actions.log; send place, cancel, query
    events = process.placed(client_id, outcome, now)      # the answer to a request to place
    events = process.answered(client_id, outcome, now)    # the answer to a query
    events = process.reported(report, now)                # a report of the private stream, or a fetched execution
    process.apply(event, known_at, seq)                   # every event, once it is in the log

No order is sent before it is in the log: `step` proposes an OrderIntended, and the step after it was applied asks to
place it. Only `apply` changes the state, so `Execution.recover` of the logged events gives the same state. Returned
events must be logged and applied before the next call. `now` is the log's clock (UTC ns, monotonic), so that a stepping
wall clock moves no deadline.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from carryfold.domain.events import Event, HedgeEnded, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution.actions import Actions, End, Plan, ProposedOrder, Wait
from carryfold.domain.execution.order_tracker import OrderTracker, Requests, TrackedOrder, due_requests
from carryfold.domain.execution.order_updates import on_answer, on_fill, on_order, on_placed
from carryfold.domain.execution.plan import plan
from carryfold.domain.execution.pricing import MarketView, Quotes
from carryfold.domain.execution.process_state import ProcessEvent, ProcessSpec, ProcessState
from carryfold.domain.execution.reports import (
    FillReport,
    OrderReport,
    PlaceOutcome,
    PrivateReport,
    QueryOutcome,
    StreamReport,
)
from carryfold.domain.instruments import Instrument

__all__ = ["Execution", "Summary", "summarise"]


class Summary(msgspec.Struct, frozen=True):
    """The result of a process so far. Units are of the holding, amounts in quote; `outcome` is empty while it runs."""

    process: str
    outcome: str
    long_units: int
    short_units: int
    residual: Decimal
    """Value of the difference between the legs; less than a lot counts as hedged."""
    orders: int
    incomplete: int
    fees: Decimal
    unhedged_s: float
    longest_unhedged_s: float
    peak_unhedged: Decimal
    unhedged_notional_s: Decimal
    why: str = ""


def summarise(state: ProcessState, now: int = 0) -> Summary:
    """The summary as of the last event, or of `now` (UTC ns) if that is later."""
    exposure = msgspec.structs.replace(state.exposure)
    exposure.observe(now, exposure.notional)
    return Summary(
        process=state.spec.process,
        outcome=state.outcome,
        long_units=state.long_units,
        short_units=state.short_units,
        residual=state.spec.pair.coins(abs(state.gap)) * state.price,
        orders=len(state.orders),
        incomplete=sum(order.incomplete for order in state.orders.values()),
        fees=state.fees,
        unhedged_s=exposure.total_ns / 1e9,
        longest_unhedged_s=exposure.longest_ns / 1e9,
        peak_unhedged=exposure.peak_notional,
        unhedged_notional_s=exposure.notional_ns / 1_000_000_000,
        why=state.why,
    )


class Execution:
    """A two-leg process. `state` is the fold of its events; the order tracker beside it may be lost."""

    def __init__(self, state: ProcessState) -> None:
        self.state = state
        self._tracker = OrderTracker({}, [], set())

    @classmethod
    def start(cls, spec: ProcessSpec) -> "Execution":
        """A new process."""
        return cls(ProcessState.begin(spec))

    @classmethod
    def recover(cls, spec: ProcessSpec, events: Iterable[tuple[int, int, Event]]) -> "Execution":
        """The process after a restart, from the run's logged `(seq, known_at, event)` since its first order. Orders in
        the log are never sent again; those without a known end are queried."""
        process = cls.start(spec)
        for seq, known_at, event in events:
            process.apply(event, known_at, seq)
        return process

    @property
    def spec(self) -> ProcessSpec:
        """The order it was started with."""
        return self.state.spec

    @property
    def ended(self) -> bool:
        """True once its HedgeEnded is applied. Late fills may still be reported."""
        return self.state.ended

    def summary(self) -> Summary:
        """The result so far."""
        return summarise(self.state)

    def owns(self, client_id: str) -> bool:
        """True if the order is of this process."""
        return client_id in self.state.orders

    def instrument(self, client_id: str) -> Instrument:
        """The instrument of one of its orders."""
        return self.state.orders[client_id].intent.instrument

    def apply(self, event: Event, known_at: int, seq: int = 0) -> None:
        """Apply an event of the log. Events of other pairs and runs change nothing."""
        self.state.apply(event, known_at, seq)
        if isinstance(event, OrderIntended) and event.client_id in self._tracker.proposed:
            self._tracker.proposed.discard(event.client_id)
            self._tracker.orders[event.client_id] = TrackedOrder(sent_at=known_at, unsent=True)

    def placed(self, client_id: str, outcome: PlaceOutcome, now: int) -> tuple[ProcessEvent, ...]:
        """Events for the answer to a request to place. Answers to cancellations are not needed: queries follow them."""
        return on_placed(self.state, self._tracker, client_id, outcome, now)

    def answered(self, client_id: str, outcome: QueryOutcome, now: int) -> tuple[ProcessEvent, ...]:
        """Events for the answer to a query."""
        return on_answer(self.state, self._tracker, client_id, outcome, now)

    def reported(self, report: PrivateReport, now: int) -> tuple[ProcessEvent, ...]:
        """Events for a report of the private stream, or a fetched execution; none for orders of others. After the
        stream was down, every order under way is queried."""
        if isinstance(report, OrderReport):
            return on_order(self.state, self._tracker, report, now)
        if isinstance(report, FillReport):
            return on_fill(self.state, self._tracker, report, now)
        if isinstance(report, StreamReport) and report.up:
            for tracked in self._tracker.orders.values():
                tracked.query_at = min(tracked.query_at, now)
        return ()

    def step(self, now: int, quotes: Quotes, *, may_open: bool = True) -> Actions:
        """What to do now. `may_open` False (halted, flattening, stopping): an entry opens no further child order."""
        out = due_requests(self.state, self._tracker, now)
        if self.state.ended:
            return self._actions(out, "")
        if out.log:  # a plan made before these are applied would be stale
            return self._actions(out, "an order was given up")
        planned = plan(self.state, MarketView(quotes, now, may_open))
        return self._actions(out, self._carry_out(planned, out, now))

    def _carry_out(self, planned: Plan, out: Requests, now: int) -> str:
        if isinstance(planned, Wait):
            out.wake(max(planned.until, now + 1))
            return planned.why
        if isinstance(planned, ProposedOrder):
            out.log.append(self._intended(planned, now))
            return planned.purpose
        out.log += self._last_events(planned, now)
        return planned.outcome

    def _actions(self, out: Requests, why: str) -> Actions:
        return Actions(
            log=tuple(out.log),
            place=tuple(out.place),
            cancel=tuple(out.cancel),
            query=tuple(out.query),
            fetch_fills_since=out.fetch_since,
            alerts=self._tracker.take_alerts(),
            wake_at=out.wake_at,
            ended=self.state.ended,
            why=why,
        )

    def _intended(self, order: ProposedOrder, now: int) -> OrderIntended:
        name, attempt = self.state.next_id(order.leg)
        self._tracker.proposed.add(name)
        return OrderIntended(
            self.spec.run,
            now,
            self.spec.pair.pair,
            order.leg,
            client_id=name,
            side=order.side,
            qty=order.qty,
            limit_price=order.limit_price,
            reduce_only=order.reduce_only,
            attempt=attempt,
            purpose=order.purpose,
            caused_by=self._decision(),
        )

    def _decision(self) -> int:
        """The seq of the decision; 0 for a repair, which has none."""
        return 0 if self.spec.kind == "repair" else self.spec.decision_seq

    def _last_events(self, end: End, now: int) -> list[ProcessEvent]:
        """The write-off of coins that cannot be sold, then the HedgeEnded that ends the decision."""
        spec, pair, so_far = self.spec, self.spec.pair, summarise(self.state, now)
        left = f"{spec.process}: {pair.name}: {so_far.long_units} units long, {so_far.short_units} units short"
        if end.outcome == "unhedged":
            self._tracker.alert("unhedged", f"{left}; {end.why}")
        elif end.why:
            self._tracker.alert("dust", f"{left}; {end.why}")
        events: list[ProcessEvent] = []
        if end.dust_units:
            text = f"{spec.process}: coins too few to sell"
            events.append(ReconciliationCorrected(spec.run, now, pair.pair, -end.dust_units, 0, Decimal(0), text))
        ended = HedgeEnded(
            spec.run,
            now,
            pair.pair,
            process=spec.process,
            work=spec.kind,
            outcome=end.outcome,
            reason=end.why,
            orders=so_far.orders,
            fees=so_far.fees,
            unhedged_s=so_far.unhedged_s,
            longest_unhedged_s=so_far.longest_unhedged_s,
            peak_unhedged=so_far.peak_unhedged,
            caused_by=self._decision(),
        )
        return [*events, ended]
