"""F07, F08, F11: damage to a log is reported in one line and never kills the process that opens it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import msgspec
import pytest

from carryfold.eventlog import EventLog, FormatUnknown, LogCorrupt, LogError, LogReader, LogTruncated, LostTail, verify
from carryfold.eventlog.keytable import encode_key_value
from carryfold.eventlog.record import NO_DIGEST, encode_pairs, encode_record

pack = msgspec.msgpack.encode
PAGE = 4_096


def fill(home: Path, appends: int = 40) -> None:
    """Appends of 10 events of about 20 bytes each, marked with their number, with keys."""
    with EventLog.open(home) as log:
        first = log.last.seq // 10
        for number in range(first, first + appends):
            log.append([(pack(f"needle-{number:04}-{index}"), b"key-%04d-%d" % (number, index)) for index in range(10)])


def flip(path: Path, needle: bytes, at: int = 0) -> None:
    """Change one byte in every copy of `needle`: LMDB keeps old copies of a page beside the current one."""
    data = bytearray(path.read_bytes())
    position = data.find(needle)
    assert position >= 0
    while position >= 0:
        data[position + at] ^= 1
        position = data.find(needle, position + 1)
    path.write_bytes(data)


def zero_pages(path: Path, needle: bytes) -> None:
    data = bytearray(path.read_bytes())
    while (position := data.find(needle)) >= 0:
        page = position // PAGE * PAGE
        data[page : page + PAGE] = bytes(PAGE)
    path.write_bytes(data)


def run_verify(home: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "carryfold.eventlog.verify", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def assert_refused(home: Path, kind: type[LogError], *words: str) -> None:
    """The owner refuses with this error; the verify command says the same in one line and exits with 1."""
    with pytest.raises(kind) as caught:
        EventLog.open(home)
    code, line = run_verify(home)
    assert (code, line.count("\n")) == (1, 1)
    for text in (str(caught.value), line):
        assert "\n" not in text.strip()
        for word in (*words, "carryfold log backup"):
            assert word in text


def test_a_whole_log_verifies_in_one_line(home: Path) -> None:
    fill(home)

    code, line = run_verify(home)

    assert (code, line[:33]) == (0, "intact: 400 events in 40 batches,")


def test_the_verify_command_explains_its_usage() -> None:
    done = subprocess.run([sys.executable, "-m", "carryfold.eventlog.verify"], capture_output=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(b"usage:")


def test_f08_a_flipped_byte_in_an_event_is_named_with_its_seq(home: Path) -> None:
    fill(home)
    flip(home / "log" / "data.mdb", b"needle-0007-3", at=9)

    report = verify(home)

    assert (report.ok, report.bad_seq) == (False, 71)
    assert report.error is not None
    assert "at seq 71: " in report.error
    assert run_verify(home) == (1, report.error + "\n")


def test_f08_a_flipped_byte_in_the_last_batches_stops_the_owner(home: Path) -> None:
    fill(home)
    flip(home / "log" / "data.mdb", b"needle-0038-3", at=9)

    assert_refused(home, LogCorrupt, "at seq 381")


@pytest.mark.parametrize("at", [0, 5, len(b"key-0007-3") + 3, len(b"key-0007-3") + 12, len(b"key-0007-3") + 27])
def test_f08_a_flipped_byte_in_the_key_table_is_found(home: Path, at: int) -> None:
    fill(home)
    flip(home / "log" / "data.mdb", b"key-0007-3", at=at)

    report = verify(home)

    assert not report.ok
    assert report.error is not None
    assert "key" in report.error


@pytest.mark.parametrize(("needle", "words"), [(b"needle-0150-3", "from seq "), (b"key-0150-3", "outside the events")])
def test_a_page_of_zeros_kills_only_the_child(home: Path, needle: bytes, words: str) -> None:
    fill(home, 200)
    zero_pages(home / "log" / "data.mdb", needle)

    report = verify(home)

    assert not report.ok
    assert report.bad_seq is None or 1 < report.bad_seq <= 1_501
    assert report.error is not None
    assert "killed by SIG" in report.error
    assert words in report.error
    code, line = run_verify(home)
    assert (code, line) == (1, report.error + "\n")


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_f07_a_truncated_file_is_one_clear_line(home: Path, kept: float) -> None:
    fill(home)
    path = home / "log" / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * kept))

    assert_refused(home, LogTruncated, str(path), "cut short")
    with pytest.raises(LogTruncated):
        LogReader.open(home)


def test_a_page_of_zeros_on_the_way_to_the_events_is_one_clear_line(home: Path) -> None:
    fill(home)
    zero_pages(home / "log" / "data.mdb", b"needle-0000-3")

    report = verify(home)

    assert not report.ok
    assert report.error is not None
    assert "data.mdb cannot be read (" in report.error


def test_f07_a_file_cut_to_less_than_its_header_is_refused(home: Path) -> None:
    fill(home)
    path = home / "log" / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(100)

    assert_refused(home, LogCorrupt, str(path))


def test_a_lost_tail_is_seen_by_the_head_outside_the_log(home: Path, tmp_path: Path) -> None:
    fill(home, 20)
    shutil.copy(home / "log" / "data.mdb", tmp_path / "older.mdb")
    fill(home, 20)
    shutil.copy(tmp_path / "older.mdb", home / "log" / "data.mdb")

    assert_refused(home, LostTail, "ends at seq 200, but seq 400 was committed", "log.head")
    with LogReader.open(home) as reader:
        assert sum(batch.count for batch in reader.read()) == 200, "what is left can be read"
        with pytest.raises(LostTail, match="seq 400 was committed"):
            reader.check_tail()

    (home / "log.head").unlink()
    with EventLog.open(home) as log:
        assert log.last.seq == 200


def test_a_log_that_was_replaced_by_another_is_seen(home: Path, tmp_path: Path) -> None:
    fill(home, 20)
    fill(tmp_path / "other", 30)
    shutil.copy(tmp_path / "other" / "log" / "data.mdb", home / "log" / "data.mdb")

    assert_refused(home, LostTail, "differ at seq 200")


def test_a_missing_data_file_is_a_lost_tail_and_not_a_new_log(home: Path) -> None:
    fill(home, 3)
    (home / "log" / "data.mdb").unlink()

    report = verify(home)
    assert report.error is not None
    assert "missing" in report.error
    with pytest.raises(LostTail, match="seq 30 was committed"):
        EventLog.open(home)


def test_a_head_behind_the_log_is_the_normal_state_after_a_crash_and_is_repaired(home: Path, tmp_path: Path) -> None:
    fill(home, 20)
    older = (home / "log.head").read_bytes()
    fill(home, 20)
    newer = (home / "log.head").read_bytes()
    (home / "log.head").write_bytes(older)

    assert verify(home).ok
    EventLog.open(home).close()
    assert (home / "log.head").read_bytes() != older
    (home / "log.head").write_bytes(newer)
    EventLog.open(home).close()


@pytest.mark.parametrize("size", [0, 40, 512, 600, 1_024])
def test_a_torn_head_file_costs_no_log(home: Path, size: int) -> None:
    fill(home, 3)
    path = home / "log.head"
    path.write_bytes(path.read_bytes()[:size].ljust(size and 1_024, b"\xff"))

    assert verify(home).ok
    with EventLog.open(home) as log:
        assert log.last.seq == 30


def test_f11_a_log_of_an_unknown_format_is_refused_by_owner_and_reader(home: Path) -> None:
    fill(home, 1)
    with lmdb.open(str(home / "log"), max_dbs=3) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as transaction:
            transaction.put(b"format", b"2", db=meta)

    for opened in (EventLog.open, LogReader.open):
        with pytest.raises(FormatUnknown, match="has format 2, this program knows 1"):
            opened(home)
    assert not verify(home).ok


def test_f11_a_batch_of_an_unknown_format_is_refused(home: Path) -> None:
    fill(home, 1)
    flip(home / "log" / "data.mdb", b"CFEL\x00\x01", at=5)

    with pytest.raises(FormatUnknown, match="format 0"):
        EventLog.open(home)


def _forge(home: Path, table: bytes, key: bytes, value: bytes | None) -> None:
    with lmdb.open(str(home / "log"), max_dbs=3) as env:
        opened = env.open_db(table)
        with env.begin(write=True) as transaction:
            if value is None:
                assert transaction.delete(key, db=opened)
            else:
                transaction.put(key, value, db=opened)


def test_a_batch_that_is_missing_in_the_middle_is_named(home: Path) -> None:
    fill(home)
    _forge(home, b"events", (71).to_bytes(8, "big"), None)

    report = verify(home)

    assert (report.ok, report.bad_seq) == (False, 71)


def test_two_batches_that_changed_places_are_named(home: Path) -> None:
    fill(home)
    with lmdb.open(str(home / "log"), max_dbs=3) as env, env.begin(db=env.open_db(b"events")) as transaction:
        first, second = (transaction.get((seq).to_bytes(8, "big")) for seq in (71, 81))
    _forge(home, b"events", (71).to_bytes(8, "big"), second)
    _forge(home, b"events", (81).to_bytes(8, "big"), first)

    report = verify(home)

    assert (report.ok, report.bad_seq) == (False, 71)


def test_a_batch_under_a_later_seq_is_named(home: Path) -> None:
    fill(home)
    with lmdb.open(str(home / "log"), max_dbs=3) as env, env.begin(db=env.open_db(b"events")) as transaction:
        last = transaction.get((391).to_bytes(8, "big"))
    _forge(home, b"events", (391).to_bytes(8, "big"), None)
    _forge(home, b"events", (395).to_bytes(8, "big"), last)

    report = verify(home)

    assert (report.ok, report.bad_seq) == (False, 391)


@pytest.mark.parametrize(
    ("count", "recorded_at", "known", "words"),
    [
        (3, 9, (5, 6), "has 2 events, its header says 3"),
        (2, 9, (4, 6), "known_at bounds"),
        (2, 9, (5, 7), "known_at bounds"),
        (2, 5, (5, 6), "out of order"),
    ],
)
def test_a_header_that_does_not_describe_its_events_is_named_although_its_digest_is_right(
    home: Path, count: int, recorded_at: int, known: tuple[int, int], words: str
) -> None:
    EventLog.open(home).close()
    payload = encode_pairs([pack("a"), pack("b")], [5, 6])
    value, _ = encode_record(count, recorded_at, *known, NO_DIGEST, payload)
    _forge(home, b"events", (1).to_bytes(8, "big"), value)

    report = verify(home, in_child=False)

    assert (report.ok, report.bad_seq) == (False, 1)
    assert report.error is not None
    assert words in report.error


def test_a_key_that_names_an_event_of_other_content_is_found(home: Path) -> None:
    fill(home, 2)
    _forge(home, b"keys", b"ghost", encode_key_value(b"ghost", 11, bytes(16)))

    report = verify(home)

    assert (report.ok, report.bad_seq) == (False, 11)


def test_a_key_that_names_no_event_is_found(home: Path) -> None:
    fill(home, 2)
    _forge(home, b"keys", b"ghost", encode_key_value(b"ghost", 21, bytes(16)))

    report = verify(home)

    assert not report.ok
    assert report.error is not None
    assert "names seq 21, which is not in the log" in report.error


@pytest.mark.parametrize("emptied", [True, False], ids=["empty", "gone"])
def test_f07_a_log_file_that_is_empty_or_gone_is_no_new_log(home: Path, emptied: bool) -> None:
    fill(home)
    data = home / "log" / "data.mdb"
    data.write_bytes(b"") if emptied else data.unlink()

    report = verify(home)

    assert (report.ok, "gone or empty, but seq 400 was committed" in (report.error or "")) == (False, True)
    with pytest.raises(LostTail, match="restore a copy"):
        LogReader.open(home)
    with pytest.raises(LostTail):
        EventLog.open(home)


def test_a_log_without_a_head_file_verifies_and_the_report_says_that_there_is_none(home: Path) -> None:
    fill(home)
    before = verify(home)
    (home / "log.head").unlink()
    after = verify(home)

    assert (before.ok, before.has_outside_head) == (True, True)
    assert (after.ok, after.has_outside_head) == (True, False)
