"""What a process knows: a fold of its logged events and of nothing else, so that a restart knows the same.

Holdings are base coins, exact; units are the whole ones in them, as the fold of the run counts them. Times are the
log's `known_at`: wall clock read once, monotonic since, and never back, also over a restart.
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
from carryfold.domain.execution.exposure import Exposure
from carryfold.domain.execution.ids import Kind, client_id, process_id
from carryfold.domain.execution.limits import ExecutionLimits
from carryfold.domain.execution.pair import TradedPair
from carryfold.domain.execution.reports import OrderRequest
from carryfold.domain.instruments import Leg

__all__ = ["NOT_PLACED", "Ledger", "Order", "ProcessEvent", "ProcessSpec"]

ProcessEvent = (
    OrderIntended | OrderAccepted | OrderRejected | OrderUnknown | OrderFilled | OrderCancelled | HedgeEnded
    | ReconciliationCorrected
)  # fmt: skip

NOT_PLACED = "not placed"
"""How the reason of an OrderRejected begins that no venue made: the order never left, for certain."""


class ProcessSpec(msgspec.Struct, frozen=True):
    """What is to be done. `lots` are those of the decision (entry; else 0), `long_units` and `short_units`, both
    counted positive, what is held when it begins, `thin` the less liquid leg, which goes first, `price` about what a
    coin costs."""

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
        """The process's name."""
        return process_id(self.tag, self.run, self.decision_seq, self.kind)


class Order(msgspec.Struct):
    """One order as its events tell it. `seq` is that of its intent, `filled` gross base coins."""

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
        """True if it can fill no more, as far as the venue has told."""
        return self.closed or self.filled >= self.intent.qty

    @property
    def missed(self) -> bool:
        """True if it ended incomplete."""
        return self.done and self.filled < self.intent.qty

    def request(self) -> OrderRequest:
        """The order as it is placed."""
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


