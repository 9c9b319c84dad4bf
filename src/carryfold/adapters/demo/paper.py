"""The daemon in paper mode against the demo exchange, and the results in its log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
from carryfold.adapters.demo.market import SPEED, START, demo_exchange
from carryfold.domain.params import parse_settings
from carryfold.simexchange import SimExchange

__all__ = ["HOURS", "PARAMETER_SETS", "run_paper"]

HOURS: Final = 10
PAIRS_TRADED: Final = 5
_COMMON_SETTINGS: Final = ("rate_source=predicted", "stale_s=900", "leg_skew_s=900", "min_interval_h=0")
PARAMETER_SETS: Final = {
    "patient": ("strategy=simple", "enter=0.0001", "exit=-0.001"),
    "eager": ("strategy=simple", "enter=0.00005", "exit=0.00003"),
}
"""Two parameter sets side by side. Their thresholds are low enough for entries within ten hours. One keeps its
positions through an hour of low rates; the other exits at once and pays the fees."""

PROGRESS_INTERVAL_S: Final = 0.2


def run_paper(home: Path, seed: int, advance: Callable[[int], None]) -> None:
    """Run the daemon for HOURS of venue time at SPEED. `advance` is called with the venue seconds passed. Raises the
    daemon's errors."""
    asyncio.run(_run(home, seed, advance))


async def _run(home: Path, seed: int, advance: Callable[[int], None]) -> None:
    watchers: list[asyncio.Task[None]] = []

    def started(daemon: Daemon) -> None:
        watchers.append(asyncio.ensure_future(_report_progress(daemon, advance)))

    async with await SimExchange.start(demo_exchange(seed, speed=SPEED)) as venue:
        settings = DaemonSettings(
            mode="paper",
            pairs=f"top:{PAIRS_TRADED}",
            endpoint=venue.endpoints.rest,
            sets=tuple(
                ParameterSet(name, parse_settings([*_COMMON_SETTINGS, *own])) for name, own in PARAMETER_SETS.items()
            ),
            speed=SPEED,
            stop_after_s=HOURS * 3_600.0,
        )
        try:
            await run_daemon(home, settings, signals=False, started=started)
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)


async def _report_progress(daemon: Daemon, advance: Callable[[int], None]) -> None:
    while True:
        advance((daemon.clock.now() - START) // 10**9)
        await asyncio.sleep(PROGRESS_INTERVAL_S)
