"""Export and import: an exported log is rebuilt exactly, also by later releases, and changed files are refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carryfold.eventlog import EventLog, ImportRefused, LogReader, OwnerLocked, export_jsonl, import_jsonl

pack = msgspec.msgpack.encode
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_V1_DIGEST = "34a1bed564691060cb2f335c942d957af9673f410a78b1e2cadc19ee10c2b6d3"


def fill(home: Path) -> None:
    with EventLog.open(home) as log:
        log.set_meta("rule", b"\x00\x01")
        log.append([(pack({"kind": "a", "n": index}), b"key-%d" % index, index) for index in range(5)])
        log.append([(pack([1.0, "x"]),), (pack(b"\xff"), b"\xff")])


def test_a_log_of_format_1_imports_to_the_same_digest_for_ever(home: Path, tmp_path: Path) -> None:
    head = import_jsonl(GOLDEN / "v1.jsonl", home)

    assert (head.seq, head.digest.hex()) == (4_108, GOLDEN_V1_DIGEST)
    export_jsonl(home, tmp_path / "again.jsonl")
    assert import_jsonl(tmp_path / "again.jsonl", tmp_path / "again") == head
    with LogReader.open(home) as reader:
        assert [batch.count for batch in reader.read()] == [1, 7, 4_096, 4]
        assert reader.find_key("Schlüssel".encode()) == 5
        assert reader.get_meta("availability") == b"\x00rule 1"


def test_the_file_is_readable_and_the_imported_log_goes_on(home: Path, tmp_path: Path) -> None:
    fill(home)
    file, copy = tmp_path / "log.jsonl", tmp_path / "copy"
    head = export_jsonl(home, file)

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"format": "carryfold-log", "version": 1, "meta": {"rule": "AAE="}}
    assert lines[1]["events"][2] == [2, {"kind": "a", "n": 2}]
    assert lines[2]["events"][1][1] == {"b64": "xAH/"}
    assert lines[3] == {"keys": [*([f"key-{index}", index + 1] for index in range(5)), [{"b64": "/w=="}, 7]]}
    assert lines[4] == {"end": 7, "digest": head.digest.hex()}
    assert import_jsonl(file, copy) == head
    with EventLog.open(copy) as log:
        assert log.last == head
        result = log.append([(pack({"kind": "a", "n": 3}), b"key-3"), (pack("other"), b"key-4"), (pack("new"),)])
        assert (result.count, result.duplicates, [one.seq for one in result.conflicts]) == (1, 1, [5])
        assert log.get_meta("rule") == b"\x00\x01"
    assert not list(copy.glob(".import*"))


def test_a_name_in_gz_is_compressed(home: Path, tmp_path: Path) -> None:
    fill(home)
    head = export_jsonl(home, tmp_path / "log.jsonl.gz")
    export_jsonl(home, tmp_path / "log.jsonl")

    assert gzip.decompress((tmp_path / "log.jsonl.gz").read_bytes()) == (tmp_path / "log.jsonl").read_bytes()
    assert import_jsonl(tmp_path / "log.jsonl.gz", tmp_path / "copy") == head


def test_an_empty_log_survives(home: Path, tmp_path: Path) -> None:
    EventLog.open(home).close()
    head = export_jsonl(home, tmp_path / "log.jsonl")

    assert import_jsonl(tmp_path / "log.jsonl", tmp_path / "copy") == head
    EventLog.open(tmp_path / "copy").close()


def _edit(line: int, change: Callable[[Any], None]) -> Callable[[list[str]], list[str]]:
    def edit(lines: list[str]) -> list[str]:
        value = json.loads(lines[line])
        change(value)
        return [*lines[:line], json.dumps(value, separators=(",", ":")), *lines[line + 1 :]]

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_edit(0, lambda line: line.update(version=2)), "line 1: format carryfold-log 2 is unknown"),
        (_edit(1, lambda line: line["events"][1].__setitem__(0, 99)), "line 2: the batch does not have the digest"),
        (_edit(1, lambda line: line["events"][1][1].update(n=7)), "line 2: the batch does not have the digest"),
        (_edit(2, lambda line: line.update(recorded_at=line["recorded_at"] + 1)), "line 3: the batch does not have"),
        (_edit(1, lambda line: line.update(events=[])), "line 2: the batch has no events"),
        (_edit(2, lambda line: line["events"][1][1].update(b64="%")), "line 3: "),
        (_edit(3, lambda line: line["keys"][0].__setitem__(1, 8)), "line 4: a key names seq 8"),
        (_edit(3, lambda line: line["keys"].reverse()), "line 5: records or keys are out of order"),
        (_edit(4, lambda line: line.update(end=8)), "line 5: the file rebuilds seq 7, but was exported up to seq 8"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: the batch starts at seq 6, expected 1"),
        (lambda lines: lines[:-1], "ends after line 4"),
        (lambda lines: [*lines, lines[-1]], "line 6: the file goes on"),
        (lambda lines: [lines[0], "no json", *lines[1:]], "line 2: "),
        (lambda lines: [], "ends after line 0"),
    ],
)
def test_a_file_that_was_changed_is_refused_by_line_and_leaves_no_log(
    home: Path, tmp_path: Path, edit: Callable[[list[str]], list[str]], words: str
) -> None:
    fill(home)
    file, copy = tmp_path / "log.jsonl", tmp_path / "copy"
    export_jsonl(home, file)
    file.write_text("".join(f"{line}\n" for line in edit(file.read_text().splitlines())))

    with pytest.raises(ImportRefused) as caught:
        import_jsonl(file, copy)

    assert f"{file} {words}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in copy.iterdir()] == ["owner.lock"]


def test_a_cut_gz_file_is_refused(home: Path, tmp_path: Path) -> None:
    fill(home)
    file = tmp_path / "log.jsonl.gz"
    export_jsonl(home, file)
    file.write_bytes(file.read_bytes()[:-30])

    with pytest.raises(ImportRefused):
        import_jsonl(file, tmp_path / "copy")


def test_a_log_with_events_is_not_imported_into(home: Path, tmp_path: Path) -> None:
    fill(home)
    export_jsonl(home, tmp_path / "log.jsonl")

    with pytest.raises(ImportRefused, match="has 7 events already"):
        import_jsonl(tmp_path / "log.jsonl", home)
    with EventLog.open(tmp_path / "owned"), pytest.raises(OwnerLocked):
        import_jsonl(tmp_path / "log.jsonl", tmp_path / "owned")


def test_an_export_beside_a_live_owner_ends_where_it_began(home: Path, tmp_path: Path) -> None:
    with EventLog.open(home) as log:
        log.append([(pack(1), b"a")])
        head = log.last
        from carryfold.eventlog.jsonl import _lines

        with LogReader.open(home) as reader:
            lines = _lines(reader, reader.last)
            exported = [next(lines), next(lines)]
            log.append([(pack(2), b"b")])
            exported += lines
    (tmp_path / "log.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in exported))
    assert import_jsonl(tmp_path / "log.jsonl", tmp_path / "copy") == head
