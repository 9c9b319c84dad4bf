"""The source of prices and rates: the port that the generated and the recorded market implement.

Everything is indexed by the minute. Minute m is the moment m * 60 s since 1970; the close of minute m is the price at
that moment. A source also answers for the future, because the exchange needs the end of the running minute.
"""

from __future__ import annotations

from typing import Protocol

from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.seeded_random import Floats

__all__ = ["MarketSource", "Settlement"]

Settlement = tuple[int, float]
"""(time in UTC ms, rate)"""


class MarketSource(Protocol):
    """A market by the minute. `number` is the place of a pair in `pairs`."""

    start_ms: int
    pairs: list[ListedPair]

    def spot(self, number: int, first: int, count: int) -> Floats:
        """Mid price of the spot pair at minutes first, first + 1, ..."""
        ...

    def premium(self, number: int, first: int, count: int) -> Floats:
        """Premium index at the same minutes, as published: mark = index * (1 + premium)."""
        ...

    def perp_over_mark(self, number: int, first: int, count: int) -> Floats:
        """Mid price of the perpetual over its mark price at the same minutes."""
        ...

    def predicted(self, number: int, minute: int) -> float:
        """The predicted rate of the next settlement, at `minute`."""
        ...

    def interval(self, number: int, at_ms: int) -> tuple[int, int]:
        """(interval in force in hours, UTC ms of the next settlement) at a time."""
        ...

    def settlements(self, number: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """Settlements with after_ms < time <= until_ms, oldest first."""
        ...

    def switch(self, number: int, at_ms: int, hours: int) -> None:
        """Change the pair's own interval to `hours` from the first settlement at or after `at_ms`. Raises ValueError
        for an impossible interval, or when the market cannot be changed."""
        ...
