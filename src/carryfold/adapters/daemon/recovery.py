"""What a restart finds in the log: processes that were interrupted, and the numbers that are taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.domain.codec import read
from carryfold.domain.events import (
    OPERATION,
    TRADING,
    EntryDecided,
    Event,
    ExitDecided,
    HedgeEnded,
    HoldingAdopted,
    OrderFilled,
    OrderIntended,
    ReconciliationCorrected,
    tag_of,
)
from carryfold.domain.execution import (
    Execution,
    ExecutionLimits,
    OurBooks,
    PairBooks,
    ProcessSpec,
    TradedPair,
    parse_client_id,
    run_tag,
)
from carryfold.domain.execution.ids import OrderName
from carryfold.domain.instruments import Leg, Pair
from carryfold.domain.legacy import LEGACY
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["Logged", "interrupted_processes", "last_repair", "run_events"]

_RAW_BATCH: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_ARRAY_16: Final = b"\xdc"
_LENGTH: Final = 0x1F
_CLASSES: Final[tuple[type[msgspec.Struct], ...]] = (*TRADING, *OPERATION, *LEGACY)
_OF_RUNS: Final = frozenset(
    tag_of(cls).encode() for cls in _CLASSES if "run" in cls.__struct_fields__ or "code_digest" in cls.__struct_fields__
)


class Logged(NamedTuple):
    """One event of the log."""

    seq: int
    known_at: int
    event: Event


class _Begun(NamedTuple):
    """The first order of a process: its name, when and where in the run it was intended, the leg to go first."""

    name: OrderName
    pair: Pair
    known_at: int
    place: int
    thin: Leg


def run_events(reader: LogReader, after_seq: int = 0) -> Iterator[Logged]:
    """The events of all runs after a seq, in order, with their starts. A log is mostly quotes: others are known by
    their first bytes, and not decoded."""
    for batch in reader.read(after_seq):
        for seq, (known_at, raw) in enumerate(_RAW_BATCH.decode(batch.payload), batch.first_seq):
            if seq > after_seq and _is_of_a_run(raw):
                for event in read(raw):
                    yield Logged(seq, known_at, event)


def _is_of_a_run(raw: msgspec.Raw) -> bool:
    """An encoded event is an array whose first element is its tag, a short text; arrays of more than 15 elements, of
    which runs have some, have a longer header."""
    head = memoryview(raw)[:40].tobytes()
    at = 1 if head[:1] != _ARRAY_16 else 3
    return head[at + 1 : at + 1 + (head[at] & _LENGTH)] in _OF_RUNS


def interrupted_processes(
    info: RunInfo, pairs: Mapping[str, TradedPair], own: Sequence[Logged], limits: ExecutionLimits
) -> list[Execution]:
    """Every process that intended an order and has no end. `own` are the run's events in order."""
    decisions = {seq: event for seq, _, event in own if isinstance(event, EntryDecided | ExitDecided)}
    by_pair = {pair.pair: pair for pair in pairs.values()}
    found: list[Execution] = []
    for begun in _unfinished(own).values():
        if begun.pair not in by_pair:
            continue
        long_units, short_units = _units(info, own[: begun.place], by_pair[begun.pair])
        decision = decisions.get(begun.name.decision_seq) if begun.name.kind != "repair" else None
        mid = 0.0 if decision is None else float(decision.working.get("mid", 0.0))
        spec = ProcessSpec(
            tag=run_tag(info.started_at),
            run=info.run,
            decision_seq=begun.name.decision_seq,
            kind=begun.name.kind,
            pair=by_pair[begun.pair],
            thin=begun.thin,
            started_at=begun.known_at,
            lots=decision.lots if isinstance(decision, EntryDecided) else 0,
            long_units=long_units,
            short_units=short_units,
            price=Decimal(repr(mid)),
            limits=limits,
        )
        found.append(Execution.restore(spec, own[begun.place :]))
    return found


def last_repair(own: Sequence[Logged]) -> int:
    """The largest number that a repair of the run was named by; 0: there was none."""
    names = (parse_client_id(event.client_id) for _, _, event in own if isinstance(event, OrderIntended))
    return max((name.decision_seq for name in names if name is not None and name.kind == "repair"), default=0)


def _unfinished(own: Sequence[Logged]) -> dict[str, _Begun]:
    """By the name of the process. The leg to go first is that of the first order that opens or closes by free will: an
    order before it only brought legs together."""
    begun: dict[str, _Begun] = {}
    chosen: set[str] = set()
    for place, (_, known_at, event) in enumerate(own):
        if isinstance(event, HedgeEnded):
            begun.pop(event.process, None)
        if not isinstance(event, OrderIntended):
            continue
        name = parse_client_id(event.client_id)
        if name is None:
            continue
        if name.process not in begun:
            begun[name.process] = _Begun(name, event.pair, known_at, place, name.leg)
        if event.purpose in ("open", "close") and name.process not in chosen:
            chosen.add(name.process)
            begun[name.process] = begun[name.process]._replace(thin=name.leg)
    return begun


def _units(info: RunInfo, own: Sequence[Logged], pair: TradedPair) -> tuple[int, int]:
    """(long units, short units) that the run held of a pair after these events."""
    books = PairBooks(pair)
    ours = OurBooks("", info.run, 0, {pair.name: books})
    for seq, _, event in own:
        if isinstance(event, OrderFilled | HoldingAdopted | ReconciliationCorrected):
            ours.apply(event, seq)
    return books.long_units, books.short_units
