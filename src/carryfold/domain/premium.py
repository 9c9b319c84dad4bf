"""A perpetual's funding rate from its premium index, by Bybit's published formula.

    P   average of the premium index over the interval, minute j of 60 N weighted with j
    I   the interest: 0.03 % a day, a N-th of it an interval (0.01 % for 8 hours)
    F   clamp(P + clamp(I - P, -0.05 %, +0.05 %), -cap, +cap)

The estimate that the venue shows during the interval is the same with the minutes there are by then: that is why
nothing here needs, or can see, a minute that has not closed. The dampener of 0.05 % is the same for every interval.

What is an approximation: the venue samples the index more often than once a minute and does not publish at which
moment; here a minute counts with its close. Rates are rounded to 8 decimals, as the venue prints them, so that the flat
zone (P between -0.04 % and 0.06 % at 8 hours) is exactly the interest.

Source: Bybit help center, "Introduction to Funding Rate".
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

__all__ = ["DAILY_INTEREST", "DAMPENER", "Terms", "WeightedPremium", "funding_rate", "predicted_rates"]

DAILY_INTEREST: Final = 0.0003
DAMPENER: Final = 0.0005
RATE_DIGITS: Final = 8
_HOURS_A_DAY: Final = 24


class Terms(msgspec.Struct, frozen=True):
    """What a settlement is computed with. `interval_hours` > 0; `cap` is the venue's limit of the rate, 0: none known;
    `daily_interest` differs for a few pairs, where it is 0."""

    interval_hours: float
    cap: float = 0.0
    daily_interest: float = DAILY_INTEREST

    @property
    def interest(self) -> float:
        """The interest of one interval."""
        return self.daily_interest * self.interval_hours / _HOURS_A_DAY

    @property
    def minutes(self) -> int:
        """Minutes in the interval."""
        return round(self.interval_hours * 60)


class WeightedPremium:
    """The average of the minutes seen so far, late ones weighing most. Add them in any order, each once."""

    __slots__ = ("_sum", "_weight")

    def __init__(self) -> None:
        self._sum = 0.0
        self._weight = 0

    def add(self, minute: int, premium: float) -> None:
        """The close of the `minute`-th minute of the interval, counted from 1."""
        assert minute >= 1, "minutes count from 1"
        self._sum += minute * premium
        self._weight += minute

    @property
    def average(self) -> float:
        """Raises ZeroDivisionError before the first minute."""
        return self._sum / self._weight


def funding_rate(premium: float, terms: Terms) -> float:
    """The rate of an average premium, as a fraction of the position's value for one interval."""
    rate = premium + _clamped(terms.interest - premium, DAMPENER)
    if terms.cap > 0.0:
        rate = _clamped(rate, terms.cap)
    return round(rate, RATE_DIGITS) + 0.0  # never -0.0


def predicted_rates(minutes: Iterable[tuple[int, float]], terms: Terms) -> Iterator[tuple[int, float]]:
    """(minute, estimate after its close) for each (minute, premium index at its close), counted from 1 and ascending.

    Minutes that are missing carry no weight. The estimate of the last minute is the rate that settles.
    """
    seen = WeightedPremium()
    last = 0
    for minute, premium in minutes:
        assert last < minute <= terms.minutes, "minutes ascend, and none is beyond the interval"
        last = minute
        seen.add(minute, premium)
        yield minute, funding_rate(seen.average, terms)


def _clamped(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
