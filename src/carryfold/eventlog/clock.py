"""Wall time that never runs backwards: read once, then carried by the monotonic clock.

Guarantees: `now` never decreases, whatever happens to the system's wall clock. Not guaranteed: that it is right. When
the two clocks differ by more than `MAX_STEP_NS`, `check` returns the difference. The caller records it and then either
adopts a wall clock that is ahead (`re_anchor`) or lets one that is behind catch up (`slow_down`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

MAX_STEP_NS: Final = 1_000_000_000
SLOWER: Final = 2


class _Anchor(NamedTuple):
    """A wall time, the monotonic time of the same moment, and the divisor by which time passes more slowly since."""

    wall: int
    monotonic: int
    slower: int


class Clock:
    """int64 UTC nanoseconds. `wall` and `monotonic` return ns; tests replace them."""

    __slots__ = ("_anchor", "_monotonic", "_wall")

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor = _Anchor(wall(), monotonic(), 1)

    def now(self) -> int:
        """The anchored wall time plus the monotonic time passed since."""
        wall, monotonic, slower = self._anchor
        return wall + (self._monotonic() - monotonic) // slower

    def check(self) -> int:
        """How far the wall clock is from `now`, in ns (positive: ahead); 0 within 1 s. A clock that was slowed down
        runs at full speed again once the wall clock has caught up."""
        step = self._wall() - self.now()
        if step >= 0 and self._anchor.slower > 1:
            self._anchor = _Anchor(self.now(), self._monotonic(), 1)
        return step if abs(step) > MAX_STEP_NS else 0

    def re_anchor(self) -> int:
        """Adopt the wall clock if it is ahead, and return the step in ns; 0 if it is behind."""
        before = self.now()
        self._anchor = _Anchor(max(self._wall(), before), self._monotonic(), 1)
        return self._anchor.wall - before

    def slow_down(self) -> None:
        """Run at half speed until a wall clock that is behind has caught up. At equal speed it never would."""
        if self._anchor.slower == 1:
            self._anchor = _Anchor(self.now(), self._monotonic(), SLOWER)
