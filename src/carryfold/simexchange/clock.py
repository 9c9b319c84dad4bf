"""Venue time, and the check of a client's timestamp against it.

Venue time runs at `speed` from its start, or stands still until it is advanced. Clients sign with real time. Where
venue time is not real time, a timestamp is valid when it fits either clock. `skew_ms` shifts both clocks in what the
venue reports and checks, but not the market.
"""

from __future__ import annotations

import time
from typing import Final

__all__ = ["VenueClock"]

_FUTURE_MS: Final = 1_000


class VenueClock:
    """The clock of the venue, in UTC ms."""

    def __init__(self, start_ms: int, speed: float) -> None:
        self._start_ms = start_ms or _real_ms()
        self._speed = speed
        self._since = time.monotonic()
        self._advanced_ms = 0
        self._is_real = not start_ms and speed == 1
        self.skew_ms = 0

    @property
    def start_ms(self) -> int:
        """Venue time at the start."""
        return self._start_ms

    @property
    def speed(self) -> float:
        """Venue seconds per real second; 0 when only `advance` moves the clock."""
        return self._speed

    def now_ms(self) -> int:
        """The time of the market, without skew."""
        return self._start_ms + self._advanced_ms + int((time.monotonic() - self._since) * 1_000 * self._speed)

    def server_time_ms(self) -> int:
        """The time that the venue reports to clients, with skew."""
        return self.now_ms() + self.skew_ms

    def advance(self, seconds: float) -> int:
        """Add seconds to venue time and return the new time. Raises ValueError for negative seconds."""
        if seconds < 0:
            raise ValueError("venue time cannot move backwards")
        self._advanced_ms += round(seconds * 1_000)
        self._is_real = self._is_real and not seconds
        return self.now_ms()

    def accepts(self, timestamp_ms: int, window_ms: int) -> bool:
        """Whether a request signed at this time is inside the venue's receive window."""
        clocks = [self.server_time_ms()]
        if not self._is_real:
            clocks.append(_real_ms() + self.skew_ms)
        return any(now_ms - window_ms <= timestamp_ms < now_ms + _FUTURE_MS for now_ms in clocks)

    def expired(self, expires_ms: int) -> bool:
        """Whether a websocket login has expired."""
        return expires_ms <= min(self.server_time_ms(), _real_ms() + self.skew_ms)


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
