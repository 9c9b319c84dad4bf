"""Every log ever written decodes for ever: the bytes of each release, kept in golden/, still say what they said.

No test writes a golden file; `make_golden` prints the lines of a new release or of a new class.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from carryfold.domain import codec
from carryfold.domain import events as ev
from tests.domain.make_golden import CLASSES, FOLDER, classes_in, fields_of, full, golden_lines, minimal

FILES: Final = sorted(FOLDER.glob("*.jsonl"))
LINES: Final = [json.loads(line) for path in FILES for line in path.read_text().splitlines()]
BY_NAME: Final[dict[str, type[Any]]] = {cls.__name__: cls for cls in CLASSES}

every_line = pytest.mark.parametrize("line", LINES, ids=[f"{i}-{line['event']}" for i, line in enumerate(LINES)])
every_class = pytest.mark.parametrize("cls", CLASSES, ids=[cls.__name__ for cls in CLASSES])


def defaults_after(cls: type[Any], count: int) -> dict[str, Any]:
    """Plain defaults of the fields of `cls` beyond its first `count`."""
    later = msgspec.structs.fields(cls)[count:]
    assert all(not f.required for f in later), f"{cls.__name__} got a field without a default"
    made = [f.default if f.default is not msgspec.NODEFAULT else f.default_factory() for f in later]
    plain = {f.name: msgspec.to_builtins(value) for f, value in zip(later, made, strict=True)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def test_the_vocabulary_is_the_union_of_events() -> None:
    assert set(CLASSES) == set(ev.Event.__args__)
    assert {cls.__name__ for cls in CLASSES} == {
        name for name in ev.__all__ if name[0].isupper() and name[1].islower()
    } - {"Event"}


def test_every_event_class_has_golden_lines() -> None:
    """A class that is new since the last release: `python -m tests.domain.make_golden --missing`."""
    assert Path(FOLDER / "0.1.0.jsonl") in FILES
    assert set().union(*(classes_in(path) for path in FILES)) == set(BY_NAME)


@every_line
def test_a_golden_line_decodes_to_the_event_it_says(line: dict[str, Any]) -> None:
    event = codec.decode(bytes.fromhex(line["msgpack"]))

    cls = BY_NAME[line["event"]]
    assert type(event) is cls
    assert fields_of(event) == line["fields"] | defaults_after(cls, len(line["fields"]))
    assert list(line["fields"]) == list(cls.__struct_fields__)[: len(line["fields"])]


@every_line
def test_encoding_a_golden_event_again_gives_the_same_bytes(line: dict[str, Any]) -> None:
    """Of a class that has grown since, the same values and then the defaults of what came later."""
    stored = bytes.fromhex(line["msgpack"])

    again = codec.encode(codec.decode(stored))

    if len(line["fields"]) == len(BY_NAME[line["event"]].__struct_fields__):
        assert again == stored
    assert msgspec.msgpack.decode(again)[: 1 + len(line["fields"])] == msgspec.msgpack.decode(stored)


@every_line
def test_the_log_still_knows_a_golden_observation_by_its_key(line: dict[str, Any]) -> None:
    key = codec.event_key(codec.decode(bytes.fromhex(line["msgpack"])))

    assert (None if key is None else key.hex()) == line["key"]


@every_class
def test_old_bytes_decode_when_a_field_is_appended(cls: type[Any]) -> None:
    """The next version of each class, played by a struct with one field more."""
    names = [
        (f.name, f.type) if f.required else (f.name, f.type, field_default(f)) for f in msgspec.structs.fields(cls)
    ]
    options: dict[str, Any] = {"frozen": True, "array_like": True, "tag": cls.__name__}
    grown = msgspec.defstruct(cls.__name__, [*names, ("added_later", int, 77)], **options)
    old = full(cls)

    event = msgspec.msgpack.decode(codec.encode(old), type=grown)

    assert fields_of(event) == fields_of(old) | {"added_later": 77}


@every_class
def test_bytes_of_a_later_version_decode_without_its_new_field(cls: type[Any]) -> None:
    stored = msgspec.msgpack.decode(codec.encode(full(cls)))

    assert codec.decode(msgspec.msgpack.encode([*stored, "from the future"])) == full(cls)


@every_class
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
