"""Wall time that never runs backwards: read once, then carried by the monotonic clock.

Guarantees: `now` never decreases, whatever happens to the system's wall clock. Not guaranteed: that it is right. When
the two clocks part by more than `MAX_STEP_NS`, `check` says by how much, the caller records that, and decides when to
adopt the wall clock again with `re_anchor`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MAX_STEP_NS: Final = 1_000_000_000


class Clock:
    """int64 UTC nanoseconds. `wall` and `monotonic` are functions returning ns, replaced in tests."""

    __slots__ = ("_anchor_monotonic", "_anchor_wall", "_monotonic", "_wall")

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor_wall = wall()
        self._anchor_monotonic = monotonic()

    def now(self) -> int:
        """The anchored wall time plus what the monotonic clock has counted since."""
        return self._anchor_wall + self._monotonic() - self._anchor_monotonic

    def check(self) -> int:
        """How far the wall clock has stepped away from `now`, in ns (positive: it jumped ahead); 0 within 1 s."""
        step = self._wall() - self.now()
        return step if abs(step) > MAX_STEP_NS else 0

    def re_anchor(self) -> int:
        """Adopt the wall clock if it is ahead, and return the ns moved. A wall clock behind `now` is left to catch
        up."""
        before = self.now()
        self._anchor_wall = max(self._wall(), before)
        self._anchor_monotonic = self._monotonic()
        return self._anchor_wall - before
