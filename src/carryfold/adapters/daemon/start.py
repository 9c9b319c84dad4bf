"""Before anything is armed: choose the pairs, resume or begin the runs, and fold each up to the log's end.

A run is resumed from its snapshot, if it has one, and from the rows since; else the whole log is folded. A live run
that cannot be resumed, because code, parameters or pairs have changed, is not abandoned: the run that begins adopts its
holdings in the same append, and completes its unfinished work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from carryfold.adapters.daemon.earlier_holdings import EarlierRun, earlier_run
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.run import FoldResult, Run
from carryfold.adapters.daemon.settings import Mode, ParameterSet
from carryfold.adapters.marketdata.pair_choice import choose_pairs, needs_turnover
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import Event, FillSimulated, RunStarted
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.instruments import Instrument, Pair
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.runs import RunInfo, recorded
from carryfold.projections.snapshots import SnapshotStore, SnapshotUnusable
from carryfold.projections.tape import Tape

__all__ = [
    "ResumedRun", "StartedRuns", "follow_pairs", "has_pairs_of", "is_trading", "missing_records",
    "open_runs", "pairs_of", "resumable_runs",
]  # fmt: skip

_TOP = "top:"


def follow_pairs(
    text: str,
    listed: Sequence[PairSpec],
    turnover: Mapping[Instrument, float],
    exclusion_reason: Callable[[str], str],
    resumable: Sequence[RunInfo],
    held: Collection[str] = (),
) -> list[PairSpec]:
    """The pairs to follow. `top:N` chooses when a run begins. If one of `resumable`, runs that could be resumed, has N
    pairs, or had all there were, its pairs are kept, whatever their turnover is today. Symbols that an earlier run
    holds (`held`) are added. Raises VenueError."""
    kept = _kept_pairs(text, listed, turnover, exclusion_reason, resumable)
    chosen = kept or choose_pairs(text, listed, turnover, exclusion_reason)
    followed, known = {spec.symbol for spec in chosen}, {spec.symbol for spec in listed}
    missing = [symbol for symbol in held if symbol in known - followed]
    if not missing:
        return chosen
    return [*chosen, *choose_pairs(",".join(missing), listed, turnover, exclusion_reason)]


def _kept_pairs(
    text: str,
    listed: Sequence[PairSpec],
    turnover: Mapping[Instrument, float],
    exclusion_reason: Callable[[str], str],
    resumable: Sequence[RunInfo],
) -> list[PairSpec]:
    """The pairs of the newest run that could be resumed; none if there is no such run, or the pairs are named."""
    if not needs_turnover(text):
        return []
    chosen = {spec.symbol for spec in choose_pairs(text, listed, turnover, exclusion_reason)}
    number, known = int(text.removeprefix(_TOP)), {spec.symbol for spec in listed}
    for info in reversed(resumable):
        symbols = [pair.short.symbol for pair in info.pairs]
        had_all = len(symbols) < number and chosen <= {*symbols}
        if (len(symbols) == number or had_all) and known.issuperset(symbols):
            return choose_pairs(",".join(symbols), listed, turnover, exclusion_reason)
    return []


def is_trading(spec: PairSpec) -> bool:
    """False for a pair one of whose instruments has closed or not opened yet."""
    return spec.status == "Trading" and spec.spot_status == "Trading"


def pairs_of(specs: Iterable[PairSpec]) -> tuple[Pair, ...]:
    """The pairs of specs, each once, in the order of ties."""
    return tuple(sorted({spec.pair for spec in specs}, key=lambda pair: pair.order))


def resumable_runs(known: Sequence[RunInfo], mode: Mode, sets: Sequence[ParameterSet]) -> list[RunInfo]:
    """Runs of the log with this mode, this code and the parameters of one of the sets, oldest first. Of live runs only
    the last one counts: to an earlier one, its trades on the account would look like those of a stranger."""
    wanted = [one.parameters for one in sets]
    if mode == "live":
        known = [info for info in known if info.live][-1:]
    return [
        info for info in known if info.mode == mode and info.code_digest == CODE_DIGEST and info.parameters in wanted
    ]


class StartedRuns(NamedTuple):
    """The runs, folded up to the log's end; their records that the log does not have yet; and the tape of it all."""

    runs: list[Run]
    missing: list[Event]
    tape: Tape


class ResumedRun(NamedTuple):
    """A run that was resumed, and its records that the log does not have yet: decisions on events that came into the
    log while no daemon ran."""

    run: Run
    missing: list[Event]


