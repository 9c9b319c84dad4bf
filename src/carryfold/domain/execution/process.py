"""One decision on its way through two order books: events, answers, quotes and time in; events and orders out.

    process = Execution.start(spec)
    actions = process.step(now, quotes)                   # log and apply actions.log; send place, cancel, query
    events = process.placed(client_id, outcome, now)      # what came of a request
    events = process.answered(client_id, outcome, now)    # what came of a query
    events = process.reported(report, now)                # what the private stream or a fetch told
    process.apply(event, known_at, seq)                   # every event, once it is in the log

Nothing is sent that was not logged first: `step` proposes an OrderIntended, and only the step after it was applied asks
for it to be placed. The state changes by `apply` alone; `Execution.restore` of the logged events is the same state.
Whatever the methods return has to be logged and applied before the next call. `now` is the log's clock (UTC ns from the
wall clock read once, monotonic since), so that a stepping clock moves no deadline.
"""

from collections.abc import Iterable
from decimal import Decimal

from carryfold.domain.events import Event, HedgeEnded, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution.actions import Actions
from carryfold.domain.execution.inbound import on_answer, on_fill, on_order, on_placed
from carryfold.domain.execution.ledger import Ledger, ProcessEvent, ProcessSpec
from carryfold.domain.execution.memory import Memory
from carryfold.domain.execution.outbound import Outbound, attend
from carryfold.domain.execution.plan import plan
from carryfold.domain.execution.plans import End, OrderWanted, Plan, Wait
from carryfold.domain.execution.pricing import View
from carryfold.domain.execution.quotes import Quotes
from carryfold.domain.execution.reports import (
    FillReport,
    OrderReport,
    PlaceOutcome,
    PrivateReport,
    QueryOutcome,
    StreamReport,
)
from carryfold.domain.execution.summary import Summary, summarise
from carryfold.domain.execution.watch import Watch
from carryfold.domain.instruments import Instrument

__all__ = ["Execution"]


class Execution:
    """A two-leg process. `ledger` is its state; everything else it remembers may be lost."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._memory = Memory({}, [], set())

    @classmethod
    def start(cls, spec: ProcessSpec) -> "Execution":
        """A process that has not done anything yet."""
        return cls(Ledger.begin(spec))

    @classmethod
    def restore(cls, spec: ProcessSpec, events: Iterable[tuple[int, int, Event]]) -> "Execution":
        """The process after a restart, from the run's logged `(seq, known_at, event)` since its decision. It sends
        nothing that is in the log already: orders without an end are asked for."""
        process = cls.start(spec)
        for seq, known_at, event in events:
            process.apply(event, known_at, seq)
        return process

    @property
    def spec(self) -> ProcessSpec:
        """What it was started with."""
        return self.ledger.spec

    @property
    def ended(self) -> bool:
        """True once its last event is applied. It may still be told of late fills."""
        return self.ledger.ended

    def summary(self) -> Summary:
        """What it came to so far."""
        return summarise(self.ledger)

    def owns(self, client_id: str) -> bool:
        """True if the order is one of this process's."""
        return client_id in self.ledger.orders

    def instrument(self, client_id: str) -> Instrument:
        """What one of its orders trades."""
        return self.ledger.orders[client_id].intent.instrument

    def apply(self, event: Event, known_at: int, seq: int = 0) -> None:
        """Take an event that is in the log, as of its `known_at` and at its `seq`. Events of other pairs and runs
        change nothing."""
        self.ledger.apply(event, known_at, seq)
        if isinstance(event, OrderIntended) and event.client_id in self._memory.proposed:
            self._memory.proposed.discard(event.client_id)
            self._memory.watches[event.client_id] = Watch(began_at=known_at, unsent=True)

    def placed(self, client_id: str, outcome: PlaceOutcome, now: int) -> tuple[ProcessEvent, ...]:
        """Events for what came of placing an order. Outcomes of cancelling are not needed: queries tell."""
        return on_placed(self.ledger, self._memory, client_id, outcome, now)

    def answered(self, client_id: str, outcome: QueryOutcome, now: int) -> tuple[ProcessEvent, ...]:
        """Events for what came of a query."""
        return on_answer(self.ledger, self._memory, client_id, outcome, now)

    def reported(self, report: PrivateReport, now: int) -> tuple[ProcessEvent, ...]:
        """Events for a report of the private stream, or of fetched executions. Reports of other orders give none; after
        the stream was down every order under way is asked for."""
        if isinstance(report, OrderReport):
            return on_order(self.ledger, self._memory, report, now)
        if isinstance(report, FillReport):
            return on_fill(self.ledger, self._memory, report, now)
        if isinstance(report, StreamReport) and report.up:
            for watch in self._memory.watches.values():
                watch.query_at = min(watch.query_at, now)
        return ()

    def step(self, now: int, quotes: Quotes, *, may_open: bool = True) -> Actions:
        """What to do now. `may_open` False (halted, flattening, stopping): an entry opens no further slice."""
        out = attend(self.ledger, self._memory, now)
        if self.ledger.ended:
            return self._actions(out, "")
        if out.log:  # a plan made before these are applied would be stale
            return self._actions(out, "an order was given up")
        wanted = plan(self.ledger, View(quotes, now, may_open))
        return self._actions(out, self._carry_out(wanted, out, now))

    def _carry_out(self, wanted: Plan, out: Outbound, now: int) -> str:
        if isinstance(wanted, Wait):
            out.wake(max(wanted.until, now + 1))
            return wanted.why
        if isinstance(wanted, OrderWanted):
            out.log.append(self._intended(wanted, now))
            return wanted.purpose
        out.log += self._last_events(wanted, now)
        return wanted.outcome

    def _actions(self, out: Outbound, why: str) -> Actions:
        return Actions(
            log=tuple(out.log),
            place=tuple(out.place),
            cancel=tuple(out.cancel),
            query=tuple(out.query),
            fetch_fills_since=out.fetch_since,
            alerts=self._memory.take_alerts(),
            wake_at=out.wake_at,
            ended=self.ledger.ended,
            why=why,
        )

    def _intended(self, order: OrderWanted, now: int) -> OrderIntended:
        name, attempt = self.ledger.next_id(order.leg)
        self._memory.proposed.add(name)
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
        """The seq of the decision that is answered; a repair answers none."""
        return 0 if self.spec.kind == "repair" else self.spec.decision_seq

    def _last_events(self, end: End, now: int) -> list[ProcessEvent]:
        """Coins that nobody can sell are written off; then comes the one event that frees the decision."""
        spec, pair, so_far = self.spec, self.spec.pair, summarise(self.ledger, now)
        left = f"{spec.process}: {pair.name}: {so_far.long_units} units long, {so_far.short_units} units short"
        if end.outcome == "unhedged":
            self._memory.alert("unhedged", f"{left}; {end.why}")
        elif end.why:
            self._memory.alert("dust", f"{left}; {end.why}")
        events: list[ProcessEvent] = []
        if end.dust_units:
            text = f"{spec.process}: coins below what the venue sells"
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
