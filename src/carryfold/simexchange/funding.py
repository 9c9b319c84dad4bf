"""Settlement times and rates by the venue's published formula (domain/premium.py), from the premium index of each
minute.

Predicted rates use the same formula over the minutes so far. The settled rate is therefore the last prediction, and
predictions rebuilt from premium candles are equal to those in the tickers. After a settlement at the cap, a pair
settles hourly; after a calm day it returns to its own interval. The own interval may change at given times.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from carryfold.domain.premium import RATE_DECIMALS, FundingFormula
from carryfold.simexchange.seeded_random import Floats, Ints

__all__ = ["BLOCK_DAYS", "BLOCK_HOURS", "HOUR_MS", "MINUTE_MS", "RATE_DECIMALS", "FundingBlock", "FundingState",
           "first_estimate", "settle_block"]  # fmt: skip

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
BLOCK_DAYS: Final = 16
BLOCK_HOURS: Final = BLOCK_DAYS * 24

_FORMULA: Final = FundingFormula()
_CALM_HOURS: Final = 24


class FundingState(NamedTuple):
    """State carried from one block to the next: the interval in force, whether it is hourly because of a settlement
    at the cap, and the number of calm hours since."""

    hours: int
    capped: bool = False
    calm: int = 0


class FundingBlock(NamedTuple):
    """The funding of sixteen days. `hours`: the interval in force in each hour. `settled_hour`, `rates`: the hours of
    the block (1 to 384) at whose start a settlement happens, and its rate. `premium`, `predicted`: at the end of each
    minute."""

    hours: Ints
    settled_hour: Ints
    rates: Floats
    premium: Floats
    predicted: Floats


def settle_block(
    pressure: Floats, cap: float, own_hours: Ints, state: FundingState, *, auto_switch: bool
) -> tuple[FundingBlock, FundingState]:
    """The funding of a block from its premium pressure by minute. `own_hours[h]` is the pair's own interval at the
    start of hour h."""
    by_interval = {hours: _premium_and_rates(pressure, hours, cap) for hours in {1, state.hours, *own_hours.tolist()}}
    in_force = np.empty(BLOCK_HOURS, np.int64)
    settled: list[int] = []
    rates: list[float] = []
    hour = 0
    while hour < BLOCK_HOURS:
        hours = _interval_at(hour, int(own_hours[hour]), state)
        in_force[hour : hour + hours] = hours
        hour += hours
        rate = float(by_interval[hours][1][hour * 60 - 1])
        settled.append(hour)
        rates.append(rate)
        state = _after(rate, cap, hours, state) if auto_switch else FundingState(hours)
    each = np.repeat(in_force, 60)
    premium, predicted = np.empty(len(each)), np.empty(len(each))
    for hours, (premiums, running) in by_interval.items():
        chosen = each == hours
        premium[chosen], predicted[chosen] = premiums[chosen], running[chosen]
    block = FundingBlock(in_force, np.array(settled, np.int64), np.array(rates), premium, predicted)
    return block, state


def first_estimate(hours: int, cap: float) -> float:
    """The predicted rate at the start of an interval."""
    return float(_FORMULA.rates(np.zeros(1), hours, cap)[0])


def _interval_at(hour: int, own: int, state: FundingState) -> int:
    """The interval that begins here. Intervals end on multiples of their length since midnight."""
    wanted = 1 if state.capped else own
    if hour % wanted == 0:
        return wanted
    return next(hours for hours in (4, 2, 1) if hours < wanted and hour % hours == 0)


def _after(rate: float, cap: float, hours: int, state: FundingState) -> FundingState:
    if abs(rate) >= cap:
        return FundingState(1, capped=True)
    calm = state.calm + hours
    if state.capped and calm < _CALM_HOURS:
        return FundingState(hours, capped=True, calm=calm)
    return FundingState(hours)


def _premium_and_rates(pressure: Floats, hours: int, cap: float) -> tuple[Floats, Floats]:
    """(premium, predicted rate) of each minute if all intervals had this length. Beyond the dampener, the premium is
    proportional to the interval, as carry trades make it in real markets."""
    inside = np.clip(pressure, -_FORMULA.dampener, _FORMULA.dampener)
    premium = np.round(inside + (pressure - inside) * (hours / 8.0), RATE_DECIMALS)
    samples = premium.reshape(-1, hours * 60)
    running = _FORMULA.running_rates(np.arange(1, hours * 60 + 1), samples, hours, cap)
    return premium, running.ravel()
