"""Prices and funding pressure on a grid of a few minutes, block by block of 16 days.

The log spot price is a common factor times beta plus the pair's own part, both with wandering volatility. *Pressure*
is the premium index as it would be with 8 h settlements: a common mood (bear, neutral, bull, lasting days to weeks),
a slow and a quick wandering of the pair's own, and now and then a squeeze that starts at once and fades within a day.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.adapters.synthetic.profile import Profile, generator

BLOCK_DAYS: Final = 16

Floats = npt.NDArray[np.float64]

_MARKET_VOLATILITY: Final = 0.025  # of the log price, per day
_MOOD_LEVELS: Final = np.array([-0.00045, 0.00020, 0.00105])  # bear, neutral, bull
_MOOD_MEETING: Final = np.array([[0.86, 0.14, 0.0], [0.05, 0.90, 0.05], [0.0, 0.14, 0.86]])  # from day to day
_SLOW_SD, _SLOW_DAYS = 0.00042, 1.5
_QUICK_SD, _QUICK_DAYS = 0.00050, 0.05
_SQUEEZE_DAYS: Final = 0.5


def fading(noise: Floats, keep: float, before: float) -> Floats:
    """y[i] = keep * y[i-1] + noise[i], with y[-1] = before: a running sum that forgets, by doubling the reach."""
    sums = noise.copy()
    sums[0] += keep * before
    reach, weight = 1, keep
    while reach < len(sums) and weight > 1e-18:
        sums[reach:] += weight * sums[:-reach]
        reach, weight = 2 * reach, weight * weight
    return sums


def wandering(noise: Floats, sd: float, days: float, steps_a_day: int, before: float) -> Floats:
    """A stationary process of standard deviation `sd` that forgets over `days`, driven by standard normal `noise`."""
    keep = float(np.exp(-1.0 / (days * steps_a_day)))
    return fading(noise * (sd * np.sqrt(1.0 - keep * keep)), keep, before)


class MarketPath:
    """What all pairs share."""

    def __init__(self, seed: int, steps_a_day: int) -> None:
        self._seed = seed
        self._steps_a_day = steps_a_day
        self._mood = 1
        self._volatility = 0.0
        self._level = float(_MOOD_LEVELS[1])

    def advance(self, block: int) -> tuple[Floats, Floats]:
        """(log returns, mood) of the steps of the next block."""
        steps_a_day, steps = self._steps_a_day, BLOCK_DAYS * self._steps_a_day
        random = generator(self._seed, 0, block)
        moods = np.empty(BLOCK_DAYS, np.int64)
        for day, draw in enumerate(random.random(BLOCK_DAYS).tolist()):
            self._mood = int(np.searchsorted(np.cumsum(_MOOD_MEETING[self._mood]), draw, side="right"))
            moods[day] = self._mood
        keep = float(np.exp(-8.0 / steps_a_day))  # a new mood is there within some hours
        level = fading(np.repeat(_MOOD_LEVELS[moods], steps_a_day) * (1.0 - keep), keep, self._level)
        self._level = float(level[-1])
        volatility = wandering(random.standard_normal(steps), 0.5, 4.0, steps_a_day, self._volatility)
        self._volatility = float(volatility[-1])
        drift = np.repeat((moods - 1) * 0.004, steps_a_day) / steps_a_day
        scale = _MARKET_VOLATILITY / np.sqrt(steps_a_day)
        return drift + random.standard_normal(steps) * scale * np.exp(volatility), level


class PairPath:
    """Spot price and pressure of one pair."""

    def __init__(self, seed: int, profile: Profile, steps_a_day: int) -> None:
        self._seed = seed
        self._profile = profile
        self._steps_a_day = steps_a_day
        self._log_price = float(np.log(profile.price))
        self._volatility = self._slow = self._quick = self._squeeze = 0.0

    def advance(self, block: int, market: tuple[Floats, Floats]) -> tuple[Floats, Floats, np.random.Generator]:
        """(spot, pressure) at the end of each step of the next block, and the generator for what follows from them."""
        profile, steps_a_day = self._profile, self._steps_a_day
        returns, mood = market
        steps = len(returns)
        random = generator(self._seed, 1 + profile.number, block)
        own, volatility, slow, quick = random.standard_normal((4, steps))
        volatility = wandering(volatility, 0.4, 2.0, steps_a_day, self._volatility)
        own *= profile.own_volatility / np.sqrt(steps_a_day) * np.exp(volatility)
        log_price = self._log_price + np.cumsum(profile.beta * returns + own)
        slow = wandering(slow, _SLOW_SD, _SLOW_DAYS, steps_a_day, self._slow)
        quick = wandering(quick, _QUICK_SD, _QUICK_DAYS, steps_a_day, self._quick)
        hits = random.random(steps) < profile.squeezes_per_day / steps_a_day
        sizes = (0.004 + 0.02 * random.random(steps)) * np.where(random.random(steps) < 0.6, 1.0, -1.0)
        squeeze = fading(np.where(hits, sizes, 0.0), float(np.exp(-1.0 / (_SQUEEZE_DAYS * steps_a_day))), self._squeeze)
        self._log_price, self._volatility = float(log_price[-1]), float(volatility[-1])
        self._slow, self._quick, self._squeeze = float(slow[-1]), float(quick[-1]), float(squeeze[-1])
        pressure = profile.pressure * (mood + slow + quick) + squeeze
        return np.exp(log_price), pressure, random
