"""What a run's log says it owns, and what its venues say: the two sides of a reconciliation."""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FundingCorrected,
    FundingPaid,
    HoldingAdopted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
)
from carryfold.domain.execution.ids import parse_client_id
from carryfold.domain.execution.pair import TradedPair
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    OrderReport,
    PositionReport,
    QueryOutcome,
)
from carryfold.domain.instruments import Instrument, InstrumentKind, Leg, Pair

__all__ = ["LegBooks", "OurBooks", "PairBooks", "Payment", "PlacedOrder", "Predecessor", "VenueBooks"]


class PairBooks(msgspec.Struct):
    """A pair's holding in units, both legs counted positive. `busy`: a process is working on it."""

    pair: TradedPair
    long_units: int = 0
    short_units: int = 0
    busy: bool = False

    def held(self, leg: Leg) -> int:
        """Units of a leg."""
        return self.long_units if leg == "long" else self.short_units

    def position(self, leg: Leg) -> int:
        """Units of a leg, bought > 0."""
        return self.long_units if leg == "long" else -self.short_units

    def add(self, long_units: int, short_units: int) -> None:
        """Both legs counted positive."""
        self.long_units += long_units
        self.short_units += short_units


class LegBooks(NamedTuple):
    """One leg of a pair in the books."""

    books: PairBooks
    leg: Leg


class Predecessor(NamedTuple):
    """The run whose holdings were taken over: the tag of its client ids, and its number."""

    tag: str
    run: int


class PlacedOrder(NamedTuple):
    """What an order of ours was for, and the seq of its intent."""

    pair: Pair
    leg: Leg
    seq: int


class Payment(NamedTuple):
    """Funding as it is booked, and the seq of its FundingPaid."""

    amount: Decimal
    seq: int


class OurBooks(msgspec.Struct):
    """One run's side, made by applying its logged events and those of its `predecessor`: what that one has booked is
    not booked again, and its orders are ours; its holdings come with HoldingAdopted. Fills and payments before
    `started_at` (UTC ns) belong to nobody here; `tag` and `run` are those of its client ids. `pairs` by name."""

    tag: str
    run: int
    started_at: int
    pairs: dict[str, PairBooks]
    predecessor: Predecessor | None = None
    fill_ids: set[str] = msgspec.field(default_factory=set)
    funding: dict[tuple[Instrument, int], Payment] = msgspec.field(default_factory=dict)
    """By perpetual and time of the settlement."""
    orders: dict[str, PlacedOrder] = msgspec.field(default_factory=dict)
    """Every order there ever was, by client id."""
    intents: dict[str, OrderIntended] = msgspec.field(default_factory=dict)
    """Orders without an end."""
    filled: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Gross coins filled, of the orders without an end."""
    interest: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Charges that are booked, by the event's venue and the venue's id."""

    def apply(self, event: Event, seq: int = 0) -> None:
        """Take one logged event; those of other runs change nothing."""
        run = getattr(event, "run", None)
        if run != self.run and (self.predecessor is None or run != self.predecessor.run):
            return
        is_news = self._remember(event, seq)
        if run == self.run and is_news:
            self._count(event)

    def of(self, pair: Pair) -> PairBooks | None:
        """The books of a pair."""
        return next((books for books in self.pairs.values() if books.pair.pair == pair), None)

    def legs_of(self, venue: str, symbol: str, kind: InstrumentKind) -> list[LegBooks]:
        """The legs that an instrument is, by the venue's own name; of several listings the newest."""
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
        """The leg that holds most of an instrument; where none holds any, one that would be on this side."""
        found = self.legs_of(venue, symbol, kind)
        return max(found, key=lambda one: (one.books.held(one.leg), one.leg == side), default=None)

    def is_ours(self, client_id: str) -> bool:
        """True for an order of this run, or of the one that it took over."""
        name = parse_client_id(client_id)
        return name is not None and (name.tag, name.run) in ((self.tag, self.run), self.predecessor)

    def venue_named(self, venue: str) -> str:
        """A venue as events of the account name it: "" for the run's only one."""
        venues = {name for books in self.pairs.values() for name in books.pair.pair.venues}
        return venue if len(venues) > 1 else ""

    def _remember(self, event: Event, seq: int) -> bool:
        """What is known must not be booked again. False for a fill that is."""
        if isinstance(event, OrderFilled):
            if event.fill_id in self.fill_ids:
                return False
            self.fill_ids.add(event.fill_id)
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
        return True

    def _count(self, event: Event) -> None:
        """Holdings."""
        if not isinstance(event, OrderFilled | HoldingAdopted | ReconciliationCorrected) or event.pair is None:
            return
        books = self.of(event.pair)
        if books is None:
            return
        if isinstance(event, ReconciliationCorrected):
            books.add(event.long_units, event.short_units)
        elif event.leg == "long":
            books.add(event.units, 0)
        else:
            books.add(0, event.units if isinstance(event, HoldingAdopted) else -event.units)

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
    """One venue's side. `answers`: what it says of each of our orders without an end; NotFound here means proved
    absent, that is after the grace and repeatedly."""

    venue: str
    orders: tuple[OrderReport, ...]
    fills: tuple[FillReport, ...]
    funding: tuple[FundingReport, ...]
    positions: tuple[PositionReport, ...]
    account: AccountReport
    answers: dict[str, QueryOutcome] = msgspec.field(default_factory=dict)
    interest: tuple[InterestReport, ...] = ()
