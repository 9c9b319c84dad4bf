"""The port to a venue's history. `adapters/bybit/history.py` implements it.

A page covers a span of time and holds *every* row that the venue has in it: that is what makes a backfill resumable,
and what an implementation has to guarantee. Values are the venue's own text; whether they can be is judged by the
backfill, row by row. A page whose shape is not what the venue documents is a VenueError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from carryfold.adapters.venue import VenueError

__all__ = ["Candle", "CandleKind", "History", "NotServed", "Page", "Settlement"]

CandleKind = Literal["spot", "perp", "mark", "index", "premium"]

T = TypeVar("T")


class NotServed(VenueError):
    """The venue understands the question and has no such history, of a delisted symbol for one."""


class Settlement(NamedTuple):
    """A rate that was settled at `at_ms`."""

    at_ms: int
    rate: str


class Candle(NamedTuple):
    """What is used of one candle. `turnover` in quote, "" where this kind has none."""

    open_ms: int
    close: str
    turnover: str = ""


class Page(NamedTuple, Generic[T]):
    """Every row in since_ms <= time < until_ms, oldest first. A candle's time is its open."""

    since_ms: int
    until_ms: int
    rows: list[T]


class History(Protocol):
    """History of one venue, newest page first. Each method raises NotServed for a symbol it has none of,
    VenueError once its own retries are used up."""

    def settlements(self, symbol: str, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        """The pages together cover since_ms <= time < until_ms without a gap."""
        ...

    def candles(
        self, kind: CandleKind, symbol: str, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        """Closed candles only: the caller does not ask beyond the present. Both bounds are multiples of the length."""
        ...
