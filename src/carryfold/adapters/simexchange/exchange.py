"""The exchange itself, without network: a market, a clock, and what follows from them."""

from __future__ import annotations

from carryfold.adapters.simexchange.clock import VenueClock
from carryfold.adapters.simexchange.config import SimConfig
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.made import MadeMarket
from carryfold.adapters.simexchange.market import Level, Market

__all__ = ["Exchange"]


class Exchange:
    """One venue with one account. `now_ms` is the moment everything is answered for: it moves in `step` alone, so that
    one request sees one moment."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        self.clock = VenueClock(config.start_ms, config.speed)
        self.market = Market(MadeMarket(config, self.clock.start_ms), config.seed)
        self.now_ms = self.clock.now_ms()

    def step(self) -> int:
        """Catch up with the clock; returns the moment reached."""
        self.now_ms = self.clock.now_ms()
        return self.now_ms

    def hours(self, one: Instrument) -> int:
        """The settlement interval in force."""
        return self.market.source.interval(one.number, self.now_ms)[0]

    def depth(self, one: Instrument, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks) as they stand now."""
        return self.market.depth(one, self.now_ms, levels, spot=spot)

    def switch_interval(self, symbol: str, hours: int) -> None:
        """From its next settlement on, a perpetual settles every so many hours."""
        one = self.market.perps[symbol]
        self.market.source.switch(one.number, self.now_ms, hours)
        self.market.forget()

    def delist(self, symbol: str, in_s: float = 0.0) -> None:
        """Announce the end of a perpetual; it closes in so many venue seconds."""
        one = self.market.perps[symbol]
        one.delivery_ms = self.now_ms + round(in_s * 1_000)
