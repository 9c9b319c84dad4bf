"""The clock, what comes from the future, and the disk."""

from pathlib import Path

import pytest

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.watch import ClockWatch, DiskWatch, FutureGuard
from carryfold.domain.events import ClockStepped, ClockTicked, DataRejected, Event, Halted
from tests.adapters.daemon.test_pace import Hands
from tests.adapters.daemon.world import SECOND


def steps(events: list[Event]) -> list[int]:
    return [event.step_ns for event in events if isinstance(event, ClockStepped)]


def watch(hands: Hands) -> ClockWatch:
    return ClockWatch(hands.pace(), Notices(Metrics()))


def test_a_clock_that_jumps_ahead_is_recorded_and_adopted() -> None:
    hands = Hands()
    pace = hands.pace()
    clock = ClockWatch(pace, Notices(Metrics()))
    hands.wall += 300 * SECOND

    assert steps(clock.look()) == [300 * SECOND]
    assert pace.now() == hands.wall
    assert steps(clock.look()) == [0]
    assert clock.look() == []


def test_a_clock_that_jumps_back_is_waited_for() -> None:
    hands = Hands()
    clock = watch(hands)
    hands.wall -= 300 * SECOND

    assert steps(clock.look()) == [-300 * SECOND]
    hands.wall += 100 * SECOND
    hands.monotonic += 100 * SECOND
    assert clock.look() == []
    hands.wall += 300 * SECOND
    assert steps(clock.look()) == [0]


def test_a_wall_clock_that_is_put_right_after_it_was_ahead_is_caught_up_with() -> None:
    """NTP: three seconds ahead, adopted, and back again. Both clocks run at the same rate ever after."""
    hands = Hands()
    pace = hands.pace()
    clock = ClockWatch(pace, Notices(Metrics()))
    hands.wall += 3 * SECOND
    seen = steps(clock.look()) + steps(clock.look())
    hands.wall -= 3 * SECOND
    seen += steps(clock.look())
    times = [pace.now()]
    for _ in range(100):
        hands.wall += SECOND // 10
        hands.monotonic += SECOND // 10
        seen += steps(clock.look())
        times.append(pace.now())

    assert seen == [3 * SECOND, 0, -3 * SECOND, 0]
    assert times == sorted(times)
    assert pace.now() == hands.wall


def test_a_wall_clock_that_is_set_back_wrongly_is_not_followed() -> None:
    """Ours is right: it stays so, entries wait, and what the venue sends is no future."""
    hands = Hands()
    pace = hands.pace()
    clock = ClockWatch(pace, Notices(Metrics()))
    hands.wall -= 60 * SECOND
    before = pace.now()
    seen: list[int] = []
    for _ in range(20):
        seen += steps(clock.look())
        hands.wall += SECOND
        hands.monotonic += SECOND

    assert seen == [-60 * SECOND]
    assert pace.now() == before + 20 * SECOND


def test_a_drift_is_a_step_once_it_is_more_than_a_second() -> None:
    hands = Hands()
    clock = watch(hands)
    seen: list[int] = []
    for _ in range(40):
        hands.wall -= SECOND // 10
        seen += steps(clock.look())

    assert seen == [-11 * SECOND // 10]


def test_a_clock_that_is_far_from_the_venues_is_off_until_they_agree() -> None:
    clock = watch(Hands())
    clock.compared(-5 * SECOND)

    assert steps(clock.look()) == [-5 * SECOND]
    assert clock.look() == []
    clock.compared(0)
    assert steps(clock.look()) == [0]


def test_events_of_the_future_are_kept_out_and_counted_once_a_minute() -> None:
    hands = Hands()
    pace = hands.pace()
    guard = FutureGuard(pace, Notices(Metrics()))
    now = pace.now()
    first = guard.pass_on([ClockTicked(now + SECOND), ClockTicked(now + 2 * SECOND)])
    again = [event for _ in range(10) for event in guard.pass_on([ClockTicked(now + 9 * SECOND)])]
    hands.monotonic += 60 * SECOND
    later = guard.pass_on([ClockTicked(now)])

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
    disk = DiskWatch(tmp_path, 100, Hands().pace(), Notices(Metrics()))
    free = [99]
    monkeypatch.setattr(disk, "free_mb", lambda: free[0])

    (halted,) = disk.look()
    assert isinstance(halted, Halted)
    assert (halted.run, halted.reason) == (0, "disk nearly full")
    assert disk.look() == []
    free[0] = 100
    assert disk.look() == []
    free[0] = 1
    assert [type(event) for event in disk.look()] == [Halted]


def test_the_room_on_a_disk_is_told_in_mb(tmp_path: Path) -> None:
    assert DiskWatch(tmp_path, 1, Hands().pace(), Notices(Metrics())).free_mb() > 0
