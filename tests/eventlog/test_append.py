"""The guarantees of an append: seqs, times, keys, refusals, and one transaction."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carryfold.eventlog import (
    AppendRefused,
    Batch,
    Clock,
    Conflict,
    Entry,
    EventLog,
    LogClosed,
    LogReader,
    tables,
    verify,
)
from carryfold.eventlog.env import acquire, release

pack = msgspec.msgpack.encode


def batches(home: Path) -> list[Batch]:
    with LogReader.open(home) as reader:
        return list(reader.read())


def pairs(batch: Batch) -> list[tuple[int, Any]]:
    return msgspec.msgpack.decode(batch.payload, type=list[tuple[int, Any]])


def test_seqs_start_at_one_and_have_no_gap(home: Path) -> None:
    with EventLog.open(home) as log:
        first = log.append([(pack("a"),), (pack("b"),)])
        second = log.append([(pack("c"),)])

    assert (first.first_seq, first.count, first.last_seq) == (1, 2, 2)
    assert (second.first_seq, second.last_seq) == (3, 3)
    assert [(batch.first_seq, batch.count) for batch in batches(home)] == [(1, 2), (3, 1)]


def test_a_live_commit_is_one_instant_later_than_everything_known(home: Path, clock: Clock) -> None:
    with EventLog.open(home, clock=clock) as log:
        first = log.append([(pack("a"),), (pack("b"),)])
        second = log.append([(pack("c"),)])

    assert second.recorded_at > first.recorded_at
    assert [pairs(batch) for batch in batches(home)] == [
        [(first.recorded_at, "a"), (first.recorded_at, "b")],
        [(second.recorded_at, "c")],
    ]


def test_a_clock_that_stands_still_or_falls_back_does_not_stop_time(home: Path) -> None:
    with EventLog.open(home, clock=Clock(wall=lambda: 5_000, monotonic=lambda: 0)) as log:
        times = [log.append([(pack(index),)]).recorded_at for index in range(3)]
    with EventLog.open(home, clock=Clock(wall=lambda: 1_000, monotonic=lambda: 0)) as log:
        times.append(log.append([(pack("later"),)]).recorded_at)

    assert times == [5_000, 5_001, 5_002, 5_003]


def test_a_given_known_at_is_kept_and_a_later_one_is_clamped_to_the_commit(home: Path, clock: Clock) -> None:
    with EventLog.open(home, clock=clock) as log:
        result = log.append([(pack("old"), None, 7), (pack("live"), None, None), (pack("ahead"), None, 2**62)])

    (batch,) = batches(home)
    at = result.recorded_at
    assert pairs(batch) == [(7, "old"), (at, "live"), (at, "ahead")]
    assert (batch.known_min, batch.known_max, batch.recorded_at) == (7, at, at)


def test_an_append_over_4096_events_is_cut_into_records_of_one_instant(home: Path) -> None:
    with EventLog.open(home) as log:
        result = log.append([(pack(index),) for index in range(10_000)])

    found = batches(home)
    assert result.count == 10_000
    assert [batch.count for batch in found] == [4_096, 4_096, 1_808]
    assert {batch.recorded_at for batch in found} == {result.recorded_at}
    assert {at for batch in found for at, _ in pairs(batch)} == {result.recorded_at}


def test_an_append_over_one_mebibyte_is_cut_into_records(home: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("x" * 300_000),) for _ in range(7)])

    found = batches(home)
    assert [batch.count for batch in found] == [3, 3, 1]
    assert all(len(batch.payload) <= 1 << 20 for batch in found)


def test_the_same_key_and_content_is_a_duplicate_also_within_one_append(home: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("a"), b"k1")])
        result = log.append([(pack("a"), b"k1"), (pack("b"), b"k2"), (pack("b"), b"k2"), (pack("c"), None)])

    assert (result.first_seq, result.count, result.duplicates, result.conflicts) == (2, 2, 2, [])
    assert [event for batch in batches(home) for _, event in pairs(batch)] == ["a", "b", "c"]


def test_the_same_key_with_other_content_is_a_conflict_and_the_first_stays(home: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("a"), b"k1")])
        result = log.append([(pack("new"), b"k0"), (pack("x"), b"k1"), (pack("b"), b"k2"), (pack("y"), b"k2")])
        with LogReader.open(home) as reader:
            assert [reader.find_key(key) for key in (b"k0", b"k1", b"k2", b"k3")] == [2, 1, 3, None]

    assert result.conflicts == [Conflict(1, b"k1", 1), Conflict(3, b"k2", 3)]
    assert (result.count, result.duplicates) == (2, 0)
    assert verify(home, in_child=False).ok


def test_known_at_stays_with_its_event_when_duplicates_are_dropped(home: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("a"), b"a", 1)])
        log.append([(pack("a"), b"a", 10), (pack("b"), b"b", 20), (pack("c"), None, 30)])

    assert pairs(batches(home)[1]) == [(20, "b"), (30, "c")]


def test_an_append_that_stores_nothing_writes_nothing(home: Path) -> None:
    with EventLog.open(home) as log:
        before = log.append([(pack("a"), b"k")])
        for result in (log.append([]), log.append([(pack("a"), b"k")])):
            assert (result.first_seq, result.count, result.last_seq) == (2, 0, 1)
            assert result.recorded_at == before.recorded_at
        assert log.last.seq == 1


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([(b"",)], "entry 0 is not one msgpack value"),
        ([(pack(1),), (pack(1) + pack(2),)], "entry 1 is not one msgpack value"),
        ([(pack([1, 2])[:-1],), (pack(1),)], "entry 0 is not one msgpack value"),
        ([(pack([1, 2])[:-1],), (pack(2) + pack(3),)], "entry 0 is not one msgpack value"),
        ([(pack("x" * (1 << 20)),)], "the limit is"),
        ([("text",)], "entry 0 is not bytes"),
        ([(pack(1), b"")], "key of entry 0"),
        ([(pack(1), b"k" * 512)], "key of entry 0"),
        ([(pack(1), "text")], "key of entry 0"),
        ([(pack(1), None, 2**63)], "known_at of entry 0"),
        ([(pack(1), None, -1)], "known_at of entry 0"),
        ([(pack(1), None, 1.5)], "known_at of entry 0"),
        ([()], "entry 0 has 0 fields"),
        ([(pack(1), None, 1, 1)], "entry 0 has 4 fields"),
    ],
)
def test_entries_that_cannot_be_stored_are_refused_by_name(home: Path, entries: Any, words: str) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("before"),)])
        with pytest.raises(AppendRefused, match=words):
            log.append([(pack("good"), b"good"), *entries][1:] if len(entries) > 1 else entries)
        assert log.last.seq == 1


def test_tuples_of_different_lengths_and_entries_mix(home: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack("a"),), (pack("b"), b"k"), Entry(pack("c"), known_at=3)])

    assert [event for _, event in pairs(batches(home)[0])] == ["a", "b", "c"]


def test_settings_are_kept(home: Path) -> None:
    with EventLog.open(home) as log:
        assert log.get_meta("rule") is None
        log.set_meta("rule", b"1")
        log.set_meta("rule", b"2")
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        assert log.get_meta("rule") == b"2"
        assert reader.settings() == {"rule": b"2"}


def test_files_are_for_their_owner_only(home: Path) -> None:
    with EventLog.open(home, command_handler=lambda command, args: 0) as log, LogReader.open(home) as reader:
        log.append([(pack("secret"),)])
        tail = reader.tail(0, poll_s=0.01)
        next(tail)
        modes = {path.relative_to(home).as_posix(): path.stat().st_mode for path in [home, *home.rglob("*")]}
        tail.close()

    assert {"log/data.mdb", "log/lock.mdb", "log.head", "owner.lock", "owner.sock", "wake"} < modes.keys()
    assert any(name.startswith("wake/") for name in modes)
    for name, mode in modes.items():
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), name


def test_a_closed_log_says_so(home: Path) -> None:
    log = EventLog.open(home)
    log.close()
    log.close()

    with pytest.raises(LogClosed):
        log.append([(pack(1),)])


def test_the_log_is_opened_so_that_a_commit_is_on_the_disk_when_it_returns(home: Path) -> None:
    options = tables.LOG_OPTIONS
    EventLog.open(home).close()
    shared = acquire(tables.log_dir(home), options, writable=True)
    flags = shared.env.flags()
    release(shared)

    assert (flags["sync"], flags["metasync"], flags["meminit"], flags["lock"]) == (True, True, True, True)
    assert (flags["writemap"], flags["map_async"]) == (False, False)
