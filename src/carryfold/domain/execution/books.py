"""The two sides of a reconciliation: what a run owns by its log, and what its venues report; and how a fill is booked.

A purchase of `qty` coins for `value` with a fee of c coins yields `qty - c` coins. They are booked as units for `value`
less the worth of the fee, and the fee at its worth: the two add up to the cash that moved, to 1e-8. A fill too small
for a whole unit moves its cash as a fee, and its coins are carried to the next fill. A fee in a third coin is booked as
0 and reported.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FundingCorrected,
    FundingPaid,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
)
from carryfold.domain.execution.client_ids import parse_client_id
from carryfold.domain.execution.holdings import Holdings, PairHolding
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    OrderReport,
    PositionReport,
    QueryOutcome,
)
from carryfold.domain.execution.traded_pair import TradedPair
from carryfold.domain.instruments import Instrument, InstrumentKind, Leg, Pair

__all__ = [
    "Booking", "LegBooks", "PairBooks", "Payment", "PlacedOrder", "Predecessor", "RunBooks", "VenueBooks", "book_fill",
    "filled_event",
]  # fmt: skip

_E8: Final = Decimal("0.00000001")
_NO_RUN: Final = 0


class PairBooks(msgspec.Struct):
    """A pair and its holding. `busy`: a process trades it, so that it is not compared with the venue."""

    pair: TradedPair
    holding: PairHolding = msgspec.field(default_factory=PairHolding)
    busy: bool = False

    @classmethod
    def of(cls, pair: TradedPair, long_units: int = 0, short_units: int = 0) -> "PairBooks":
        """A pair with so many units, both legs counted positive."""
        return cls(pair, PairHolding.of(pair.unit, pair.coin, long_units, short_units))

    @property
    def long_units(self) -> int:
        """Units of the long leg."""
        return self.holding.long.units

    @property
    def short_units(self) -> int:
        """Units of the short leg, counted positive."""
        return self.holding.short.units

    def held(self, leg: Leg) -> int:
        """Units of a leg, counted positive."""
        return self.long_units if leg == "long" else self.short_units

    def position(self, leg: Leg) -> int:
        """Units of a leg, bought > 0."""
        return self.long_units if leg == "long" else -self.short_units


class LegBooks(NamedTuple):
    """One leg of a pair."""

    books: PairBooks
    leg: Leg


class Predecessor(NamedTuple):
    """The run whose holdings were taken over: the tag of its client ids, and its number."""

    tag: str
    run: int


class PlacedOrder(NamedTuple):
    """The pair and leg of an order, and the seq of its OrderIntended."""

    pair: Pair
    leg: Leg
    seq: int


class Payment(NamedTuple):
    """Funding booked for a settlement, and the seq of its FundingPaid."""

    amount: Decimal
    seq: int


class RunBooks(msgspec.Struct):
    """The side of one run: the fold of its events, and of those of its `predecessor`, whose orders count as the run's
    own and whose bookings are not repeated; the predecessor's holdings come by HoldingAdopted. Fills and payments
    before `started_at` (UTC ns) are ignored. `tag` and `run` are those of its client ids; `pairs` by name."""

    tag: str
    run: int
    started_at: int
    pairs: dict[str, PairBooks]
    predecessor: Predecessor | None = None
    holdings: Holdings = msgspec.field(default_factory=lambda: Holdings(_NO_RUN))
    """The fold over `pairs`; its fill ids include the predecessor's."""
    funding: dict[tuple[Instrument, int], Payment] = msgspec.field(default_factory=dict)
    """By perpetual and nominal time of the settlement."""
    orders: dict[str, PlacedOrder] = msgspec.field(default_factory=dict)
    """Every order so far, by client id."""
    intents: dict[str, OrderIntended] = msgspec.field(default_factory=dict)
    """Orders without a known end, by client id."""
    filled: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Gross coins filled of these orders."""
    interest: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Booked charges, by the event's venue and the venue's id."""

    def __post_init__(self) -> None:
        """Let `holdings` and `pairs` share each holding."""
        if self.holdings.run == _NO_RUN:
            self.holdings = Holdings(self.run, {books.pair.pair: books.holding for books in self.pairs.values()})

    @property
    def fill_ids(self) -> set[str]:
        """The venue's ids of the booked fills."""
        return self.holdings.fill_ids

    def apply(self, event: Event, seq: int = 0) -> None:
        """Apply the next event of the log; events of other runs change nothing."""
        run = getattr(event, "run", None)
        if run != self.run and (self.predecessor is None or run != self.predecessor.run):
            return
        if isinstance(event, OrderFilled) and event.fill_id in self.fill_ids:
            return
        if not self.holdings.apply(event) and isinstance(event, OrderFilled):
            self.fill_ids.add(event.fill_id)  # of the predecessor
        self._note(event, seq)

    def of(self, pair: Pair) -> PairBooks | None:
        """The books of a pair."""
        return next((books for books in self.pairs.values() if books.pair.pair == pair), None)

    def legs_of(self, venue: str, symbol: str, kind: InstrumentKind) -> list[LegBooks]:
        """The legs that trade an instrument, found by the venue's symbol; of several listings the newest."""
        both: tuple[Leg, ...] = ("long", "short")
        found = [
            LegBooks(books, leg)
            for books in self.pairs.values()
            for leg in both
            if books.pair.pair.leg(leg)[:3] == (venue, symbol, kind)
        ]
        newest = max((one.books.pair.pair.leg(one.leg).listing for one in found), default=0)
        return [one for one in found if one.books.pair.pair.leg(one.leg).listing == newest]

    def holder(self, venue: str, symbol: str, kind: InstrumentKind, side: Leg = "short") -> LegBooks | None:
        """The leg that holds most of an instrument; if none holds any, preferably a leg of this `side`."""
        found = self.legs_of(venue, symbol, kind)
        return max(found, key=lambda one: (one.books.held(one.leg), one.leg == side), default=None)

    def is_ours(self, client_id: str) -> bool:
        """True for an order of this run or its predecessor."""
        name = parse_client_id(client_id)
        return name is not None and (name.tag, name.run) in ((self.tag, self.run), self.predecessor)

    def account_venue(self, venue: str) -> str:
        """A venue as events of the account name it: "" for the only venue of a run."""
        venues = {name for books in self.pairs.values() for name in books.pair.pair.venues}
        return venue if len(venues) > 1 else ""

    def _note(self, event: Event, seq: int) -> None:
        """Note orders and bookings, so that nothing is booked twice."""
        if isinstance(event, OrderFilled):
            self._progress(event)
        elif isinstance(event, OrderIntended):
            self.orders.setdefault(event.client_id, PlacedOrder(event.pair, event.leg, seq))
            self.intents.setdefault(event.client_id, event)
        elif isinstance(event, OrderRejected | OrderCancelled):
            self._close(event.client_id)
        elif isinstance(event, FundingPaid):
            self.funding.setdefault((event.instrument, event.settled_at), Payment(event.amount, seq))
        elif isinstance(event, FundingCorrected):
            key = event.instrument, event.settled_at
            before = self.funding.get(key, Payment(Decimal(0), 0))
            self.funding[key] = before._replace(amount=before.amount + event.amount)
        elif isinstance(event, BorrowCharged):
            self.interest.add((event.venue, event.venue_id))

    def _progress(self, event: OrderFilled) -> None:
        intent = self.intents.get(event.client_id)
        if intent is not None:
            self.filled[event.client_id] = self.filled.get(event.client_id, Decimal(0)) + abs(event.qty)
            if self.filled[event.client_id] >= intent.qty:
                self._close(event.client_id)

    def _close(self, client_id: str) -> None:
        self.intents.pop(client_id, None)
        self.filled.pop(client_id, None)


