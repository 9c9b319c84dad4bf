"""Equity and drawdown of a run over time."""

import numpy as np

from carryfold.adapters.report.charts import Chart, Line, line_chart
from carryfold.projections.backtest.equity import YEAR_NS, day_closes
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import parse_time

__all__ = ["Curves", "curves"]


class Curves:
    """`equity`: of strategy and hold, with interest on idle cash, and of cash. `drawdown`: of strategy and hold, None
    where no day closed below an earlier one."""

    def __init__(self, equity: Chart | None, drawdown: Chart | None) -> None:
        self.equity = equity
        self.drawdown = drawdown


def curves(run: Backtest, figures: Figures, hold: tuple[Backtest, Figures] | None) -> Curves:
    """The charts of a run, of hold beside it, and of cash."""
    if not figures.years:
        return Curves(None, None)
    runs = [(run, figures, figures.strategy, "strategy")]
    if hold is not None:
        runs.append((*hold, "hold", "hold"))
    booked = [_equity(*one) for one in runs]
    drawdowns = [_drawdown(line, float(figures.capital)) for line in booked]
    equity = [_with_idle_cash(line, one[0], one[1]) for line, one in zip(booked, runs, strict=True)]
    equity.append(_cash(equity[0], figures, run.params.cash_apr))
    drawdown = None
    if min(float(line.values.min()) for line in drawdowns) < 0:
        drawdown = line_chart("Drawdown from the highest equity so far", drawdowns, _share, height=170, filled=True)
    title = "Equity in quote with interest on idle cash, at each 00:00 UTC"
    return Curves(line_chart(title, equity, _quote), drawdown)


def _equity(run: Backtest, figures: Figures, name: str, style: str) -> Line:
    """The capital at the beginning of the span, each day close, and the equity at the end."""
    start = float(parse_time(figures.since)) if figures.since else 0.0
    end = float(parse_time(figures.until)) if figures.until else start
    closes = day_closes(run)
    inside = (closes.times > start) & (closes.times < end)
    capital, final = float(figures.capital), float(figures.capital + figures.net_pnl)
    times = np.concatenate(([start], closes.times[inside], [end]))
    return Line(name, style, times, np.concatenate(([capital], closes.equity[inside], [final])))


def _with_idle_cash(line: Line, run: Backtest, figures: Figures) -> Line:
    """The line with the interest that idle cash earns. It adds up to that of `return_with_idle_cash`."""
    closes, capital = day_closes(run), float(figures.capital)
    deployed = np.zeros(len(line.times) - 1)  # nothing at the beginning
    deployed[1:] = closes.deployed[np.searchsorted(closes.times, line.times[1:-1])]
    weights = np.concatenate(([0.0], np.maximum(0.0, capital - deployed) * np.diff(line.times)))
    interest = (figures.return_with_idle_cash - figures.return_on_capital) * capital
    share = np.cumsum(weights) / max(float(weights.sum()), 1.0)
    return Line(line.name, line.style, line.times, line.values + interest * share)


def _cash(like: Line, figures: Figures, cash_apr: float) -> Line:
    """The same capital at the cash rate, not compounded."""
    ends = np.array([like.times[0], like.times[-1]])
    capital = float(figures.capital)
    return Line("cash", "cash", ends, capital * (1 + cash_apr * (ends - ends[0]) / YEAR_NS))


def _drawdown(line: Line, capital: float) -> Line:
    peak = np.maximum(np.maximum.accumulate(line.values), capital)
    return Line(line.name, line.style, line.times, (line.values - peak) / peak)


def _quote(value: float, step: float) -> str:
    digits = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
    return f"{value:,.{digits}f}"


def _share(value: float, step: float) -> str:
    digits = max(0, int(np.ceil(-np.log10(step * 100) - 1e-9)))
    return f"{value * 100:.{digits}f}%".replace("-0%", "0%")
