"""An exchange for a test, and its clients: plain calls, signed requests, the unmodified ccxt."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest

from carryfold.simexchange import SimConfig, SimExchange
from carryfold.simexchange.auth import sign
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.listed_pair import fixed, plain
from tests import steady

START_MS = 1_767_225_600_000 + 3_600_000 + 30_000  # 2026-01-01 01:00:30 UTC, in the middle of a minute
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DEADLINE_S = 30.0

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one test in an event loop, with a deadline."""
    return steady.run(work, 60.0)


def config(**changes: Any) -> SimConfig:
    """A small market at a fixed time, with a clock that stands still."""
    return SimConfig(**({"history_days": 40, "start_ms": START_MS, "speed": 0.0, "ip_ban_s": 0.2} | changes))


def still(**changes: Any) -> Exchange:
    """A small exchange without network, with a clock that only `advance` moves."""
    return Exchange(config(**({"pairs": 5, "history_days": 12} | changes)))


def advance(exchange: Exchange, seconds: float) -> None:
    """Advance its time and process what falls due."""
    exchange.clock.advance(seconds)
    exchange.step()


def quotes(exchange: Exchange, symbol: str, *, spot: bool = False) -> tuple[Decimal, Decimal]:
    """(best bid, best ask)."""
    market = exchange.market
    one = (market.spots if spot else market.perps)[symbol]
    decimals = one.spot_decimals if spot else one.decimals
    bid, ask = market.best(one, exchange.now_ms, spot=spot)
    return Decimal(fixed(bid.price, decimals)), Decimal(fixed(ask.price, decimals))


def order(
    symbol: str, side: str, qty: str | Decimal, price: Decimal | None = None, *, spot: bool = False, **more: Any
) -> dict[str, Any]:
    """The body of order/create: a market order in coins, or a limit order."""
    body: dict[str, Any] = {
        "category": "spot" if spot else "linear",
        "symbol": symbol,
        "side": side,
        "orderType": "Market" if price is None else "Limit",
        "qty": str(qty),
    }
    if price is not None:
        body["price"] = plain(price)
    elif spot:
        body["marketUnit"] = "baseCoin"
    return body | more


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[SimExchange]:
    """A running exchange."""
    async with await SimExchange.start(config(**changes)) as venue:
        yield venue


@asynccontextmanager
async def ccxt_of(venue: SimExchange, **options: Any) -> AsyncIterator[Any]:
    """The unmodified ccxt.pro client, pointed at an exchange; closed at the end."""
    import ccxt.pro

    client = ccxt.pro.bybit(
        {"apiKey": venue.api_key, "secret": venue.api_secret, "enableRateLimit": False, "timeout": 10_000} | options
    )
    point(client, venue)
    try:
        yield client
    finally:
        await client.close()


def point(client: Any, venue: SimExchange) -> None:
    """Replace every address of ccxt by the exchange's."""
    to = venue.endpoints
    public = dict.fromkeys(("linear", "inverse", "option"), to.ws_public_linear) | {"spot": to.ws_public_spot}
    private = {"spot": dict.fromkeys(("unified", "nonUnified"), to.ws_private), "contract": to.ws_private}
    private |= {"usdc": to.ws_private, "trade": to.ws_trade}
    client.urls["api"] = {name: to.rest for name in client.urls["api"] if name != "ws"}
    client.urls["api"]["ws"] = {"public": public, "private": private}


class Caller:
    """A client that sends single requests."""

    def __init__(self, venue: SimExchange, session: aiohttp.ClientSession) -> None:
        self._venue = venue
        self._session = session

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """A public GET."""
        async with self._session.get(self._venue.endpoints.rest + path, params=params) as response:
            return dict(await response.json())

    async def status(self, path: str, **params: Any) -> int:
        """The HTTP status of a public GET."""
        async with self._session.get(self._venue.endpoints.rest + path, params=params) as response:
            return response.status

    async def signed(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        key: str = "",
        secret: str = "",
        timestamp_ms: int = 0,
    ) -> dict[str, Any]:
        """A signed request, optionally with another key, secret or time."""
        payload = urlencode(params or {}) if method == "GET" else json.dumps(params or {})
        key, stamp = key or self._venue.api_key, str(timestamp_ms or time.time_ns() // 1_000_000)
        signature = sign(secret or self._venue.api_secret, stamp + key + "5000" + payload)
        headers = {"X-BAPI-API-KEY": key, "X-BAPI-TIMESTAMP": stamp, "X-BAPI-RECV-WINDOW": "5000"}
        headers["X-BAPI-SIGN"] = signature
        url = self._venue.endpoints.rest + path + (f"?{payload}" if method == "GET" and payload else "")
        body = payload if method == "POST" else None
        async with self._session.request(method, url, data=body, headers=headers) as response:
            return dict(await response.json())

    async def socket(self, url: str, *topics: str, known: bool = False) -> aiohttp.ClientWebSocketResponse:
        """A websocket that is logged in when `known`, and subscribed to topics."""
        socket = await self._session.ws_connect(url)
        if known:
            expires = str(time.time_ns() // 1_000_000 + 10_000)
            signature = sign(self._venue.api_secret, "GET/realtime" + expires)
            await socket.send_json({"op": "auth", "args": [self._venue.api_key, expires, signature]})
            assert (await socket.receive_json(timeout=DEADLINE_S))["success"] is True
        if topics:
            await socket.send_json({"op": "subscribe", "req_id": "1", "args": list(topics)})
            assert (await socket.receive_json(timeout=DEADLINE_S))["success"] is True
        return socket


@asynccontextmanager
async def calling(venue: SimExchange) -> AsyncIterator[Caller]:
    """A caller for a running exchange."""
    async with aiohttp.ClientSession() as session:
        yield Caller(venue, session)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        await asyncio.sleep(0.005)


def fixture_of(name: str) -> dict[str, Any]:
    """A message of the venue's documentation, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    path = Path(os.environ.get("CARRYFOLD_SHARED", beside)) / "fixtures" / "bybit_docs" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"this machine has no {name}.json of the venue's documentation")
    return dict(msgspec.json.decode(path.read_bytes()))
