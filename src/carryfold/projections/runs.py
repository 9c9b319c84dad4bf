"""Runs of the log: which there are, what each recorded, and folding one again to see whether it still comes out so.

A run's cursor is `upto_seq` alone: what had been recorded when it ended (or by now). Under it the log's one order is
the warm-up history and then the run's commits as they came, so folding the tape again is what the daemon did.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.codec import TAGS, encode, read
from carryfold.domain.events import (
    TRADING,
    EntryDecided,
    Event,
    ExitDecided,
    FillSimulated,
    FlattenRequested,
    Halted,
    Resumed,
    RunArmed,
    RunStarted,
    RunStopped,
    tag_of,
)
from carryfold.domain.fold import Output, State, fold, simulate
from carryfold.domain.fold.money import equity
from carryfold.domain.instruments import Instrument, Listing, Pair, labels
from carryfold.domain.params import ParameterError, Parameters
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.domain.rows import E8, KINDS, Kind, Rows, Subject
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import MAX, Cursor, format_time
from carryfold.projections.tape import Tape

__all__ = [
    "Difference", "RunError", "RunFilter", "RunInfo", "Verification", "list_runs", "make_state", "recorded", "refold",
    "verify_run",
]  # fmt: skip

_RAW_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_STARTS: Final = frozenset({b"RunStarted", tag_of(RunStarted).encode()})
_OF_RUNS: Final = _STARTS | frozenset(
    name.encode()
    for kind in (*TRADING, RunArmed, RunStopped, Halted, Resumed, FlattenRequested)
    for name in (kind.__name__, tag_of(kind))  # of release 0.1.0, and today's
)
_RECORDS: Final = frozenset(
    name.encode() for kind in (EntryDecided, ExitDecided, FillSimulated) for name in (kind.__name__, tag_of(kind))
)
_FIXSTR: Final = 0xA0
_OPERATOR: Final = (Kind.HALTED, Kind.RESUMED, Kind.FLATTEN_REQUESTED)
_OF_PAIRS: Final = np.array([kind for kind, spec in KINDS.items() if spec.subject is Subject.PAIR], np.int16)
Record = EntryDecided | ExitDecided | FillSimulated


class RunError(ValueError):
    """There is no such run, or it cannot be folded by this code; the text is one line."""


class RunInfo(msgspec.Struct):
    """One run as the log tells it. `run` is the seq of its RunStarted, `last_seq` that of the last record it made or
    of the commit that ended it; decisions began at `started_at`; `adopts`: the run whose holdings it took over, 0:
    none. `problem`: why this version cannot fold it, empty if it can."""

    run: int
    started_at: int
    mode: str
    parameters: Parameters
    code_digest: str
    group: str
    pairs: tuple[Pair, ...]
    last_seq: int
    stopped_at: int | None = None
    state_hash: str = ""
    adopts: int = 0
    problem: str = ""

    @property
    def live(self) -> bool:
        """True if real orders were sent: what became of them are events."""
        return self.mode == "live"

    @property
    def labels(self) -> dict[Pair, str]:
        """How its pairs are named."""
        venues = {venue for pair in self.pairs for venue in pair.venues}
        return labels(self.pairs, several_venues=len(venues) > 1)


def list_runs(reader: LogReader) -> list[RunInfo]:
    """Every run of the log, oldest first. Reads the whole log once. Raises RunError for an event that this version does
    not know."""
    runs: dict[int, RunInfo] = {}
    for seq, known_at, event in _events(reader, 0, _OF_RUNS):
        if isinstance(event, RunStarted):
            parameters, problem = _parameters(event.parameters)
            runs[seq] = RunInfo(
                run=seq,
                started_at=known_at,
                mode=event.mode,
                parameters=parameters,
                code_digest=event.code_digest,
                group=event.group,
                pairs=event.pairs,
                last_seq=seq,
                adopts=event.adopts,
                problem=problem,
            )
            continue
        info = runs.get(getattr(event, "run", 0))
        if info is None:
            continue
        info.last_seq = seq
        info.stopped_at, info.state_hash = None, ""
        if isinstance(event, RunStopped):
            info.stopped_at, info.state_hash = event.event_at, event.state_hash
    return list(runs.values())


def _parameters(given: Mapping[str, Any]) -> tuple[Parameters, str]:
    """(parameters, problem). Another version may have had others: its runs are known by what both have, and judged by
    neither. A strategy of a user's file is only known where the file is named."""
    known = {name: value for name, value in given.items() if name in Parameters.__struct_fields__}
    try:
        return msgspec.convert(known, Parameters), ""
    except (msgspec.ValidationError, ParameterError) as error:
        rest = {name: value for name, value in known.items() if name not in ("strategy", "own")}
        return msgspec.convert(rest, Parameters), str(error)


