"""Requests to a venue, and its answers and reports, as values.

They name an instrument by the venue's own `symbol` and its `kind`, spot or perp, and know nothing of pairs and legs.
Positions and funding are of perpetuals. Quantities are `Decimal` base coins, and prices are for one coin: where one
unit of an instrument stands for 1000 coins (`InstrumentListed.multiplier`), the venue's adapter converts. Values and
fees are `Decimal` quote; times are int64 UTC nanoseconds.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from carryfold.domain.instruments import InstrumentKind

__all__ = [
    "Accepted", "AccountMoved", "AccountReport", "FillReport", "FundingReport", "InterestReport", "NotFound",
    "OrderReport", "OrderRequest", "PlaceOutcome", "PositionReport", "PrivateReport", "QueryOutcome", "Rejected",
    "Retry", "Side", "StreamReport", "Unknown",
]  # fmt: skip

Side = Literal["buy", "sell"]


class OrderRequest(msgspec.Struct, frozen=True):
    """One order to place: limit immediate-or-cancel at `limit_price`. `client_id` (at most 36 of [A-Za-z0-9-_]) names
    it for ever: sending the same id again never makes a second order."""

    client_id: str
    symbol: str
    kind: InstrumentKind
    side: Side
    qty: Decimal
    limit_price: Decimal
    reduce_only: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The venue has the order, or had it already (a duplicate client id). Fills are reported separately."""

    venue_id: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """The venue refused the order for certain: it does not exist and never will."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """It is not known whether the request took effect. Only a query can tell."""

    reason: str


class Retry(msgspec.Struct, frozen=True):
    """The venue certainly did nothing. The request may be sent again after `after_s` seconds."""

    reason: str
    after_s: float


class NotFound(msgspec.Struct, frozen=True):
    """The venue has no such order, neither open nor closed."""


class OrderReport(msgspec.Struct, frozen=True):
    """The state of one order at the venue. `filled` is cumulative; `open` False: it can fill no more. A cancelled order
    may have filled."""

    client_id: str
    venue_id: str
    symbol: str
    kind: InstrumentKind
    side: Side
    qty: Decimal
    filled: Decimal
    open: bool
    reason: str = ""


class FillReport(msgspec.Struct, frozen=True):
    """One execution, with the venue's id. `client_id` is empty for an execution without an order of ours:
    auto-deleveraging, liquidation, delisting, a trade by hand. `value` in quote, positive; `fee` in `fee_coin`,
    paid > 0."""

    fill_id: str
    client_id: str
    venue_id: str
    symbol: str
    kind: InstrumentKind
    side: Side
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_coin: str
    event_at: int
    cause: Literal["trade", "adl", "liquidation", "delisting"] = "trade"


class FundingReport(msgspec.Struct, frozen=True):
    """Funding booked by the venue for the settlement at `settled_at`; `amount` in quote, received > 0."""

    symbol: str
    settled_at: int
    amount: Decimal
    venue_id: str


class InterestReport(msgspec.Struct, frozen=True):
    """Interest on borrowed quote, booked by the venue at `charged_at`; `amount` in quote, charged > 0."""

    charged_at: int
    amount: Decimal
    venue_id: str


class PositionReport(msgspec.Struct, frozen=True):
    """A perpetual position: `qty` signed, short < 0."""

    symbol: str
    qty: Decimal
    entry_price: Decimal
    mark_price: Decimal


class AccountReport(msgspec.Struct, frozen=True):
    """The account at one time: spot coins by name, quote cash, and margin health = margin balance / maintenance margin
    (0: not known, or no position needs margin)."""

    coins: dict[str, Decimal]
    cash: Decimal
    health: float


class StreamReport(msgspec.Struct, frozen=True):
    """The private stream connected or broke. Reports of the time between may be missing."""

    up: bool
    reason: str = ""


class AccountMoved(msgspec.Struct, frozen=True):
    """Positions or balances changed; `stream` names the source. The new state has to be queried, because pushed states
    omit changes by funding and prices."""

    stream: str


PlaceOutcome = Accepted | Rejected | Unknown | Retry
QueryOutcome = OrderReport | NotFound | Unknown | Retry
PrivateReport = OrderReport | FillReport | FundingReport | StreamReport | AccountMoved
