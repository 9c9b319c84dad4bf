"""Checks before a daemon begins: the clocks, the API key, the log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.log_check import verify_new
from carryfold.adapters.venues import Credentials, Market, Trading, Venue, VenueError
from carryfold.eventlog import EventLog

__all__ = ["CLOCK_LIMIT_NS", "check_key", "check_log", "check_time", "clock_for", "clock_offset", "read_credentials"]

CLOCK_LIMIT_NS: Final = 1_000_000_000
"""How far our clock may differ from the venue's. A venue rejects signed requests from further ahead."""

SPEED_MAX: Final = 100_000

_ATTEMPTS: Final = 3


async def clock_for(market: Market, speed: float | None) -> DaemonClock:
    """This machine's clock, if it agrees with the venue's; with a `speed`, that of a simulated exchange. Raises
    VenueError."""
    if speed is not None:
        return await _clock_of_venue(market, speed)
    clock = DaemonClock.real_time()
    off = await clock_offset(market, clock)
    if off:
        word = "ahead of" if off > 0 else "behind"
        boxed = " (a simulated exchange has a clock of its own: follow it with --speed)"
        raise VenueError(
            f"this machine's clock is {abs(off) / 1e9:.1f} s {word} the venue's: set it right (NTP) and start again"
            f"{boxed if market.is_loopback else ''}"
        )
    return clock


async def _clock_of_venue(market: Market, speed: float) -> DaemonClock:
    """The clock of a simulated exchange. Its time runs fast: only a quick answer is exact, so the quickest counts."""
    if not market.is_loopback:
        raise VenueError("--speed is for a simulated exchange on this machine, not for a real venue")
    if not 0 < speed <= SPEED_MAX:
        raise VenueError(f"--speed must be greater than 0, and at most {SPEED_MAX:,}")
    answers: list[tuple[int, int, int]] = []
    for _ in range(_ATTEMPTS):
        asked = time.monotonic_ns()
        venue = await market.server_time()
        answers.append((time.monotonic_ns() - asked, asked, venue))
    _, asked, venue = min(answers)
    return DaemonClock.following(venue, speed, asked)


async def clock_offset(market: Market, clock: DaemonClock) -> int:
    """Our clock minus the venue's, in ns; 0 within CLOCK_LIMIT_NS. Raises VenueError."""
    asked = clock.now()
    venue = await market.server_time()
    answered = clock.now()
    # The venue read its clock between request and answer.
    if asked - venue > CLOCK_LIMIT_NS:
        return asked - venue
    if venue - answered > CLOCK_LIMIT_NS:
        return answered - venue
    return 0


def read_credentials(venue: Venue, key_file: str | None) -> Credentials:
    """The API key of the account. Raises VenueError if there is none."""
    found = venue.read_credentials(None if key_file is None else Path(key_file))
    if found is None:
        raise VenueError("live trading needs an API key: see docs/live.md for where it is read from")
    return found


async def check_key(trading: Trading) -> None:
    """Raises VenueError for a key that may withdraw or may not trade."""
    rights = await trading.permissions()
    if rights.withdraw:
        raise VenueError("this API key may withdraw: make one that can only trade, and delete this one")
    if rights.read_only or not rights.trade:
        raise VenueError("this API key may not trade: give it the rights for spot and contract orders")


def check_time(log: EventLog, clock: DaemonClock) -> None:
    """Raises VenueError if the clock is behind the log, whose time never runs backwards."""
    ahead_s = (log.last.recorded_at - clock.now()) / 1e9
    if ahead_s * 1e9 > CLOCK_LIMIT_NS * clock.speed:
        raise VenueError(
            f"the last event of the log in {log.home} was recorded {ahead_s:,.0f} s after what the clock shows now: set"
            " the clock right, or wait, or begin in another home"
        )


def check_log(home: Path) -> None:
    """Verify the log before real orders depend on it: every byte that was recorded since it was last verified. Raises
    VenueError."""
    report = verify_new(home)
    if not report.ok:
        raise VenueError(f"not armed: {report.error}")