class Ledger(msgspec.Struct):
    """The state of one process."""

    spec: ProcessSpec
    long_coins: Decimal
    short_coins: Decimal  # bought > 0: a short is negative
    orders: dict[str, Order]
    fill_ids: set[str]
    exposure: Exposure
    price: Decimal
    booked_long: int = 0
    booked_short: int = 0
    fees: Decimal = Decimal(0)
    ended: bool = False
    outcome: str = ""
    why: str = ""

    @classmethod
    def begin(cls, spec: ProcessSpec) -> "Ledger":
        """Before the first event."""
        pair = spec.pair
        long, short = pair.coins(spec.long_units), -pair.coins(spec.short_units)
        ledger = cls(spec, long, short, {}, set(), Exposure(last_at=spec.started_at), spec.price)
        ledger.booked_long, ledger.booked_short = spec.long_units, -spec.short_units
        ledger._measure(spec.started_at)
        return ledger

    @property
    def long_units(self) -> int:
        """The long leg, in whole units."""
        return self.spec.pair.units(self.long_coins)

    @property
    def short_units(self) -> int:
        """The short leg, counted positive, in whole units."""
        return -self.spec.pair.units(self.short_coins)

    @property
    def gap(self) -> int:
        """Units of the long leg beyond the short one; negative: the short is the larger one."""
        return self.long_units - self.short_units

    def held(self, leg: Leg) -> int:
        """Units of a leg, both counted positive."""
        return self.long_units if leg == "long" else self.short_units

    def position(self, leg: Leg) -> Decimal:
        """Base coins of a leg, bought > 0."""
        return self.long_coins if leg == "long" else self.short_coins

    def booked(self, leg: Leg) -> tuple[Decimal, int]:
        """(coins, units as the log's fills add up to them) of a leg; a short is negative. The units may be one behind
        the coins where fills were booked without knowing of a fraction; the next fill makes it good."""
        return (self.long_coins, self.booked_long) if leg == "long" else (self.short_coins, self.booked_short)

    def live(self, leg: Leg) -> Order | None:
        """The leg's order that may still fill."""
        return next((o for o in self.orders.values() if o.intent.leg == leg and not o.done), None)

    def is_left(self, thin: Leg) -> bool:
        """True if the first leg is not where the decision wants it: a lot or more short of it, or not flat."""
        if self.spec.kind == "entry":
            return self.spec.lots * self.spec.pair.lot_units - self.held(thin) >= self.spec.pair.lot_units
        return self.long_units > 0 or self.short_units > 0

    def intended(self, purpose: str) -> bool:
        """True if any order was ever meant for `purpose`."""
        return any(order.intent.purpose == purpose for order in self.orders.values())

    def misses(self, *purposes: str) -> int:
        """Orders of these purposes that ended incomplete. One that never left is no miss of a hedge or an unwind:
        nobody refused it."""
        forgiven = "hedge" in purposes or "unwind" in purposes
        return sum(
            order.missed and not (forgiven and order.reason.startswith(NOT_PLACED))
            for order in self.orders.values()
            if order.intent.purpose in purposes
        )

    def next_id(self, leg: Leg) -> tuple[str, int]:
        """(client id, attempt) of the leg's next order."""
        attempt = 1 + sum(order.intent.leg == leg for order in self.orders.values())
        return client_id(self.spec.process, leg, attempt), attempt

    def apply(self, event: Event, known_at: int, seq: int = 0) -> None:
        """Take one logged event of the run, at its place in the log. Events of other pairs and processes, and events
        that say what is known already, change nothing; fills and corrections of the pair count whoever made them."""
        if not isinstance(event, ProcessEvent) or not self._is_mine(event):
            return
        if isinstance(event, OrderFilled):
            self._fill(event, known_at)
        elif isinstance(event, ReconciliationCorrected):
            self.long_coins += self.spec.pair.coins(event.long_units)
            self.short_coins -= self.spec.pair.coins(event.short_units)
            self.booked_long += event.long_units
            self.booked_short -= event.short_units
            self._measure(known_at)
        elif isinstance(event, OrderIntended):
            if event.client_id.startswith(self.spec.process + "-"):
                self.orders.setdefault(event.client_id, Order(event, known_at, seq))
        elif isinstance(event, HedgeEnded):
            if event.process == self.spec.process:
                self._measure(known_at)
                self.ended, self.outcome, self.why = True, event.outcome, event.reason
        elif event.client_id in self.orders:
            self._move(self.orders[event.client_id], event, known_at)

    def _is_mine(self, event: ProcessEvent) -> bool:
        return event.run == self.spec.run and event.pair == self.spec.pair.pair

    def _move(
        self, order: Order, event: OrderAccepted | OrderRejected | OrderUnknown | OrderCancelled, known_at: int
    ) -> None:
        """What the venue said about an order; only what goes forward counts."""
        if isinstance(event, OrderAccepted):
            order.accepted = True
        elif isinstance(event, OrderUnknown):
            order.unknown = True
        elif not order.done:
            order.closed, order.done_at = True, known_at
            order.reason = event.reason

    def _fill(self, event: OrderFilled, known_at: int) -> None:
        if event.fill_id in self.fill_ids:
            return
        self.fill_ids.add(event.fill_id)
        pair = self.spec.pair
        coins = event.qty or pair.coins(event.units)
        if event.leg == "long":
            kept = event.fee_qty if pair.is_spot("long") and event.fee_coin == pair.coin else Decimal(0)
            self.long_coins += coins - kept
            self.booked_long += event.units
        else:
            self.short_coins += coins
            self.booked_short += event.units
        self.fees += event.fee
        if event.units and event.value:
            self.price = abs(event.value / self.spec.pair.coins(event.units))
        order = self.orders.get(event.client_id)
        if order is not None and coins:
            before = order.done
            order.filled += abs(coins)
            if order.done and not before:
                order.done_at = known_at
        self._measure(known_at)

    def _measure(self, known_at: int) -> None:
        gap = abs(self.gap)
        apart = self.spec.pair.coins(gap) * self.price if gap >= self.spec.pair.lot_units else Decimal(0)
        if gap >= self.spec.pair.lot_units and not apart:
            apart = Decimal("1E-8")  # no price yet: apart all the same
        self.exposure.observe(known_at, apart)
