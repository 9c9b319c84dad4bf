"""What a run's log says it owns, and what the venue says: the two sides of a reconciliation."""

from decimal import Decimal
from typing import Final

import msgspec

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FundingPaid,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
)
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

__all__ = ["FUNDING_CORRECTION", "OurBooks", "PairBooks", "VenueBooks"]

FUNDING_CORRECTION: Final = "funding "
"""How the reason of a correction begins that changes the amount of a settlement; its time (UTC ns) follows."""


class PairBooks(msgspec.Struct):
    """A pair's holding in units, both legs counted positive. `busy`: a process is working on it."""

    pair: TradedPair
    spot_units: int = 0
    perp_units: int = 0
    busy: bool = False


class OurBooks(msgspec.Struct):
    """One run's side, made by applying its logged events. Fills and payments before `started_at` (UTC ns) belong to
    nobody here; `tag` and `run` are those of its client ids."""

    tag: str
    run: int
    started_at: int
    pairs: dict[str, PairBooks]
    fill_ids: set[str] = msgspec.field(default_factory=set)
    funding: dict[tuple[str, int], Decimal] = msgspec.field(default_factory=dict)
    intents: dict[str, OrderIntended] = msgspec.field(default_factory=dict)
    """Orders without an end."""
    filled: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Gross coins filled, of the orders without an end."""
    interest: set[str] = msgspec.field(default_factory=set)
    """Charges that are booked, by the venue's id."""

    def apply(self, event: Event) -> None:
        """Take one logged event; those of other runs change nothing."""
        if getattr(event, "run", None) != self.run:
            return
        if isinstance(event, OrderFilled):
            self._fill(event)
        elif isinstance(event, OrderIntended):
            self.intents.setdefault(event.client_id, event)
        elif isinstance(event, OrderRejected | OrderCancelled):
            self._close(event.client_id)
        elif isinstance(event, FundingPaid):
            self.funding.setdefault((event.symbol, event.settled_at), event.amount)
        elif isinstance(event, BorrowCharged):
            self.interest.add(event.venue_id)
        elif isinstance(event, ReconciliationCorrected):
            self._correct(event)

    def _fill(self, event: OrderFilled) -> None:
        if event.fill_id in self.fill_ids:
            return
        self.fill_ids.add(event.fill_id)
        books = self.pairs.get(event.symbol)
        if books is not None and event.leg == "spot":
            books.spot_units += event.units
        elif books is not None:
            books.perp_units -= event.units
        intent = self.intents.get(event.client_id)
        if intent is not None:
            self.filled[event.client_id] = self.filled.get(event.client_id, Decimal(0)) + abs(event.qty)
            if self.filled[event.client_id] >= intent.qty:
                self._close(event.client_id)

    def _close(self, client_id: str) -> None:
        self.intents.pop(client_id, None)
        self.filled.pop(client_id, None)

    def _correct(self, event: ReconciliationCorrected) -> None:
        books = self.pairs.get(event.symbol)
        if books is not None:
            books.spot_units += event.spot_units
            books.perp_units += event.perp_units
        if event.reason.startswith(FUNDING_CORRECTION):
            key = event.symbol, int(event.reason.removeprefix(FUNDING_CORRECTION).split()[0])
            self.funding[key] = self.funding.get(key, Decimal(0)) + event.cash


class VenueBooks(msgspec.Struct, frozen=True):
    """The venue's side. `answers`: what it says of each of our orders without an end; NotFound here means proved
    absent, that is after the grace and repeatedly."""

    orders: tuple[OrderReport, ...]
    fills: tuple[FillReport, ...]
    funding: tuple[FundingReport, ...]
    positions: tuple[PositionReport, ...]
    account: AccountReport
    answers: dict[str, QueryOutcome] = msgspec.field(default_factory=dict)
    interest: tuple[InterestReport, ...] = ()
