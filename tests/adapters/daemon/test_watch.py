"""The watches: clock, events dated in the future, disk."""

from pathlib import Path

import pytest

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.watch import ClockWatch, DiskWatch, FutureGuard
from carryfold.domain.events import ClockStepped, ClockTicked, DataRejected, Event, Halted
from tests.adapters.daemon.test_clock import ManualClocks
from tests.adapters.daemon.world import SECOND


def steps(events: list[Event]) -> list[int]:
    return [event.step_ns for event in events if isinstance(event, ClockStepped)]


def watch_on(clocks: ManualClocks) -> ClockWatch:
    return ClockWatch(clocks.clock(), Notices(Metrics()))


def test_a_clock_that_jumps_ahead_is_recorded_and_adopted() -> None:
    clocks = ManualClocks()
    clock = clocks.clock()
    watch = ClockWatch(clock, Notices(Metrics()))
    clocks.wall += 300 * SECOND

    assert steps(watch.check()) == [300 * SECOND]
    assert clock.now() == clocks.wall
    assert steps(watch.check()) == [0]
    assert watch.check() == []


def test_a_clock_that_jumps_back_is_waited_for() -> None:
    clocks = ManualClocks()
    watch = watch_on(clocks)
    clocks.wall -= 300 * SECOND

    assert steps(watch.check()) == [-300 * SECOND]
    clocks.wall += 100 * SECOND
    clocks.monotonic += 100 * SECOND
    assert watch.check() == []
    clocks.wall += 300 * SECOND
    assert steps(watch.check()) == [0]


def test_a_wall_clock_that_is_put_right_after_it_was_ahead_is_caught_up_with() -> None:
    """NTP: three seconds ahead, adopted, and back again. Both clocks run at the same rate ever after."""
    clocks = ManualClocks()
    clock = clocks.clock()
    watch = ClockWatch(clock, Notices(Metrics()))
    clocks.wall += 3 * SECOND
    seen = steps(watch.check()) + steps(watch.check())
    clocks.wall -= 3 * SECOND
    seen += steps(watch.check())
    times = [clock.now()]
    for _ in range(100):
        clocks.wall += SECOND // 10
        clocks.monotonic += SECOND // 10
        seen += steps(watch.check())
        times.append(clock.now())

    assert seen == [3 * SECOND, 0, -3 * SECOND, 0]
    assert times == sorted(times)
    assert clock.now() == clocks.wall


def test_a_wall_clock_that_is_set_back_wrongly_is_not_followed() -> None:
    """Our clock is right and stays so, entries wait, and the venue's events do not count as future ones."""
    clocks = ManualClocks()
    clock = clocks.clock()
    watch = ClockWatch(clock, Notices(Metrics()))
    clocks.wall -= 60 * SECOND
    before = clock.now()
    seen: list[int] = []
    for _ in range(20):
        seen += steps(watch.check())
        clocks.wall += SECOND
        clocks.monotonic += SECOND

    assert seen == [-60 * SECOND]
    assert clock.now() == before + 20 * SECOND


def test_a_drift_is_a_step_once_it_is_more_than_a_second() -> None:
    clocks = ManualClocks()
    watch = watch_on(clocks)
    seen: list[int] = []
    for _ in range(40):
        clocks.wall -= SECOND // 10
        seen += steps(watch.check())

    assert seen == [-11 * SECOND // 10]


def test_a_clock_that_is_far_from_the_venues_is_off_until_they_agree() -> None:
    watch = watch_on(ManualClocks())
    watch.set_venue_offset(-5 * SECOND)

    assert steps(watch.check()) == [-5 * SECOND]
    assert watch.check() == []
    watch.set_venue_offset(0)
    assert steps(watch.check()) == [0]


def test_events_of_the_future_are_kept_out_and_counted_once_a_minute() -> None:
    clocks = ManualClocks()
    clock = clocks.clock()
    guard = FutureGuard(clock, Notices(Metrics()))
    now = clock.now()
    first = guard.filter([ClockTicked(now + SECOND), ClockTicked(now + 2 * SECOND)])
    again = [event for _ in range(10) for event in guard.filter([ClockTicked(now + 9 * SECOND)])]
    clocks.monotonic += 60 * SECOND
    later = guard.filter([ClockTicked(now)])

    assert first[:1] == [ClockTicked(now + SECOND)]
    assert [event.count for event in first if isinstance(event, DataRejected)] == [1]
    assert again == []
    assert later[0] == ClockTicked(now)
    (told,) = [event for event in later if isinstance(event, DataRejected)]
    assert told.count == 10
    assert "9.0 s" in told.reason


def test_a_disk_that_is_nearly_full_halts_once_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskWatch(tmp_path, 100, ManualClocks().clock(), Notices(Metrics()))
    free = [99]
    monkeypatch.setattr(disk, "free_mb", lambda: free[0])

    (halted,) = disk.check()
    assert isinstance(halted, Halted)
    assert (halted.run, halted.reason) == (0, "disk nearly full")
    assert disk.check() == []
    free[0] = 100
    assert disk.check() == []
    free[0] = 1
    assert [type(event) for event in disk.check()] == [Halted]


def test_the_room_on_a_disk_is_told_in_mb(tmp_path: Path) -> None:
    assert DiskWatch(tmp_path, 1, ManualClocks().clock(), Notices(Metrics())).free_mb() > 0
