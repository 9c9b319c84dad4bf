"""Reading: whole batches in order, bounded chunks, keys, sizes, and tailing across processes."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from tests.eventlog.conftest import Spawn

from carryfold.eventlog import Clock, EventLog, LogClosed, LogReader, NoLog
from carryfold.eventlog import reader as reader_module
from carryfold.eventlog.stats import DAY_NS

pack = msgspec.msgpack.encode


def fill(log: EventLog, sizes: list[int]) -> None:
    for size in sizes:
        log.append([(pack(index),) for index in range(size)])


def test_every_position_returns_the_batch_that_holds_the_next_event(home: Path) -> None:
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [3, 1, 5])
        firsts = {after: [batch.first_seq for batch in reader.read(after)] for after in range(11)}

    assert firsts == {
        **{after: [1, 4, 5] for after in (0, 1, 2)},
        3: [4, 5],
        **{after: [5] for after in range(4, 9)},
        **{after: [] for after in (9, 10)},
    }


def test_limits_stop_after_the_batch_that_reaches_them(home: Path) -> None:
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [3, 1, 5, 2])

        assert [batch.first_seq for batch in reader.read(limit_batches=2)] == [1, 4]
        assert [batch.first_seq for batch in reader.read(limit_events=4)] == [1, 4]
        assert [batch.first_seq for batch in reader.read(limit_events=5)] == [1, 4, 5]
        assert [batch.first_seq for batch in reader.read(2, limit_events=2)] == [1, 4]


def test_a_long_log_is_read_in_bounded_chunks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "CHUNK_BATCHES", 2)
    monkeypatch.setattr(reader_module, "CHUNK_KEYS", 3)
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        keys = [b"a%02d" % index for index in range(10)]
        log.append([(pack(index), key) for index, key in enumerate(keys)] + [(pack(0), b"b"), (pack(0), b"\xff\xff")])
        fill(log, [1] * 6)

        assert [batch.first_seq for batch in reader.read()] == [1, *range(13, 19)]
        assert list(reader.iter_keys(b"a")) == [(key, index) for index, key in enumerate(keys, 1)]
        assert [key for key, _ in reader.iter_keys()] == [*keys, b"b", b"\xff\xff"]
        assert list(reader.iter_keys(b"\xff")) == [(b"\xff\xff", 12)]
        assert list(reader.iter_keys(b"c")) == []


def test_an_iterator_may_be_left_open_while_the_owner_appends_and_grows(home: Path) -> None:
    with EventLog.open(home, map_size=1 << 20) as log, LogReader.open(home) as reader:
        fill(log, [1, 1])
        batches = reader.read()
        next(batches)
        log.append([(pack("x" * 1_000),) for _ in range(3_000)])

        assert [batch.first_seq for batch in batches][:2] == [2, 3]


def test_a_home_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoLog, match="no event log in"):
        LogReader.open(tmp_path)


def test_a_reader_opened_first_shares_with_an_owner_that_comes_later(home: Path) -> None:
    EventLog.open(home).close()
    with LogReader.open(home) as reader:
        assert reader.last.seq == 0
        with EventLog.open(home) as log:
            fill(log, [2])
            assert reader.last == log.last
        assert reader.last.seq == 2
    with pytest.raises(LogClosed):
        _ = reader.last


def test_stat_counts_and_measures_growth_over_the_last_day(home: Path) -> None:
    now = [10 * DAY_NS]
    with EventLog.open(home, clock=Clock(wall=lambda: 0, monotonic=lambda: now[0] if now[0] else 0)) as log:
        # The clock's anchor is read at construction, so its times count from there.
        for _ in range(9):
            log.append([(pack(index), None) for index in range(10)])
            now[0] += DAY_NS // 4
        log.append([(pack("k"), b"k")])
        with LogReader.open(home) as reader:
            stat = reader.stat()

    assert (stat["events"], stat["batches"], stat["keys"]) == (91, 10, 1)
    assert stat["last_recorded_at"] - stat["first_recorded_at"] == pytest.approx(9 * DAY_NS // 4, abs=1_000)
    assert stat["events_per_day"] == pytest.approx(41)
    assert stat["bytes_per_day"] == pytest.approx(41 * stat["map_used"] / 91)
    assert 0 < stat["map_used"] <= stat["bytes"] <= stat["map_size"]
    assert stat["max_readers"] == 256


def test_what_a_start_writes_at_once_is_no_growth(home: Path) -> None:
    now = [10 * DAY_NS]
    with EventLog.open(home, clock=Clock(wall=lambda: 0, monotonic=lambda: now[0])) as log:
        fill(log, [50_000])
        for _ in range(600):
            now[0] += 10**9
            log.append([(pack("live"), None)])
        with LogReader.open(home) as reader:
            stat = reader.stat()

    assert stat["growth_span"] == pytest.approx(300e9, abs=1_000)
    assert stat["events_per_day"] == pytest.approx(86_400, rel=0.01)


def test_tail_in_another_process_is_woken_by_every_commit(home: Path, spawn: Spawn) -> None:
    with EventLog.open(home) as log:
        fill(log, [2])
        child = spawn("tail.py", home, 0)
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(2)] == ["tailing\n", "2\n"]
        for number in range(20):
            fill(log, [1])
            assert child.stdout.readline() == f"{3 + number}\n"
        child.kill()
        child.wait()
        fill(log, [1])
        assert list((home / "wake").iterdir()) == []


def test_tail_sees_commits_by_polling_alone(home: Path) -> None:
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [1])
        tail = reader.tail(0, poll_s=0.01)
        assert next(tail).last_seq == 1
        for socket in (home / "wake").iterdir():
            socket.unlink()
        fill(log, [1])
        assert next(tail).last_seq == 2
        tail.close()


def test_tail_stops_when_asked(home: Path) -> None:
    stop = threading.Event()
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [1])
        seen = []
        for batch in reader.tail(0, stop=stop, poll_s=0.01):
            seen.append(batch.last_seq)
            if batch.last_seq == 3:
                stop.set()
            else:
                fill(log, [1])

    assert seen == [1, 2, 3]


def test_f09_the_slot_of_a_killed_reader_is_cleared_and_growth_stops(home: Path, spawn: Spawn) -> None:
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [4_000] * 2)
        child = spawn("hold_reader.py", home)
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.wait()

        before = reader.stat()["map_used"]
        fill(log, [1] * 150)
        pinned = reader.stat()["map_used"]
        assert log.reader_check() == 1
        fill(log, [1] * 20)  # reuses the freed pages
        cleared = reader.stat()["map_used"]
        fill(log, [1] * 130)
        after = reader.stat()["map_used"]

    assert pinned - before > 100 * 4_096
    assert after - cleared < (pinned - before) / 10


def resident_bytes(home: Path) -> int:
    """The bytes of the log's data file in this process's memory."""
    mappings = Path("/proc/self/smaps")
    if not mappings.exists():
        pytest.skip("the system does not tell what is in memory")
    resident, ours = 0, False
    for line in mappings.read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = line.endswith(str(home.resolve() / "log" / "data.mdb"))
        elif ours and line.startswith("Rss:"):
            resident += 1024 * int(line.split()[1])
    return resident


def test_a_long_log_is_read_in_bounded_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mebibyte = 1 << 20
    with EventLog.open(home) as log:
        for _ in range(16):
            log.append([(pack(bytes(1000)),) for _ in range(mebibyte // 1000)])
    with LogReader.open(home) as reader:
        monkeypatch.setattr(reader_module, "RESIDENT_BYTES", 2 * mebibyte)
        bounded = [(batch.first_seq, resident_bytes(home)) for batch in reader.read()]
        monkeypatch.setattr(reader_module, "RESIDENT_BYTES", 1 << 60)
        unbounded = [(batch.first_seq, resident_bytes(home)) for batch in reader.read()]

    assert [seq for seq, _ in bounded] == [seq for seq, _ in unbounded]
    assert max(resident for _, resident in unbounded) > 15 * mebibyte, "the pages that were read are mapped"
    # The pages are released after two MiB, and one chunk more may have been read.
    assert max(resident for _, resident in bounded) < 2 * mebibyte + reader_module.CHUNK_BYTES + mebibyte


def test_pages_are_released_while_other_readers_and_the_owner_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "RESIDENT_BYTES", 1)  # after each chunk
    monkeypatch.setattr(reader_module, "CHUNK_BATCHES", 1)
    found: list[list[int]] = []
    with EventLog.open(home) as log, LogReader.open(home) as reader:
        fill(log, [50] * 20)
        threads = [
            threading.Thread(target=lambda: found.append([batch.first_seq for batch in reader.read(limit_batches=20)]))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        fill(log, [50] * 20)
        for thread in threads:
            thread.join()
        everything = [batch.first_seq for batch in reader.read()]

    assert found == [list(range(1, 1001, 50))] * 4
    assert everything == list(range(1, 2001, 50))
