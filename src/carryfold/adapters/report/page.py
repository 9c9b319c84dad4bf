"""The page of one backtest, in the order in which a careful reader asks.

It needs no network and no script, and says so to the browser. Two runs that did the same give the same page.
"""

from carryfold.adapters.report.curves import curves
from carryfold.adapters.report.headline import headline
from carryfold.adapters.report.markup import amount, escape, join
from carryfold.adapters.report.records import decisions, trades
from carryfold.adapters.report.sections import (
    assumptions,
    attribution,
    cursor_text,
    data,
    reproduction,
    risk,
    venues,
    warnings,
)
from carryfold.adapters.report.style import STYLE
from carryfold.projections.backtest.figures import Figures, compute_figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import Cursor

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
    title = f"{figures.strategy}: backtest"
    span = "no market rows" if figures.since is None else f"{figures.since} to {figures.until}"
    pairs = f"{figures.pairs:,} pair{'' if figures.pairs == 1 else 's'}"
    facts = f"{span}, {pairs}, capital {amount(figures.capital)}; log: {cursor_text(cursor)}"
    body = join(
        (
            headline(figures, None if held is None else held[1], run.params.cash_apr),
            curves(run, figures, held),
            attribution(figures),
            risk(figures),
            venues(figures),
            trades(run),
            decisions(run),
            assumptions(run, figures, availability),
            warnings(figures),
            data(run, figures),
            reproduction(figures, command, cursor),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        f'<header><h1>{escape(title)}</h1><p class="dim">{escape(facts)}</p></header>\n'
        f"<main>{body}</main></body></html>\n"
    )
