"""What a reader wants first: the returns against hold and cash, and whether there is an edge in them."""

from typing import Final

import msgspec

from carryfold.adapters.report.markup import Html, escape, join, percent, section, table
from carryfold.projections.backtest.equity import years_between
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.cursor import parse_time

__all__ = ["Verdict", "headline", "judge", "years_of"]

TRADES_MIN: Final = 30
"""Below so many closed trades a lead is called luck until shown otherwise."""


class Verdict(msgspec.Struct, frozen=True):
    """`kind` is edge, open (ahead, but unproven) or none."""

    kind: str
    text: str


def years_of(figures: Figures) -> float:
    """Years of the run's span; 0 without rows."""
    if figures.since is None or figures.until is None:
        return 0.0
    return max(0.0, years_between(parse_time(figures.since), parse_time(figures.until)))


def headline(figures: Figures, hold: Figures | None, cash_apr: float) -> Html:
    """Cards, the verdict and the table of all three denominators."""
    years = years_of(figures)
    cash = cash_apr * years
    cards = [_card("strategy", figures.strategy, figures.return_on_capital, figures.return_on_capital_annual)]
    rows = [_row(figures.strategy, figures)]
    if hold is not None:
        cards.append(_card("hold", "hold", hold.return_on_capital, hold.return_on_capital_annual))
        rows.append(_row("hold", hold))
    elif figures.hold_return_on_capital is not None:
        held = figures.hold_return_on_capital
        annual = held / years if years > 1 / 365.25 else None
        cards.append(_card("hold", "hold", held, annual))
        rows.append(("hold", percent(held), percent(annual), *("n/a",) * 4))
    cards.append(_card("cash", f"cash at {percent(cash_apr, signed=False)} a year", cash, cash_apr))
    rows.append(("cash", *(percent(cash), percent(cash_apr)), "n/a", "n/a", *(percent(cash), percent(cash_apr))))
    verdict = judge(figures, hold, cash_apr)
    head = (
        *("", "on capital", "a year", "on deployed", "a year"),
        *("with idle cash", "a year"),
    )
    return section(
        "Returns",
        Html(f'<div class="cards">{join(cards)}</div>'),
        Html(f'<p class="verdict {verdict.kind}">{escape(verdict.text)}</p>'),
        table(head, rows),
        Html(
            '<p class="dim">After all costs. On capital: net P&amp;L over the whole capital. On deployed: over the '
            "time-weighted mean of what was tied up in spot and margin. With idle cash: on capital, with the idle part "
            f"earning {escape(percent(cash_apr, signed=False))} a year. Annual figures are divided by the years of the "
            "span, not compounded; they are left out for spans of a day or less.</p>"
        ),
    )


def judge(figures: Figures, hold: Figures | None, cash_apr: float) -> Verdict:
    """Whether the strategy beat hold and cash on the same capital, in one plain statement."""
    if figures.rows == 0 or figures.since is None:
        return Verdict("none", "Nothing to judge: the run saw no market rows.")
    if figures.trades == 0 and figures.open_positions == 0:
        return Verdict("none", "No edge: the strategy never traded. The refusals below say which gates held it back.")
    own, cash = figures.return_on_capital, cash_apr * years_of(figures)
    held = figures.hold_return_on_capital if hold is None else hold.return_on_capital
    rivals = [("cash", cash)]
    if held is not None and figures.strategy != "hold":
        rivals.insert(0, ("hold", held))
    better = [f"{name} ({percent(value)})" for name, value in rivals if value >= own]
    missing = "" if len(rivals) == 2 or figures.strategy == "hold" else " Hold was not run for comparison."
    if better:
        text = f"No edge: {percent(own)} on capital, while {' and '.join(better)} earned as much or more."
        return Verdict("none", text + missing + _idle_remark(figures, cash))
    beaten = " and ".join(f"{name} ({percent(value)})" for name, value in rivals)
    if figures.trades < TRADES_MIN:
        return Verdict(
            "open",
            f"No edge shown: {percent(own)} on capital is ahead of {beaten}, but {figures.trades} closed "
            f"trade{'' if figures.trades == 1 else 's'} cannot tell skill from luck.{missing}",
        )
    if missing:
        return Verdict("open", f"Ahead of {beaten} with {percent(own)} on capital.{missing}")
    return Verdict(
        "edge",
        f"Edge in this run: {percent(own)} on capital against {beaten}. It is one run on past data, and says nothing "
        "yet about other spans or parameters.",
    )


def _idle_remark(figures: Figures, cash: float) -> str:
    """Where the deployed part beat cash although the whole capital did not, that is worth knowing."""
    if figures.return_on_capital > cash or figures.return_with_idle_cash <= cash:
        return ""
    invested = percent(figures.return_with_idle_cash)
    return f" What was deployed did beat cash: with idle cash invested the return is {invested}."


def _card(style: str, name: str, total: float, annual: float | None) -> Html:
    yearly = "" if annual is None else f"{percent(annual)} a year"
    return Html(
        f'<div class="card {style}"><span>{escape(name)}</span><b>{percent(total)}</b><span>{yearly}</span></div>'
    )


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    returns = (
        *(figures.return_on_capital, figures.return_on_capital_annual),
        *(figures.return_on_deployed, figures.return_on_deployed_annual),
        *(figures.return_with_idle_cash, figures.return_with_idle_cash_annual),
    )
    return (name, *(percent(value) for value in returns))
