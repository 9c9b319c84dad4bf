"""The latest quote of every instrument, as orders are priced by: per base coin, not conflated, not recorded."""

from __future__ import annotations

from collections.abc import Iterable

from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import InstrumentListed, Quoted
from carryfold.domain.execution import LegQuote, Quotes
from carryfold.domain.instruments import Instrument, Pair

__all__ = ["QuoteCache"]


class QuoteCache:
    """`see` every quote. A quote is as old as the venue says it is, or as what was read last: a process that was
    stopped for a minute finds old quotes in its buffers, and must not take them for new ones."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._multipliers: dict[Instrument, float] = {}
        self._quotes: dict[Instrument, LegQuote] = {}

    def follow(self, listings: Iterable[InstrumentListed]) -> None:
        """Learn how many coins one unit of each instrument is."""
        self._multipliers |= {listed.instrument: listed.multiplier for listed in listings}

    def see(self, event: Quoted) -> None:
        """Take in what the stream brought."""
        at, times = min(self._pace.now(), event.event_at), self._multipliers.get(event.instrument, 1.0)
        self._quotes[event.instrument] = LegQuote(event.bid / times, event.ask / times, at)

    def quotes(self, pair: Pair) -> Quotes:
        """What is known of a pair's legs; nothing: no quote yet."""
        return Quotes(self._quotes.get(pair.long), self._quotes.get(pair.short))

    def mid(self, instrument: Instrument) -> float:
        """About what a coin costs there; 0: not known."""
        quote = self._quotes.get(instrument)
        return 0.0 if quote is None or not quote.usable else (quote.bid + quote.ask) / 2
