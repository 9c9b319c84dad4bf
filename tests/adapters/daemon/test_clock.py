"""The daemon's clock."""

import asyncio
import time

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.eventlog import Clock
from tests.adapters.daemon.world import SECOND, run


class ManualClocks:
    """A wall clock and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000 * SECOND, 5 * SECOND

    def clock(self) -> DaemonClock:
        return DaemonClock(Clock(lambda: self.wall, lambda: self.monotonic))


def test_time_goes_on_with_the_monotonic_clock_whatever_the_wall_clock_does() -> None:
    clocks = ManualClocks()
    clock = clocks.clock()
    clocks.monotonic += 7 * SECOND
    clocks.wall -= 300 * SECOND

    assert clock.now() == 1_007 * SECOND
    assert clock.step() == -307 * SECOND


def test_a_wall_clock_within_a_second_has_not_stepped() -> None:
    clocks = ManualClocks()
    clock = clocks.clock()
    clocks.wall += SECOND

    assert clock.step() == 0


def test_a_fast_clock_is_never_behind_the_venue_that_it_follows_and_never_steps() -> None:
    speed, venue_began = 1_000.0, 77 * SECOND
    began = time.monotonic_ns()

    def venue_now() -> int:
        return venue_began + int((time.monotonic_ns() - began) * speed)

    asked = time.monotonic_ns()
    answered = venue_now()
    clock = DaemonClock.following(answered, speed, asked)

    for _ in range(100):
        before = venue_now()
        assert clock.now() >= before
    assert clock.step() == 0
    assert not clock.is_real


def test_waiting_is_said_in_the_seconds_of_the_clock() -> None:
    async def work() -> float:
        clock = DaemonClock.following(0, 3_600.0, time.monotonic_ns())
        end = clock.now() + 60 * SECOND
        async with asyncio.timeout(10.0):
            await clock.sleep_until(end)
        return (clock.now() - end) / SECOND

    assert run(work()) >= 0.0
