"""The daemon's clock."""

import asyncio
import time

from carryfold.adapters.daemon.pace import Pace
from carryfold.eventlog import Clock
from tests.adapters.daemon.world import SECOND, run


class Hands:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000 * SECOND, 5 * SECOND

    def pace(self) -> Pace:
        return Pace(Clock(lambda: self.wall, lambda: self.monotonic))


def test_time_goes_on_with_the_monotonic_clock_whatever_the_wall_clock_does() -> None:
    hands = Hands()
    pace = hands.pace()
    hands.monotonic += 7 * SECOND
    hands.wall -= 300 * SECOND

    assert pace.now() == 1_007 * SECOND
    assert pace.step() == -307 * SECOND


def test_a_wall_clock_within_a_second_has_not_stepped() -> None:
    hands = Hands()
    pace = hands.pace()
    hands.wall += SECOND

    assert pace.step() == 0


def test_a_fast_clock_is_never_behind_the_venue_that_it_follows_and_never_steps() -> None:
    speed, venue_began = 1_000.0, 77 * SECOND
    began = time.monotonic_ns()

    def venue_now() -> int:
        return venue_began + int((time.monotonic_ns() - began) * speed)

    asked = time.monotonic_ns()
    answered = venue_now()
    pace = Pace.of_venue(answered, speed, asked)

    for _ in range(100):
        before = venue_now()
        assert pace.now() >= before
    assert pace.step() == 0
    assert not pace.is_real


def test_waiting_is_said_in_the_seconds_of_the_clock() -> None:
    async def work() -> float:
        pace = Pace.of_venue(0, 3_600.0, time.monotonic_ns())
        end = pace.now() + 60 * SECOND
        async with asyncio.timeout(10.0):
            await pace.sleep_until(end)
        return (pace.now() - end) / SECOND

    assert run(work()) >= 0.0
