"""Verification of a run: fold it again under its cursor, and compare every record and the final state."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from carryfold.domain.codec import encode
from carryfold.domain.events import FillSimulated
from carryfold.domain.fold.money import equity
from carryfold.domain.instruments import Pair
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.domain.rows import E8
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import MAX, format_time
from carryfold.projections.runs import Record, RunError, RunInfo, recorded, refold
from carryfold.projections.tape import Tape

__all__ = ["Difference", "Verification", "verify_run"]


class Difference(msgspec.Struct, frozen=True):
    """The first record that differs. `recorded` or `refolded` None: the other has one more."""

    stream: str
    number: int
    recorded: dict[str, Any] | None
    refolded: dict[str, Any] | None


class Verification(msgspec.Struct, frozen=True):
    """The result of folding a run again. `hindsight_decisions`: how many decisions would be different with events that
    were recorded later (backfills, corrections); it measures what the run could not know, and is no fault. `held`:
    pairs by name; `equity` (open legs at the last accepted prices), `funding` and `fees` in quote, as of
    `upto_seq`."""

    run: int
    mode: str
    identical: bool
    decisions: int
    fills: int
    state_hash: str
    recorded_state_hash: str
    first_difference: Difference | None
    upto_seq: int
    hindsight_decisions: int
    hindsight_first_at: str | None
    held: tuple[str, ...]
    equity: float
    funding: float
    fees: float


def verify_run(reader: LogReader, tape: Tape, info: RunInfo, code_digest: str) -> Verification:
    """Fold a run again and compare every record, and the final state if the run was stopped in order. Raises RunError
    if this code is not the run's."""
    if info.problem:
        raise RunError(f"run {info.run} cannot be folded: {info.problem}")
    if info.code_digest != code_digest:
        raise RunError(
            f"run {info.run} was made by another version of the fold ({info.code_digest[:12]}, this one is"
            f" {code_digest[:12]}): verify it with the version that made it"
        )
    decisions: list[Record] = []
    fills: list[Record] = []
    for event in recorded(reader, info):
        (fills if isinstance(event, FillSimulated) else decisions).append(event)
    refolded = _Refolded(tape, info, info.last_seq)
    difference = _first_difference("decisions", decisions, refolded.decisions)
    if not info.live:
        difference = difference or _first_difference("fills", fills, refolded.fills)
    same_state = info.state_hash in ("", refolded.state_hash)
    later = _Refolded(tape, info, MAX)
    changed = _changed(refolded.decisions, later.decisions, info.stopped_at)
    return Verification(
        run=info.run,
        mode=info.mode,
        identical=difference is None and same_state,
        decisions=len(decisions),
        fills=len(fills),
        state_hash=refolded.state_hash,
        recorded_state_hash=info.state_hash,
        first_difference=difference,
        upto_seq=info.last_seq,
        hindsight_decisions=len(changed),
        hindsight_first_at=format_time(min(changed)) if changed else None,
        held=refolded.held,
        equity=refolded.equity,
        funding=refolded.funding,
        fees=refolded.fees,
    )


class _Refolded:
    """A run folded again under a cursor."""

    def __init__(self, tape: Tape, info: RunInfo, upto_seq: int) -> None:
        self.decisions: list[Record] = []
        self.fills: list[Record] = []
        state, outputs = refold(tape, info, upto_seq)
        for output in outputs:
            self.decisions += decisions_recorded(info.run, state, output.decisions)
            self.fills += fills_recorded(info.run, state, output.fills)
        self.state_hash = state.hash()
        names = info.labels
        self.held = tuple(names[state.pairs[i]] for i in np.flatnonzero(state.pair["held"]).tolist())
        book = state.book[0]
        amounts = equity(book), book["funding"], book["fees"]
        self.equity, self.funding, self.fees = (int(amount) / E8 for amount in amounts)


def _first_difference(stream: str, recorded: Sequence[Record], refolded: Sequence[Record]) -> Difference | None:
    for number in range(max(len(recorded), len(refolded))):
        ours = recorded[number] if number < len(recorded) else None
        theirs = refolded[number] if number < len(refolded) else None
        if ours is None or theirs is None or encode(ours) != encode(theirs):
            return Difference(stream, number, _fields(ours), _fields(theirs))
    return None


def _fields(event: Record | None) -> dict[str, Any] | None:
    return None if event is None else {"event": type(event).__name__} | msgspec.structs.asdict(event)


def _changed(then: Sequence[Record], later: Sequence[Record], stopped_at: int | None) -> list[int]:
    """Times of the decisions that only one of the two has, up to the run's end."""
    end = MAX if stopped_at is None else stopped_at
    sets = [{_identity(event) for event in events if event.event_at <= end} for events in (then, later)]
    return [identity[0] for identity in sets[0] ^ sets[1]]


def _identity(event: Record) -> tuple[int, Pair, str, int]:
    lots = 0 if isinstance(event, FillSimulated) else event.lots
    return event.event_at, event.pair, type(event).__name__, lots
