"""Prints the golden lines of a release: every event class, once with every field set and once with its defaults, as
bytes and, where it has one, with its key in the log.

    python -m tests.domain.make_golden > tests/domain/golden/RELEASE.jsonl      when RELEASE is made, and never again
    python -m tests.domain.make_golden --missing >> tests/domain/golden/RELEASE.jsonl      classes that no file has yet
    python -m tests.domain.make_golden --read > tests/domain/golden/0.1.0-read.jsonl      was run once

A golden file represents every log of its release. The lines of a `-read` file pin the conversion of older event classes
to current ones. No test writes a golden file, and an existing line never changes.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from carryfold.domain import codec, legacy
from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument, Pair

__all__ = [
    "CLASSES", "FILES", "FOLDER", "READ_FILES", "STORED", "fields_of", "full", "golden_lines", "kinds_in", "minimal",
    "read_lines",
]  # fmt: skip

FOLDER: Final = Path(__file__).parent / "golden"
READ_FILES: Final = sorted(FOLDER.glob("*-read.jsonl"))
FILES: Final = [path for path in sorted(FOLDER.glob("*.jsonl")) if path not in READ_FILES]

CLASSES: Final[tuple[type[Any], ...]] = (*ev.MARKET, *ev.TRADING, *ev.OPERATION)
STORED: Final[tuple[type[Any], ...]] = (*CLASSES, *legacy.LEGACY)

_TEXT: Final = {"venue": "bybit", "symbol": "1000PEPEUSDT", "leg": "perp", "side": "sell", "mode": "live"}
_TIME: Final = 1_704_067_200_000_000_001  # odd, so that a float on the way would be noticed


def fields_of(event: Any) -> dict[str, Any]:
    """The event's fields by name, in plain values: decimals as text, tuples as lists."""
    values = {name: getattr(event, name) for name in type(event).__struct_fields__}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
    return plain


def kinds_in(path: Path) -> set[str]:
    """The kinds of events, by tag, that a golden file has."""
    return {json.loads(line)["event"] for line in path.read_text().splitlines()}


def full(cls: type[Any]) -> Any:
    """An event of `cls` in which no field has its default."""
    return cls(*(_value(f.name, f.type, i) for i, f in enumerate(msgspec.structs.fields(cls))))


def minimal(cls: type[Any]) -> Any:
    """An event of `cls` with its required fields only."""
    return cls(*(_value(f.name, f.type, i) for i, f in enumerate(msgspec.structs.fields(cls)) if f.required))


def _value(name: str, kind: Any, i: int) -> Any:
    """A distinctive value for the `i`-th field of a class."""
    if kind is Pair:
        perp = Instrument("bybit", "1000PEPEUSDT", "perp", 100 + i)
        return Pair(Instrument("bybit", "PEPEUSDT", "spot", 1), perp)
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    if get_origin(kind) is tuple:
        return (_value(name, choices[0], i), _value(name, choices[0], i + 1))
    if get_origin(kind) is dict:
        return {"rate": 0.0003, "gates": ["slots", "capital"], "t": _TIME + i, "none": None, "on": False}
    if choices:
        return _value(name, choices[0], i)
    if kind is int:
        return _TIME + i if name.endswith(("_at", "_ns")) else 100 + i
    made = {bool: True, float: 0.1 * i + 0.15, Decimal: Decimal(f"-{i}12345678.12345678"), str: f"{name} ü{i}"}[kind]
    return _TEXT.get(name, made) if kind is str else made


def golden_lines(classes: tuple[type[Any], ...]) -> Iterator[str]:
    """Two lines for each class."""
    for cls in classes:
        for event in (full(cls), minimal(cls)):
            key = codec.event_key(event)
            line = {
                "event": ev.tag_of(cls),
                "fields": fields_of(event),
                "key": None if key is None else key.hex(),
                "msgpack": codec.encode(event).hex(),
            }
            yield json.dumps(line, ensure_ascii=False)


def read_lines(release: Path) -> Iterator[str]:
    """Each event of older classes in current classes: those in the golden file of their release, and distinctive
    ones."""
    stored = [bytes.fromhex(json.loads(line)["msgpack"]) for line in release.read_text().splitlines()]
    for data in [*stored, *map(codec.encode, _TELLING)]:
        if isinstance(codec.decode(data), legacy.LEGACY):
            events = [{"event": ev.tag_of(type(e)), "fields": fields_of(e)} for e in codec.read(data)]
            line = {"event": msgspec.msgpack.decode(data)[0], "msgpack": data.hex(), "read": events}
            yield json.dumps(line, ensure_ascii=False)


_PAIR: Final = ("bybit", "BTCUSDT", 1)
_THOUSAND: Final = ("bybit", "SHIB1000USDT", 2)
_BARE: Final = ("hyperliquid", "BTC", 1)
_RUN: Final = (7, _TIME, *_PAIR)

