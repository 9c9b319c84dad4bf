"""A run's equity over its days, and the Sharpe ratios of it."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS

__all__ = ["YEAR_NS", "daily_equity", "sharpe", "sharpe_lo", "years_between"]

YEAR_NS: Final = 365.25 * DAY_NS
LO_LAGS_MIN: Final = 30


def years_between(first: int, last: int) -> float:
    """Years of 365.25 days between two times in ns."""
    return (last - first) / YEAR_NS


def daily_equity(run: Backtest) -> npt.NDArray[np.float64]:
    """Equity (e8) at each 00:00 UTC from the first one after the first market row to the end; days without rows repeat
    the last."""
    if len(run.days) == 0 or run.first_row_at is None:
        return np.zeros(0)
    days = run.days["day"]
    every = np.arange(max(int(days[0]), run.first_row_at // DAY_NS + 1), int(days[-1]) + 1)
    out: npt.NDArray[np.float64] = run.days["equity"][np.searchsorted(days, every, side="right") - 1].astype(np.float64)
    return out


def _daily_excess(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> npt.NDArray[np.float64]:
    return np.diff(equity_e8) / capital_e8 - cash_apr / 365


def sharpe(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> float | None:
    """Annual Sharpe ratio of daily changes on capital over cash, flat days included; None below three days or without
    variance."""
    excess = _daily_excess(equity_e8, capital_e8, cash_apr)
    if len(excess) < 3 or _is_flat(equity_e8):
        return None
    deviation = float(excess.std(ddof=1))
    return float(excess.mean()) / deviation * math.sqrt(365) if deviation > 0 else None


def sharpe_lo(equity_e8: npt.NDArray[np.float64], capital_e8: int, cash_apr: float) -> float | None:
    """The same with the long-run variance (Bartlett weights over at least 30 lags), after Lo (2002): days of a carry
    book are not independent. None below 60 days or without variance."""
    excess = _daily_excess(equity_e8, capital_e8, cash_apr)
    n = len(excess)
    if n < 2 * LO_LAGS_MIN or _is_flat(equity_e8):
        return None
    centred = excess - excess.mean()
    lags = max(LO_LAGS_MIN, math.floor(4 * (n / 100) ** (2 / 9)))
    variance = float(centred @ centred) / n
    for k in range(1, lags + 1):
        variance += 2 * (1 - k / (lags + 1)) * float(centred[k:] @ centred[:-k]) / n
    return float(excess.mean()) / math.sqrt(variance) * math.sqrt(365) if variance > 0 else None


def _is_flat(equity_e8: npt.NDArray[np.float64]) -> bool:
    """Every day alike: there is no variance but that of rounding."""
    return bool(np.ptp(np.diff(equity_e8)) == 0)
