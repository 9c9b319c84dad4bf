"""Remarks on a run for its reader: what it assumes, and what speaks against its figures."""

from typing import Final

import numpy as np

from carryfold.domain.fold.codes import F_DELISTED, F_ENDED
from carryfold.projections.backtest.equity import run_span
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.backtest.universe import TRAILING_DAYS
from carryfold.projections.cursor import DAY_NS, parse_time

__all__ = ["NO_EDGE", "TRADES_MIN", "assumptions", "basis_modelled", "span_note", "warnings"]

TRADES_MIN: Final = 30
"""With fewer closed trades a lead may be luck."""

NO_EDGE: Final = "no edge over"
"""The beginning of warnings that repeat the conclusion."""

_DEPLOYED_MIN: Final = 0.1
_NAMES_SHOWN: Final = 5


def assumptions(run: Backtest) -> list[str]:
    """Assumptions behind the universe, the venues and the quote coins of a run."""
    out: list[str] = []
    if run.selection.universe is not None:
        out.append(
            f"the universe of a month is the {run.selection.universe:,} perpetuals with the greatest turnover in the "
            f"{TRAILING_DAYS} days before it, as it was known then"
        )
    venues = run.state.venues
    if len(venues) > 1:
        out.append(
            f"nothing is transferred between venues: each of {', '.join(venues)} keeps its share of the capital and "
            "the results of its own legs"
        )
    legs = {leg for pair in run.selection.pairs for leg in pair}
    quotes = sorted({one.quote for one in run.selection.listings if one.instrument in legs})
    if len(quotes) > 1:
        out.append(f"{', '.join(quotes)} are one unit of account: differences in their value are left out")
    return out


def span_note(figures: Figures) -> str | None:
    """Where the figures begin, if that is more than a day after the market data."""
    if figures.since is None or figures.data_since is None:
        return None
    if parse_time(figures.since) - parse_time(figures.data_since) <= DAY_NS:
        return None
    begin = "when the first pair could be traded"
    return f"the figures begin at {figures.since}, {begin}; market data begin at {figures.data_since}"


def warnings(run: Backtest, figures: Figures) -> list[str]:
    """Reasons not to believe the figures as they stand."""
    return [*_hindsight(run), *_size(figures), *_comparisons(figures), *_data(run, figures)]


def _hindsight(run: Backtest) -> list[str]:
    """Pairs that were chosen with knowledge that nobody had during the run."""
    out: list[str] = []
    selection = run.selection
    if selection.named:
        more = f" and {len(selection.named) - _NAMES_SHOWN} more" if len(selection.named) > _NAMES_SHOWN else ""
        names = ", ".join(selection.named[:_NAMES_SHOWN])
        out.append(f"pairs chosen with hindsight: this run names {names}{more}")
    begin, _ = run_span(run)
    out += [
        f"pairs chosen with hindsight: the log has {one.description}"
        for one in selection.choices
        if one.is_hindsight and one.venue in selection.venues and begin is not None and one.last_at > begin
    ]
    return out


def _size(figures: Figures) -> list[str]:
    """A run that leaves most of its capital idle says little about that capital."""
    share = float(figures.mean_deployed / figures.capital)
    if (figures.trades or figures.open_positions) and share < _DEPLOYED_MIN:
        text = f"only {share:.1%} of the capital was deployed on average: returns on capital say little"
        return [f"{text} (sizes can be shares of the capital, such as notional=10%)"]
    return []


def _comparisons(figures: Figures) -> list[str]:
    """Hold and cash on the same capital, idle cash included; and the number of trades."""
    out: list[str] = []
    own, hold, cash = figures.return_with_idle_cash, figures.hold_return_with_idle_cash, figures.cash_return_on_capital
    if figures.strategy != "hold" and hold is not None and own <= hold:
        out.append(f"{NO_EDGE} holding: hold earned as much or more on the same capital, idle cash included in both")
    if cash is not None and own <= cash:
        out.append(f"{NO_EDGE} cash: the same capital at cash_apr earned as much or more, idle cash included")
    if figures.strategy != "hold" and figures.decisions and figures.trades < TRADES_MIN:
        out.append(f"only {_plural(figures.trades, 'closed trade')}: too few to tell skill from luck")
    return out


def _data(run: Backtest, figures: Figures) -> list[str]:
    """Missing, doubtful and assumed data."""
    out: list[str] = []
    if figures.pairs and figures.basis_modelled is not True:
        which = "some pairs have" if figures.basis_modelled else "the pairs have"
        out.append(f"{which} no prices of both legs: their basis, and its profit or loss, is not modelled")
    if run.months is not None and not any(run.months.values()):
        out.append("no perpetual ever had a turnover of the days before a month: the universe was always empty")
    if run.params.fill == "same":
        out.append("fill = same trades at the decision's own price, before anybody could have acted on it")
    if figures.no_mark:
        payments = _plural(figures.no_mark, "payment")
        out.append(f"{payments} could not be priced: no mark at or before the settlement was known")
    ended = run.fills["pair"][np.isin(run.fills["action"], (F_DELISTED, F_ENDED))]
    if any(run.selection.pairs[pair].is_carry for pair in np.unique(ended).tolist()):
        haircut = run.params.delist_haircut
        out.append(f"positions closed by delisting lose {haircut:.0%} of their spot leg: an assumption")
    if figures.liquidations:
        out.append(f"liquidated: {_plural(figures.liquidations, 'leg')}")
    if figures.edge_payments:
        out.append(
            f"{figures.edge_payments:,} of {figures.payments:,} payments fell within 5 s of a fill, as with bars that "
            "close at a settlement: of such payments the run books those that it pays and none that it receives"
        )
    if figures.suspect:
        rows = _plural(figures.suspect, "price row")
        out.append(f"{rows} with a jump of the basis by over 3 % were taken for errors and not traded on")
    return out


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def basis_modelled(run: Backtest) -> bool | str:
    """Whether the pairs have prices on both legs: all, none or some of them."""
    priced = run.state.view["priced"] != 0
    return "partly" if priced.any() and not priced.all() else bool(priced.all())
