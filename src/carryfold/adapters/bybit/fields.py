"""Fields of Bybit v5 responses, the same from a file and over the network."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused

__all__ = ["INDEX_COLUMNS", "MAX_DIGITS", "TRADE_COLUMNS", "Fields", "amount_of", "number_of", "text_of", "time_ms_of"]

TRADE_COLUMNS: Final = 7
"""Columns of a kline of traded prices."""

INDEX_COLUMNS: Final = 5
"""Columns of a kline of mark, index or premium index."""

MAX_DIGITS: Final = 40

Fields = Mapping[str, Any]


def text_of(fields: Fields, name: str) -> str:
    """A field as text, empty where it is absent. The venue writes numbers in quotes; copies of its answers may not."""
    value = fields.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def number_of(fields: Fields, name: str, default: str = "0") -> float:
    """A finite number. Raises RowRefused."""
    return checks.number(text_of(fields, name).strip() or default, name)


def amount_of(fields: Fields, name: str, default: str = "") -> Decimal:
    """Zero, or a decimal number within the bounds of quantities and prices. Raises RowRefused."""
    text = text_of(fields, name).strip() or default
    value = checks.number(text, name)
    if value == 0:
        return Decimal(0)
    if not checks.MIN_PRICE <= value <= checks.MAX_AMOUNT:
        raise RowRefused(f"{name} is outside {checks.MIN_PRICE:g} to {checks.MAX_AMOUNT:g}")
    if len(text) > MAX_DIGITS:
        raise RowRefused(f"{name} has more than {MAX_DIGITS} digits")
    return Decimal(text)


def time_ms_of(fields: Fields, name: str) -> int:
    """A time in UTC ms from 2009 to 2099; 0 where it is absent. Raises RowRefused."""
    at = int(number_of(fields, name))
    if at and not checks.EARLIEST_MS <= at <= checks.LATEST_MS:
        raise RowRefused(f"{name} is outside 2009 to 2099")
    return at
