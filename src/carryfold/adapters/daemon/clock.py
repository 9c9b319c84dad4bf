"""The clock of the daemon: the wall clock read once and monotonic time since, or the clock of a simulated exchange.

The latter may run many times as fast as real time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from carryfold.eventlog import Clock

__all__ = ["DaemonClock"]

_SHORTEST_SLEEP_S: Final = 0.001


class DaemonClock:
    """`log_clock` stamps the log. Waits are in seconds of this clock, `speed` of which pass in a real second."""

    def __init__(self, clock: Clock, speed: float = 1.0, *, is_real: bool = True) -> None:
        self.log_clock = clock
        self.speed = speed
        self.is_real = is_real

    @classmethod
    def real_time(cls) -> DaemonClock:
        """The clock of this machine."""
        return cls(Clock())

    @classmethod
    def following(cls, venue_now: int, speed: float, asked_at: int) -> DaemonClock:
        """The clock of a venue that runs at `speed`. The venue answered `venue_now` (UTC ns) to a request that was sent
        at `asked_at` (monotonic ns). It read its clock later than that, so this clock is never behind it."""

        followed = _Followed(venue_now, speed, asked_at)
        return cls(Clock(followed.wall, followed.monotonic), speed, is_real=False)

    def now(self) -> int:
        """UTC ns; never runs backwards."""
        return self.log_clock.now()

    def step(self) -> int:
        """How far the wall clock has stepped away from this clock, in ns; 0 for the clock of a venue."""
        return self.log_clock.check() if self.is_real else 0

    async def sleep(self, seconds: float) -> None:
        """Wait for seconds of this clock."""
        await asyncio.sleep(max(seconds / self.speed, _SHORTEST_SLEEP_S))

    async def sleep_until(self, at: int) -> None:
        """Wait until the clock shows `at` (UTC ns)."""
        await self.sleep(max(at - self.now(), 0) / 1e9)


class _Followed:
    """A venue's clock, as a wall clock and a monotonic one. A monotonic reading right after a wall reading repeats it:
    the time between the two would otherwise count `speed` times as an offset between the clocks."""

    def __init__(self, venue_now: int, speed: float, asked_at: int) -> None:
        self._venue_now = venue_now
        self._speed = speed
        self._asked_at = asked_at
        self._read: int | None = None

    def wall(self) -> int:
        """UTC ns."""
        self._read = self._elapsed()
        return self._venue_now + self._read

    def monotonic(self) -> int:
        """Ns since the request."""
        read, self._read = self._read, None
        return self._elapsed() if read is None else read

    def _elapsed(self) -> int:
        return int((time.monotonic_ns() - self._asked_at) * self._speed)
