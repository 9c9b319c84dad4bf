"""What a careful reader of a run should know: what it takes for granted, and what speaks against its figures."""

import numpy as np

from carryfold.domain.fold.codes import F_DELISTED, F_ENDED
from carryfold.projections.backtest.run import Backtest

__all__ = ["assumptions", "basis_modelled", "warnings"]


def assumptions(run: Backtest) -> list[str]:
    """What a run over several venues or quote coins takes for granted."""
    out: list[str] = []
    venues = run.state.venues
    if len(venues) > 1:
        out.append(
            f"nothing is transferred between venues: each of {', '.join(venues)} keeps its share of the capital and "
            "what its own legs make of it"
        )
    legs = {leg for pair in run.selection.pairs for leg in pair}
    quotes = sorted({one.quote for one in run.selection.listings if one.instrument in legs})
    if len(quotes) > 1:
        out.append(f"{', '.join(quotes)} are one unit of account: what they are worth in each other is left out")
    return out


def warnings(run: Backtest, net: int, hold: float | None, years: float | None, capital: int) -> list[str]:
    """What a careful reader should know before believing the figures."""
    out: list[str] = []
    book, params = run.book, run.params
    ret = net / capital
    if basis_modelled(run) is not True:
        out.append("some pairs have no prices: their basis, and what it costs or earns, is not modelled")
    if params.strategy != "hold" and hold is not None and ret <= hold:
        out.append("no edge over holding: hold earned as much or more on the same capital")
    if years and ret <= params.cash_apr * years:
        out.append("no edge over cash: the same capital at cash_apr earned as much or more")
    if params.strategy != "hold" and book["decisions"] and book["trades"] < 30:
        out.append(f"only {int(book['trades']):,} closed trades: too few to tell skill from luck")
    if params.fill == "same":
        out.append("fill = same trades at the decision's own price, before anybody could have acted on it")
    if book["no_mark"]:
        out.append(
            f"{int(book['no_mark']):,} payments could not be priced: no mark at or before the settlement was known"
        )
    if np.isin(run.fills["action"], (F_DELISTED, F_ENDED)).any():
        out.append(f"positions closed by delisting lose {params.delist_haircut:.0%} of their spot leg: an assumption")
    if book["liquidations"]:
        out.append(f"{int(book['liquidations']):,} legs were liquidated: their margin was used up")
    if book["edge_payments"]:
        out.append(
            f"{int(book['edge_payments']):,} of {int(book['payments']):,} payments fell within 5 s of a fill, as with "
            "bars that close at a settlement: only what we pay is booked of such, which makes results too low"
        )
    if book["suspect"]:
        out.append(f"{int(book['suspect']):,} price rows looked wrong (basis jumped over 3 %) and were not traded on")
    return out


def basis_modelled(run: Backtest) -> bool | str:
    """Whether the pairs have prices on both legs: all, none or some of them."""
    priced = run.state.view["priced"] != 0
    return "partly" if priced.any() and not priced.all() else bool(priced.all())
