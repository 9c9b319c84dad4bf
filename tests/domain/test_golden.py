"""Every log of every release decodes: the bytes of each release in golden/ decode to the same values, and their
conversion to current events is pinned as well.

No test writes a golden file; `make_golden` prints the lines of a new release or of a new class.
"""

import json
from hashlib import blake2b
from typing import Any, Final

import msgspec
import pytest

from carryfold.domain import codec
from carryfold.domain import events as ev
from carryfold.domain.legacy import LEGACY
from tests.domain.make_golden import (
    CLASSES,
    FILES,
    FOLDER,
    READ_FILES,
    STORED,
    fields_of,
    full,
    golden_lines,
    kinds_in,
    minimal,
)

RELEASED: Final = {
    "0.1.0.jsonl": "637f18c932e0a2124ab6aa622799d872",
    "0.1.0-read.jsonl": "4ce51c337a8362a24b02ca010d66f2fd",
}
"""Digests of the files that are never touched again."""

LINES: Final = [json.loads(line) for path in FILES for line in path.read_text().splitlines()]
READ_LINES: Final = [json.loads(line) for path in READ_FILES for line in path.read_text().splitlines()]
BY_TAG: Final[dict[str, type[Any]]] = {ev.tag_of(cls): cls for cls in STORED}
OF_TODAY: Final = {tag for tag, cls in BY_TAG.items() if cls in CLASSES}


