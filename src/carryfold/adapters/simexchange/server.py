"""The server: loopback HTTP and websockets around an exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from carryfold.adapters.simexchange import rest_history, rest_public
from carryfold.adapters.simexchange.answers import Params, Refused
from carryfold.adapters.simexchange.config import SimConfig
from carryfold.adapters.simexchange.exchange import Exchange

__all__ = ["Endpoints", "SimExchange"]

HOST: Final = "127.0.0.1"

Handler = Callable[[Exchange, Params], dict[str, Any]]

PUBLIC: Final[dict[str, Handler]] = {
    "/v5/market/time": rest_public.server_time,
    "/v5/market/instruments-info": rest_public.instruments,
    "/v5/market/tickers": rest_public.tickers_of,
    "/v5/market/orderbook": rest_public.order_book,
    "/v5/market/recent-trade": rest_public.recent_trades,
    "/v5/market/index-price-components": rest_public.index_components,
    "/v5/spot-margin-trade/data": rest_public.borrow_data,
    "/v5/market/funding/history": rest_history.funding_history,
    "/v5/market/kline": rest_history.trade_candles,
    "/v5/market/mark-price-kline": rest_history.mark_candles,
    "/v5/market/index-price-kline": rest_history.index_candles,
    "/v5/market/premium-index-price-kline": rest_history.premium_candles,
    "/v5/market/open-interest": rest_history.open_interest,
}


class Endpoints(msgspec.Struct, frozen=True):
    """Where a running exchange is, and the one key that it knows."""

    rest: str
    ws_public_linear: str
    ws_public_spot: str
    ws_private: str
    api_key: str
    api_secret: str


class SimExchange:
    """A running exchange. `async with await SimExchange.start(SimConfig(...)) as exchange: ...`"""

    def __init__(self, config: SimConfig) -> None:
        """Use `start`."""
        self.config = config
        self.exchange = Exchange(config)
        self.clock = self.exchange.clock
        self.api_key = f"sim{config.seed:015d}"
        self.api_secret = f"simsecret{config.seed:027d}"
        self._runner: web.AppRunner | None = None
        self._port = 0

    @classmethod
    async def start(cls, config: SimConfig | None = None) -> SimExchange:
        """Begin to serve on loopback. Raises OSError when the port is taken."""
        running = cls(config or SimConfig())
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/v5/{rest:.*}", running._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, HOST, running.config.port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        running._runner = runner
        running._port = runner.addresses[0][1]
        return running

    @property
    def endpoints(self) -> Endpoints:
        """Where to point a client."""
        place = f"{HOST}:{self._port}"
        return Endpoints(
            f"http://{place}",
            f"ws://{place}/v5/public/linear",
            f"ws://{place}/v5/public/spot",
            f"ws://{place}/v5/private",
            self.api_key,
            self.api_secret,
        )

    async def stop(self) -> None:
        """Close every connection and give the port back. Harmless when stopped already."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> SimExchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.exchange.step()
        handler = PUBLIC.get(request.path)
        if handler is None:
            raise web.HTTPNotFound
        params = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        try:
            answer = {"retCode": 0, "retMsg": "OK", "result": handler(self.exchange, params)}
        except Refused as refused:
            answer = {"retCode": refused.code, "retMsg": refused.message, "result": {}}
        answer |= {"retExtInfo": {}, "time": self.clock.told_ms()}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
