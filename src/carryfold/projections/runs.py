"""Runs of the log: which there are, what each recorded, and their fold made again.

A run's cursor is `upto_seq` alone: what had been recorded when it ended (or by now). Under this cursor the log's one
order is the warm-up history, then the run's commits as they came. So folding the tape again repeats the daemon's work.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec

from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated, RunStarted, RunStopped
from carryfold.domain.fold import Output, State, fold, simulate
from carryfold.domain.instruments import Instrument, Listing, Pair, labels
from carryfold.domain.params import ParameterError, Parameters
from carryfold.domain.run_filter import RunFilter
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.event_scan import UnknownEvent, events_among, tags_for
from carryfold.projections.facts import Fact
from carryfold.projections.run_facts import RUN_PROJECTIONS, RUNS, last_facts, run_facts, run_numbers
from carryfold.projections.runner import ProjectionError, Projections
from carryfold.projections.tape import Tape

__all__ = [
    "Record", "RunError", "RunInfo", "list_runs", "make_state", "recorded", "refold",
    "run_projections",
]  # fmt: skip

Record = EntryDecided | ExitDecided | FillSimulated
_REFUSED: Final = (msgspec.ValidationError, ParameterError)
_RECORD_TAGS: Final = tags_for((EntryDecided, ExitDecided, FillSimulated))


class RunError(ValueError):
    """There is no such run, or it cannot be folded by this code; the text is one line."""


class RunInfo(msgspec.Struct):
    """One run of the log. `run` is the seq of its RunStarted, `last_seq` that of its last event; decisions began at
    `started_at` (UTC ns); `adopts`: the run whose holdings it took over, 0: none. `stopped_at` and `state_hash` are
    those of its RunStopped, if this is its last event. `problem`: why this version cannot fold it, empty if it can."""

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
        """True if real orders were sent: their outcomes are events."""
        return self.mode == "live"

    @property
    def labels(self) -> dict[Pair, str]:
        """The names of its pairs."""
        venues = {venue for pair in self.pairs for venue in pair.venues}
        return labels(self.pairs, several_venues=len(venues) > 1)


def list_runs(reader: LogReader) -> list[RunInfo]:
    """Every run of the log, oldest first. Brings the projections of run events up to date, which reads what the log
    has since their last update. Raises RunError for an event that this version does not know."""
    with run_projections(reader) as projections:
        found = [_info(projections, run) for run in run_numbers(projections)]
    return [info for info in found if info is not None]


@contextmanager
def run_projections(reader: LogReader) -> Iterator[Projections]:
    """The projections of run events, up to date. Raises RunError where they cannot be built or read."""
    try:
        with Projections.open(reader.home, reader, RUN_PROJECTIONS) as projections:
            projections.update()
            yield projections
    except ProjectionError as error:
        raise RunError(str(error)) from None


def _info(projections: Projections, run: int) -> RunInfo | None:
    """None for a number that events name and no RunStarted has."""
    started = run_facts(projections, RUNS, run)[0]
    event = started.event
    if not isinstance(event, RunStarted):
        return None
    parameters, problem = _parameters(event.parameters)
    last = max((fact for one in RUN_PROJECTIONS for fact in last_facts(projections, one, run)), key=_seq)
    stop = last.event if isinstance(last.event, RunStopped) else None
    return RunInfo(
        run=run,
        started_at=started.known_at,
        mode=event.mode,
        parameters=parameters,
        code_digest=event.code_digest,
        group=event.group,
        pairs=event.pairs,
        last_seq=last.seq,
        stopped_at=None if stop is None else stop.event_at,
        state_hash="" if stop is None else stop.state_hash,
        adopts=event.adopts,
        problem=problem,
    )


def _seq(fact: Fact) -> int:
    return fact.seq


def _parameters(given: Mapping[str, Any]) -> tuple[Parameters, str]:
    """(parameters, problem). A run of another version gets the parameters that both versions have and this one accepts.
    A strategy of a user's file is known only where the file is named."""
    known = {name: value for name, value in given.items() if name in Parameters.__struct_fields__}
    try:
        return msgspec.convert(known, Parameters), ""
    except _REFUSED as error:
        problem = str(error)
    accepted: dict[str, Any] = {}
    for name, value in known.items():
        with suppress(*_REFUSED):
            msgspec.convert(accepted | {name: value}, Parameters)
            accepted[name] = value
    return msgspec.convert(accepted, Parameters), problem


def recorded(reader: LogReader, info: RunInfo, after_seq: int = 0) -> Iterator[Record]:
    """The decisions of a run and the bookings of its simulated venue, in the order of the log. Reads the log from the
    run's start, or from `after_seq` if that is later. Raises RunError for an event that this version does not know."""
    start = max(info.run, after_seq)
    try:
        for batch in reader.read(start):
            for seq, _, event in events_among(batch, _RECORD_TAGS):
                if isinstance(event, Record) and event.run == info.run and seq > start:
                    yield event
    except UnknownEvent as error:
        raise RunError(str(error)) from None


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
    """(the run's state, the outputs of its fold) under the cursor (MAX, upto_seq). The state is final once the outputs
    are consumed."""
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
