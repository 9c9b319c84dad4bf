"""A simulated exchange, a daemon on it, and readers of its log."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
from carryfold.domain.codec import decode_batch, encode, event_key
from carryfold.domain.events import Event
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.params import parse_settings
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.cursor import parse_time
from carryfold.projections.run_verification import Verification, verify_run
from carryfold.projections.runs import list_runs
from carryfold.projections.tape import Tape
from carryfold.simexchange import SimConfig, SimExchange
from tests import steady

START = "2025-06-01T23:50:00Z"
"""Ten minutes before every pair settles."""

SECOND = 1_000_000_000
DEADLINE_S = 120.0
EASY = ("stale_s=120", "leg_skew_s=120", "enter=0.00002", "exit=0.00001")
"""The venues of these tests run fast: two messages of one moment may be many seconds of their clock apart."""

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """One event loop for one test, with a deadline."""
    return steady.run(work, DEADLINE_S)


async def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S / 2) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


async def logged(home: Path, kind: type[Event], is_it: Callable[[Any], bool] = lambda _: True, count: int = 1) -> None:
    """Wait until so many of these events are in the log."""
    after, found = 0, 0
    async with asyncio.timeout(DEADLINE_S / 2):
        with LogReader.open(home) as reader:
            while found < count:
                for batch in reader.read(after):
                    after = batch.last_seq
                    events = (event for *_, event in decode_batch(batch.payload, batch.first_seq))
                    found += sum(isinstance(event, kind) and is_it(event) for event in events)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def exchange(*, start: str = START, **changes: Any) -> AsyncIterator[SimExchange]:
    """Eight generated pairs at a fixed time, without a rate limit."""
    usual: dict[str, Any] = {"pairs": 8, "history_days": 8, "speed": 300.0, "push_ms": 50, "ip_limit": 0}
    config = SimConfig(start_ms=parse_time(start) // 1_000_000, **(usual | changes))
    async with await SimExchange.start(config) as venue:
        yield venue


def parameter_set(name: str, *settings: str) -> ParameterSet:
    """Easy thresholds, overridden by texts of the form name=value."""
    return ParameterSet(name, parse_settings([*EASY, *settings]))


def settings_for(venue: SimExchange, sets: Sequence[ParameterSet] | None = None, **changes: Any) -> DaemonSettings:
    """A paper run on every pair that trades."""
    usual: dict[str, Any] = {"mode": "paper", "pairs": "top:7", "speed": venue.clock.speed, "low_disk_mb": 0}
    chosen = (parameter_set("run"),) if sets is None else tuple(sets)
    return DaemonSettings(endpoint=venue.endpoints.rest, sets=chosen, **(usual | changes))


@asynccontextmanager
async def daemon(home: Path, settings: DaemonSettings, **more: Any) -> AsyncIterator[Daemon]:
    """An armed daemon, which is stopped in order at the end. Raises what the daemon raises."""
    started: list[Daemon] = []
    task = asyncio.ensure_future(run_daemon(home, settings, signals=False, started=started.append, **more))
    try:
        await until(lambda: task.done() or bool(started and started[0].armed.is_set()))
        if task.done():
            await task
        yield started[0]
        if not task.done():
            started[0].stopping.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def read(home: Path) -> Iterator[tuple[LogReader, Tape]]:
    """The log and its tape."""
    with LogReader.open(home) as reader:
        yield reader, Tape.open(home, reader)


def events_of(home: Path, *kinds: type[Event]) -> list[tuple[int, int, Any]]:
    """(seq, known_at, event) of the log, of some kinds or all."""
    with LogReader.open(home) as reader:
        return [
            (seq, known_at, event)
            for batch in reader.read()
            for seq, known_at, event in decode_batch(batch.payload, batch.first_seq)
            if not kinds or isinstance(event, kinds)
        ]


def kinds_of(home: Path) -> list[str]:
    """Names of the events in order."""
    return [type(event).__name__ for _, _, event in events_of(home)]


def verify_all(home: Path) -> list[Verification]:
    """Every run of the log, folded again."""
    with read(home) as (reader, tape):
        return [verify_run(reader, tape, info, CODE_DIGEST) for info in list_runs(reader)]


def copy_of(home: Path, folder: Path) -> Path:
    """A copy of a home, which may be changed."""
    return Path(shutil.copytree(home, folder / "copy", ignore=shutil.ignore_patterns("owner.sock")))


Change = Callable[[int, Event], Event | None]


def rewritten(home: Path, new_home: Path, change: Change) -> Path:
    """A log made again, event by event, at the times of the first one: `change` (seq, event) gives what becomes of an
    event; None ends the log there. Whoever changes a log like this has computed its digests anew."""
    at = [0]
    with (
        LogReader.open(home) as reader,
        EventLog.open(new_home, clock=Clock(lambda: at[0], lambda: 0)) as log,
    ):
        for batch in reader.read():
            entries: list[tuple[bytes, bytes | None, int | None]] = []
            for seq, known_at, event in decode_batch(batch.payload, batch.first_seq):
                kept = change(seq, event)
                if kept is None:
                    break
                entries.append((encode(kept), event_key(kept), known_at))
            at[0] = batch.recorded_at
            log.clock.re_anchor()
            if entries:
                log.append(entries)
            if len(entries) < batch.last_seq - batch.first_seq + 1:
                break
    return new_home