def open_runs(
    log: EventLog,
    reader: LogReader,
    known: Sequence[RunInfo],
    mode: Mode,
    sets: Sequence[ParameterSet],
    specs: Sequence[PairSpec],
    notices: Notices,
) -> StartedRuns:
    """A run for each parameter set: the last one of the log with this mode, parameters, code and pairs is resumed, so
    that a restart loses nothing; else a new one begins. `known`: the runs of the log. `specs`: the chosen pairs,
    including closed ones. A paper run that no longer follows from the log, because history was added since, is left as
    it is, and a new one begins; a live one raises VenueError. A live run that begins adopts the holdings of an earlier
    one; VenueError if one of their pairs is not among `specs`."""
    tape = Tape.open(log.home, reader)
    group = f"g{log.clock.now()}" if len(sets) > 1 else ""
    runs: list[Run | RunInfo] = []
    missing: list[Event] = []
    adopts = False
    with SnapshotStore.open(log.home) as snapshots:
        for one in sets:
            same = [info for info in resumable_runs(known, mode, [one]) if has_pairs_of(info, specs)]
            resumed = _resume(same[-1], tape, reader, snapshots, notices) if same else None
            if resumed is not None:
                runs.append(resumed.run)
                missing += resumed.missing
                continue
            before = earlier_run(reader, known) if mode == "live" else None
            runs.append(_start(log, mode, one, _pairs_to_trade(specs, before), group, before))
            if before is not None:
                adopts = True
                notices.info("holdings taken over", of=before.run, pairs=[pair.short.symbol for pair in before.pairs])
    tape = Tape.open(log.home, reader)  # a run that began has a number in it
    opened: list[Run] = []
    for begun in runs:
        run = begun if isinstance(begun, Run) else Run(begun, tape)
        if run is not begun:
            decided = run.warm_up(tape).events
            assert adopts or not decided, "a run without holdings decides nothing before it starts"
            missing += decided
        opened.append(run)
    return StartedRuns(opened, missing, tape)


def has_pairs_of(info: RunInfo, specs: Sequence[PairSpec]) -> bool:
    """True if the run has every pair that trades, and otherwise only pairs that have closed since."""
    trading = {*pairs_of(spec for spec in specs if is_trading(spec))}
    return trading <= {*info.pairs} <= {*pairs_of(specs)}


def _pairs_to_trade(specs: Sequence[PairSpec], before: EarlierRun | None) -> tuple[Pair, ...]:
    """The pairs that trade, and those in which an earlier run has holdings or orders. Raises VenueError."""
    listed, held = {*pairs_of(specs)}, () if before is None else before.pairs
    unknown = [pair.name for pair in held if pair not in listed]
    if before is not None and unknown:
        raise VenueError(
            f"run {before.run} still holds {', '.join(unknown)}, which the venue no longer lists: close it by hand,"
            f" then start that run again as it was"
        )
    trading = {*pairs_of(spec for spec in specs if is_trading(spec))}
    return tuple(sorted({*trading, *held}, key=lambda pair: pair.order))


def _start(
    log: EventLog, mode: Mode, one: ParameterSet, pairs: tuple[Pair, ...], group: str, before: EarlierRun | None
) -> RunInfo:
    """Begin a run that adopts the holdings of `before`, in one append: no crash leaves one without the other."""
    parameters: dict[str, Any] = msgspec.to_builtins(one.parameters)
    now, run = log.clock.now(), log.last.seq + 1
    adopts = 0 if before is None else before.run
    started = RunStarted(now, mode, parameters, CODE_DIGEST, group, pairs, adopts)
    adopted = [] if before is None else before.adopted_by(run, now)
    events: list[Event] = [started, *adopted]
    result = log.append([(encode(event), event_key(event), None) for event in events])
    assert result.first_seq == run, "a start is the only writer of its log"
    return RunInfo(
        run=run,
        started_at=result.recorded_at,
        mode=mode,
        parameters=one.parameters,
        code_digest=CODE_DIGEST,
        group=group,
        pairs=pairs,
        last_seq=result.last_seq,
        adopts=adopts,
    )


def _resume(
    info: RunInfo, tape: Tape, reader: LogReader, snapshots: SnapshotStore, notices: Notices
) -> ResumedRun | None:
    """The run folded up to the log's end. None if a paper run no longer follows from the log; VenueError if a live one
    does not."""
    resumed = _resume_from_snapshot(info, tape, reader, snapshots, notices)
    if resumed is None:
        run = Run(info, tape)
        missing = missing_records(recorded(reader, info), run.warm_up(tape))
        resumed = None if missing is None else ResumedRun(run, missing)
    if resumed is not None:
        return resumed
    text = (
        f"run {info.run} no longer follows from the log, because history was added or the log was changed:"
        f" carryfold verify-run {info.run} shows more"
    )
    if info.live:
        raise VenueError(
            f"{text}; a live run is not abandoned: start with other parameters, and a new run adopts its holdings"
        )
    notices.alert("new run", f"{text}; a new run begins")
    return None


def _resume_from_snapshot(
    info: RunInfo, tape: Tape, reader: LogReader, snapshots: SnapshotStore, notices: Notices
) -> ResumedRun | None:
    """As `_resume`, folding only what the log has since the run's snapshot. None if there is no usable one, or if the
    records since do not follow from it: then the whole log decides."""
    try:
        snapshot = snapshots.load(info.run, reader, tape.instruments)
    except SnapshotUnusable as reason:
        notices.info("snapshot not used", run=info.run, reason=str(reason))
        return None
    if snapshot is None:
        return None
    run = Run(info, tape, snapshot)
    missing = missing_records(recorded(reader, info, snapshot.head.seq), run.warm_up(tape))
    return None if missing is None else ResumedRun(run, missing)


def missing_records(before: Iterable[Event], refolded: FoldResult) -> list[Event] | None:
    """The records of a fold that the log does not have yet, given those that it has from the same place on; None if the
    two contradict each other."""
    decisions: list[Event] = []
    fills: list[Event] = []
    for event in before:
        (fills if isinstance(event, FillSimulated) else decisions).append(event)
    missing: list[Event] = []
    for logged, folded in ((decisions, refolded.decisions), (fills, refolded.fills)):
        if [encode(event) for event in logged] != [encode(event) for event in folded[: len(logged)]]:
            return None
        missing += folded[len(logged) :]
    return missing
