"""A Bybit on loopback for these tests, and a way to run what is asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.domain.codec import decode_batch
from carryfold.domain.events import Event
from carryfold.eventlog import LogReader
from carryfold.simexchange import SimConfig, SimExchange
from tests import steady

T = TypeVar("T")

NOW_MS = 1_750_000_000_000  # 2025-06-15T15:06:40Z
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def run(work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
    """A coroutine to its end, within so many seconds."""
    return steady.run(work, seconds)


async def no_pause(seconds: float) -> None:
    """Instead of waiting between attempts."""
    assert seconds >= 0


@asynccontextmanager
async def exchange(**options: Any) -> AsyncIterator[tuple[SimExchange, BybitMarket]]:
    """A simulated exchange whose clock stands, and its market."""
    config = {"speed": 0, "start_ms": NOW_MS, "pairs": 3, "ip_limit": 0, "auto_switch": False}
    running = await SimExchange.start(SimConfig(**{**config, **options}))
    endpoint = Endpoint.at(running.endpoints.rest)
    market = BybitMarket(endpoint, client=RestClient(endpoint, rate_limit_ms=1, sleep=no_pause))
    try:
        yield running, market
    finally:
        await asyncio.gather(market.close(), running.stop())


@asynccontextmanager
async def answering(
    answer: Any, status: int = 200, seen: list[web.Request] | None = None, bodies: list[bytes] | None = None
) -> AsyncIterator[Endpoint]:
    """A venue with one answer to every request: JSON of `answer`, or text as it is, or the result of a function of the
    request. Keeps the requests in `seen`, and their `bodies`."""

    async def handle(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        if bodies is not None:
            bodies.append(await request.read())
        reply = answer(request) if callable(answer) else answer
        if isinstance(reply, web.Response):
            return reply
        if isinstance(reply, str):
            return web.Response(text=reply, status=status)
        return web.json_response(reply, status=status)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Endpoint.at(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def events_of(home: Path) -> list[tuple[int, Event]]:
    """(known_at, event) of everything in a log, in its order."""
    with LogReader.open(home) as reader:
        batches = (decode_batch(batch.payload, batch.first_seq) for batch in reader.read())
        return [(known_at, event) for batch in batches for _, known_at, event in batch]
