"""The latest quote of both legs of every pair, as orders are priced by: not conflated, not recorded."""

from __future__ import annotations

from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import Quoted
from carryfold.domain.execution import LegQuote, Quotes

__all__ = ["QuoteBoard"]


class QuoteBoard:
    """`see` every quote; a leg that is not in one keeps its last price, and that price's age."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._quotes: dict[str, Quotes] = {}

    def see(self, event: Quoted) -> None:
        """Take in what the stream brought."""
        now, before = self._pace.now(), self._quotes.get(event.symbol, Quotes())
        spot = LegQuote(event.spot_bid, event.spot_ask, now) if event.spot_bid and event.spot_ask else before.spot
        perp = LegQuote(event.perp_bid, event.perp_ask, now) if event.perp_bid and event.perp_ask else before.perp
        self._quotes[event.symbol] = Quotes(spot, perp)

    def quotes(self, symbol: str) -> Quotes:
        """What is known of a pair; nothing: no quote yet."""
        return self._quotes.get(symbol, Quotes())
