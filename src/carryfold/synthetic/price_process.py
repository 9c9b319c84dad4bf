"""Price processes: spot prices and premium pressure on a grid of a few minutes, in blocks of 16 days.

The log spot price is a common factor times beta plus a part of the pair's own, both with mean-reverting volatility.
*Pressure* is the premium index as it would be with 8 h settlements. It is the sum of a common regime level (bear,
neutral or bull, for days to weeks), a slow and a quick mean-reverting process of the pair's own, and occasional
squeezes that start at once and fade within a day.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.synthetic.profile import Profile, generator

BLOCK_DAYS: Final = 16

Floats = npt.NDArray[np.float64]

_MARKET_VOLATILITY: Final = 0.025  # of the log price, per day
_REGIME_LEVELS: Final = np.array([-0.00045, 0.00020, 0.00105])  # bear, neutral, bull
_REGIME_TRANSITIONS: Final = np.array([[0.86, 0.14, 0.0], [0.05, 0.90, 0.05], [0.0, 0.14, 0.86]])  # from day to day
_SLOW_SD, _SLOW_DAYS = 0.00042, 1.5
_QUICK_SD, _QUICK_DAYS = 0.00050, 0.05
_SQUEEZE_DAYS: Final = 0.5


def exponential_sum(noise: Floats, keep: float, before: float) -> Floats:
    """y[i] = keep * y[i-1] + noise[i], with y[-1] = before. Computed by repeated doubling of the reach."""
    sums = noise.copy()
    sums[0] += keep * before
    reach, weight = 1, keep
    while reach < len(sums) and weight > 1e-18:
        sums[reach:] += weight * sums[:-reach]
        reach, weight = 2 * reach, weight * weight
    return sums


def mean_reverting(noise: Floats, sd: float, days: float, steps_per_day: int, before: float) -> Floats:
    """A stationary process of standard deviation `sd` and relaxation time `days`, driven by standard normal `noise`."""
    keep = float(np.exp(-1.0 / (days * steps_per_day)))
    return exponential_sum(noise * (sd * np.sqrt(1.0 - keep * keep)), keep, before)


class MarketProcess:
    """The common factor and the regime of all pairs."""

    def __init__(self, seed: int, steps_per_day: int) -> None:
        self._seed = seed
        self._steps_per_day = steps_per_day
        self._regime = 1
        self._volatility = 0.0
        self._level = float(_REGIME_LEVELS[1])

    def advance(self, block: int) -> tuple[Floats, Floats]:
        """(log returns, regime level) of the steps of the next block."""
        steps_per_day, steps = self._steps_per_day, BLOCK_DAYS * self._steps_per_day
        random = generator(self._seed, 0, block)
        regimes = np.empty(BLOCK_DAYS, np.int64)
        for day, draw in enumerate(random.random(BLOCK_DAYS).tolist()):
            self._regime = int(np.searchsorted(np.cumsum(_REGIME_TRANSITIONS[self._regime]), draw, side="right"))
            regimes[day] = self._regime
        keep = float(np.exp(-8.0 / steps_per_day))  # a new regime takes effect within some hours
        level = exponential_sum(np.repeat(_REGIME_LEVELS[regimes], steps_per_day) * (1.0 - keep), keep, self._level)
        self._level = float(level[-1])
        volatility = mean_reverting(random.standard_normal(steps), 0.5, 4.0, steps_per_day, self._volatility)
        self._volatility = float(volatility[-1])
        drift = np.repeat((regimes - 1) * 0.004, steps_per_day) / steps_per_day
        scale = _MARKET_VOLATILITY / np.sqrt(steps_per_day)
        return drift + random.standard_normal(steps) * scale * np.exp(volatility), level


class PairProcess:
    """Spot price and premium pressure of one pair."""

    def __init__(self, seed: int, profile: Profile, steps_per_day: int) -> None:
        self._seed = seed
        self._profile = profile
        self._steps_per_day = steps_per_day
        self._log_price = float(np.log(profile.price))
        self._volatility = self._slow = self._quick = self._squeeze = 0.0

    def advance(self, block: int, market: tuple[Floats, Floats]) -> tuple[Floats, Floats, np.random.Generator]:
        """(spot, pressure) at the end of each step of the next block, and the block's random generator."""
        profile, steps_per_day = self._profile, self._steps_per_day
        returns, regime_level = market
        steps = len(returns)
        random = generator(self._seed, 1 + profile.number, block)
        own, volatility, slow, quick = random.standard_normal((4, steps))
        volatility = mean_reverting(volatility, 0.4, 2.0, steps_per_day, self._volatility)
        own *= profile.own_volatility / np.sqrt(steps_per_day) * np.exp(volatility)
        log_price = self._log_price + np.cumsum(profile.beta * returns + own)
        slow = mean_reverting(slow, _SLOW_SD, _SLOW_DAYS, steps_per_day, self._slow)
        quick = mean_reverting(quick, _QUICK_SD, _QUICK_DAYS, steps_per_day, self._quick)
        hits = random.random(steps) < profile.squeezes_per_day / steps_per_day
        sizes = (0.004 + 0.02 * random.random(steps)) * np.where(random.random(steps) < 0.6, 1.0, -1.0)
        squeeze = exponential_sum(
            np.where(hits, sizes, 0.0), float(np.exp(-1.0 / (_SQUEEZE_DAYS * steps_per_day))), self._squeeze
        )
        self._log_price, self._volatility = float(log_price[-1]), float(volatility[-1])
        self._slow, self._quick, self._squeeze = float(slow[-1]), float(quick[-1]), float(squeeze[-1])
        pressure = profile.pressure * (regime_level + slow + quick) + squeeze
        return np.exp(log_price), pressure, random
