"""The port to a venue's history.

A page covers a span of time and holds *every* row that the venue has in it. An implementation has to guarantee this,
because a backfill is resumable only then. Values are the venue's own text; the backfill judges them row by row. A page
whose shape is not what the venue documents is a VenueError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from carryfold.adapters.venues.errors import VenueError
from carryfold.domain.instruments import Instrument

__all__ = ["Candle", "History", "NotServed", "Page", "PriceKind", "Settlement"]

PriceKind = Literal["trade", "mark", "index", "premium"]
"""Which price a candle is of. A spot market has traded prices alone."""

T = TypeVar("T")


class NotServed(VenueError):
    """The venue understands the request and has no such history, for example of a delisted symbol."""


class Settlement(NamedTuple):
    """A rate that was settled at `at_ms`, the venue's own stamp."""

    at_ms: int
    rate: str


class Candle(NamedTuple):
    """The fields of a candle that are used. `turnover` in quote; empty where this price has none."""

    open_ms: int
    close: str
    turnover: str = ""


class Page(NamedTuple, Generic[T]):
    """Every row in since_ms <= time < until_ms, oldest first. A candle's time is its open."""

    since_ms: int
    until_ms: int
    rows: list[T]


class History(Protocol):
    """History of one venue, newest page first. Each method raises NotServed for an instrument without such history,
    VenueError once its own retries are used up."""

    def settlements(self, perp: Instrument, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        """Settled rates. The pages together cover since_ms <= time < until_ms without a gap."""
        ...

    def candles(
        self, name: Instrument, price: PriceKind, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        """Closed candles only: the caller asks for nothing later than now. Both bounds are multiples of the length."""
        ...
