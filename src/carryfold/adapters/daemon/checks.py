"""What is looked at before a daemon begins: the clocks, the key, the log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from carryfold.adapters.bybit import BybitMarket, BybitTrading, Credentials, load_credentials
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.venue import VenueError
from carryfold.eventlog import EventLog, verify

__all__ = ["CLOCK_LIMIT_NS", "check_key", "check_log", "check_time", "clock_offset", "pace_of", "read_credentials"]

CLOCK_LIMIT_NS: Final = 1_000_000_000
"""How far our clock may be from the venue's: a signed request from further ahead is refused."""

SPEED_MAX: Final = 100_000

_QUESTIONS: Final = 3


async def pace_of(market: BybitMarket, speed: float | None) -> Pace:
    """Our clock, if it agrees with the venue's; at a `speed`, that of an exchange in a box. Raises VenueError."""
    if speed is not None:
        return await _fast_pace(market, speed)
    pace = Pace.of_this_machine()
    off = await clock_offset(market, pace)
    if off:
        word = "ahead of" if off > 0 else "behind"
        boxed = " (an exchange in a box has a clock of its own: follow it with --speed)"
        raise VenueError(
            f"this machine's clock is {abs(off) / 1e9:.1f} s {word} bybit's: set it right (NTP) and start again"
            f"{boxed if market.endpoint.is_loopback else ''}"
        )
    return pace


async def _fast_pace(market: BybitMarket, speed: float) -> Pace:
    """Where time runs fast a slow answer is far off: the quickest of a few counts."""
    if not market.endpoint.is_loopback:
        raise VenueError("--speed is for an exchange in a box on this machine, not for a real venue")
    if not 0 < speed <= SPEED_MAX:
        raise VenueError(f"--speed must be greater than 0, and at most {SPEED_MAX:,}")
    answers: list[tuple[int, int, int]] = []
    for _ in range(_QUESTIONS):
        asked = time.monotonic_ns()
        venue = await market.server_time()
        answers.append((time.monotonic_ns() - asked, asked, venue))
    _, asked, venue = min(answers)
    return Pace.of_venue(venue, speed, asked)


async def clock_offset(market: BybitMarket, pace: Pace) -> int:
    """How far our clock is from the venue's, in ns (positive: ours is ahead); 0 within CLOCK_LIMIT_NS. Raises
    VenueError."""
    asked = pace.now()
    venue = await market.server_time()
    answered = pace.now()
    # The venue read its clock somewhere between question and answer.
    if asked - venue > CLOCK_LIMIT_NS:
        return asked - venue
    if venue - answered > CLOCK_LIMIT_NS:
        return answered - venue
    return 0


def read_credentials(key_file: str | None) -> Credentials:
    """The API key of the account. Raises VenueError where there is none."""
    found = load_credentials(None if key_file is None else Path(key_file))
    if found is None:
        raise VenueError("live trading needs an API key: see docs/live.md for where it is read from")
    return found


async def check_key(trading: BybitTrading) -> None:
    """Raises VenueError for a key that cannot trade, or could do more than it should."""
    rights = await trading.permissions()
    if rights.withdraw:
        raise VenueError("this API key may withdraw: make one that can only trade, and delete this one")
    if rights.read_only or not rights.trade:
        raise VenueError("this API key may not trade: give it the rights for spot and contract orders")


def check_time(log: EventLog, pace: Pace) -> None:
    """The log's time never runs backwards: on a clock that is behind it nothing would fall due. Raises VenueError."""
    ahead_s = (log.last.recorded_at - pace.now()) / 1e9
    if ahead_s * 1e9 > CLOCK_LIMIT_NS * pace.speed:
        raise VenueError(
            f"the last event of the log in {log.home} was recorded {ahead_s:,.0f} s after what the clock shows now: set"
            " the clock right, or wait, or begin in another home"
        )


def check_log(home: Path) -> None:
    """Every byte of the log, before real orders depend on it. Raises VenueError."""
    report = verify(home)
    if not report.ok:
        raise VenueError(f"not armed: {report.error}")