# What release 0.1.0 wrote in earnest, where more hangs on the values than in the lines of its golden file.
_TELLING: Final = (
    legacy.PairListed(*_PAIR, 0, 1e-6, 5.0),
    legacy.PairListed(*_PAIR, _TIME, 0.001, 5.0, 1000, True, 1.0, 8.0, "BTCUSDT", 0.00375),
    legacy.PairListed(*_THOUSAND, _TIME, 100.0, 5.0, 1, True, 1000.0, 8.0, "SHIBUSDT"),
    legacy.PairListed(*_BARE, 0, 1e-6, 5.0),
    legacy.PairChanged(*_PAIR, 0, priced=True),
    legacy.PairChanged(*_PAIR, _TIME, interval_hours=4.0),
    legacy.PairChanged(*_THOUSAND, _TIME, lot=1000.0),
    legacy.PairChanged(*_PAIR, _TIME, delist_at=0),
    legacy.PairQuoted(*_PAIR, _TIME, 99.5, 100.5, 100.0, 101.0),
    legacy.PairQuoted(*_THOUSAND, _TIME, 0.0, 0.0, 0.25, 0.5),
    legacy.PairQuoted(*_PAIR, _TIME, 99.5, 100.5, 0.0, 0.0),
    legacy.PairQuoted(*_PAIR, _TIME, 0.0, 0.0, 0.0, 0.0),
    legacy.PairBarClosed(*_PAIR, _TIME, 60, 100.0, 100.5, 100.25, 1e6),
    legacy.PairBarClosed(*_THOUSAND, _TIME, 60, 0.0, 0.25, 0.5),
    legacy.PairBarClosed(*_PAIR, _TIME, 60, 0.0, 0.0, 100.25),
    legacy.PairActivityObserved(*_PAIR, _TIME, 60, perp_turnover=1e6),
    legacy.PairActivityObserved(*_PAIR, _TIME, 60, spot_turnover=1e5),
    legacy.PairActivityObserved(*_PAIR, _TIME, 60),
    legacy.PairObservationCorrected(*_PAIR, _TIME, "BarClosed", (100.0, 101.0), 12),
    legacy.OldOrderIntended(*_RUN, "rrccjk-7-12e-s1", "spot", "buy", Decimal("0.5"), Decimal(100), purpose="open"),
    legacy.OldOrderIntended(*_RUN, "rrccjk-7-30r-p1", "perp", "sell", Decimal("0.5"), purpose="hedge"),
    legacy.OldOrderAccepted(*_RUN, "rrccjk-7-12e-s1", "v1"),
    legacy.OldOrderRejected(*_RUN, "rrccjk-7-12e-p1", "no margin"),
    legacy.OldOrderRejected(*_RUN, "rrccjk-7-12e-s1", "no balance", ended=True),
    legacy.OldOrderUnknown(*_RUN, "rrccjk-7-12e-s1", "timeout"),
    legacy.OldOrderFilled(*_RUN, "rrccjk-7-12e-s1", "f1", "spot", 500, Decimal("50.05"), Decimal("0.05"), "BTC"),
    legacy.OldOrderFilled(*_RUN, "rrccjk-7-12e-p1", "f2", "perp", -500, Decimal(50), Decimal("0.0275"), ended=True),
    legacy.OldOrderFilled(*_RUN, "", "f3", "perp", -500, Decimal(50), Decimal("0.0275")),
    legacy.OldOrderCancelled(*_RUN, "rrccjk-7-12e-s1", "absent"),
    legacy.OldOrderCancelled(*_RUN, "rrccjk-7-12e", "opened", ended=True),
    legacy.OldOrderCancelled(*_RUN, "rrccjk-7-30x", "partial: the venue refuses: no margin", ended=True),
    legacy.OldOrderCancelled(*_RUN, "rrccjk-7-40x", "given up: no quote", ended=True),
    legacy.OldOrderCancelled(*_RUN, "rrccjk-7-30r", "repaired"),
    legacy.OldFundingPaid(*_RUN, _TIME, Decimal("0.25"), "v2"),
    legacy.OldReconciliationCorrected(*_RUN, -3, 0, Decimal("0.03"), "rrccjk-7-12e: coins below what the venue sells"),
    legacy.OldReconciliationCorrected(*_RUN, 0, 0, Decimal("-0.05"), "funding 1704067200000000000 is 0.20, not 0.25"),
    legacy.OldReconciliationCorrected(7, _TIME, "bybit", "", 0, 0, 0, Decimal("-1.5"), "cash"),
    legacy.OldRunStarted(_TIME, "paper", {"enter": 0.0003}, "code", "a", ("bybit/BTCUSDT/1", "bybit/SHIB1000USDT/2")),
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Print the lines of all classes, of those that no file has, or of what release 0.1.0 wrote."""
    if "--read" in arguments:
        lines = read_lines(FOLDER / "0.1.0.jsonl")
    else:
        known = set().union(*map(kinds_in, FILES)) if "--missing" in arguments else set()
        lines = golden_lines(tuple(cls for cls in CLASSES if ev.tag_of(cls) not in known))
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
