"""Venue time, and what the door's clock says about a client's timestamp.

Venue time runs at `speed` from its start, or stands until it is advanced. A client signs with its own clock, which is
the real one: where venue time is not real time, a timestamp is good when it fits either. `skew_ms` moves what the
venue believes and tells about its clock, in both.
"""

from __future__ import annotations

import time
from typing import Final

__all__ = ["VenueClock"]

_FUTURE_MS: Final = 1_000


class VenueClock:
    """Milliseconds of UTC at the venue."""

    def __init__(self, start_ms: int, speed: float) -> None:
        self._start_ms = start_ms or _real_ms()
        self._speed = speed
        self._since = time.monotonic()
        self._advanced_ms = 0
        self._is_real = not start_ms and speed == 1
        self.skew_ms = 0

    @property
    def start_ms(self) -> int:
        """Where it began."""
        return self._start_ms

    @property
    def speed(self) -> float:
        """Venue seconds a second; 0 for a clock moved by hand."""
        return self._speed

    def now_ms(self) -> int:
        """The time of the market, free of skew."""
        return self._start_ms + self._advanced_ms + int((time.monotonic() - self._since) * 1_000 * self._speed)

    def told_ms(self) -> int:
        """The time that the venue tells its clients."""
        return self.now_ms() + self.skew_ms

    def advance(self, seconds: float) -> int:
        """Move on by hand, on top of whatever runs by itself; returns the new time. Raises ValueError backwards."""
        if seconds < 0:
            raise ValueError("venue time cannot go back")
        self._advanced_ms += round(seconds * 1_000)
        self._is_real = self._is_real and not seconds
        return self.now_ms()

    def accepts(self, timestamp_ms: int, window_ms: int) -> bool:
        """Whether a client that signed at this time is inside the venue's window."""
        clocks = [self.told_ms()]
        if not self._is_real:
            clocks.append(_real_ms() + self.skew_ms)
        return any(now_ms - window_ms <= timestamp_ms < now_ms + _FUTURE_MS for now_ms in clocks)

    def expired(self, expires_ms: int) -> bool:
        """Whether a websocket login has run out."""
        return expires_ms <= min(self.told_ms(), _real_ms() + self.skew_ms)


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
