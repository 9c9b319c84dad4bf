"""The latest quote of both legs of every pair, as orders are priced by: not conflated, not recorded."""

from __future__ import annotations

from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import Quoted
from carryfold.domain.execution import LegQuote, Quotes
from carryfold.domain.execution.reports import Leg

__all__ = ["QuoteBoard"]


class QuoteBoard:
    """`see` every quote; a leg that is not in one keeps its last price, and that price's age. A quote is as old as the
    venue says it is, or as what was read last: a process that was stopped for a minute finds old quotes in its buffers,
    and must not take them for new ones."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._quotes: dict[str, Quotes] = {}

    def see(self, event: Quoted) -> None:
        """Take in what the stream brought."""
        at, before = min(self._pace.now(), event.event_at), self._quotes.get(event.symbol, Quotes())
        spot = LegQuote(event.spot_bid, event.spot_ask, at) if event.spot_bid and event.spot_ask else before.spot
        perp = LegQuote(event.perp_bid, event.perp_ask, at) if event.perp_bid and event.perp_ask else before.perp
        self._quotes[event.symbol] = Quotes(spot, perp)

    def quotes(self, symbol: str) -> Quotes:
        """What is known of a pair; nothing: no quote yet."""
        return self._quotes.get(symbol, Quotes())

    def mid(self, symbol: str, leg: Leg) -> float:
        """About what a coin costs on a leg; 0: not known."""
        quote = self.quotes(symbol).of(leg)
        return 0.0 if quote is None else (quote.bid + quote.ask) / 2
