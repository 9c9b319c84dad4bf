"""The page of one backtest, in the order in which a careful reader asks.

It needs no network and no script, and its security policy says so to the browser. Equal runs give equal pages.
"""

from functools import cache
from typing import TYPE_CHECKING

from carryfold.adapters.report import records, sections
from carryfold.adapters.report.conclusion import conclude
from carryfold.adapters.report.curves import curves
from carryfold.adapters.report.formats import amount, percent, plural
from carryfold.adapters.report.returns import cards, returns_table
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.measures import compute_figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import Cursor

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["render_report"]


def render_report(
    run: Backtest,
    figures: Figures,
    *,
    hold: Backtest | None,
    command: str,
    cursor: Cursor,
    availability: tuple[float, float] | None = None,
) -> str:
    """The whole HTML document. `hold`: the hold strategy on the same rows and capital, None where it was not run;
    `availability`: the log's delays of bars and settlements in seconds, where it has any."""
    held = None if hold is None or run.params.strategy == "hold" else (hold, compute_figures(hold))
    hold_figures = None if held is None else held[1]
    span = "no market rows" if figures.since is None else f"{figures.since} to {figures.until}"
    facts = f"{span}, {plural(figures.pairs, 'pair')}, capital {amount(figures.capital)}"
    cash_apr = run.params.cash_apr
    page = _template().render(
        title=f"{figures.strategy}: backtest",
        facts=f"{facts}; log: {sections.cursor_text(cursor)}",
        figures=figures,
        cards=cards(figures, hold_figures, cash_apr),
        conclusion=conclude(figures, hold_figures),
        returns=returns_table(figures, hold_figures, cash_apr),
        cash=percent(cash_apr, signed=False),
        curves=curves(run, figures, held),
        drawdown=percent(-figures.max_drawdown),
        attribution=sections.attribution(figures),
        attribution_note=sections.attribution_note(figures),
        risk=sections.risk_table(figures),
        venues=sections.venue_table(figures),
        trades=records.trades(run),
        decisions=records.decisions(run),
        assumptions=sections.assumptions(run, figures, availability),
        parameters=sections.parameter_table(run.params),
        data=sections.data_table(figures),
        refusals=sections.refusals(figures),
        pairs=sections.pair_names(run, figures),
        command=command,
        reproduction=sections.reproduction_table(figures, cursor),
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # a path may hold what UTF-8 cannot write


@cache
def _template() -> "Template":
    """Every value is escaped on its way into the page, so a pair's name can never become markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("carryfold.adapters.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
