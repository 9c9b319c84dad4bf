"""For any appends, in any batches, the log equals a model made of a list and a dictionary."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryfold.eventlog import EventLog, LogReader, export_jsonl, import_jsonl, verify
from carryfold.eventlog.jsonl import event_from_json, event_to_json

pack = msgspec.msgpack.encode

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
keys = st.none() | st.sampled_from([b"a", b"b", b"c", b"\xff\x00", b"dd"]) | st.binary(min_size=1, max_size=12)
entries = st.tuples(values.map(pack), keys, st.none() | st.integers(0, 2**63 - 1))
appends = st.lists(st.lists(entries, max_size=12), min_size=1, max_size=6)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Model:
    """A log in plain Python."""

    def __init__(self) -> None:
        self.events: list[tuple[int, bytes]] = []
        self.seq_of: dict[bytes, int] = {}

    def append(self, new: list[tuple[bytes, bytes | None, int | None]], recorded_at: int) -> tuple[int, int, list[int]]:
        before, duplicates, conflicts = len(self.events), 0, []
        for index, (payload, key, known_at) in enumerate(new):
            if key in self.seq_of:
                assert key is not None
                if self.events[self.seq_of[key] - 1][1] == payload:
                    duplicates += 1
                else:
                    conflicts.append(index)
                continue
            self.events.append((min(recorded_at, known_at if known_at is not None else recorded_at), payload))
            if key is not None:
                self.seq_of[key] = len(self.events)
        return len(self.events) - before, duplicates, conflicts


@quick
@given(appends)
def test_the_log_holds_what_the_model_holds(batches: list[list[tuple[bytes, bytes | None, int | None]]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with EventLog.open(home) as log:
            latest = 0
            for batch in batches:
                result = log.append(batch)
                wanted = model.append(batch, result.recorded_at)
                assert wanted == (result.count, result.duplicates, [one.index for one in result.conflicts])
                assert result.recorded_at > latest or result.count == 0
                latest = result.recorded_at
        with LogReader.open(home) as reader:
            stored = [
                (at, bytes(raw))
                for batch in reader.read()
                for at, raw in msgspec.msgpack.decode(batch.payload, type=list[tuple[int, msgspec.Raw]])
            ]
            assert stored == model.events
            assert dict(reader.iter_keys()) == model.seq_of
        assert verify(home, in_child=False).error is None


@quick
@given(appends)
def test_an_exported_log_is_imported_with_the_same_head_digest(
    batches: list[list[tuple[bytes, bytes | None, int | None]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, copy, file = Path(folder) / "home", Path(folder) / "copy", Path(folder) / "log.jsonl"
        with EventLog.open(home) as log:
            for batch in batches:
                log.append(batch)
            head = log.last
        exported = export_jsonl(home, file)
        imported = import_jsonl(file, copy, verified_in_child=False)
        assert head == exported == imported
        with LogReader.open(home) as old, LogReader.open(copy) as new:
            assert list(old.read()) == list(new.read())
            assert list(old.iter_key_values()) == list(new.iter_key_values())


@settings(deadline=None)
@given(values)
def test_an_event_survives_json_byte_for_byte(value: Any) -> None:
    event = pack(value)

    assert event_from_json(msgspec.json.decode(event_to_json(event))) == event


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40))
def test_bytes_that_msgpack_would_write_otherwise_survive_too(data: bytes) -> None:
    for event in (
        b"\xd3" + bytes(7) + b"\x05",
        b"\xca\x3f\x80\x00\x00",
        b"\xc7\x01\x05\x00",
        b"\xc4\x02hi",
        pack({"b64": "aGk="}),
    ):
        assert event_from_json(msgspec.json.decode(event_to_json(event))) == event
    wrapped = b"\xc4" + bytes([len(data)]) + data
    assert event_from_json(msgspec.json.decode(event_to_json(wrapped))) == wrapped
