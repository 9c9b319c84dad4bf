"""Rows of Bybit's instruments-info: which instruments are supported, and what a row says about one.

The import of files and the adapter read rows here, so both make the same listings of the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from carryfold.adapters.bybit.fields import Fields, amount_of, number_of, text_of, time_ms_of
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused

__all__ = ["CLOSED", "QUOTE", "InstrumentInfo", "lots_of", "prices_of", "read_perp", "read_spot", "unsupported_perp"]

QUOTE: Final = "USDT"
CLOSED: Final = "Closed"
DEFAULT_MIN_NOTIONAL: Final = "5"

_NOT_CRYPTO: Final = frozenset({"stock", "forex", "commodity", "xstocks"})


class InstrumentInfo(NamedTuple):
    """What a row says. Lot and prices are in the instrument's own units, `min_notional` in quote. 0 stands for what is
    not told: `tick`, the times, `interval_hours`, `rate_cap`."""

    symbol: str
    status: str
    launch_ms: int
    delivery_ms: int
    lot: Decimal
    min_notional: Decimal
    tick: Decimal
    interval_hours: float
    rate_cap: float


def unsupported_perp(fields: Fields) -> str:
    """Why the perpetual of a row is not supported, as a predicate (`is not launched yet`); empty where it is."""
    if text_of(fields, "contractType") != "LinearPerpetual":
        return "is not a linear perpetual"
    if text_of(fields, "settleCoin") != QUOTE:
        return f"does not settle in {QUOTE}"
    if text_of(fields, "status") == "PreLaunch" or fields.get("isPreListing") is True:
        return "is not launched yet"
    if text_of(fields, "symbolType") in _NOT_CRYPTO:
        return "has no coin behind it"
    return ""


def read_perp(fields: Fields) -> InstrumentInfo:
    """A perpetual. Raises RowRefused."""
    status, delivery_ms = text_of(fields, "status"), time_ms_of(fields, "deliveryTime")
    if status == CLOSED and not delivery_ms:
        raise RowRefused("deliveryTime is missing though the instrument is closed")
    caps = [abs(number_of(fields, name)) for name in ("upperFundingRate", "lowerFundingRate")]
    if max(caps) > 1:
        raise RowRefused("upperFundingRate or lowerFundingRate is beyond 1")
    return InstrumentInfo(
        checks.symbol(text_of(fields, "symbol")),
        status,
        time_ms_of(fields, "launchTime"),
        delivery_ms,
        _lot(fields, "qtyStep"),
        amount_of(lots_of(fields), "minNotionalValue", DEFAULT_MIN_NOTIONAL),
        amount_of(prices_of(fields), "tickSize", "0"),
        _interval_hours(fields),
        max(caps),
    )


def read_spot(fields: Fields) -> InstrumentInfo:
    """A spot market. `minOrderAmt` is enforced; `minOrderQty` and `maxOrderQty` are deprecated. Raises RowRefused."""
    return InstrumentInfo(
        checks.symbol(text_of(fields, "symbol")),
        text_of(fields, "status"),
        0,
        0,
        _lot(fields, "basePrecision"),
        amount_of(lots_of(fields), "minOrderAmt", "0"),
        amount_of(prices_of(fields), "tickSize", "0"),
        0.0,
        0.0,
    )


def lots_of(fields: Fields) -> Mapping[str, Any]:
    """The lot size filter; empty where there is none."""
    found = fields.get("lotSizeFilter")
    return found if isinstance(found, dict) else {}


def prices_of(fields: Fields) -> Mapping[str, Any]:
    """The price filter; empty where there is none."""
    found = fields.get("priceFilter")
    return found if isinstance(found, dict) else {}


def _lot(fields: Fields, name: str) -> Decimal:
    lot = amount_of(lots_of(fields), name)
    if lot <= 0:
        raise RowRefused(f"{name} is not positive")
    return lot


def _interval_hours(fields: Fields) -> float:
    """The row gives minutes."""
    hours = number_of(fields, "fundingInterval") / 60
    return hours if hours.is_integer() and checks.MIN_HOURS <= hours <= checks.MAX_HOURS else 0.0
