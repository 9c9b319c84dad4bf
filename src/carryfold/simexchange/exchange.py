"""The exchange without its network side: one market, one account, a clock, and everything that falls due."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from carryfold.simexchange.config import KeyRights, SimConfig
from carryfold.simexchange.fills import Fills
from carryfold.simexchange.funding import HOUR_MS, MINUTE_MS
from carryfold.simexchange.lifecycle import Lifecycle
from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.market import Level
from carryfold.simexchange.matching import MatchingEngine
from carryfold.simexchange.state import VenueState

__all__ = ["Exchange"]

_MINUTE_STEPS_MS: Final = 6 * HOUR_MS  # a longer jump is processed hour by hour instead of minute by minute


class Exchange:
    """One venue with one account. `state` is shared by all parts; the other attributes are its parts by name."""

    def __init__(self, config: SimConfig) -> None:
        self.state = VenueState(config)
        self.config = config
        self.rights: KeyRights | None = config.rights
        self.clock = self.state.clock
        self.market = self.state.market
        self.ledger = self.state.ledger
        self.account = self.state.account
        self.orders = self.state.orders
        self.fills = Fills(self.state)
        self.matching = MatchingEngine(self.state, self.fills)
        self._lifecycle = Lifecycle(self.state, self.fills, self.matching)

    @property
    def now_ms(self) -> int:
        """Venue time of the last step."""
        return self.state.now_ms

    @property
    def server_time_ms(self) -> int:
        """Venue time as reported to clients, with the skew of the venue's clock."""
        return self.state.server_time_ms

    def step(self) -> int:
        """Advance to the clock's time and process everything that falls due on the way. Returns the time reached."""
        state = self.state
        target = self.clock.now_ms()
        stride = MINUTE_MS if target - state.now_ms <= _MINUTE_STEPS_MS else HOUR_MS
        while state.now_ms < target:
            before = state.now_ms
            busy = self.account.held or self.orders.open or self.ledger.balance("USDT") < 0
            state.now_ms = min(target, (before // stride + 1) * stride) if busy else target
            if busy or state.now_ms // MINUTE_MS != before // MINUTE_MS:
                self._lifecycle.process_due(before)
        return state.now_ms

    def depth(self, pair: ListedPair, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks) that are left now, best first."""
        return self.matching.liquidity.depth(pair, self.now_ms, levels, spot=spot)

    def switch_interval(self, symbol: str, hours: int) -> None:
        """Change a perpetual's settlement interval from its next settlement on. Raises KeyError or ValueError."""
        pair = self.market.perps[symbol]
        self.market.source.switch(pair.number, self.now_ms, hours)
        self.market.clear_caches()

    def delist(self, symbol: str, in_s: float = 0.0) -> None:
        """Announce the delivery of a perpetual in `in_s` venue seconds, at the next step at the earliest."""
        pair = self.market.perps[symbol]
        pair.delivery_ms = max(self.now_ms + round(in_s * 1_000), self.now_ms + 1)

    def adl(self, symbol: str, share: Decimal = Decimal(1)) -> None:
        """Auto-deleverage a share of the position in a perpetual."""
        self._lifecycle.auto_deleverage(self.market.perps[symbol], share)
