"""The clock: monotonic time on a wall-clock anchor, steps reported, never backwards."""

from __future__ import annotations

import pytest

from carryfold.eventlog import Clock

SECOND = 1_000_000_000


class FakeClocks:
    """The two clocks of a computer, set by hand."""

    def __init__(self) -> None:
        self.wall = 1_000 * SECOND
        self.monotonic = 5

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)


def test_now_follows_the_monotonic_clock_and_not_the_wall() -> None:
    clocks = FakeClocks()
    clock = clocks.clock()
    clocks.wall += 3_600 * SECOND
    clocks.monotonic += 7

    assert clock.now() == 1_000 * SECOND + 7


@pytest.mark.parametrize(
    ("step", "reported"),
    [(0, 0), (SECOND, 0), (-SECOND, 0), (SECOND + 1, SECOND + 1), (-SECOND - 1, -SECOND - 1)],
)
def test_a_step_of_more_than_a_second_is_reported(step: int, reported: int) -> None:
    clocks = FakeClocks()
    clock = clocks.clock()
    clocks.wall += step

    assert clock.check() == reported


def test_re_anchoring_adopts_a_wall_clock_that_is_ahead() -> None:
    clocks = FakeClocks()
    clock = clocks.clock()
    clocks.wall += 300 * SECOND

    assert clock.re_anchor() == 300 * SECOND
    assert clock.now() == 1_300 * SECOND
    assert clock.check() == 0


def test_re_anchoring_never_moves_back() -> None:
    clocks = FakeClocks()
    clock = clocks.clock()
    clocks.monotonic += 2 * SECOND
    clocks.wall -= 300 * SECOND

    assert clock.re_anchor() == 0
    assert clock.now() == 1_002 * SECOND
    assert clock.check() == -302 * SECOND


def test_the_real_clock_agrees_with_itself() -> None:
    clock = Clock()

    assert clock.check() == 0
    assert clock.now() <= clock.now()
