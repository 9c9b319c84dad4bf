"""The one place where ccxt's REST object is made and used.

Requests go through ccxt's own methods for each address (`public_get_v5_market_kline` and so on) and return the venue's
own JSON: ccxt signs, throttles and names errors, and nothing rounds, truncates or drops a value between the venue's
text and our Decimal or float. A request for data is repeated on any error that may pass. An order is sent exactly once,
and the sender classifies the error.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.errors import ErrorKind, classify, venue_error
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.venues.credentials import Credentials

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Answer", "RestClient", "configure", "quieten", "release"]

PUBLIC_RATE_LIMIT_MS: Final = 5
"""ccxt counts market data at five of these: 40 requests a second, a third of what the venue allows an address."""

PRIVATE_RATE_LIMIT_MS: Final = 20  # the venue's limits a key, as ccxt counts them
TIMEOUT_MS: Final = 10_000
MAX_ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0
_WRONG_CLOCK: Final = "10002"
_BROKEN: Final = "the answer is not what the venue documents"

Sleep = Callable[[float], Awaitable[None]]


class Answer(NamedTuple):
    """The `result` of one answer, and when the venue gave it (UTC ms, 0 if it does not say)."""

    result: dict[str, Any]
    time_ms: int

    def rows(self) -> list[Any]:
        """`result.list`; empty where the venue leaves it out."""
        rows = self.result.get("list")
        return rows if isinstance(rows, list) else []


class RestClient:
    """One connection pool to one endpoint, with or without a key. Close it."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None = None,
        *,
        rate_limit_ms: int | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`rate_limit_ms` is ccxt's unit of throttling; `sleep` waits between attempts."""
        import ccxt.async_support

        usual = PUBLIC_RATE_LIMIT_MS if credentials is None else PRIVATE_RATE_LIMIT_MS
        self.endpoint = endpoint
        self._sleep = sleep
        self._exchange = configure(ccxt.async_support, endpoint, credentials, rate_limit_ms or usual)
        self._has_key = credentials is not None
        # ccxt's own parsing trips over some malformed answers with these two.
        self.errors: tuple[type[Exception], ...] = (ccxt.async_support.BaseError, OSError, ValueError, TypeError)

    async def get(self, method: str, params: Mapping[str, Any], subject: str) -> Answer:
        """Repeat a request for data until there is an answer. `subject` says in the user's words what is requested.

        Raises VenueError: at once for an error that a repetition cannot change, else after MAX_ATTEMPTS.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return _answer(await self.send(method, params))
            except self.errors as error:
                pause = await self._pause(error, attempt)
                if pause is None:
                    raise venue_error(error, subject) from None
            await self._sleep(pause)
        raise AssertionError("the last attempt raises")

    async def send(self, method: str, params: Mapping[str, Any]) -> Any:
        """One request, once. Raises what ccxt raises; `errors.judge` knows what it means."""
        return await getattr(self._exchange, method)(dict(params))

    async def server_time_ms(self) -> int:
        """The venue's clock, UTC ms."""
        answer = await self.get("public_get_v5_market_time", {}, "its time")
        nano = str(answer.result.get("timeNano") or "")
        return int(nano) // 1_000_000 if nano.isdecimal() else answer.time_ms

    async def follow_clock(self) -> None:
        """Sign with the venue's time from now on. Raises what ccxt raises."""
        await self._exchange.load_time_difference()

    async def close(self) -> None:
        """Close the connections."""
        await release(self._exchange)

    async def _pause(self, error: Exception, attempt: int) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        kind, _, after_s, code = classify(error)
        if kind not in (ErrorKind.RETRY, ErrorKind.UNKNOWN) or attempt == MAX_ATTEMPTS or after_s > MAX_PAUSE_S:
            return None
        if code == _WRONG_CLOCK and self._has_key:
            if attempt > 1:
                return None
            try:
                await self.follow_clock()
            except self.errors as failed:
                return None if classify(failed).kind is ErrorKind.FATAL else FIRST_PAUSE_S
            return 0.0
        backoff_s: float = FIRST_PAUSE_S * 2.0 ** (attempt - 1)
        return max(after_s if kind is ErrorKind.RETRY else 0.0, backoff_s)


def configure(module: ModuleType, endpoint: Endpoint, credentials: Credentials | None, rate_limit_ms: int) -> Any:
    """A ccxt exchange of `module` (async_support or pro) for `endpoint` alone.

    The options say that the account is a unified one and that markets are spot and linear, which ccxt would otherwise
    request from the venue first.
    """
    quieten()
    settings: dict[str, Any] = {
        "enableRateLimit": True,
        "rateLimit": rate_limit_ms,
        "timeout": TIMEOUT_MS,
        "newUpdates": True,
        "options": {
            "defaultType": "swap",
            "recvWindow": round(FACTS.receive_window_s * 1_000),
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
            "fetchMarkets": {"types": ["spot", "linear"]},
            "fetchCurrencies": False,
        },
    }
    if credentials is not None:
        settings |= {"apiKey": credentials.key.reveal(), "secret": credentials.secret.reveal()}
    exchange = module.bybit(settings)
    exchange.ssl_context = _tls(exchange.cafile)
    if endpoint.rest.startswith("http:"):
        exchange.timeout_on_exit = 0  # ccxt waits for the farewell of TLS
    exchange.has["fetchCurrencies"] = False  # one signed request fewer; we name coins as the venue does
    exchange.urls["api"] = _addresses(endpoint, with_sockets=module.__name__ == "ccxt.pro")
    return exchange


def _addresses(endpoint: Endpoint, *, with_sockets: bool) -> dict[str, Any]:
    """Every address that ccxt may use, under ccxt's names."""
    rest: dict[str, Any] = dict.fromkeys(("spot", "futures", "v2", "public", "private"), endpoint.rest)
    if not with_sockets:
        return rest
    linear, private = endpoint.ws_linear, endpoint.ws_private
    public = {"spot": endpoint.ws_spot, "linear": linear, "inverse": linear, "option": linear}
    spot = {"unified": private, "nonUnified": private}
    return rest | {
        "ws": {"public": public, "private": {"spot": spot, "contract": private, "usdc": private, "trade": private}}
    }


def quieten() -> None:
    """Keep ccxt from logging at level DEBUG, where it writes requests with their signed headers."""
    logging.getLogger("ccxt.base.exchange").setLevel(logging.INFO)
    logging.getLogger("ccxt").setLevel(logging.INFO)


@cache
def _tls(certificates: str) -> ssl.SSLContext:
    """One context for all of ccxt's objects, because reading the certificates takes longer than all the rest of
    them."""
    return ssl.create_default_context(cafile=certificates)


def _answer(response: Any) -> Answer:
    """Raises ValueError for a response that is not of this API's form."""
    if not isinstance(response, dict) or not isinstance(response.get("result"), dict):
        raise ValueError(_BROKEN)  # noqa: TRY004 - it is the venue that is wrong
    time_ms = str(response.get("time"))
    return Answer(response["result"], int(time_ms) if time_ms.isdecimal() else 0)


async def release(exchange: Any) -> None:
    """Close an exchange of ccxt completely, even when the caller is cancelled meanwhile: a half closed one would keep
    its connections."""
    closing = asyncio.ensure_future(exchange.close())
    try:
        await asyncio.shield(closing)
    finally:
        if not closing.done():
            await asyncio.wait([closing])
