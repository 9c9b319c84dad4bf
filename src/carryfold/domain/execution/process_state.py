"""The state of a process: a fold of its logged events and nothing else, so that a restart comes to the same state.

Holdings are exact base coins; units are the whole units in them, as the fold of the run counts them. Times are the
log's `known_at`, which never goes back, not even over a restart.
"""

from decimal import Decimal

import msgspec

from carryfold.domain.events import (
    Event,
    HedgeEnded,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    ReconciliationCorrected,
)
from carryfold.domain.execution.client_ids import Kind, client_id, process_id
from carryfold.domain.execution.holdings import Holdings, PairHolding
from carryfold.domain.execution.limits import ExecutionLimits
from carryfold.domain.execution.reports import OrderRequest
from carryfold.domain.execution.traded_pair import TradedPair
from carryfold.domain.instruments import Leg

__all__ = ["NOT_PLACED", "Exposure", "Order", "ProcessEvent", "ProcessSpec", "ProcessState"]


class Exposure(msgspec.Struct):
    """How much was unhedged, and for how long: by how much one leg was larger than the other, if by a lot or more. It
    is measured from event to event at the price of the last fill. Times are ns, notional is quote."""

    since: int = 0
    """Since when the legs differ; 0: they match."""
    notional: Decimal = Decimal(0)
    """Unhedged value since the last event."""
    peak_notional: Decimal = Decimal(0)
    total_ns: int = 0
    longest_ns: int = 0
    notional_ns: Decimal = Decimal(0)
    """Integral of notional over time."""
    last_at: int = 0

    def observe(self, at: int, notional: Decimal) -> None:
        """From `at` on `notional` is unhedged; 0: the legs match."""
        at = max(at, self.last_at)
        if self.since:
            elapsed = at - self.last_at
            self.total_ns += elapsed
            self.notional_ns += self.notional * elapsed
            self.longest_ns = max(self.longest_ns, at - self.since)
        self.last_at = at
        self.notional = notional
        self.peak_notional = max(self.peak_notional, notional)
        if not notional:
            self.since = 0
        elif not self.since:
            self.since = at


ProcessEvent = (
    OrderIntended | OrderAccepted | OrderRejected | OrderUnknown | OrderFilled | OrderCancelled | HedgeEnded
    | ReconciliationCorrected
)  # fmt: skip

NOT_PLACED = "not placed"
"""The beginning of an OrderRejected's reason where the order was certainly never sent."""


class ProcessSpec(msgspec.Struct, frozen=True):
    """The order to a process. `lots`: those of an entry decision, else 0. `long_units` and `short_units`, both counted
    positive: the holding when the process begins. `thin`: the less liquid leg, which trades first. `price`: a rough
    price of one coin."""

    tag: str
    run: int
    decision_seq: int
    kind: Kind
    pair: TradedPair
    thin: Leg
    started_at: int
    lots: int = 0
    long_units: int = 0
    short_units: int = 0
    price: Decimal = Decimal(0)
    limits: ExecutionLimits = ExecutionLimits()

    @property
    def process(self) -> str:
        """The name of the process."""
        return process_id(self.tag, self.run, self.decision_seq, self.kind)


class Order(msgspec.Struct):
    """One order, as far as the log knows. `seq`: that of its intent; `filled`: gross base coins."""

    intent: OrderIntended
    intended_at: int
    seq: int = 0
    accepted: bool = False
    unknown: bool = False
    filled: Decimal = Decimal(0)
    reason: str = ""
    closed: bool = False
    done_at: int = 0

    @property
    def done(self) -> bool:
        """True if it can fill no more, as far as the log knows."""
        return self.closed or self.filled >= self.intent.qty

    @property
    def incomplete(self) -> bool:
        """True if it ended before it was filled."""
        return self.done and self.filled < self.intent.qty

    def request(self) -> OrderRequest:
        """The request that places it."""
        intent = self.intent
        assert intent.limit_price is not None
        return OrderRequest(
            client_id=intent.client_id,
            symbol=intent.instrument.symbol,
            kind=intent.instrument.kind,
            side="buy" if intent.side == "buy" else "sell",
            qty=intent.qty,
            limit_price=intent.limit_price,
            reduce_only=intent.reduce_only,
        )


