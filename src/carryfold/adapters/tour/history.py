"""The venue's history into the demo's log, through ccxt like any other venue's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from carryfold.adapters.backfill import BackfillReport, Wanted, run_backfill
from carryfold.adapters.backfill.run import Progress
from carryfold.adapters.bybit import BybitMarket, parse_endpoint
from carryfold.adapters.simexchange import SimExchange
from carryfold.adapters.tour.market import DAYS, START, demo_venue
from carryfold.eventlog import Clock, EventLog

__all__ = ["NotTheDemo", "fetch_history"]

SEED_SETTING: Final = "demo_seed"
BAR_MINUTES: Final = 60
_DAY_MS: Final = 86_400_000


class NotTheDemo(ValueError):
    """The home holds something else; the text is one line."""


def fetch_history(home: Path, seed: int, progress: Progress | None = None) -> BackfillReport:
    """Bring 90 days of every pair into the home's log; what is there already is not asked for again. Raises
    NotTheDemo, LogError and VenueError."""
    with EventLog.open(home, clock=_standing_clock()) as log:
        _claim(log, seed)
        return asyncio.run(_fetch(log, seed, progress))


async def _fetch(log: EventLog, seed: int, progress: Progress | None) -> BackfillReport:
    async with await SimExchange.start(demo_venue(seed, speed=0)) as venue:
        market = BybitMarket(parse_endpoint(venue.endpoints.rest))
        try:
            until_ms = venue.now_ms
            wanted = Wanted(until_ms - DAYS * _DAY_MS, until_ms, BAR_MINUTES)
            pairs = await market.pairs()
            return await run_backfill(log, market.history, pairs, wanted, await market.server_time(), progress=progress)
        finally:
            await market.close()


def _standing_clock() -> Clock:
    """The log's time while history is fetched is the venue's, which stands."""
    return Clock(lambda: START, lambda: 0)


def _claim(log: EventLog, seed: int) -> None:
    """Refuse a log that is not this demo's."""
    found = log.get_meta(SEED_SETTING)
    if found is None and log.last.seq:
        raise NotTheDemo(
            f"{log.home} holds a log that is not the demo's: remove it, or name another folder with --home"
        )
    if found is not None and int(found) != seed:
        raise NotTheDemo(f"{log.home} holds the market of seed {int(found)}: name another folder with --home")
    log.set_meta(SEED_SETTING, str(seed).encode())
