"""Was it worth it? The few sentences that a report leads with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carryfold.adapters.terminal import percent

if TYPE_CHECKING:
    from carryfold.projections.backtest import Figures

__all__ = ["describe_span", "is_behind", "other_warnings", "verdict"]

_SAID: Final = "no edge over"
"""How the warnings begin that the verdict has said already."""


def verdict(figures: Figures) -> list[str]:
    """What the figures say about an edge, on the same capital and span, after all costs."""
    name, earned = figures.strategy, figures.return_on_capital
    if figures.years is None:
        return ["There is no data in this span: nothing was traded and nothing can be said."]
    hold, cash = figures.hold_return_on_capital, figures.cash_return_on_capital
    out: list[str] = []
    if name != "hold" and hold is not None:
        out.append(_against(earned, hold, f"holding every pair all the time ({percent(hold)})"))
    if cash is not None:
        out.append(
            _against(earned, cash, f"cash at {percent(float(figures.params['cash_apr']), 1)} a year ({percent(cash)})")
        )
    if figures.trades == 0 and figures.open_positions == 0:
        out.append(f"{name} never traded: see which gates refused its entries.")
    return out


def is_behind(figures: Figures) -> bool:
    """Did hold or cash earn as much or more?"""
    others = (None if figures.strategy == "hold" else figures.hold_return_on_capital, figures.cash_return_on_capital)
    return any(other is not None and figures.return_on_capital <= other for other in others)


def other_warnings(figures: Figures) -> list[str]:
    """The warnings but for those that the verdict says."""
    return [one for one in figures.warnings if not one.startswith(_SAID)]


def describe_span(figures: Figures) -> str:
    """2020-03-26 to 2025-07-01 (5.27 years)."""
    if figures.since is None or figures.until is None:
        return "no rows"
    years = "" if figures.years is None else f" ({figures.years:.2f} years)"
    return f"{figures.since[:10]} to {figures.until[:10]}{years}"


def _against(earned: float, other: float, what: str) -> str:
    points = abs(earned - other) * 100
    if earned <= other:
        return f"No edge over {what}: behind by {points:.2f} points."
    return f"Ahead of {what} by {points:.2f} points."