class ProcessState(msgspec.Struct):
    """`apply` every event of the log in order; everything else reads."""

    spec: ProcessSpec
    holdings: Holdings
    orders: dict[str, Order]
    exposure: Exposure
    price: Decimal
    ended: bool = False
    outcome: str = ""
    why: str = ""

    @classmethod
    def begin(cls, spec: ProcessSpec) -> "ProcessState":
        """The state before the first event."""
        pair = spec.pair
        holding = PairHolding.of(pair.unit, pair.coin, spec.long_units, spec.short_units)
        state = cls(spec, Holdings(spec.run, {pair.pair: holding}), {}, Exposure(last_at=spec.started_at), spec.price)
        state._measure(spec.started_at)
        return state

    @property
    def holding(self) -> PairHolding:
        """The pair's legs."""
        return self.holdings.pairs[self.spec.pair.pair]

    @property
    def fill_ids(self) -> set[str]:
        """Fills of the pair since the process began, whoever made them."""
        return self.holdings.fill_ids

    @property
    def fees(self) -> Decimal:
        """Their fees, in quote."""
        return self.holding.long.fees + self.holding.short.fees

    @property
    def long_coins(self) -> Decimal:
        """Base coins of the long leg."""
        return self.holding.long.coins

    @property
    def short_coins(self) -> Decimal:
        """Base coins of the short leg, bought > 0: a short is negative."""
        return -self.holding.short.coins

    @property
    def long_units(self) -> int:
        """Whole units of the long leg."""
        return self.spec.pair.units(self.long_coins)

    @property
    def short_units(self) -> int:
        """Whole units of the short leg, counted positive."""
        return -self.spec.pair.units(self.short_coins)

    @property
    def gap(self) -> int:
        """Long units minus short units."""
        return self.long_units - self.short_units

    def held(self, leg: Leg) -> int:
        """Units of a leg, both counted positive."""
        return self.long_units if leg == "long" else self.short_units

    def position(self, leg: Leg) -> Decimal:
        """Base coins of a leg, bought > 0."""
        return self.long_coins if leg == "long" else self.short_coins

    def booked(self, leg: Leg) -> tuple[Decimal, int]:
        """(coins, booked units) of a leg, bought > 0. The booked units are the sum over fills and corrections; they may
        lag the coins by one unit, which the next fill makes up for."""
        sign = 1 if leg == "long" else -1
        return self.position(leg), sign * self.holding.leg(leg).units

    def live(self, leg: Leg) -> Order | None:
        """The order on a leg that may still fill."""
        return next((o for o in self.orders.values() if o.intent.leg == leg and not o.done), None)

    def is_incomplete(self, thin: Leg) -> bool:
        """True if the first leg misses the target of an entry by a lot or more, or the pair of an exit is not flat."""
        if self.spec.kind == "entry":
            return self.spec.lots * self.spec.pair.lot_units - self.held(thin) >= self.spec.pair.lot_units
        return self.long_units > 0 or self.short_units > 0

    def intended(self, purpose: str) -> bool:
        """True if there was ever an order for `purpose`."""
        return any(order.intent.purpose == purpose for order in self.orders.values())

    def incomplete_count(self, *purposes: str) -> int:
        """The number of orders for these purposes that ended incomplete. A hedge or an unwind that was never sent does
        not count, because the venue did not refuse it."""
        sent_only = "hedge" in purposes or "unwind" in purposes
        return sum(
            order.incomplete and not (sent_only and order.reason.startswith(NOT_PLACED))
            for order in self.orders.values()
            if order.intent.purpose in purposes
        )

    def next_id(self, leg: Leg) -> tuple[str, int]:
        """(client id, attempt) of the next order on a leg."""
        attempt = 1 + sum(order.intent.leg == leg for order in self.orders.values())
        return client_id(self.spec.process, leg, attempt), attempt

    def apply(self, event: Event, known_at: int, seq: int = 0) -> None:
        """Apply the next event of the log. Fills and corrections of the pair count, whoever caused them. Other events
        count if they are of this process; repeated ones change nothing."""
        if not isinstance(event, ProcessEvent) or not self._is_mine(event):
            return
        if isinstance(event, OrderFilled):
            self._fill(event, known_at)
        elif isinstance(event, ReconciliationCorrected):
            self.holdings.apply(event)
            self._measure(known_at)
        elif isinstance(event, OrderIntended):
            if event.client_id.startswith(self.spec.process + "-"):
                self.orders.setdefault(event.client_id, Order(event, known_at, seq))
        elif isinstance(event, HedgeEnded):
            if event.process == self.spec.process:
                self._measure(known_at)
                self.ended, self.outcome, self.why = True, event.outcome, event.reason
        elif event.client_id in self.orders:
            self._update(self.orders[event.client_id], event, known_at)

    def _is_mine(self, event: ProcessEvent) -> bool:
        return event.run == self.spec.run and event.pair == self.spec.pair.pair

    def _update(
        self, order: Order, event: OrderAccepted | OrderRejected | OrderUnknown | OrderCancelled, known_at: int
    ) -> None:
        """The state of an order only moves forward."""
        if isinstance(event, OrderAccepted):
            order.accepted = True
        elif isinstance(event, OrderUnknown):
            order.unknown = True
        elif not order.done:
            order.closed, order.done_at = True, known_at
            order.reason = event.reason

    def _fill(self, event: OrderFilled, known_at: int) -> None:
        if not self.holdings.apply(event):
            return
        if event.units and event.value:
            self.price = abs(event.value / self.spec.pair.coins(event.units))
        order = self.orders.get(event.client_id)
        if order is not None:
            before = order.done
            order.filled += abs(event.qty or self.spec.pair.coins(event.units))
            if order.done and not before:
                order.done_at = known_at
        self._measure(known_at)

    def _measure(self, known_at: int) -> None:
        gap = abs(self.gap)
        unhedged = self.spec.pair.coins(gap) * self.price if gap >= self.spec.pair.lot_units else Decimal(0)
        if gap >= self.spec.pair.lot_units and not unhedged:
            unhedged = Decimal("1E-8")  # no price yet, but unhedged all the same
        self.exposure.observe(known_at, unhedged)
