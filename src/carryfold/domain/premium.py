"""A perpetual's funding rate from its premium index: the one implementation of the formula.

    P   average of the premium index over the interval, sample j of n weighted with j
    I   the interest: `daily_interest` times the part of a day that the interval takes
    F   clamp(P + clamp(I - P, -dampener, +dampener), -cap, +cap)

The estimate that a venue shows during the interval is the same formula over the samples so far, so no estimate can see
a sample that has not closed, and the estimate after the last sample is the rate that settles. The dampener is the same
for every interval.

Bybit samples the index more often than once a minute and does not publish at which moments; with samples of a minute
the result is an approximation. Rates are rounded to 8 decimals, as venues print them, so the flat zone (P from -0.04 %
to 0.06 % at 8 hours) gives exactly the interest.

Source: Bybit help center, "Introduction to Funding Rate".
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["RATE_DECIMALS", "FundingFormula"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RATE_DECIMALS: Final = 8
_HOURS_A_DAY: Final = 24.0


class FundingFormula(msgspec.Struct, frozen=True):
    """The formula with one venue's constants, as fractions. A few pairs of a venue have no daily interest."""

    daily_interest: float = 0.0003
    dampener: float = 0.0005

    def interest(self, interval_hours: float) -> float:
        """The interest of one interval."""
        return self.daily_interest * interval_hours / _HOURS_A_DAY

    def rates(self, premiums: Floats, interval_hours: float, cap: float = 0.0) -> Floats:
        """The rate of each average premium, as a fraction of the position's value for one interval. `cap` is the
        venue's limit of the rate; 0: not known, none is applied."""
        interest = self.interest(interval_hours)
        rates = premiums + np.clip(interest - premiums, -self.dampener, self.dampener)
        if cap > 0.0:
            rates = np.clip(rates, -cap, cap)
        rounded: Floats = np.round(rates, RATE_DECIMALS) + 0.0  # never -0.0
        return rounded

    def running_rates(self, samples: Ints, premiums: Floats, interval_hours: float, cap: float = 0.0) -> Floats:
        """The estimate after each sample. `samples` are the numbers of the samples within the interval, ascending from
        1; samples that are missing carry no weight. `premiums` has the same last axis; other axes are intervals."""
        assert np.all(samples >= 1) and np.all(np.diff(samples) > 0), "samples count from 1 and ascend"
        averages = np.cumsum(samples * premiums, axis=-1) / np.cumsum(samples)
        return self.rates(averages, interval_hours, cap)
