"""Finding what a request names by category and symbol."""

from __future__ import annotations

from typing import Final

from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.market import Market
from carryfold.simexchange.request_params import Params, Refused, choice, required

__all__ = ["CATEGORIES", "find"]

CATEGORIES: Final = ("spot", "linear", "inverse", "option")


def find(market: Market, params: Params) -> tuple[ListedPair, bool]:
    """(the pair that category and symbol name, whether they name its spot leg). Raises Refused."""
    category = choice(params, "category", CATEGORIES)
    symbol = required(params, "symbol")
    pair = (market.spots if category == "spot" else market.perps if category == "linear" else {}).get(symbol)
    if pair is None:
        raise Refused(
            10001, f"Not supported symbols {symbol}" if category == "spot" else "params error: Symbol Is Invalid"
        )
    return pair, category == "spot"
