"""F05 and F06: no room on the disk, in the map, or under the file-size limit. Nothing acknowledged is lost."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec
import pytest
from tests.eventlog.conftest import Spawn

from carryfold.eventlog import DiskFailed, DiskFull, EventLog, LogReader, MapFull, verify
from carryfold.eventlog.env import SharedEnv

payload = msgspec.msgpack.encode("x" * 1_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a tmpfs needs rights this user does not have; the file-size test covers the same path")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_f05_a_full_disk_is_one_typed_error_and_the_log_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    home = small_disk / "home"
    with EventLog.open(home) as log:
        acknowledged = 0
        with pytest.raises(DiskFull, match="the disk is full, nothing of this append was written") as caught:
            while True:
                acknowledged = log.append([(payload, b"%d/%d" % (acknowledged, one)) for one in range(100)]).last_seq
        assert "\n" not in str(caught.value)
        assert log.last.seq == acknowledged > 0
        with LogReader.open(home) as reader:
            assert reader.last.seq == acknowledged
            assert reader.stat()["keys"] == acknowledged
        with pytest.raises(DiskFull):
            log.append([(payload,)] * 1_000)
        ballast.unlink()
        assert log.append([(payload,)]).first_seq == acknowledged + 1
    assert verify(home).ok


def test_f05_a_file_size_limit_loses_nothing(home: Path, spawn: Spawn) -> None:
    child = spawn("fill.py", home, 3 << 20)
    assert child.stdout is not None
    acknowledged, kind, line, after = child.stdout.read().splitlines()

    assert child.wait() == 0
    assert int(acknowledged) > 0
    assert kind == "DiskFull"
    assert "the file-size limit of this process is reached" in line
    assert int(after) == int(acknowledged) + 1
    assert verify(home).ok
    with LogReader.open(home) as reader:
        assert reader.last.seq == int(after)


@pytest.mark.parametrize("is_committed", [True, False])
def test_after_a_failed_commit_the_file_says_whether_it_happened(
    home: Path, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    real = SharedEnv.write

    @contextmanager
    def fail(env: SharedEnv) -> Iterator[lmdb.Transaction[bytes]]:
        with real(env) as transaction:
            yield transaction
            if not is_committed:
                raise lmdb.Error("mdb_txn_commit", errno.EIO)
        raise lmdb.Error("mdb_txn_commit", errno.EIO)

    with EventLog.open(home) as log:
        log.append([(payload, b"before")])
        with monkeypatch.context() as broken:
            broken.setattr(SharedEnv, "write", fail)
            if is_committed:
                assert log.append([(payload, b"k")]).first_seq == 2
            else:
                with pytest.raises(DiskFailed, match="nothing of this append was written"):
                    log.append([(payload, b"k")])
        result = log.append([(payload, b"k"), (payload, b"after")])
        assert (result.first_seq, result.duplicates) == ((3, 1) if is_committed else (2, 0))
    assert verify(home).ok


def test_f06_the_map_grows_and_the_whole_append_is_tried_again(home: Path) -> None:
    with EventLog.open(home, map_size=1 << 20) as log, LogReader.open(home) as reader:
        for number in range(4):
            result = log.append([(payload, b"%d/%d" % (number, one)) for one in range(1_000)])
            assert (result.first_seq, result.count, result.duplicates) == (number * 1_000 + 1, 1_000, 0)
            assert reader.last.seq == result.last_seq
        assert reader.stat()["map_size"] == 8 << 20
    with EventLog.open(home, map_size=1 << 20) as log:
        assert log.append([(payload,)]).first_seq == 4_001
    assert verify(home).ok


def test_f06_at_the_limit_the_log_stays_readable_and_can_be_opened_larger(home: Path) -> None:
    with EventLog.open(home, map_size=1 << 20, max_map_size=3 << 20) as log:
        acknowledged = 0
        with pytest.raises(
            MapFull, match=f"reached its size limit of {3 << 20} bytes: open the log with a larger"
        ) as caught:
            while True:
                acknowledged = log.append([(payload,)] * 100).last_seq
        assert "\n" not in str(caught.value)
        assert log.last.seq == acknowledged > 0
        with LogReader.open(home) as reader:
            assert sum(batch.count for batch in reader.read()) == acknowledged
    with EventLog.open(home) as log:
        assert log.append([(payload,)] * 100).first_seq == acknowledged + 1
    assert verify(home).ok


def test_f06_a_reader_in_another_process_follows_the_growth(home: Path, spawn: Spawn) -> None:
    owner = EventLog.open(home, map_size=1 << 20)
    with owner as log:
        log.append([(payload,)])
        child = spawn("tail.py", home, 0)
        assert child.stdout is not None
        assert child.stdout.readline() == "tailing\n"
        assert child.stdout.readline() == "1\n"
        for _ in range(3):
            last = log.append([(payload,)] * 1_000).last_seq
            assert _read_until(child.stdout, last)


def _read_until(lines: Iterator[str], seq: int) -> bool:
    return any(int(line) == seq for line in lines)
