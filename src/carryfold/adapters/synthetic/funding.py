"""Settled and predicted rates from the premium index, by the venue's published formula.

    P = sum(j * P_j) / sum(j) over the samples of the interval,   I = 0.0003 * interval / 24 h
    F = clamp(P + clamp(I - P, -0.0005, +0.0005), -cap, +cap)

A settlement at the cap makes the pair settle hourly; after a day below it, it returns to its own interval. The
premium of a pair that settles more often is smaller in the same measure beyond the damped zone, as carry trades make
it in real markets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.adapters.synthetic.paths import Floats
from carryfold.adapters.synthetic.profile import Profile

DAMPENER: Final = 0.0005
INTEREST_A_DAY: Final = 0.0003
CALM_HOURS: Final = 24
DECIMALS: Final = 8


class Funding(NamedTuple):
    """The funding of one block. `settled`: one row a settlement, hour of the block, rate, interval. `switched`: hour,
    new interval. `premium` and `predicted` at the end of each step; `hours` the interval in force in each hour."""

    settled: list[tuple[int, float, int]]
    switched: list[tuple[int, int]]
    premium: Floats
    predicted: Floats
    hours: npt.NDArray[np.int64]


class FundingClock:
    """When one pair settles, and at which rate."""

    def __init__(self, profile: Profile, steps_an_hour: int) -> None:
        self._profile = profile
        self._steps_an_hour = steps_an_hour
        self._hours = profile.hours
        self._calm = 0

    def advance(self, pressure: Floats) -> Funding:
        """Settle the next block."""
        steps_an_hour = self._steps_an_hour
        premiums, running = {}, {}
        for hours in {self._profile.hours, 1}:
            premiums[hours] = _premium(pressure, hours)
            running[hours] = _running_rates(premiums[hours], hours, steps_an_hour, self._profile.cap)
        count = len(pressure) // steps_an_hour
        in_force = np.empty(count, np.int64)
        settled: list[tuple[int, float, int]] = []
        switched: list[tuple[int, int]] = []
        hour = 0
        while hour < count:
            hours = self._hours
            in_force[hour : hour + hours] = hours
            hour += hours
            rate = float(running[hours][hour * steps_an_hour - 1])
            settled.append((hour, rate, hours))
            if self._switches(rate, hour):
                switched.append((hour, self._hours))
        each_step = np.repeat(in_force, steps_an_hour)
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
    inside = np.clip(pressure, -DAMPENER, DAMPENER)
    return inside + (pressure - inside) * (hours / 8.0)


def _running_rates(premium: Floats, hours: int, steps_an_hour: int, cap: float) -> Floats:
    """The rate as it would be if the interval ended with each step; at its last step, the settled one."""
    samples = premium.reshape(-1, hours * steps_an_hour)
    weights = np.arange(1.0, hours * steps_an_hour + 1.0)
    average = np.cumsum(samples * weights, axis=1) / np.cumsum(weights)
    interest = INTEREST_A_DAY * hours / 24.0
    rate = average + np.clip(interest - average, -DAMPENER, DAMPENER)
    rounded: Floats = np.round(np.clip(rate, -cap, cap), DECIMALS).ravel().astype(np.float64)
    return rounded
