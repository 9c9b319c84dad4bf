"""The first part of the page: the returns of strategy, hold and cash."""

from typing import NamedTuple

from carryfold.adapters.report.formats import ABSENT, percent
from carryfold.adapters.report.tables import Table
from carryfold.projections.backtest.figures import Figures

__all__ = ["Card", "cards", "returns_table"]


class Card(NamedTuple):
    """One return in large figures."""

    style: str
    name: str
    total: str
    annual: str


def cards(figures: Figures, hold: Figures | None, cash_apr: float) -> list[Card]:
    """Returns with idle cash, which can be compared with cash."""
    found = [_card("strategy", figures.strategy, figures)]
    if hold is not None:
        found.append(_card("hold", "hold", hold))
    elif figures.hold_return_with_idle_cash is not None and figures.strategy != "hold":
        found.append(Card("hold", "hold", percent(figures.hold_return_with_idle_cash), ""))
    name = f"cash at {percent(cash_apr, signed=False)} a year"
    found.append(Card("cash", name, percent(figures.cash_return_on_capital or 0.0), f"{percent(cash_apr)} a year"))
    return found


def _card(style: str, name: str, figures: Figures) -> Card:
    annual = figures.return_with_idle_cash_annual
    yearly = "" if annual is None else f"{percent(annual)} a year"
    return Card(style, f"{name}, with idle cash", percent(figures.return_with_idle_cash), yearly)


def returns_table(figures: Figures, hold: Figures | None, cash_apr: float) -> Table:
    """All three denominators, over the span and a year."""
    rows = [_row(figures.strategy, figures)]
    if hold is not None:
        rows.append(_row("hold", hold))
    elif figures.hold_return_on_capital is not None and figures.strategy != "hold":
        with_idle = percent(figures.hold_return_with_idle_cash)
        rows.append(
            ["hold", with_idle, ABSENT, percent(figures.hold_return_on_capital), ABSENT, ABSENT, ABSENT],
        )
    cash = percent(figures.cash_return_on_capital or 0.0)
    rows.append(["cash", cash, percent(cash_apr), *(ABSENT,) * 4])
    head = ("", "with idle cash", "a year", "on capital", "a year", "on deployed", "a year")
    return Table(head, rows)


def _row(name: str, f: Figures) -> list[str]:
    returns = (
        *(f.return_with_idle_cash, f.return_with_idle_cash_annual),
        *(f.return_on_capital, f.return_on_capital_annual),
        *(f.return_on_deployed, f.return_on_deployed_annual),
    )
    return [name, *(percent(value) for value in returns)]