class VenueBooks(msgspec.Struct, frozen=True):
    """The side of one venue. `answers`: its answer for each order without a known end; NotFound means proved absent,
    after the grace and repeatedly."""

    venue: str
    orders: tuple[OrderReport, ...]
    fills: tuple[FillReport, ...]
    funding: tuple[FundingReport, ...]
    positions: tuple[PositionReport, ...]
    account: AccountReport
    answers: dict[str, QueryOutcome] = msgspec.field(default_factory=dict)
    interest: tuple[InterestReport, ...] = ()


class Booking(NamedTuple):
    """A fill as it is booked: `coins` and `units` bought > 0, `value` of the units and `fee` in quote. `foreign_fee`:
    the fee was taken in a third coin and is booked as 0."""

    coins: Decimal
    units: int
    value: Decimal
    fee: Decimal
    foreign_fee: bool


def book_fill(pair: TradedPair, leg: Leg, fill: FillReport, coins_before: Decimal, units_before: int) -> Booking:
    """Book `fill` on a leg that holds `coins_before` (short < 0), booked as `units_before`. Units are derived from the
    running total of coins, so that no fraction of a unit is lost or booked twice."""
    coins = fill.qty if fill.side == "buy" else -fill.qty
    value, fee, foreign = fill.value, fill.fee, False
    if fill.fee and pair.is_spot(leg) and fill.fee_coin == pair.coin:
        coins -= fill.fee
        worth = (fill.value * fill.fee / fill.qty).quantize(_E8, ROUND_HALF_EVEN)
        # A purchase costs value + fee in cash. A sale with a fee in coins gave away more coins for the same cash.
        value, fee = (value - worth if fill.side == "buy" else value + worth), worth
    elif fill.fee and fill.fee_coin not in ("", pair.quote_coin):
        fee, foreign = Decimal(0), True
    units = pair.units(coins_before + coins) - units_before
    if units == 0 or (units > 0) != (coins > 0):
        units = 0
        fee, value = (fee + value if fill.side == "buy" else fee - value), Decimal(0)
    return Booking(coins, units, value, fee, foreign)


def filled_event(
    run: int, pair: TradedPair, leg: Leg, fill: FillReport, booking: Booking, caused_by: int = 0
) -> OrderFilled:
    """The event of a booked fill. `caused_by`: the seq of its OrderIntended."""
    return OrderFilled(
        run,
        fill.event_at,
        pair.pair,
        leg,
        client_id=fill.client_id,
        fill_id=fill.fill_id,
        units=booking.units,
        value=booking.value,
        fee=booking.fee,
        fee_coin=fill.fee_coin,
        qty=fill.qty if fill.side == "buy" else -fill.qty,
        fee_qty=fill.fee,
        caused_by=caused_by,
    )
