"""Settled and predicted rates from the premium index, by the venue's published formula (domain/premium.py).

After a settlement at the cap, a pair settles hourly; after a day below the cap, it returns to its own interval. Beyond
the dampener, the premium is proportional to the interval, as carry trades make it in real markets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.domain.premium import FundingFormula
from carryfold.synthetic.price_process import Floats
from carryfold.synthetic.profile import Profile

FORMULA: Final = FundingFormula()
CALM_HOURS: Final = 24


class Funding(NamedTuple):
    """The funding of one block. `settled`: (hour of the block, rate, interval) of each settlement. `switched`: (hour,
    new interval) of each change. `premium` and `predicted`: at the end of each step. `hours`: the interval in force in
    each hour."""

    settled: list[tuple[int, float, int]]
    switched: list[tuple[int, int]]
    premium: Floats
    predicted: Floats
    hours: npt.NDArray[np.int64]


class FundingClock:
    """Settlement times and rates of one pair."""

    def __init__(self, profile: Profile, steps_per_hour: int) -> None:
        self._profile = profile
        self._steps_per_hour = steps_per_hour
        self._hours = profile.hours
        self._calm = 0

    def advance(self, pressure: Floats) -> Funding:
        """Settle the next block."""
        steps_per_hour = self._steps_per_hour
        premiums, running = {}, {}
        for hours in {self._profile.hours, 1}:
            premiums[hours] = _premium(pressure, hours)
            running[hours] = _running_rates(premiums[hours], hours, steps_per_hour, self._profile.cap)
        count = len(pressure) // steps_per_hour
        in_force = np.empty(count, np.int64)
        settled: list[tuple[int, float, int]] = []
        switched: list[tuple[int, int]] = []
        hour = 0
        while hour < count:
            hours = self._hours
            in_force[hour : hour + hours] = hours
            hour += hours
            rate = float(running[hours][hour * steps_per_hour - 1])
            settled.append((hour, rate, hours))
            if self._switches(rate, hour):
                switched.append((hour, self._hours))
        each_step = np.repeat(in_force, steps_per_hour)
        own = self._profile.hours
        return Funding(
            settled,
            switched,
            np.where(each_step == own, premiums[own], premiums[1]),
            np.where(each_step == own, running[own], running[1]),
            in_force,
        )

    def _switches(self, rate: float, hour: int) -> bool:
        own = self._profile.hours
        capped = abs(rate) >= self._profile.cap
        if self._hours == own:
            if not capped or own == 1:
                return False
            self._hours, self._calm = 1, 0
            return True
        self._calm = 0 if capped else self._calm + 1
        if self._calm < CALM_HOURS or hour % own:
            return False
        self._hours = own
        return True


def _premium(pressure: Floats, hours: int) -> Floats:
    inside = np.clip(pressure, -FORMULA.dampener, FORMULA.dampener)
    return inside + (pressure - inside) * (hours / 8.0)


def _running_rates(premium: Floats, hours: int, steps_per_hour: int, cap: float) -> Floats:
    """The predicted rate after each step of an interval. The one of the last step is the settled rate."""
    samples = premium.reshape(-1, hours * steps_per_hour)
    return FORMULA.running_rates(np.arange(1, hours * steps_per_hour + 1), samples, hours, cap).ravel()
