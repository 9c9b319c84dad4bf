"""Bybit's orders, executions and positions as reports. The same fields come by REST and by websocket.

Only here do quantities and prices of a perpetual on a thousand coins become those of one coin, and the venue's signs
ours: `execFee` of a funding execution is the amount paid, ours is the amount received.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

from carryfold.adapters.bybit.fields import MAX_DIGITS, Fields, text_of
from carryfold.adapters.bybit.instruments_info import QUOTE
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.domain.execution.reports import FillReport, FundingReport, OrderReport, PositionReport, Side
from carryfold.domain.instruments import InstrumentKind, nominal_settlement

__all__ = [
    "CATEGORY",
    "Multipliers",
    "exact",
    "execution_report",
    "order_report",
    "plain",
    "position_report",
    "venue_time",
]

CATEGORY: Final[dict[InstrumentKind, str]] = {"spot": "spot", "perp": "linear"}
OPEN_STATUSES: Final = frozenset({"New", "PartiallyFilled", "Untriggered", "Triggered", "Created"})
FUNDING: Final = "Funding"

Cause = Literal["trade", "adl", "liquidation", "delisting"]
CAUSES: Final[dict[str, Cause]] = {
    "Trade": "trade",
    "BlockTrade": "trade",
    "AdlTrade": "adl",
    "BustTrade": "liquidation",
    "Delivery": "delisting",
    "Settle": "delisting",
}


class Multipliers:
    """The instruments that may be traded, each with its base coins in one unit. Any other instrument counts as 1, so
    that a manual trade in it is still seen."""

    def __init__(self, pairs: Iterable[PairSpec]) -> None:
        self._known: dict[tuple[str, InstrumentKind], Decimal] = {}
        self.add(pairs)

    def add(self, pairs: Iterable[PairSpec]) -> None:
        """Add the instruments of pairs."""
        for pair in pairs:
            for listed in (pair.spot, pair.perp):
                if not listed.instrument.is_assumed:
                    self._known[listed.symbol, listed.kind] = Decimal(int(listed.multiplier))

    def check(self, symbol: str, kind: InstrumentKind) -> None:
        """Raises VenueError for an instrument that may not be traded."""
        if (symbol, kind) not in self._known:
            raise VenueError(f"{kind} {symbol} is not among the instruments of this run: name its pair in --pairs")

    def of(self, symbol: str, kind: InstrumentKind) -> Decimal:
        """Base coins in one unit of the venue's quantity."""
        return self._known.get((symbol, kind), Decimal(1))


def order_report(fields: Fields, kind: InstrumentKind, multipliers: Multipliers) -> OrderReport:
    """Raises RowRefused."""
    symbol = _symbol(fields)
    times = multipliers.of(symbol, kind)
    status = text_of(fields, "orderStatus")
    reasons = [text_of(fields, name) for name in ("rejectReason", "cancelType")]
    words = [reason for reason in reasons if reason not in ("", "EC_NoError", "UNKNOWN", "CancelByUser")]
    return OrderReport(
        client_id=text_of(fields, "orderLinkId"),
        venue_id=text_of(fields, "orderId"),
        symbol=symbol,
        kind=kind,
        side=_side(fields),
        qty=exact(fields, "qty") * times,
        filled=exact(fields, "cumExecQty", "0") * times,
        open=status in OPEN_STATUSES,
        reason="" if status in OPEN_STATUSES or status == "Filled" else " ".join([status, *words]),
    )


def execution_report(
    fields: Fields, kind: InstrumentKind, multipliers: Multipliers
) -> FillReport | FundingReport | None:
    """An execution of any cause, or the funding it books; None for one that changes no holding. Raises RowRefused."""
    exec_type = text_of(fields, "execType")
    symbol = _symbol(fields)
    at = venue_time(fields, "execTime")
    fill_id = text_of(fields, "execId")
    if not fill_id:
        raise RowRefused("execId is empty")
    if exec_type == FUNDING:
        return FundingReport(symbol, nominal_settlement(at), -exact(fields, "execFee"), fill_id)
    cause = CAUSES.get(exec_type)
    if cause is None:
        return None
    side = _side(fields)
    return FillReport(
        fill_id=fill_id,
        client_id=text_of(fields, "orderLinkId"),
        venue_id=text_of(fields, "orderId"),
        symbol=symbol,
        kind=kind,
        side=side,
        qty=exact(fields, "execQty") * multipliers.of(symbol, kind),
        value=abs(exact(fields, "execValue")),
        fee=exact(fields, "execFee", "0"),
        fee_coin=text_of(fields, "feeCurrency") or _usual_fee_coin(fields, kind, side),
        event_at=at,
        cause=cause,
    )


def position_report(fields: Fields, multipliers: Multipliers) -> PositionReport:
    """A position; the venue's `size` is always positive. Raises RowRefused."""
    symbol = _symbol(fields)
    times = multipliers.of(symbol, "perp")
    size = exact(fields, "size", "0") * times
    return PositionReport(
        symbol,
        -size if text_of(fields, "side") == "Sell" else size,
        exact(fields, "avgPrice", "0") / times,
        exact(fields, "markPrice", "0") / times,
    )


def exact(fields: Fields, name: str, default: str = "") -> Decimal:
    """A finite decimal within the bounds of amounts; it may be negative. Raises RowRefused."""
    text = text_of(fields, name).strip() or default
    value = checks.number(text, name)
    if len(text) > MAX_DIGITS or abs(value) > checks.MAX_AMOUNT or (value and abs(value) < checks.MIN_PRICE**2):
        raise RowRefused(f"{name} is beyond any possible amount")
    return Decimal(text) if value else Decimal(0)


def venue_time(fields: Fields, name: str) -> int:
    """UTC ns of a time in milliseconds. Raises RowRefused."""
    value = checks.number(text_of(fields, name), name)
    if not checks.EARLIEST_MS <= value <= checks.LATEST_MS:
        raise RowRefused(f"{name} is outside 2009 to 2099")
    return int(value) * NS_PER_MS


def plain(value: Decimal) -> str:
    """A number as the venue accepts it: no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _symbol(fields: Fields) -> str:
    return checks.symbol(text_of(fields, "symbol"))


def _side(fields: Fields) -> Side:
    side = text_of(fields, "side")
    if side not in ("Buy", "Sell"):
        raise RowRefused("side is neither Buy nor Sell")
    return "buy" if side == "Buy" else "sell"


def _usual_fee_coin(fields: Fields, kind: InstrumentKind, side: Side) -> str:
    """The fee coin where the venue leaves it out: the bought coin on the spot market, else quote."""
    return _symbol(fields).removesuffix(QUOTE) if kind == "spot" and side == "buy" else QUOTE
