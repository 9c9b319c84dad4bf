"""Wall time that never runs backwards: read once, then carried by the monotonic clock.

Guarantees: `now` never decreases, whatever happens to the system's wall clock. Not guaranteed: that it is right. When
the two clocks part by more than `MAX_STEP_NS`, `check` says by how much, the caller records that, and decides: to adopt
a wall clock that is ahead with `re_anchor`, to let one that is behind catch up with `slow_down`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

MAX_STEP_NS: Final = 1_000_000_000
SLOWER: Final = 2


class _Anchor(NamedTuple):
    """A wall time, the monotonic time that goes with it, and how many times slower than that it goes on."""

    wall: int
    monotonic: int
    slower: int


class Clock:
    """int64 UTC nanoseconds. `wall` and `monotonic` are functions returning ns, replaced in tests."""

    __slots__ = ("_anchor", "_monotonic", "_wall")

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor = _Anchor(wall(), monotonic(), 1)

    def now(self) -> int:
        """The anchored wall time plus what the monotonic clock has counted since."""
        wall, monotonic, slower = self._anchor
        return wall + (self._monotonic() - monotonic) // slower

    def check(self) -> int:
        """How far the wall clock has stepped away from `now`, in ns (positive: it jumped ahead); 0 within 1 s. A clock
        that was slowed down goes on as usual once the wall clock has caught up."""
        step = self._wall() - self.now()
        if step >= 0 and self._anchor.slower > 1:
            self._anchor = _Anchor(self.now(), self._monotonic(), 1)
        return step if abs(step) > MAX_STEP_NS else 0

    def re_anchor(self) -> int:
        """Adopt the wall clock if it is ahead, and return the ns moved. A wall clock behind `now` is left to catch
        up."""
        before = self.now()
        self._anchor = _Anchor(max(self._wall(), before), self._monotonic(), 1)
        return self._anchor.wall - before

    def slow_down(self) -> None:
        """Let a wall clock that is behind catch up: go on at half the speed until it has. Both run at the same rate, so
        it never would by itself."""
        if self._anchor.slower == 1:
            self._anchor = _Anchor(self.now(), self._monotonic(), SLOWER)
