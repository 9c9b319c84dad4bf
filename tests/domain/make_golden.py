"""Prints the golden lines of a release: every event class, once with every field set and once with its defaults alone,
as bytes and, where it has one, with the key under which the log knows it.

    python -m tests.domain.make_golden > tests/domain/golden/RELEASE.jsonl      when RELEASE is made, and never again
    python -m tests.domain.make_golden --missing >> tests/domain/golden/RELEASE.jsonl      classes that no file has yet

A golden file stands for every log that its release wrote. No test writes one, and a line that is there never changes.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args, get_origin

import msgspec

from carryfold.domain import codec
from carryfold.domain import events as ev

__all__ = ["CLASSES", "FOLDER", "classes_in", "fields_of", "full", "golden_lines", "minimal"]

FOLDER: Final = Path(__file__).parent / "golden"
CLASSES: Final[tuple[type[Any], ...]] = (*ev.MARKET, *ev.TRADING, *ev.OPERATION)

_TEXT: Final = {"venue": "bybit", "symbol": "1000PEPEUSDT", "leg": "perp", "side": "sell", "mode": "live"}
_TIME: Final = 1_704_067_200_000_000_001  # odd, so that a float on the way would be noticed


def fields_of(event: Any) -> dict[str, Any]:
    """The event's fields by name, in plain values: decimals as text, tuples as lists."""
    plain = {name: msgspec.to_builtins(getattr(event, name)) for name in type(event).__struct_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def classes_in(path: Path) -> set[str]:
    """Names of the event classes that a golden file has."""
    return {json.loads(line)["event"] for line in path.read_text().splitlines()}


def full(cls: type[Any]) -> Any:
    """An event of `cls` in which no field has its default."""
    return cls(*(_value(f.name, f.type, i) for i, f in enumerate(msgspec.structs.fields(cls))))


def minimal(cls: type[Any]) -> Any:
    """An event of `cls` with nothing given but what has to be."""
    return cls(*(_value(f.name, f.type, i) for i, f in enumerate(msgspec.structs.fields(cls)) if f.required))


def _value(name: str, kind: Any, i: int) -> Any:
    """A telling value of a field: the `i`-th one of its class."""
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    if get_origin(kind) is tuple:
        return (_value(name, choices[0], i), _value(name, choices[0], i + 1))
    if get_origin(kind) is dict:
        return {"rate": 0.0003, "gates": ["slots", "capital"], "t": _TIME + i, "none": None, "on": False}
    if choices:
        return _value(name, choices[0], i)
    if kind is int:
        return _TIME + i if name.endswith(("_at", "_ns")) else 100 + i
    made = {bool: True, float: 0.1 * (i + 1), Decimal: Decimal(f"-{i}12345678.12345678"), str: f"{name} ü{i}"}[kind]
    return _TEXT.get(name, made) if kind is str else made


def golden_lines(classes: tuple[type[Any], ...]) -> Iterator[str]:
    """Two lines for each class."""
    for cls in classes:
        for event in (full(cls), minimal(cls)):
            key = codec.event_key(event)
            line = {
                "event": cls.__name__,
                "fields": fields_of(event),
                "key": None if key is None else key.hex(),
                "msgpack": codec.encode(event).hex(),
            }
            yield json.dumps(line, ensure_ascii=False)


def main(arguments: list[str]) -> None:
    """Print the lines of all classes, or of those that no file has."""
    known = (
        {name for path in FOLDER.glob("*.jsonl") for name in classes_in(path)} if "--missing" in arguments else set()
    )
    for line in golden_lines(tuple(cls for cls in CLASSES if cls.__name__ not in known)):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
