"""Backfill of the demo exchange's history into the demo's log, through ccxt as for any other venue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from carryfold.adapters.backfill import BackfillReport, BackfillRequest, Progress, run_backfill
from carryfold.adapters.demo.market import DAYS, START, demo_exchange
from carryfold.adapters.venues import DEFAULT_VENUE, venue_named
from carryfold.eventlog import Clock, EventLog
from carryfold.simexchange import SimExchange

__all__ = ["NotTheDemo", "fetch_history"]

SEED_SETTING: Final = "demo_seed"
BAR_MINUTES: Final = 60
_DAY_MS: Final = 86_400_000


class NotTheDemo(ValueError):
    """The home holds another log. The message is one line."""


def fetch_history(home: Path, seed: int, progress: Progress | None = None) -> BackfillReport:
    """Fetch 90 days of every pair into the home's log, without what the log already holds. Raises NotTheDemo,
    LogError and VenueError."""
    with EventLog.open(home, clock=_fixed_clock()) as log:
        _require_demo_log(log, seed)
        return asyncio.run(_fetch(log, seed, progress))


async def _fetch(log: EventLog, seed: int, progress: Progress | None) -> BackfillReport:
    async with await SimExchange.start(demo_exchange(seed, speed=0)) as venue:
        port = venue_named(DEFAULT_VENUE)
        market = port.market(venue.endpoints.rest)
        try:
            until_ms = venue.now_ms
            request = BackfillRequest(until_ms - DAYS * _DAY_MS, until_ms, BAR_MINUTES)
            pairs = await market.pairs()
            now = await market.server_time()
            return await run_backfill(log, market.history, port.facts, pairs, request, now, progress=progress)
        finally:
            await market.close()


def _fixed_clock() -> Clock:
    """The clock of the log: venue time, which stands still while history is fetched."""
    return Clock(lambda: START, lambda: 0)


def _require_demo_log(log: EventLog, seed: int) -> None:
    """Mark the log as the demo's. Raises NotTheDemo for a log of another market."""
    found = log.get_meta(SEED_SETTING)
    if found is None and log.last.seq:
        raise NotTheDemo(f"{log.home} holds another log: remove it, or name another folder with --home")
    if found is not None and int(found) != seed:
        raise NotTheDemo(f"{log.home} holds the market of seed {int(found)}: name another folder with --home")
    log.set_meta(SEED_SETTING, str(seed).encode())
