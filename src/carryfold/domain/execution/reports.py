"""What is asked of a venue about orders, and what it answers. Values only.

A port speaks of its own venue: an instrument is named by the venue's own `symbol` and its `kind`, spot or perp; pairs
and legs are not its business. Positions and funding are of perpetuals. Quantities are `Decimal` base coins, and prices
are for one of them: where one unit of an instrument stands for 1000 coins (`InstrumentListed.multiplier`), the venue's
adapter divides and multiplies, and nobody else knows. Values and fees are `Decimal`; times are int64 UTC nanoseconds.
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
    """One order to place: limit immediate-or-cancel at `limit_price`. `client_id` names it for ever (at most 36 of
    [A-Za-z0-9-_]); sending the same one again can never make a second order."""

    client_id: str
    symbol: str
    kind: InstrumentKind
    side: Side
    qty: Decimal
    limit_price: Decimal
    reduce_only: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The venue has the order (or had it already: a duplicate client id). It says nothing about fills."""

    venue_id: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """The venue refused for certain: there is no such order and there will be none."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """It is not known whether the venue has done it. It has to be asked, never guessed."""

    reason: str


class Retry(msgspec.Struct, frozen=True):
    """The venue certainly did nothing and wants to be asked again, not before `after_s` seconds."""

    reason: str
    after_s: float


class NotFound(msgspec.Struct, frozen=True):
    """The venue answered, for open and closed orders alike, that it knows no such order."""


class OrderReport(msgspec.Struct, frozen=True):
    """State of one order as the venue tells it. `filled` is cumulative; `open` False: it can fill no more. Act on
    `filled`, never on a status word: a cancelled order may have filled."""

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
    """One execution, named by the venue's id. `client_id` is empty where no order of ours made it: auto-deleveraging,
    liquidation, delisting, a trade by hand. `value` in quote, positive; `fee` in `fee_coin`, paid > 0."""

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
    """The account at one time: spot coins held by coin name, quote cash, and
    maintenance health = margin balance / maintenance margin (0: not told)."""

    coins: dict[str, Decimal]
    cash: Decimal
    health: float


class StreamReport(msgspec.Struct, frozen=True):
    """The private stream came up or went down; between the two, reports may have been missed."""

    up: bool
    reason: str = ""


class AccountMoved(msgspec.Struct, frozen=True):
    """Positions or balances changed, as a stream of that name says. How they stand now has to be asked: what is pushed
    leaves out what funding and prices change."""

    stream: str


PlaceOutcome = Accepted | Rejected | Unknown | Retry
QueryOutcome = OrderReport | NotFound | Unknown | Retry
PrivateReport = OrderReport | FillReport | FundingReport | StreamReport | AccountMoved
