"""A simulated exchange and a live daemon that trades on it: real orders through ccxt and back.

A test opens every pair by `resume` and closes them by `flatten`, as an operator would; the decisions are the fold's.
Venue and daemon share a clock that runs `SPEED` times as fast as real time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.daemon.conflation import RecordingPolicy
from carryfold.adapters.daemon.service import Daemon, run_daemon
from carryfold.adapters.daemon.settings import DaemonSettings, ParameterSet
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import Event, FlattenRequested, Halted, Resumed
from carryfold.domain.execution import ExecutionLimits
from carryfold.domain.params import parse_settings
from carryfold.eventlog import Clock, EventLog
from carryfold.simexchange import SimConfig, SimExchange
from tests import steady

SEED: Final = 7
KEY: Final = f"sim{SEED:015d}"
SECRET: Final = f"simsecret{SEED:027d}"
SPEED: Final = 10.0
START_MS: Final = 1_748_737_800_000  # 2025-06-01T00:30:00Z: far from a settlement at this speed
PAIRS: Final = "BTCUSDT,ETHUSDT,SYN03USDT,1000SYN04USDT"
WAIT_S: Final = 30.0
START_WITHIN_S: Final = 200.0
"""A first start compiles the fold."""

PARAMETERS: Final = (
    "enter=-1", "exit=-1", "cadence_s=1", "stale_s=600", "notional=300", "max_positions=8", "capital=90000",
    "daily_loss_limit=1", "drawdown_limit=1", "leg_skew_s=60",
)  # fmt: skip

LIMITS: Final = ExecutionLimits(
    max_unhedged_notional=400.0, deadline_s=40.0, quote_max_age_s=30.0, send_within_s=30.0, settle_s=2.0, work_s=200.0,
)  # fmt: skip
"""Times are longer than usual, because a busy machine is slow by this clock."""

POLICY: Final = RecordingPolicy(quote_s=1.0, hot_s=0.5, estimate_s=60.0, commits_a_second=4.0)
T = TypeVar("T")


class Session:
    """A live daemon and its venue."""

    def __init__(self, venue: SimExchange, home: Path, daemon: Daemon, task: asyncio.Future[None]) -> None:
        self.venue = venue
        self.home = home
        self.daemon = daemon
        self.task = task

    @property
    def broker(self) -> Broker:
        """The daemon's broker."""
        assert self.daemon.broker is not None
        return self.daemon.broker

    def figure(self, name: str) -> int:
        """A figure of the fold's book, read between two folds."""
        run = self.daemon.runs[0]
        with run._between_folds:
            return int(run.state.book[0][name])

    def cooling_down(self) -> set[str]:
        """Pairs that cool down because their last entry opened nothing."""
        now = self.daemon.clock.now()
        return {symbol for symbol, until in self.broker.dispatcher.entry_cooldowns.items() if until > now}

    @property
    def is_quiet(self) -> bool:
        """True if no process runs and no decision is pending."""
        return not self.broker.workers and not self.figure("ordered")

    async def until(self, condition: Callable[[], bool], what: str, within_s: float = WAIT_S) -> None:
        """Wait for a condition. Raises TimeoutError that names `what`."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: {self.describe()}")
            await asyncio.sleep(0.005)

    def describe(self) -> str:
        """The state of the run, for a test that fails."""
        books = {s: (b.long_units, b.short_units) for s, b in self.broker.account.books.pairs.items()}
        working = {s: list(w.process.state.orders) for s, w in self.broker.workers.items()}
        names = ("held", "ordered", "pending_entries", "halted", "flatten")
        figures = {name: self.figure(name) for name in names}
        return f"agreed {self.broker.agreed}, book {figures}, holdings {books}, at work {working}"

    async def command(self, event: Event) -> None:
        """An operator's command."""
        await self.daemon.engine.record([event])

    async def begin_open(self) -> None:
        """Allow entries."""
        await self.command(Resumed(0, self.daemon.clock.now(), "test"))

    async def open(self, pairs: int = 4) -> None:
        """Open every pair, then halt."""
        await self.begin_open()
        await self.until(
            lambda: self.figure("held") + len(self.cooling_down()) >= pairs and self.is_quiet, f"{pairs} pairs open"
        )
        await self.halt()

    async def halt(self) -> None:
        """No more entries."""
        await self.command(Halted(0, self.daemon.clock.now(), "test"))

    async def begin_close(self) -> None:
        """Order the exits."""
        await self.command(FlattenRequested(0, self.daemon.clock.now(), "test"))

    async def close(self) -> None:
        """Close every pair."""
        await self.begin_close()
        await self.until(lambda: self.figure("held") == 0 and self.is_quiet, "everything closed")

    async def agree(self, within_s: float = WAIT_S) -> None:
        """Wait until a reconciliation that began now finds no difference."""
        log_was = -1
        end = time.monotonic() + within_s
        while not (self.broker.agreed and self.is_quiet and log_was == self.account_events):
            if time.monotonic() > end:
                raise TimeoutError(f"log and venue do not agree: {self.describe()}")
            log_was = self.account_events
            await self.broker.reconciler.reconcile()
            await asyncio.sleep(0.01)

    @property
    def account_events(self) -> int:
        """The number of bookings."""
        books = self.broker.account.books
        return len(books.fill_ids) + len(books.funding) + len(books.interest)


