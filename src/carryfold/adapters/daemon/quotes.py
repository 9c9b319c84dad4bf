"""The latest quote of every instrument, for pricing orders: per base coin, not conflated and not recorded."""

from __future__ import annotations

from collections.abc import Iterable

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.domain.events import InstrumentListed, Quoted
from carryfold.domain.execution import LegQuote, Quotes
from carryfold.domain.instruments import Instrument, Pair

__all__ = ["QuoteCache"]


class QuoteCache:
    """`update` it with every quote. A quote is as old as the venue's own time of it: a process that was stopped for a
    minute finds old quotes in its buffers, and must not take them for new ones."""

    def __init__(self, clock: DaemonClock) -> None:
        self._clock = clock
        self._multipliers: dict[Instrument, float] = {}
        self._quotes: dict[Instrument, LegQuote] = {}

    def follow(self, listings: Iterable[InstrumentListed]) -> None:
        """Convert quotes of these instruments by their multipliers."""
        self._multipliers |= {listed.instrument: listed.multiplier for listed in listings}

    def update(self, event: Quoted) -> None:
        """Replace the quote of its instrument."""
        at, times = min(self._clock.now(), event.event_at), self._multipliers.get(event.instrument, 1.0)
        self._quotes[event.instrument] = LegQuote(event.bid / times, event.ask / times, at)

    def quotes(self, pair: Pair) -> Quotes:
        """The quotes of a pair's legs; None where there is none yet."""
        return Quotes(self._quotes.get(pair.long), self._quotes.get(pair.short))

    def mid(self, instrument: Instrument) -> float:
        """The mid price of a coin there; 0: not known."""
        quote = self._quotes.get(instrument)
        return 0.0 if quote is None or not quote.usable else (quote.bid + quote.ask) / 2
