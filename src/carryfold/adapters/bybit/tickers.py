"""What a ticker of a perpetual says, as events. The same fields come by REST and by websocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.report import RowRefused
from carryfold.domain.events import FundingPredicted, InstrumentListed
from carryfold.domain.instruments import nominal_settlement

__all__ = ["number_of", "predicted_of", "price_of"]

NS_PER_MS: Final = 1_000_000


def predicted_of(perp: InstrumentListed, ticker: Mapping[str, Any], time_ms: int) -> FundingPredicted | None:
    """The running estimate in a ticker; None where it gives none that can be. `ticker` is the venue's own, not ccxt's:
    ccxt fills in an interval that may be out of date."""
    rate = number_of(ticker, "fundingRate")
    next_ms = number_of(ticker, "nextFundingTime")
    if rate is None or not next_ms or abs(rate) > max(checks.RATE_GUARD, perp.rate_cap) or next_ms > checks.LATEST_MS:
        return None
    hours = number_of(ticker, "fundingIntervalHour") or 0.0
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
    """A price, or 0 where there is none that can be."""
    value = number_of(fields, name)
    return value if value is not None and checks.MIN_PRICE <= value <= checks.MAX_PRICE else 0.0


def number_of(fields: Mapping[str, Any], name: str) -> float | None:
    """A finite number, or None where the venue says nothing, or nonsense."""
    text = fields.get(name)
    if not isinstance(text, str) or not text:
        return None
    try:
        return checks.number(text, name)
    except RowRefused:
        return None