def run(work: Coroutine[Any, Any, T], within_s: float = 280.0) -> T:
    """A coroutine to its end, within a deadline."""
    return steady.run(work, within_s)


@asynccontextmanager
async def exchange(**changes: Any) -> AsyncIterator[SimExchange]:
    """The venue of these tests."""
    usual: dict[str, Any] = {
        "pairs": 5, "history_days": 2, "start_ms": START_MS, "speed": SPEED, "push_ms": 20, "ip_limit": 0,
        "private_limits": False, "auto_switch": False,
    }  # fmt: skip
    async with await SimExchange.start(SimConfig(**(usual | changes))) as venue:
        yield venue


def settings_for(venue: SimExchange, *parameters: str, **changes: Any) -> DaemonSettings:
    """A live run on `venue`."""
    usual: dict[str, Any] = {
        "mode": "live", "pairs": PAIRS, "endpoint": venue.endpoints.rest, "speed": venue.config.speed, "limits": LIMITS,
        "policy": POLICY, "low_disk_mb": 0,
        "sets": (ParameterSet("test", parse_settings([*PARAMETERS, *parameters])),),
    }  # fmt: skip
    return DaemonSettings(**(usual | changes))


def halt_before(home: Path, venue: SimExchange) -> None:
    """Halt before the daemon starts, so that the test chooses when trading begins."""
    at = venue.now_ms * 1_000_000
    with EventLog.open(home, clock=Clock(lambda: at, lambda: 0)) as log:
        event = Halted(0, at, "a test begins")
        log.append([(encode(event), event_key(event), None)])


@asynccontextmanager
async def trading_on(
    venue: SimExchange, home: Path, settings: DaemonSettings | None = None, *, halted: bool = True
) -> AsyncIterator[Session]:
    """A live daemon that agrees with its venue; stopped in order at the end."""
    if halted:
        halt_before(home, venue)
    started: list[Daemon] = []
    task = asyncio.ensure_future(
        run_daemon(home, settings or settings_for(venue), signals=False, started=started.append)
    )
    try:
        end = time.monotonic() + START_WITHIN_S
        while not task.done() and not (started and started[0].broker is not None and started[0].broker.agreed):
            assert time.monotonic() < end, "the daemon does not come to agree with the venue"
            await asyncio.sleep(0.01)
        if task.done():
            await task
        session = Session(venue, home, started[0], task)
        yield session
        session.daemon.stopping.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def session_at(home: Path, **changes: Any) -> AsyncIterator[Session]:
    """An exchange and a session on it."""
    async with exchange(**changes) as venue, trading_on(venue, home) as session:
        yield session
