"""Events from a perpetual's ticker, whose fields are the same by REST and by websocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.domain.events import FundingPredicted, InstrumentListed
from carryfold.domain.instruments import nominal_settlement

__all__ = ["number_or_none", "predicted_of", "price_of"]


def predicted_of(perp: InstrumentListed, ticker: Mapping[str, Any], time_ms: int) -> FundingPredicted | None:
    """The running estimate in a ticker; None where it is absent or impossible. `ticker` is the venue's own: ccxt would
    fill in an interval that may be out of date."""
    rate = number_or_none(ticker, "fundingRate")
    next_ms = number_or_none(ticker, "nextFundingTime")
    if rate is None or not next_ms or abs(rate) > max(checks.RATE_GUARD, perp.rate_cap) or next_ms > checks.LATEST_MS:
        return None
    hours = number_or_none(ticker, "fundingIntervalHour") or 0.0
    return FundingPredicted(
        perp.venue,
        perp.symbol,
        perp.listing,
        time_ms * NS_PER_MS,
        rate,
        nominal_settlement(int(next_ms) * NS_PER_MS),
        hours if checks.MIN_HOURS <= hours <= checks.MAX_HOURS else 0.0,
        price_of(ticker, "markPrice"),
    )


def price_of(fields: Mapping[str, Any], name: str) -> float:
    """A price; 0 where it is absent or impossible."""
    value = number_or_none(fields, name)
    return value if value is not None and checks.MIN_PRICE <= value <= checks.MAX_PRICE else 0.0


def number_or_none(fields: Mapping[str, Any], name: str) -> float | None:
    """A finite number; None where it is absent or malformed."""
    text = fields.get(name)
    if not isinstance(text, str) or not text:
        return None
    try:
        return checks.number(text, name)
    except RowRefused:
        return None
