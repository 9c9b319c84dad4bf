"""A log is verified in steps, and every byte of it once."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryfold.adapters.daemon import log_check
from carryfold.adapters.daemon.checks import check_log
from carryfold.adapters.daemon.log_check import verify_new
from carryfold.adapters.venues import VenueError
from carryfold.domain.codec import encode
from carryfold.domain.events import ClockTicked
from carryfold.eventlog import Checkpoints, EventLog, Head, verify


def append(home: Path, first: int, commits: int) -> None:
    """Commits of one tick each."""
    with EventLog.open(home) as log:
        for at in range(first, first + commits):
            log.append([(encode(ClockTicked(1_000_000 + at)), None, None)])


def flip(home: Path, at: int) -> None:
    """Damage the tick of a commit."""
    file = home / "log" / "data.mdb"
    needle = encode(ClockTicked(1_000_000 + at))
    data = file.read_bytes()
    assert needle in data
    file.write_bytes(data.replace(needle, needle[:-1] + bytes([needle[-1] ^ 1])))


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A log of 100 commits that was verified, and of 50 more that were not."""
    append(tmp_path, 0, 100)
    assert verify_new(tmp_path).batches == 100
    append(tmp_path, 100, 50)
    return tmp_path


def test_a_check_reads_only_the_events_since_the_last_one(checked: Path) -> None:
    report = verify_new(checked)

    assert (report.ok, report.batches, report.head_seq) == (True, 50, 150)
    assert verify_new(checked).batches == 0


@pytest.mark.parametrize("at", [100, 120, 149])
def test_damage_in_the_events_since_refuses_the_start(checked: Path, at: int) -> None:
    flip(checked, at)

    with pytest.raises(VenueError, match=f"not armed: .*at seq {at + 1}: "):
        check_log(checked)
    with pytest.raises(VenueError, match="not armed"):
        check_log(checked)  # nothing of it counts as verified


def test_a_log_that_does_not_continue_the_verified_one_is_verified_as_a_whole(checked: Path, tmp_path: Path) -> None:
    with Checkpoints.open(checked) as store:
        store.put(log_check._NAME, log_check._ENCODER.encode(Head(100, b"x" * 32)))

    assert verify_new(checked).batches == 150


@pytest.mark.parametrize("kept", [b"", b"junk"])
def test_a_head_that_cannot_be_read_counts_as_none(checked: Path, kept: bytes) -> None:
    with Checkpoints.open(checked) as store:
        store.put(log_check._NAME, kept)

    assert verify_new(checked).batches == 150


def test_a_head_beyond_the_end_of_the_log_is_not_believed(checked: Path) -> None:
    report = verify(checked, after=Head(151, b"x" * 32))

    assert not report.ok
    assert "is not the one that was verified before" in (report.error or "")


@pytest.mark.parametrize("in_child", [True, False])
def test_a_head_inside_a_batch_is_not_believed(tmp_path: Path, in_child: bool) -> None:
    with EventLog.open(tmp_path) as log:
        log.append([(encode(ClockTicked(at)), None, None) for at in range(5)])
        digest = log.last.digest

    assert verify(tmp_path, after=Head(5, digest), in_child=in_child).ok
    assert not verify(tmp_path, after=Head(4, digest), in_child=in_child).ok
