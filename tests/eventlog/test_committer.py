"""Group commit: one flush for all waiting submissions, each of them whole, in order, and none lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from carryfold.eventlog import (
    AppendRefused,
    AppendResult,
    DiskFailed,
    EventLog,
    GroupCommitter,
    LogClosed,
    LogReader,
    MapFull,
    verify,
)
from carryfold.eventlog.entries import Columns, columns
from carryfold.eventlog.metapage import read_meta
from carryfold.eventlog.tables import data_file

pack = msgspec.msgpack.encode
WAIT_S = 60.0


class GatedLog(EventLog):
    """A log whose commits wait for a gate, and that counts them."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.groups: list[int] = []

    def append_columns(self, groups: Sequence[Columns]) -> list[AppendResult]:
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        self.groups.append(len(groups))
        return super().append_columns(groups)


@pytest.fixture
def gated(home: Path) -> Iterator[GatedLog]:
    log = GatedLog.open(home)
    assert isinstance(log, GatedLog)
    with log:
        yield log
        log.gate.set()


def test_what_waits_together_is_committed_together_in_order(gated: GatedLog) -> None:
    with GroupCommitter(gated) as committer:
        first = committer.submit([(pack("first"),)])
        assert gated.entered.wait(WAIT_S)
        waiting = [committer.submit([(pack([number, part]),) for part in range(3)]) for number in range(10)]
        gated.gate.set()
        results = [one.result(WAIT_S) for one in (first, *waiting)]

    assert gated.groups == [1, 10]
    assert [(one.first_seq, one.count) for one in results] == [(1, 1), *((2 + 3 * number, 3) for number in range(10))]
    times = [one.recorded_at for one in results]
    assert times == sorted(set(times))
    with LogReader.open(gated.home) as reader:
        assert [batch.recorded_at for batch in reader.read()] == times
        assert all(batch.known_min == batch.known_max == batch.recorded_at for batch in reader.read())


def test_keys_are_looked_up_across_submissions_of_one_group(gated: GatedLog) -> None:
    with GroupCommitter(gated) as committer:
        committer.submit([(pack(0),)])
        assert gated.entered.wait(WAIT_S)
        waiting = [committer.submit([(pack(value), b"k"), (pack(value), b"j")]) for value in ("a", "a", "b")]
        gated.gate.set()
        results = [one.result(WAIT_S) for one in waiting]

    assert [(one.count, one.duplicates, len(one.conflicts)) for one in results] == [(2, 0, 0), (0, 2, 0), (0, 0, 2)]
    assert [one.seq for one in results[2].conflicts] == [2, 3]
    assert verify(gated.home, in_child=False).ok


def test_close_commits_everything_accepted_and_refuses_more(gated: GatedLog) -> None:
    committer = GroupCommitter(gated)
    waiting = [committer.submit([(pack(number),)]) for number in range(500)]
    gated.gate.set()
    committer.close()
    committer.close()

    assert all(one.done() for one in waiting)
    assert gated.last.seq == 500
    with pytest.raises(LogClosed):
        committer.submit([(pack(1),)])


def test_the_queue_is_bounded(gated: GatedLog) -> None:
    with GroupCommitter(gated, max_waiting=2) as committer:
        committer.submit([(pack(0),)])
        assert gated.entered.wait(WAIT_S)
        submitted = threading.Semaphore(0)

        def submit() -> None:
            for number in range(4):
                committer.submit([(pack(number),)])
                submitted.release()

        producer = threading.Thread(target=submit)
        producer.start()
        assert submitted.acquire(timeout=WAIT_S)
        assert submitted.acquire(timeout=WAIT_S)
        assert not submitted.acquire(timeout=0.05)  # the third has to wait
        gated.gate.set()
        producer.join(WAIT_S)
    assert gated.last.seq == 5


def test_a_bad_submission_fails_alone(home: Path) -> None:
    with EventLog.open(home) as log, GroupCommitter(log) as committer:
        with pytest.raises(AppendRefused):
            committer.submit([(b"",)])
        assert committer.submit([(pack(1),)]).result(WAIT_S).first_seq == 1


def test_a_failed_commit_fails_every_future_of_its_group_and_nothing_of_it_is_stored(home: Path) -> None:
    with EventLog.open(home, map_size=1 << 20, max_map_size=1 << 20) as log:
        with GroupCommitter(log) as committer:
            committer.submit([(pack("x" * 10_000), b"first")]).result(WAIT_S)
            waiting = [committer.submit([(pack("x" * 10_000), b"%d" % number)] * 20) for number in range(200)]
        stored = [one.result() for one in waiting if one.exception() is None]
        failed = [one.exception() for one in waiting if one.exception() is not None]
        assert failed
        assert all(isinstance(error, MapFull) for error in failed)
        assert log.last.seq == 1 + len(stored)
    assert verify(home).events == 1 + len(stored)


