"""The daemon's one clock. Live it is the wall clock read once and monotonic time since; against an exchange in a box it
is that exchange's clock, which may run many times as fast."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from carryfold.eventlog import Clock

__all__ = ["Pace"]

_SHORTEST_SLEEP_S: Final = 0.001


class Pace:
    """`clock` stamps the log; waiting is said in its seconds."""

    def __init__(self, clock: Clock, speed: float = 1.0, *, is_real: bool = True) -> None:
        self.clock = clock
        self.speed = speed
        self.is_real = is_real

    @classmethod
    def of_this_machine(cls) -> Pace:
        """Real time."""
        return cls(Clock())

    @classmethod
    def of_venue(cls, venue_now: int, speed: float, asked_at: int) -> Pace:
        """The time of a venue that runs at `speed` and answered `venue_now` (UTC ns) to a question that was put at
        `asked_at` (monotonic ns): the venue has read its clock later, so this one is ahead of it, and never behind."""

        followed = _Followed(venue_now, speed, asked_at)
        return cls(Clock(followed.wall, followed.monotonic), speed, is_real=False)

    def now(self) -> int:
        """UTC ns; never runs backwards."""
        return self.clock.now()

    def step(self) -> int:
        """How far the wall clock has stepped away, in ns. A fast clock is not a wall clock: it has nothing to step
        from."""
        return self.clock.check() if self.is_real else 0

    async def sleep(self, seconds: float) -> None:
        """Wait so many of the clock's seconds."""
        await asyncio.sleep(max(seconds / self.speed, _SHORTEST_SLEEP_S))

    async def sleep_until(self, at: int) -> None:
        """Wait until the clock shows `at` (UTC ns)."""
        await self.sleep(max(at - self.now(), 0) / 1e9)


class _Followed:
    """A venue's clock as a wall clock and a monotonic one. A monotonic reading right after a wall one is the same
    reading: what passes between two would be lost to whoever ties them together, many times over."""

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
        """Ns since the question."""
        read, self._read = self._read, None
        return self._elapsed() if read is None else read

    def _elapsed(self) -> int:
        return int((time.monotonic_ns() - self._asked_at) * self._speed)
