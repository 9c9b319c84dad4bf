"""A run's equity over its days, and the Sharpe ratios of it (docs/semantics.md 7)."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS

__all__ = ["YEAR_NS", "DayCloses", "day_closes", "excess_returns", "run_span", "sharpe", "sharpe_lo", "years_between"]

YEAR_NS: Final = 365.25 * DAY_NS
LO_LAGS_MIN: Final = 30

Floats = npt.NDArray[np.float64]


class DayCloses(NamedTuple):
    """A run at each 00:00 UTC of its span: UTC ns, equity and deployed capital in quote."""

    times: Floats
    equity: Floats
    deployed: Floats


def years_between(first: int, last: int) -> float:
    """Years of 365.25 days between two times in ns."""
    return (last - first) / YEAR_NS


def run_span(run: Backtest) -> tuple[int | None, int | None]:
    """The time over which a run is judged (ns): from its start, or from the first instant at which it could trade where
    that is later, to its end. A bound more than a day beyond the data is ignored, because years without data would
    distort annual figures. (None, None) without market rows."""
    first, last = run.first_row_at, run.last_row_at
    if first is None or last is None:
        return None, None
    since = run.since if first - run.since <= DAY_NS else first
    until = run.until if run.until is not None and run.until - last <= DAY_NS else last
    return max(since, min(run.tradeable_at or since, until)), until


def day_closes(run: Backtest) -> DayCloses:
    """Each 00:00 UTC after the beginning of the span, up to the last day of the run; days without rows repeat the day
    before."""
    begin, _ = run_span(run)
    if begin is None or len(run.days) == 0:
        return DayCloses(np.zeros(0), np.zeros(0), np.zeros(0))
    days = run.days["day"]
    every = np.arange(max(int(days[0]), begin // DAY_NS + 1), int(days[-1]) + 1)
    times: Floats = (every * DAY_NS).astype(np.float64)
    found = run.days[np.searchsorted(days, every, side="right") - 1]
    equity, deployed = (found[name].astype(np.float64) / 1e8 for name in ("equity", "deployed"))
    return DayCloses(times, equity, deployed)


def excess_returns(closes: DayCloses, capital: float, cash_apr: float) -> Floats:
    """Daily changes of equity, with the capital that was not deployed at the day's start earning `cash_apr`, less
    `cash_apr` on all of it; as fractions of the capital."""
    cash = cash_apr / 365
    idle = np.maximum(0.0, 1.0 - closes.deployed[:-1] / capital)
    excess: Floats = np.diff(closes.equity) / capital + cash * idle - cash
    return excess


def sharpe(excess: Floats) -> float | None:
    """The annual Sharpe ratio of daily excess returns; None below three days or without variance."""
    if len(excess) < 3 or _is_flat(excess):
        return None
    return float(excess.mean()) / float(excess.std(ddof=1)) * math.sqrt(365)


def sharpe_lo(excess: Floats) -> float | None:
    """The same with the long-run variance (Bartlett weights over at least 30 lags), after Lo (2002): daily returns of a
    carry book are not independent. None below 60 days or without variance."""
    n = len(excess)
    if n < 2 * LO_LAGS_MIN or _is_flat(excess):
        return None
    centred = excess - excess.mean()
    lags = max(LO_LAGS_MIN, math.floor(4 * (n / 100) ** (2 / 9)))
    variance = float(centred @ centred) / n
    for k in range(1, lags + 1):
        variance += 2 * (1 - k / (lags + 1)) * float(centred[k:] @ centred[:-k]) / n
    return float(excess.mean()) / math.sqrt(variance) * math.sqrt(365) if variance > 0 else None


def _is_flat(excess: Floats) -> bool:
    """True if every day is alike but for rounding."""
    return bool(np.ptp(excess) < 1e-15)
