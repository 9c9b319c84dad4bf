"""The exchange itself, without network: a market, one account, a clock, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.simexchange import lifecycle
from carryfold.adapters.simexchange.account import Account, Health
from carryfold.adapters.simexchange.clock import VenueClock
from carryfold.adapters.simexchange.config import KeyRights, SimConfig
from carryfold.adapters.simexchange.desk import Desk
from carryfold.adapters.simexchange.fills import Fills
from carryfold.adapters.simexchange.funding import HOUR_MS, MINUTE_MS
from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.ledger import Ledger
from carryfold.adapters.simexchange.made import MadeMarket
from carryfold.adapters.simexchange.market import Level, Market
from carryfold.adapters.simexchange.recorded import open_record

__all__ = ["Exchange"]

_FINE_STEPS_MS: Final = 6 * HOUR_MS  # a longer jump is lived through by the hour instead of by the minute

Listener = Callable[[str, dict[str, Any]], None]


class Exchange:
    """One venue with one account. `now_ms` is the moment everything is answered for: it moves in `step` alone, so that
    one request sees one moment. `listeners` are told (topic, row) of what happens to the account."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        record = None if config.replay is None else open_record(config.replay, config.start_ms, config.pairs)
        self.clock = VenueClock(config.start_ms if record is None else record.start_ms, config.speed)
        self.market = Market(record or MadeMarket(config, self.clock.start_ms), config.seed)
        self.now_ms = self.clock.start_ms
        self.rights: KeyRights | None = config.rights
        self.listeners: list[Listener] = []
        self.ledger = Ledger()
        self.account = Account(self.ledger)
        self.fills = Fills(self, self.account, self.ledger, self._tell)
        self.desk = Desk(self, self.account, self.ledger, self.fills, self._tell)
        for coin, amount in sorted(config.balances.items()):
            self.ledger.book("TRANSFER_IN", coin, self.now_ms, cash_flow=amount, qty=amount)

    def step(self) -> int:
        """Catch up with the clock, living through every moment at which something may fall due; returns the moment
        reached."""
        target = self.clock.now_ms()
        stride = MINUTE_MS if target - self.now_ms <= _FINE_STEPS_MS else HOUR_MS
        while self.now_ms < target:
            before = self.now_ms
            busy = self.account.held or self.desk.open_orders or self.ledger.balance("USDT") < 0
            self.now_ms = min(target, (before // stride + 1) * stride) if busy else target
            if busy or self.now_ms // MINUTE_MS != before // MINUTE_MS:
                lifecycle.live_through(self, before)
        return self.now_ms

    @property
    def told_ms(self) -> int:
        """The moment, as the venue's clock tells it to clients."""
        return self.now_ms + self.clock.skew_ms

    def hours(self, one: Instrument) -> int:
        """The settlement interval in force."""
        return self.market.source.interval(one.number, self.now_ms)[0]

    def depth(self, one: Instrument, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks) as they stand now."""
        return self.desk.liquidity.depth(one, self.now_ms, levels, spot=spot)

    def marks(self) -> dict[str, Decimal]:
        """Mark prices of the positions that are open."""
        return {
            held.one.symbol: Decimal(fixed(self.market.mark(held.one, self.now_ms), held.one.decimals))
            for held in self.account.held
        }

    def spot_prices(self) -> dict[str, tuple[Decimal, bool]]:
        """(price, whether a major) of each coin that the account has."""
        prices = self.market.frame(self.now_ms).spot
        return {
            one.spot_coin: (Decimal(fixed(float(prices[one.number]), one.spot_decimals)), one.major)
            for one in self.market.spots.values()
            if one.spot_coin in self.ledger.balances
        }

    def health(self) -> Health:
        """Margin of the account now."""
        return self.account.health(self.marks(), self.spot_prices())

    def switch_interval(self, symbol: str, hours: int) -> None:
        """From its next settlement on, a perpetual settles every so many hours. Raises KeyError or ValueError."""
        one = self.market.perps[symbol]
        self.market.source.switch(one.number, self.now_ms, hours)
        self.market.forget()

    def delist(self, symbol: str, in_s: float = 0.0) -> None:
        """Announce the end of a perpetual; it closes in so many venue seconds, at the next step at the earliest."""
        one = self.market.perps[symbol]
        one.delivery_ms = max(self.now_ms + round(in_s * 1_000), self.now_ms + 1)

    def adl(self, symbol: str, share: Decimal = Decimal(1)) -> None:
        """Auto-deleverage a share of the position in a perpetual."""
        lifecycle.adl(self, self.market.perps[symbol], share)

    def _tell(self, topic: str, row: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener(topic, row)
