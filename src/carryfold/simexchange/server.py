"""The server: HTTP and websockets on loopback around an exchange, with controls for tests."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import Final

import msgspec
from aiohttp import web

from carryfold.simexchange.auth import Authenticator
from carryfold.simexchange.config import SimConfig
from carryfold.simexchange.connection import Kind
from carryfold.simexchange.dispatcher import RequestDispatcher
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.faults import Fault, Faults
from carryfold.simexchange.ledger import Ledger
from carryfold.simexchange.limits import RateLimits
from carryfold.simexchange.streams import WebsocketStreams

__all__ = ["Endpoints", "SimExchange"]

HOST: Final = "127.0.0.1"
_SOCKETS: Final[dict[str, Kind]] = {
    "/v5/public/linear": "linear",
    "/v5/public/spot": "spot",
    "/v5/private": "private",
    "/v5/trade": "trade",
}


class Endpoints(msgspec.Struct, frozen=True):
    """The addresses of a running exchange, and its API key."""

    rest: str
    ws_public_linear: str
    ws_public_spot: str
    ws_private: str
    ws_trade: str
    api_key: str
    api_secret: str


class SimExchange:
    """A running exchange. `async with await SimExchange.start(SimConfig(...)) as venue: ...`

    Everything runs in one event loop. The controls are plain methods that take effect at once.
    """

    def __init__(self, config: SimConfig) -> None:
        """Use `start`."""
        self.config = config
        self.exchange = Exchange(config)
        self.clock = self.exchange.clock
        self.faults = Faults(config.seed)
        self.api_key = f"sim{config.seed:015d}"
        self.api_secret = f"simsecret{config.seed:027d}"
        self.limits = RateLimits(config.ip_limit, config.ip_ban_s, private=config.private_limits)
        authenticator = Authenticator(self.exchange, self.api_key, self.api_secret)
        self._dispatcher = RequestDispatcher(self.exchange, authenticator, self.limits, self.faults)
        self._streams = WebsocketStreams(self.exchange, authenticator, self.faults)
        self._streams.trade = self._dispatcher.answer_trade_message
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._port = 0
        self._out_until_ms = 0
        for fault in config.faults:
            self.faults.inject(
                str(fault.get("name", "")), **{key: value for key, value in fault.items() if key != "name"}
            )

    @classmethod
    async def start(cls, config: SimConfig | None = None) -> SimExchange:
        """Start serving on loopback. Raises OSError when the port is taken, ValueError for invalid faults or an
        unusable replay."""
        running = cls(config or SimConfig())
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{rest:.*}", running._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, running.config.port).start()
        except OSError:
            await runner.cleanup()
            raise
        running._runner = runner
        running._port = runner.addresses[0][1]
        running._ticker = asyncio.ensure_future(running._tick())
        return running

    @property
    def endpoints(self) -> Endpoints:
        """The addresses and the key for a client."""
        http, ws = f"http://{HOST}:{self._port}", f"ws://{HOST}:{self._port}"
        sockets = {kind: ws + path for path, kind in _SOCKETS.items()}
        return Endpoints(
            http,
            sockets["linear"],
            sockets["spot"],
            sockets["private"],
            sockets["trade"],
            self.api_key,
            self.api_secret,
        )

    @property
    def ledger(self) -> Ledger:
        """The account's ledger."""
        return self.exchange.ledger

    @property
    def now_ms(self) -> int:
        """Venue time of the last step."""
        return self.exchange.now_ms

    @property
    def connections(self) -> int:
        """Number of open websockets."""
        return self._streams.connections

    async def stop(self) -> None:
        """Close every connection and the port. Does nothing when stopped already. Raises the error that ended the
        streams, if there was one."""
        runner, self._runner = self._runner, None
        ticker, self._ticker = self._ticker, None
        if runner is not None:
            self._streams.break_all()
            await runner.cleanup()
        if ticker is not None:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker

    async def wait(self) -> None:
        """Serve until cancelled. Raises the error that ended the streams, if there was one."""
        assert self._ticker is not None, "not running"
        await self._ticker

    def advance(self, seconds: float) -> int:
        """Advance venue time, process everything that falls due, and push all changes. Returns the new time in ms."""
        self.clock.advance(seconds)
        self._step()
        self._streams.publish()
        return self.exchange.now_ms

    def switch_interval(self, symbol: str, hours: int) -> None:
        """Change a perpetual's settlement interval from its next settlement on."""
        self._step()
        self.exchange.switch_interval(symbol, hours)

    def delist(self, symbol: str, in_s: float = 0.0) -> None:
        """Announce the delisting of a perpetual in `in_s` venue seconds."""
        self._step()
        self.exchange.delist(symbol, in_s)

    def adl(self, symbol: str, share: Decimal = Decimal(1)) -> None:
        """Auto-deleverage a share of the position in a perpetual."""
        self._step()
        self.exchange.adl(symbol, share)
        self._streams.flush()

    def external_trade(self, symbol: str, qty: Decimal, *, spot: bool = False) -> None:
        """Trade on the account outside the bot: a market order of `qty` coins, sold < 0. Raises Refused."""
        self._step()
        market = self.exchange.market
        pair = market.spots[symbol] if spot else market.perps[symbol]
        self.exchange.matching.trade_externally(pair, abs(qty), spot=spot, buy=qty > 0)
        self._streams.flush()

    def revoke_key(self) -> None:
        """Make the key invalid. Websockets that are logged in stay open."""
        self.exchange.rights = None

    def outage(self, seconds: float) -> None:
        """Answer with HTTP 503 for some venue seconds and break every websocket. Market and account go on."""
        self._step()
        self._out_until_ms = self.exchange.now_ms + round(seconds * 1_000)
        self._streams.break_all()

    def disconnect(self) -> None:
        """Break every websocket."""
        self._streams.break_all()

    async def __aenter__(self) -> SimExchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._step()
        if self.exchange.now_ms < self._out_until_ms:
            return web.Response(status=503, text="Service Unavailable")
        kind = _SOCKETS.get(request.path)
        if kind is not None:
            return await self._streams.serve(request, kind)
        response = await self._dispatcher.answer(request)
        self._streams.flush()
        return response

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self.config.push_ms / 1_000, loop.time())
            await asyncio.sleep(due - loop.time())
            self._step()
            self._streams.publish()

    def _step(self) -> None:
        """Advance the exchange to the clock's time, and apply the state faults that are due."""
        self.exchange.step()
        for fault in self.faults.due((self.exchange.now_ms - self.clock.start_ms) / 1_000):
            self._apply(fault)

    def _apply(self, fault: Fault) -> None:
        if fault.name == "clock_skew":
            self.clock.skew_ms = int(fault.number(0))
        elif fault.name == "outage":
            self.outage(fault.seconds)
        elif fault.name == "switch_interval":
            self.switch_interval(fault.symbol, int(fault.number(1)))
        elif fault.name == "delist":
            self.delist(fault.symbol, fault.seconds)
        elif fault.name == "adl":
            self.adl(fault.symbol, Decimal(str(fault.number(1))))
        elif fault.name == "revoke_key":
            self.revoke_key()
        elif fault.name == "hand_trade":
            self.external_trade(fault.symbol, Decimal(str(fault.number(0))), spot=fault.category == "spot")
        else:
            assert fault.name == "disconnect_all"
            self.disconnect()
