"""Bybit for the contract suite: the simulated exchange, with the unmodified adapter in front of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.trading import BybitTrading
from carryfold.adapters.venues import Credentials, Market, Trading, VenueFacts
from carryfold.domain.instruments import Instrument
from carryfold.simexchange import SimConfig, SimExchange
from tests.adapters.bybit.venue import NOW_MS, no_pause
from tests.adapters.venues.sandbox import OrderFault, Outcome, Sandbox

__all__ = ["open_bybit"]

SWITCHED = "SYN02USDT"


ERROR_CODES: Final[dict[str, Outcome]] = {
    "10000": "unknown",
    "10001": "rejected",
    "10002": "retry",
    "10003": "fatal",
    "10004": "fatal",
    "10005": "fatal",
    "10006": "retry",
    "10010": "fatal",
    "10014": "unknown",
    "10016": "unknown",
    "10018": "retry",
    "10024": "fatal",
    "10429": "retry",
    "30228": "rejected",
    "33004": "fatal",
    "110072": "duplicate",
    "110079": "unknown",
    "170007": "unknown",
    "170141": "duplicate",
    "170146": "unknown",
    "170147": "unknown",
    "999999": "unknown",
}


class BybitSandbox:
    """Implements `Sandbox`."""

    def __init__(self, exchange: SimExchange, market: BybitMarket, trading: BybitTrading) -> None:
        self.facts: VenueFacts = FACTS
        self.error_codes = ERROR_CODES
        self.market: Market = market
        self.trading: Trading = trading
        self.secrets: tuple[str, ...] = exchange.api_key, exchange.api_secret
        self._exchange = exchange

    @property
    def switched(self) -> str:
        return SWITCHED

    @property
    def now(self) -> int:
        return self._exchange.now_ms * 1_000_000

    def advance(self, seconds: float) -> None:
        self._exchange.advance(seconds)

    def switch_interval(self, perp: Instrument, hours: int) -> None:
        self._exchange.switch_interval(perp.symbol, hours)

    def announce_delisting(self, perp: Instrument, in_s: float) -> None:
        self._exchange.delist(perp.symbol, in_s)

    def deleverage(self, perp: Instrument, share: Decimal) -> None:
        self._exchange.adl(perp.symbol, share)

    def fault_next_order(self, fault: OrderFault) -> None:
        faults = self._exchange.faults
        match fault:
            case "request lost":
                faults.inject("drop_request", where="order/create")
            case "answer lost":
                faults.inject("lose_response", where="order/create")
            case "half filled":
                faults.inject("partial_fill", value=0.5)
            case "not filled":
                faults.inject("partial_fill", value=0.0)

    def refuse_next_order(self, code: str) -> None:
        self._exchange.faults.inject("refuse", where="order/create", value=int(code), text="refused in a test")

    def fail_next_query(self) -> None:
        self._exchange.faults.inject("http_error", where="order/realtime")

    def set_clock_ahead(self, seconds: float) -> None:
        self._exchange.faults.inject("clock_skew", value=seconds * 1_000)
        self._exchange.advance(1)

    def break_streams(self) -> None:
        self._exchange.disconnect()

    def revoke_key(self) -> None:
        self._exchange.revoke_key()


@asynccontextmanager
async def open_bybit(*, real_clock: bool = False) -> AsyncIterator[Sandbox]:
    config = SimConfig(
        speed=0,
        start_ms=int(time.time() * 1_000) if real_clock else NOW_MS,
        pairs=5,
        history_days=40,
        schedule={SWITCHED: ((15, 1), (30, 8))},
        auto_switch=False,
        ip_limit=0,
        private_limits=False,
        push_ms=20,
    )
    exchange = await SimExchange.start(config)
    endpoint = Endpoint.at(exchange.endpoints.rest)
    market = BybitMarket(endpoint, client=RestClient(endpoint, rate_limit_ms=1, sleep=no_pause))
    credentials = Credentials(exchange.api_key, exchange.api_secret)
    trading = BybitTrading(endpoint, credentials, (), rate_limit_ms=1, sleep=no_pause)
    try:
        trading.add_pairs(await market.pairs())
        yield BybitSandbox(exchange, market, trading)
    finally:
        await asyncio.gather(market.close(), trading.close(), exchange.stop())
