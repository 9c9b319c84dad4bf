"""When a pair settles and at which rate: the venue's published formula over the premium index of each minute.

    P = sum(j * P_j) / sum(j) over the minutes of the interval,   I = 0.0003 * hours / 24
    F = clamp(P + clamp(I - P, -0.0005, +0.0005), -cap, +cap)

What a ticker predicts is the same over the minutes so far, so the settled rate is the last prediction, and whoever
rebuilds predictions from premium klines gets these numbers. A settlement at the cap makes the pair settle hourly;
after a calm day it returns to its own interval, which may itself be switched at chosen times.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from carryfold.adapters.simexchange.noise import Floats, Ints

__all__ = ["BLOCK_DAYS", "BLOCK_HOURS", "HOUR_MS", "MINUTE_MS", "RATE_DECIMALS", "FundingBlock", "FundingState",
           "first_estimate", "settle_block"]  # fmt: skip

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
BLOCK_DAYS: Final = 16
BLOCK_HOURS: Final = BLOCK_DAYS * 24
RATE_DECIMALS: Final = 8

_DAMPENER: Final = 0.0005
_INTEREST_A_DAY: Final = 0.0003
_CALM_HOURS: Final = 24


class FundingState(NamedTuple):
    """What is carried from one block to the next: the interval in force, whether a settlement at the cap made it
    hourly, and since how many hours it has been calm."""

    hours: int
    capped: bool = False
    calm: int = 0


class FundingBlock(NamedTuple):
    """Sixteen days. `hours`: interval in force in each hour. `settled_hour`, `rates`: each settlement, by the hour of
    the block at whose start it happens (1 to 384), and its rate. `premium`, `predicted`: at the end of each minute."""

    hours: Ints
    settled_hour: Ints
    rates: Floats
    premium: Floats
    predicted: Floats


def settle_block(
    pressure: Floats, cap: float, own_hours: Ints, state: FundingState, *, auto_switch: bool
) -> tuple[FundingBlock, FundingState]:
    """The funding of a block from its premium pressure by minute; `own_hours[h]` is the pair's own interval as decided
    at the start of hour h."""
    ways = {hours: _way(pressure, hours, cap) for hours in {1, state.hours, *own_hours.tolist()}}
    in_force = np.empty(BLOCK_HOURS, np.int64)
    settled: list[int] = []
    rates: list[float] = []
    hour = 0
    while hour < BLOCK_HOURS:
        hours = _interval_at(hour, int(own_hours[hour]), state)
        in_force[hour : hour + hours] = hours
        hour += hours
        rate = float(ways[hours][1][hour * 60 - 1])
        settled.append(hour)
        rates.append(rate)
        state = _after(rate, cap, hours, state) if auto_switch else FundingState(hours)
    each = np.repeat(in_force, 60)
    premium, predicted = np.empty(len(each)), np.empty(len(each))
    for hours, (premiums, running) in ways.items():
        chosen = each == hours
        premium[chosen], predicted[chosen] = premiums[chosen], running[chosen]
    block = FundingBlock(in_force, np.array(settled, np.int64), np.array(rates), premium, predicted)
    return block, state


def first_estimate(hours: int, cap: float) -> float:
    """The prediction of an interval of which no minute has passed."""
    interest = _INTEREST_A_DAY * hours / 24.0
    return round(min(max(min(interest, _DAMPENER), -cap), cap), RATE_DECIMALS)


def _interval_at(hour: int, own: int, state: FundingState) -> int:
    """The interval that begins here: intervals end on multiples of themselves since midnight."""
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


def _way(pressure: Floats, hours: int, cap: float) -> tuple[Floats, Floats]:
    """(premium, running rate) of each minute if all intervals had this length. Beyond the damped zone, the premium of
    a pair that settles more often is smaller in the same measure, as carry trades make it in real markets."""
    inside = np.clip(pressure, -_DAMPENER, _DAMPENER)
    premium = np.round(inside + (pressure - inside) * (hours / 8.0), RATE_DECIMALS)
    samples = premium.reshape(-1, hours * 60)
    weights = np.arange(1.0, hours * 60 + 1.0)
    average = np.cumsum(samples * weights, axis=1) / np.cumsum(weights)
    interest = _INTEREST_A_DAY * hours / 24.0
    rate = average + np.clip(interest - average, -_DAMPENER, _DAMPENER)
    running: Floats = np.round(np.clip(rate, -cap, cap), RATE_DECIMALS).ravel().astype(np.float64)
    return premium, running
