"""The state that every part of the exchange shares: configuration, clock, market, account, ledger and orders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from carryfold.simexchange.account import Account, Health
from carryfold.simexchange.account_orders import AccountOrders
from carryfold.simexchange.clock import VenueClock
from carryfold.simexchange.config import SimConfig
from carryfold.simexchange.generated import GeneratedMarket
from carryfold.simexchange.ledger import Ledger
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.market import Market
from carryfold.simexchange.recorded import open_record

__all__ = ["Listener", "VenueState"]

Listener = Callable[[str, dict[str, Any]], None]


class VenueState:
    """The state of one venue with one account.

    `now_ms` is the venue time at which every request is answered. Only `Exchange.step` moves it, so that one request
    sees one moment. Each listener is called with (topic, row) for every change of the account.
    """

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        record = None if config.replay is None else open_record(config.replay, config.start_ms, config.pairs)
        self.clock = VenueClock(config.start_ms if record is None else record.start_ms, config.speed)
        self.market = Market(record or GeneratedMarket(config, self.clock.start_ms), config.seed)
        self.now_ms = self.clock.start_ms
        self.listeners: list[Listener] = []
        self.ledger = Ledger()
        self.account = Account(self.ledger)
        self.orders = AccountOrders()
        for coin, amount in sorted(config.balances.items()):
            self.ledger.book("TRANSFER_IN", coin, self.now_ms, cash_flow=amount, qty=amount)

    @property
    def server_time_ms(self) -> int:
        """Venue time as reported to clients, with the skew of the venue's clock."""
        return self.now_ms + self.clock.skew_ms

    def publish(self, topic: str, row: dict[str, Any]) -> None:
        """Send one private row to every listener."""
        for listener in self.listeners:
            listener(topic, row)

    def interval_hours(self, pair: ListedPair) -> int:
        """The settlement interval in force."""
        return self.market.source.interval(pair.number, self.now_ms)[0]

    def mark_price(self, pair: ListedPair) -> Decimal:
        """The mark price of a perpetual now, rounded to its tick."""
        return Decimal(fixed(self.market.mark(pair, self.now_ms), pair.decimals))

    def marks(self) -> dict[str, Decimal]:
        """Mark prices of the perpetuals with an open position, by symbol."""
        return {held.pair.symbol: self.mark_price(held.pair) for held in self.account.held}

    def spot_prices(self) -> dict[str, tuple[Decimal, bool]]:
        """(price, whether it is a major) of each coin in the account."""
        prices = self.market.frame(self.now_ms).spot
        return {
            pair.spot_coin: (Decimal(fixed(float(prices[pair.number]), pair.spot_decimals)), pair.major)
            for pair in self.market.spots.values()
            if pair.spot_coin in self.ledger.balances
        }

    def health(self) -> Health:
        """Margin of the account now."""
        return self.account.health(self.marks(), self.spot_prices())
