"""Where prices and rates come from: the port that the made market and the recorded one implement.

Everything is asked for by the minute. Minute m is the moment m * 60 s since 1970; a close of minute m is the price at
that moment. Answers for the future are given too: the exchange asks for the end of the running minute.
"""

from __future__ import annotations

from typing import Protocol

from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.noise import Floats

__all__ = ["Settlement", "Source"]

Settlement = tuple[int, float]
"""(time in UTC ms, rate)"""


class Source(Protocol):
    """A market by the minute. Pairs are named by their place in `instruments`."""

    start_ms: int
    instruments: list[Instrument]

    def spot(self, pair: int, first: int, count: int) -> Floats:
        """Mid price of the spot pair at minutes first, first + 1, ..."""
        ...

    def premium(self, pair: int, first: int, count: int) -> Floats:
        """Premium index at the same minutes, as published: mark = index * (1 + premium)."""
        ...

    def perp_over_mark(self, pair: int, first: int, count: int) -> Floats:
        """Mid price of the perpetual over its mark price at the same minutes."""
        ...

    def predicted(self, pair: int, minute: int) -> float:
        """The running estimate of the next settlement, after `minute`."""
        ...

    def interval(self, pair: int, at_ms: int) -> tuple[int, int]:
        """(hours in force at a time, time of the next settlement after it)."""
        ...

    def settlements(self, pair: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """Those with after_ms < time <= until_ms, oldest first."""
        ...

    def switch(self, pair: int, at_ms: int, hours: int) -> None:
        """From the first settlement at or after `at_ms`, the pair's own interval is `hours`. Raises ValueError where
        the market cannot be changed."""
        ...
