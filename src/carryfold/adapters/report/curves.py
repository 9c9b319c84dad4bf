"""Equity and drawdown of a run over time, drawn."""

from typing import Final

import numpy as np

from carryfold.adapters.report.charts import Line, line_chart
from carryfold.adapters.report.headline import years_of
from carryfold.adapters.report.markup import Html, percent, section
from carryfold.projections.backtest.equity import YEAR_NS, daily_equity
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import DAY_NS, parse_time

__all__ = ["curves"]

_NONE: Final = "No market rows, so nothing to draw."


def curves(run: Backtest, figures: Figures, hold: tuple[Backtest, Figures] | None) -> Html:
    """The equity of strategy, hold and cash, and the strategy's drawdown with hold's beside it."""
    if figures.since is None or years_of(figures) == 0.0:
        return section("Equity and drawdown", Html(f'<p class="dim">{_NONE}</p>'))
    equity = [_equity(run, figures, figures.strategy, "strategy")]
    if hold is not None:
        equity.append(_equity(*hold, "hold", "hold"))
    drawdowns = [_drawdown(line, float(figures.capital)) for line in equity]
    equity.append(_cash(equity[0], figures, run.params.cash_apr))
    parts = [line_chart("Equity in quote, at each 00:00 UTC", equity, _quote)]
    if min(float(line.values.min()) for line in drawdowns) < 0:
        parts.append(line_chart("Drawdown from the highest equity so far", drawdowns, _share, height=170, filled=True))
    else:
        parts.append(Html('<p class="dim">No drawdown at any day close.</p>'))
    worst = percent(-figures.max_drawdown)
    parts.append(
        Html(f'<p class="dim">Maximum drawdown {worst}, over every decision: deeper than day closes may show.</p>')
    )
    return section("Equity and drawdown", *parts)


def _equity(run: Backtest, figures: Figures, name: str, style: str) -> Line:
    """The capital at the start, each day close, and the equity at the end."""
    start = parse_time(figures.since) if figures.since else 0
    end = parse_time(figures.until) if figures.until else start
    daily = daily_equity(run) / 1e8
    first = int(run.days["day"][0]) if len(run.days) else 0
    closes = (first + np.arange(len(daily))) * float(DAY_NS)
    inside = (closes > start) & (closes < end)
    capital, final = float(figures.capital), float(figures.capital + figures.net_pnl)
    times = np.concatenate(([float(start)], closes[inside], [float(end)]))
    return Line(name, style, times, np.concatenate(([capital], daily[inside], [final])))


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
