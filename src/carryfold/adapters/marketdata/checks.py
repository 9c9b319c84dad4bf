"""Checks of single fields, shared by every source, so that the same fault has the same reason everywhere.

The fast paths of the CSV readers test the same bounds inline. A field that fails there is checked here, where it is
either accepted after all (a time written as 1631721600000.0) or refused with its reason.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final


class RowRefused(Exception):
    """One row is malformed; the text is the reason, the same for every row with the same fault."""


EARLIEST_MS: Final = 1_230_768_000_000  # 2009-01-01, before the first coin
LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01, for times that a venue may date ahead
FUTURE_MS: Final = 1_000  # rows dated later than now plus this are refused
RATE_GUARD: Final = 0.04  # a rate beyond it has to be confirmed by the venue's own cap
MIN_PRICE: Final = 1e-12
MAX_PRICE: Final = 1e12
MAX_AMOUNT: Final = 1e18  # turnovers in quote, volumes and open interest in coins
MIN_HOURS: Final = 1
MAX_HOURS: Final = 24

_SYMBOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,39}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPECIAL: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_UNITS: Final = ((10**-3, "seconds"), (10**3, "microseconds"), (10**6, "nanoseconds"))

HOURS_OF: Final = {str(hours): float(hours) for hours in range(MIN_HOURS, MAX_HOURS + 1)}
"""Funding intervals as they are nearly always written."""


def is_symbol(text: str) -> bool:
    """1 to 40 letters, digits or . _ : / -, beginning with a letter or digit. No NUL, blank or control character."""
    return _SYMBOL.fullmatch(text) is not None


def symbol(text: str) -> str:
    """An instrument's name as the venue writes it."""
    name = text.strip()
    if not name:
        raise RowRefused("symbol is empty")
    if not is_symbol(name):
        raise RowRefused("symbol has characters that no symbol has, or is longer than 40")
    return name


def number(text: str, column: str) -> float:
    """A finite decimal number."""
    digits = text.strip()
    if not digits:
        raise RowRefused(f"{column} is empty")
    if not _NUMBER.fullmatch(digits):
        if _SPECIAL.fullmatch(digits):
            raise RowRefused(f"{column} is not finite")
        raise RowRefused(f"{column} is not a number")
    value = float(digits)
    if not isfinite(value):
        raise RowRefused(f"{column} is not finite")
    return value


def time_ms(text: str, column: str, now_ms: int) -> int:
    """UTC milliseconds from 2009 to a second from now."""
    value = number(text, column)
    if not value.is_integer():
        raise RowRefused(f"{column} is not a whole number of milliseconds")
    at = int(value)
    if EARLIEST_MS <= at <= now_ms + FUTURE_MS:
        return at
    for factor, unit in _UNITS:
        if EARLIEST_MS * factor <= at <= (now_ms + FUTURE_MS) * factor:
            raise RowRefused(f"{column} looks like {unit}, milliseconds are expected")
    if at < EARLIEST_MS:
        raise RowRefused(f"{column} is before 2009")
    raise RowRefused(f"{column} is in the future")


def rate(text: str, column: str, cap: float) -> float:
    """A settled rate. `cap` is the venue's own limit for the instrument, 0 where it is not known."""
    value = number(text, column)
    if abs(value) > max(RATE_GUARD, cap):
        raise RowRefused(f"{column} is beyond {RATE_GUARD:g} and no cap of the venue confirms it")
    return value


def interval_hours(text: str, column: str) -> float:
    """Whole hours from 1 to 24."""
    value = number(text, column)
    if not value.is_integer() or not MIN_HOURS <= value <= MAX_HOURS:
        raise RowRefused(f"{column} is not a whole number of hours from {MIN_HOURS} to {MAX_HOURS}")
    return value


def price(text: str, column: str) -> float:
    """A positive price within bounds."""
    value = number(text, column)
    if value <= 0:
        raise RowRefused(f"{column} is not positive")
    if not MIN_PRICE <= value <= MAX_PRICE:
        raise RowRefused(f"{column} is outside {MIN_PRICE:g} to {MAX_PRICE:g}")
    return value


def amount(text: str, column: str) -> float:
    """A turnover, a volume or an open interest."""
    value = number(text, column)
    if value < 0:
        raise RowRefused(f"{column} is negative")
    if value > MAX_AMOUNT:
        raise RowRefused(f"{column} is beyond {MAX_AMOUNT:g}")
    return value