def numbered(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{i}-{line['event']}" for i, line in enumerate(lines)]


every_line = pytest.mark.parametrize("line", LINES, ids=numbered(LINES))
every_read_line = pytest.mark.parametrize("line", READ_LINES, ids=numbered(READ_LINES))
every_class = pytest.mark.parametrize("cls", CLASSES, ids=[cls.__name__ for cls in CLASSES])
every_stored_class = pytest.mark.parametrize("cls", STORED, ids=[cls.__name__ for cls in STORED])


def defaults_after(cls: type[Any], count: int) -> dict[str, Any]:
    """Plain defaults of the fields of `cls` beyond its first `count`."""
    later = msgspec.structs.fields(cls)[count:]
    assert all(not f.required for f in later), f"{cls.__name__} got a field without a default"
    made = {f.name: f.default if f.default is not msgspec.NODEFAULT else f.default_factory() for f in later}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return plain


def expected_fields(line: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line, and the defaults of those added to its class later."""
    fields: dict[str, Any] = line["fields"]
    return fields | defaults_after(BY_TAG[line["event"]], len(fields))


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_the_vocabulary_is_the_union_of_events() -> None:
    assert set(CLASSES) == set(ev.Event.__args__)
    assert {cls.__name__ for cls in CLASSES} == {
        name for name in ev.__all__ if name[0].isupper() and name[1].islower()
    } - {"Event"}


def test_no_two_classes_of_any_release_share_a_tag() -> None:
    assert len(BY_TAG) == len(STORED)
    assert {tag.encode() for tag in BY_TAG} == codec.TAGS


def test_every_event_class_has_golden_lines() -> None:
    """A class that is new since the last release: `python -m tests.domain.make_golden --missing`."""
    assert {FOLDER / "0.1.0.jsonl", FOLDER / "0.2.0.jsonl"} <= set(FILES)
    assert set().union(*map(kinds_in, FILES)) == set(BY_TAG)
    assert kinds_in(FOLDER / "0.2.0.jsonl") == OF_TODAY


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_file_is_never_changed(name: str) -> None:
    assert blake2b((FOLDER / name).read_bytes(), digest_size=16).hexdigest() == RELEASED[name]


# --- what was written -------------------------------------------------------------------------------------------------


@every_line
def test_a_golden_line_decodes_to_its_event(line: dict[str, Any]) -> None:
    event = codec.decode(bytes.fromhex(line["msgpack"]))

    cls = BY_TAG[line["event"]]
    assert type(event) is cls
    assert fields_of(event) == expected_fields(line)
    assert list(line["fields"]) == list(cls.__struct_fields__)[: len(line["fields"])]


@every_line
def test_encoding_a_golden_event_again_gives_the_same_bytes(line: dict[str, Any]) -> None:
    """Of a class that has grown since, the same values and then the defaults of what came later."""
    stored = bytes.fromhex(line["msgpack"])

    again = codec.encode(codec.decode(stored))

    if len(line["fields"]) == len(BY_TAG[line["event"]].__struct_fields__):
        assert again == stored
    assert msgspec.msgpack.decode(again)[: 1 + len(line["fields"])] == msgspec.msgpack.decode(stored)


@every_line
def test_the_key_of_a_golden_observation_is_unchanged(line: dict[str, Any]) -> None:
    """Of older classes, which nobody writes any more, no key is made."""
    key = codec.event_key(codec.decode(bytes.fromhex(line["msgpack"])))

    assert (None if key is None else key.hex()) == (line["key"] if line["event"] in OF_TODAY else None)


# --- what it says today -----------------------------------------------------------------------------------------------


@every_line
def test_a_golden_line_is_read_as_current_events(line: dict[str, Any]) -> None:
    data = bytes.fromhex(line["msgpack"])

    events = codec.read(data)

    assert all(type(event) in CLASSES for event in events)
    if line["event"] in OF_TODAY:
        assert events == (codec.decode(data),)
    assert list(codec.decode_batch(msgspec.msgpack.encode([(5, msgspec.Raw(data))] * 2), 8)) == [
        (seq, 5, event) for seq in (8, 9) for event in events
    ]


@every_read_line
def test_an_older_event_is_converted_to_the_pinned_events(line: dict[str, Any]) -> None:
    events = codec.read(bytes.fromhex(line["msgpack"]))

    assert [ev.tag_of(type(event)) for event in events] == [one["event"] for one in line["read"]]
    assert [fields_of(event) for event in events] == [expected_fields(one) for one in line["read"]]


def test_every_older_event_of_a_golden_file_is_pinned() -> None:
    pinned = {line["msgpack"] for line in READ_LINES}

    assert {line["msgpack"] for line in LINES if line["event"] not in OF_TODAY} <= pinned
    assert {line["event"] for line in READ_LINES} == {ev.tag_of(cls) for cls in LEGACY}


# --- versions before and after ----------------------------------------------------------------------------------------


@every_class
def test_old_bytes_decode_when_a_field_is_appended(cls: type[Any]) -> None:
    """The next version of each class, played by a struct with one field more."""
    names = [
        (f.name, f.type) if f.required else (f.name, f.type, field_default(f)) for f in msgspec.structs.fields(cls)
    ]
    options: dict[str, Any] = {"frozen": True, "array_like": True, "tag": ev.tag_of(cls)}
    grown = msgspec.defstruct(cls.__name__, [*names, ("added_later", int, 77)], **options)
    old = full(cls)

    event = msgspec.msgpack.decode(codec.encode(old), type=grown)

    assert fields_of(event) == fields_of(old) | {"added_later": 77}


@every_stored_class
def test_bytes_of_a_later_version_decode_without_its_new_field(cls: type[Any]) -> None:
    stored = msgspec.msgpack.decode(codec.encode(full(cls)))

    assert codec.decode(msgspec.msgpack.encode([*stored, "from the future"])) == full(cls)


@every_stored_class
def test_bytes_without_the_optional_fields_decode_to_their_defaults(cls: type[Any]) -> None:
    """What a version would have written that had no optional field yet."""
    required = sum(f.required for f in msgspec.structs.fields(cls))
    stored = msgspec.msgpack.decode(codec.encode(minimal(cls)))

    assert codec.decode(msgspec.msgpack.encode(stored[: 1 + required])) == minimal(cls)


@every_class
def test_a_full_line_has_no_field_at_its_default(cls: type[Any]) -> None:
    given = fields_of(full(cls))

    for name, default in defaults_after(cls, sum(f.required for f in msgspec.structs.fields(cls))).items():
        assert given[name] != default, f"{cls.__name__}.{name}"


def test_the_tool_prints_a_file_of_today_that_reads_back() -> None:
    for line in map(json.loads, golden_lines(CLASSES)):
        assert fields_of(codec.decode(bytes.fromhex(line["msgpack"]))) == line["fields"]


def field_default(field: msgspec.structs.FieldInfo) -> Any:
    """The default of an optional field as `defstruct` takes it."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return msgspec.field(default_factory=field.default_factory)
