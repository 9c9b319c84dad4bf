"""Backups: taken beside a live writer, verified, private, complete or absent."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import msgspec
import pytest
from tests.eventlog.test_damage import flip

from carryfold.eventlog import EventLog, LogCorrupt, LogReader, NoLog, Research, backup, verify

pack = msgspec.msgpack.encode


def test_a_backup_beside_a_live_writer_is_the_log_at_one_commit(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "monday"
    stop = threading.Event()
    with EventLog.open(home) as log:
        log.append([(pack(0), b"first")])

        def write() -> None:
            while not stop.is_set():
                log.append([(pack(index), None) for index in range(10)])

        writer = threading.Thread(target=write)
        writer.start()
        report = backup(home, target)
        stop.set()
        writer.join()

    assert report.ok
    with LogReader.open(home) as original, LogReader.open(target) as copy:
        copied = list(copy.read())
        assert copied == list(original.read())[: len(copied)]
        assert copied[-1].head.digest == report.head_digest
    with EventLog.open(target) as restored:
        assert restored.append([(pack(0), b"first")]).duplicates == 1


def test_a_backup_has_the_research_and_is_for_its_owner_only(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with EventLog.open(home) as log, Research.open(home) as research:
        log.append([(pack(1),)])
        research.put_new("trial/1", b"result")
        backup(home, target)

    with Research.open(target) as research:
        assert research.get("trial/1") == b"result"
    for path in [target, *target.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_backup_of_a_damaged_log_is_refused_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    with EventLog.open(home) as log:
        for number in range(20):
            log.append([(pack(f"needle-{number:04}"),)])
    flip(home / "log" / "data.mdb", b"needle-0002", at=8)

    with pytest.raises(LogCorrupt, match="at seq 3"):
        backup(home, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_backup_never_overwrites(home: Path, tmp_path: Path) -> None:
    EventLog.open(home).close()
    (tmp_path / "copy").mkdir()

    with pytest.raises(FileExistsError):
        backup(home, tmp_path / "copy")
    with pytest.raises(NoLog):
        backup(tmp_path / "nothing", tmp_path / "other")


def test_a_tail_lost_from_a_restored_backup_is_seen(home: Path, tmp_path: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack(1),)])
    backup(home, tmp_path / "copy")

    assert (tmp_path / "copy" / "log.head").exists()
    assert verify(tmp_path / "copy").head_seq == 1