def recorded(reader: LogReader, info: RunInfo) -> Iterator[Record]:
    """What a run decided and what its simulated venue booked, as the log has it."""
    for _, _, event in _events(reader, info.run, _RECORDS):
        if isinstance(event, EntryDecided | ExitDecided | FillSimulated) and event.run == info.run:
            yield event


def _events(reader: LogReader, after_seq: int, kinds: frozenset[bytes]) -> Iterator[tuple[int, int, Event]]:
    """(seq, known_at, event) of some kinds. A log is mostly quotes: others are told by their first bytes, and not
    decoded."""
    for batch in reader.read(after_seq):
        for seq, (known_at, raw) in enumerate(_RAW_DECODER.decode(batch.payload), batch.first_seq):
            kind = _kind_of(raw)
            if kind in kinds:
                for event in read(raw):
                    yield seq, known_at, event
            elif kind not in TAGS:
                name = kind.decode(errors="replace")
                raise RunError(
                    f"seq {seq} is a {name}, which this version does not know: use the version that wrote it"
                )


class RunFilter:
    """The rows that one run's fold sees: inputs of its instruments and of none, the operator's commands to it or to
    all, and, if it is live, what became of its own orders, by its own numbers of the pairs."""

    def __init__(self, instruments: int, state: State, pairs: Sequence[Pair], slot: int, *, live: bool) -> None:
        """`instruments`: how many the log has; `pairs`: those of the log's trading events, by id, which may grow."""
        legs = {leg for pair in state.pairs for leg in pair}
        self._wanted = np.zeros(instruments + 1, np.bool_)
        for number, instrument in enumerate(state.instruments):
            self._wanted[number] = instrument in legs
        self._wanted[-1] = True  # of no instrument
        self._own = {pair: number for number, pair in enumerate(state.pairs)}
        self._pairs = pairs
        self._slots = np.array([0, slot], np.int64)
        self._live = live

    def __call__(self, rows: Rows) -> Rows:
        kinds = rows["kind"]
        outcome = kinds >= Kind.ORDER_ACCEPTED
        subjects = rows["subject"]
        if not outcome.any():
            return self._kept(rows, self._is_wanted(subjects))
        heard = np.isin(rows["slot"], self._slots) & (self._live | np.isin(kinds, _OPERATOR))
        wanted = self._is_wanted(np.where(outcome, -1, subjects)) & (~outcome | heard)
        kept = rows[wanted]
        for place in np.flatnonzero(np.isin(kept["kind"], _OF_PAIRS) & (kept["subject"] >= 0)).tolist():
            kept["subject"][place] = self._own.get(self._pairs[kept["subject"][place]], -1)
        return kept

    def _is_wanted(self, subjects: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Instruments that came after the run began are none of its."""
        beyond = subjects >= len(self._wanted) - 1
        if beyond.any():
            wanted: npt.NDArray[np.bool_] = self._wanted[np.where(beyond, 0, subjects)] & ~beyond
            return wanted
        return self._wanted[subjects]

    @staticmethod
    def _kept(rows: Rows, wanted: npt.NDArray[np.bool_]) -> Rows:
        return rows if wanted.all() else rows[wanted]


def make_state(info: RunInfo, listings: Sequence[Listing]) -> State:
    """A fresh state for a run over a log whose instruments are `listings`. Raises RunError for a pair that the log does
    not have, or a run that this version cannot fold."""
    if info.problem:
        raise RunError(f"run {info.run} cannot be folded: {info.problem}")
    instruments: list[Instrument] = [one.instrument for one in listings]
    known = set(instruments)
    for pair in info.pairs:
        for leg in pair:
            if leg not in known and not leg.is_assumed:
                raise RunError(f"run {info.run} is about {leg.label}, of which the log knows nothing")
    return State(info.parameters, instruments, info.pairs, start=info.started_at, simulated=not info.live)


def refold(tape: Tape, info: RunInfo, upto_seq: int) -> tuple[State, Iterator[Output]]:
    """(the state that the run had, what its fold brings out on the way to it), under the cursor (MAX, upto_seq)."""
    state = make_state(info, tape.instruments)
    slot = tape.runs.index(info.run)
    rows_of = RunFilter(len(tape.instruments), state, tape.pairs, slot, live=info.live)
    step = fold if info.live else simulate

    def outputs() -> Iterator[Output]:
        for block in tape.blocks(Cursor(MAX, upto_seq)):
            rows = rows_of(block)
            if len(rows):
                yield step(state, rows)

    return state, outputs()


class Difference(msgspec.Struct, frozen=True):
    """The first record that came out otherwise. `recorded` or `refolded` None: the other has one more."""

    stream: str
    number: int
    recorded: dict[str, Any] | None
    refolded: dict[str, Any] | None


class Verification(msgspec.Struct, frozen=True):
    """What folding a run again showed. `hindsight_decisions`: decisions that would be other ones with what was recorded
    later (backfills, corrections); it says how much the run could not know, and is no fault. `held`: pairs by name;
    `equity` (open legs at the last accepted prices), `funding` and `fees` in quote, as they stood at `upto_seq`."""

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
    """Fold a run again and compare every record, and the final state where the run was stopped in order. Raises
    RunError where this code is not the run's."""
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
    again = _Again(tape, info, info.last_seq)
    difference = _first_difference("decisions", decisions, again.decisions)
    if not info.live:
        difference = difference or _first_difference("fills", fills, again.fills)
    same_state = info.state_hash in ("", again.state_hash)
    later = _Again(tape, info, MAX)
    changed = _changed(again.decisions, later.decisions, info.stopped_at)
    return Verification(
        run=info.run,
        mode=info.mode,
        identical=difference is None and same_state,
        decisions=len(decisions),
        fills=len(fills),
        state_hash=again.state_hash,
        recorded_state_hash=info.state_hash,
        first_difference=difference,
        upto_seq=info.last_seq,
        hindsight_decisions=len(changed),
        hindsight_first_at=format_time(min(changed)) if changed else None,
        held=again.held,
        equity=again.equity,
        funding=again.funding,
        fees=again.fees,
    )


class _Again:
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


def _kind_of(raw: msgspec.Raw) -> bytes:
    """The name at the front of an encoded event: an array whose first element is a short text. Anything else is shown
    by its first bytes."""
    head = memoryview(raw)[:40].tobytes()
    at = 1 if head[:1] != b"\xdc" else 3
    length = head[at] - _FIXSTR if len(head) > at else -1
    return head[at + 1 : at + 1 + length] if 0 <= length < 32 else head


def _first_difference(stream: str, recorded: Sequence[Record], refolded: Sequence[Record]) -> Difference | None:
    for number in range(max(len(recorded), len(refolded))):
        ours = recorded[number] if number < len(recorded) else None
        theirs = refolded[number] if number < len(refolded) else None
        if ours is None or theirs is None or encode(ours) != encode(theirs):
            return Difference(stream, number, _told(ours), _told(theirs))
    return None


def _told(event: Record | None) -> dict[str, Any] | None:
    return None if event is None else {"event": type(event).__name__} | msgspec.structs.asdict(event)


def _changed(then: Sequence[Record], later: Sequence[Record], stopped_at: int | None) -> list[int]:
    """Times of decisions that only one of the two has, up to where the run ended."""
    end = MAX if stopped_at is None else stopped_at
    sets = [{_identity(event) for event in events if event.event_at <= end} for events in (then, later)]
    return [identity[0] for identity in sets[0] ^ sets[1]]


def _identity(event: Record) -> tuple[int, Pair, str, int]:
    lots = 0 if isinstance(event, FillSimulated) else event.lots
    return event.event_at, event.pair, type(event).__name__, lots