def test_a_failing_log_is_reported_to_each_waiting_caller(gated: GatedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[AppendResult]:
        raise DiskFailed("the disk refused")

    monkeypatch.setattr(EventLog, "_commit", refuse)
    gated.gate.set()
    with GroupCommitter(gated) as committer:
        waiting = [committer.submit([(pack(number),)]) for number in range(3)]
    assert {type(one.exception()) for one in waiting} == {DiskFailed}


def test_many_threads_submit_at_once_and_every_event_is_there_once(home: Path) -> None:
    def produce(committer: GroupCommitter, producer: int) -> None:
        for number in range(50):
            committer.submit([(pack([producer, number]), b"%d/%d" % (producer, number))]).result(WAIT_S)

    with EventLog.open(home) as log:
        with GroupCommitter(log) as committer:
            threads = [threading.Thread(target=produce, args=(committer, producer)) for producer in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
        assert log.last.seq == 400
    with LogReader.open(home) as reader:
        events = [
            event
            for batch in reader.read()
            for _, event in msgspec.msgpack.decode(batch.payload, type=list[tuple[int, tuple[int, int]]])
        ]
    for producer in range(8):
        assert [number for one, number in events if one == producer] == list(range(50))


def test_follow_ups_are_an_instant_of_their_own_in_the_same_transaction(home: Path) -> None:
    followed: list[AppendResult] = []

    def follow(result: AppendResult) -> list[tuple[bytes, bytes]]:
        followed.append(result)
        return [(pack("after"), b"c"), (pack("again"), b"d")]

    with EventLog.open(home) as log, GroupCommitter(log) as committer:
        committer.submit([(pack("first"), b"a")]).result(WAIT_S)
        before = transactions_of(home)
        result = committer.submit([(pack("first"), b"a"), (pack("other"), b"a"), (pack("b"), b"b")], follow).result()
        assert transactions_of(home) == before + 1
        assert followed == [result]
        assert (result.first_seq, result.count, result.duplicates, result.kept) == (2, 1, 1, [2])
        assert [one.index for one in result.conflicts] == [1]
        assert log.last.seq == 4
        assert committer.submit([(pack("b"), b"b")], follow).result(WAIT_S).count == 0
        assert len(followed) == 1, "nothing was written, so there is no follow-up"
        assert committer.submit([(pack("e"),)], lambda _: []).result(WAIT_S).kept is None
    with LogReader.open(home) as reader:
        found = [(batch.first_seq, batch.recorded_at, batch.count) for batch in reader.read()]
    assert [(seq, count) for seq, _, count in found] == [(1, 1), (2, 1), (3, 2), (5, 1)]
    assert found[1][1] == result.recorded_at < found[2][1] < found[3][1]
    assert verify(home).ok


def test_follow_ups_are_computed_once_however_often_the_map_has_to_grow(home: Path) -> None:
    followed: list[AppendResult] = []

    def follow(result: AppendResult) -> list[tuple[bytes]]:
        followed.append(result)
        return [(pack("y" * 10_000),)] * 300

    with EventLog.open(home, map_size=1 << 20) as log:
        results = log.append_columns(
            [
                columns([(pack("x" * 10_000),)] * 20),
                columns([(pack(1),)])._replace(follow=follow),
                columns([(pack("x" * 10_000),)] * 200),
            ]
        )
        assert log.last.seq == 20 + 1 + 300 + 200
    assert followed == [results[1]]
    with LogReader.open(home) as reader:
        found = [(batch.first_seq, batch.recorded_at) for batch in reader.read()]
    assert (results[1].first_seq, results[1].recorded_at) in found
    assert len({at for _, at in found}) == 4
    assert [at for _, at in found] == sorted(at for _, at in found)
    assert verify(home).ok


def test_if_follow_ups_cannot_be_computed_nothing_is_written(home: Path) -> None:
    def fail(_: AppendResult) -> list[tuple[bytes]]:
        raise ZeroDivisionError("a fold has failed")

    with EventLog.open(home) as log, GroupCommitter(log) as committer:
        committer.submit([(pack(1), b"a")]).result(WAIT_S)
        with pytest.raises(ZeroDivisionError, match="a fold has failed"):
            committer.submit([(pack(2), b"b")], fail).result(WAIT_S)
        with pytest.raises(AppendRefused):
            committer.submit([(pack(2), b"b")], lambda _: [(b"",)]).result(WAIT_S)
        assert committer.submit([(pack(2), b"b")]).result(WAIT_S).first_seq == 2
    assert verify(home).events == 2


def transactions_of(home: Path) -> int:
    meta = read_meta(data_file(home))
    assert meta is not None
    return meta.transaction
