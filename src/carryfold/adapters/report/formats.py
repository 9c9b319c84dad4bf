"""Numbers as the report writes them."""

from decimal import Decimal
from typing import Final

__all__ = ["ABSENT", "amount", "percent", "plain", "plural", "price", "ratio"]

ABSENT: Final = "n/a"
"""Stands for an unknown figure."""


def percent(fraction: float | None, *, signed: bool = True) -> str:
    """A fraction in percent, two decimals."""
    if fraction is None:
        return ABSENT
    text = f"{fraction:+.2%}" if signed else f"{fraction:.2%}"
    return "0.00%" if text in ("+0.00%", "-0.00%") else text


def amount(value: Decimal, *, signed: bool = False) -> str:
    """An amount in quote, two decimals; eight below one hundredth, so that only zero is written as zero."""
    digits = 8 if value and abs(value) < Decimal("0.01") else 2
    if not value:
        return "0.00"
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def price(value: float | None) -> str:
    """A price with at most eight significant digits, never in powers of ten."""
    if value is None:
        return ABSENT
    text = f"{Decimal(f'{value:.8g}'):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(value: float | None) -> str:
    """A plain ratio, two decimals."""
    return ABSENT if value is None else f"{value:,.2f}"


def plain(value: object) -> str:
    """A parameter as people write it, never in powers of ten."""
    if isinstance(value, dict):
        value = ", ".join(f"{name}={plain(one)}" for name, one in value.items())
    text = f"{Decimal(repr(value)):f}".removesuffix(".0") if isinstance(value, float) else str(value)
    return text or "none"


def plural(number: int, noun: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
