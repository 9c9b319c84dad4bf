"""The daemon in paper mode against the demo's venue, and what its log says of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from carryfold.adapters.daemon.recovery import run_events
from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
from carryfold.adapters.simexchange import SimExchange
from carryfold.adapters.tour.market import SPEED, START, demo_venue
from carryfold.domain.events import EntryDecided, ExitDecided
from carryfold.domain.fold.money import equity
from carryfold.domain.params import parse_settings
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo, refold
from carryfold.projections.tape import Tape

__all__ = ["HOURS", "SETS", "PaperDecision", "PaperResult", "paper_decisions", "paper_result", "run_paper"]

HOURS: Final = 10
FOLLOWED: Final = 5
_COMMON: Final = ("rate_source=predicted", "stale_s=900", "leg_skew_s=900", "min_interval_h=0")
SETS: Final = {
    "patient": ("strategy=simple", "enter=0.0001", "exit=-0.001"),
    "eager": ("strategy=simple", "enter=0.00005", "exit=0.00003"),
}
"""Two parameter sets side by side, with thresholds so low that something happens in ten hours: one keeps what it has
through a bad hour, the other leaves at once and pays the fees."""

LOOK_EVERY_S: Final = 0.2
E8: Final = 100_000_000


def run_paper(home: Path, seed: int, advance: Callable[[int], None]) -> None:
    """HOURS of venue time at SPEED; `advance` is told how many of its seconds have passed. Raises what the daemon
    raises."""
    asyncio.run(_run(home, seed, advance))


async def _run(home: Path, seed: int, advance: Callable[[int], None]) -> None:
    watching: list[asyncio.Task[None]] = []

    def started(daemon: Daemon) -> None:
        watching.append(asyncio.ensure_future(_watch(daemon, advance)))

    async with await SimExchange.start(demo_venue(seed, speed=SPEED)) as venue:
        settings = DaemonSettings(
            mode="paper",
            pairs=f"top:{FOLLOWED}",
            endpoint=venue.endpoints.rest,
            sets=tuple(ParameterSet(name, parse_settings([*_COMMON, *own])) for name, own in SETS.items()),
            speed=SPEED,
            stop_after_s=HOURS * 3_600.0,
        )
        try:
            await run_daemon(home, settings, signals=False, started=started)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


async def _watch(daemon: Daemon, advance: Callable[[int], None]) -> None:
    while True:
        advance((daemon.pace.now() - START) // 10**9)
        await asyncio.sleep(LOOK_EVERY_S)


class PaperResult(NamedTuple):
    """How a run stood at its end, in quote; `funding` and `fees` are part of `net`."""

    held: int
    funding: float
    fees: float
    net: float


def paper_result(tape: Tape, info: RunInfo) -> PaperResult:
    """By folding the run again. Raises RunError."""
    state, outputs = refold(tape, info, info.last_seq)
    for _ in outputs:
        pass
    book = state.book[0]
    funding, fees, net = (int(e8) / E8 for e8 in (book["funding"], book["fees"], equity(book) - book["capital"]))
    return PaperResult(int(book["held"]), funding, fees, net)


class PaperDecision(NamedTuple):
    """One decision of a paper run. `rate`: the 8 h-equivalent rate that decided it."""

    run: int
    at: int
    symbol: str
    action: str
    reason: str
    size: float
    rate: float


def paper_decisions(reader: LogReader) -> Iterator[PaperDecision]:
    """Every entry and exit that the log's runs decided, in order."""
    for _, _, event in run_events(reader):
        if not isinstance(event, EntryDecided | ExitDecided):
            continue
        name, rate = event.pair.short.symbol, float(event.working["q"])
        if isinstance(event, EntryDecided):
            yield PaperDecision(event.run, event.event_at, name, "enter", "", float(event.size), rate)
        else:
            yield PaperDecision(event.run, event.event_at, name, "exit", event.reason, 0.0, rate)
