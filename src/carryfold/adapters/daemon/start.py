"""Before anything is armed: which pairs, which runs, new or taken up again, and their folds up to the log's end.

A live run that cannot be taken up again, because the code, the parameters or the pairs have changed, is not left behind
with what it holds: the run that begins adopts its holdings in the same append, and finishes what it left half done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from carryfold.adapters.backfill import choose_pairs
from carryfold.adapters.daemon.earlier_holdings import EarlierRun, earlier_run
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.run import FoldResult, Run
from carryfold.adapters.daemon.settings import Mode, ParameterSet
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import EntryDecided, Event, ExitDecided, FillSimulated, RunStarted
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.rows import Kind
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunInfo, recorded
from carryfold.projections.tape import Tape

__all__ = [
    "Started", "candidates", "follow_pairs", "is_about", "is_trading", "last_settled", "missing_records", "open_runs",
    "pairs_of",
]  # fmt: skip

_TOP = "top:"


def follow_pairs(
    text: str,
    listed: Sequence[PairSpec],
    turnover: Mapping[str, float],
    why_not: Callable[[str], str],
    candidates: Sequence[RunInfo],
    held: Collection[str] = (),
) -> list[PairSpec]:
    """The pairs to follow. `top:N` chooses when a run begins: one of `candidates`, runs that could be taken up, that
    has as many, or all there were, keeps its own pairs, whatever their turnover is today. Symbols that are `held` by an
    earlier run come along. Raises VenueError."""
    chosen = _kept_pairs(text, listed, turnover, why_not, candidates) or choose_pairs(text, listed, turnover, why_not)
    followed, known = {spec.symbol for spec in chosen}, {spec.symbol for spec in listed}
    missing = [symbol for symbol in held if symbol in known - followed]
    if not missing:
        return chosen
    return [*chosen, *choose_pairs(",".join(missing), listed, turnover, why_not)]


def _kept_pairs(
    text: str,
    listed: Sequence[PairSpec],
    turnover: Mapping[str, float],
    why_not: Callable[[str], str],
    candidates: Sequence[RunInfo],
) -> list[PairSpec]:
    """Those of a run that could be taken up; none where there is no such run, or the pairs are named."""
    if not text.startswith(_TOP):
        return []
    chosen = {spec.symbol for spec in choose_pairs(text, listed, turnover, why_not)}
    number, known = int(text.removeprefix(_TOP)), {spec.symbol for spec in listed}
    for info in reversed(candidates):
        symbols = [pair.short.symbol for pair in info.pairs]
        had_all = len(symbols) < number and chosen <= {*symbols}
        if (len(symbols) == number or had_all) and known.issuperset(symbols):
            return choose_pairs(",".join(symbols), listed, turnover, why_not)
    return []


def is_trading(spec: PairSpec) -> bool:
    """False for a pair one of whose instruments has closed or not opened yet."""
    return spec.status == "Trading" and spec.spot_status == "Trading"


def pairs_of(specs: Iterable[PairSpec]) -> tuple[Pair, ...]:
    """The pairs of specs, each once, in the order of ties."""
    return tuple(sorted({spec.pair for spec in specs}, key=lambda pair: pair.order))


def candidates(known: Sequence[RunInfo], mode: Mode, sets: Sequence[ParameterSet]) -> list[RunInfo]:
    """Runs of the log with this mode, this code and the parameters of one of the sets, oldest first. Of live runs only
    the last one: what another one did on the account since would look like somebody's trades to an earlier one."""
    wanted = [one.parameters for one in sets]
    if mode == "live":
        known = [info for info in known if info.live][-1:]
    return [
        info for info in known if info.mode == mode and info.code_digest == CODE_DIGEST and info.parameters in wanted
    ]


class Started(NamedTuple):
    """The runs, folded up to the log's end, what of their records the log does not have yet, and the tape of it all."""

    runs: list[Run]
    missing: list[Event]
    tape: Tape


def open_runs(
    log: EventLog,
    reader: LogReader,
    known: Sequence[RunInfo],
    mode: Mode,
    sets: Sequence[ParameterSet],
    specs: Sequence[PairSpec],
    notices: Notices,
) -> Started:
    """A run for each parameter set: the last one of the log with this mode, parameters, code and pairs is taken up
    again, so that a restart forgets nothing; else a new one begins. `known`: the runs of the log. `specs`: the pairs
    chosen, closed ones too. A paper run that the log no longer explains, because history was added since, is left
    as it is, and a new one begins; a live one raises VenueError. A live run that begins takes over what an earlier one
    still has on; VenueError where that is of a pair that is not among `specs`."""
    tape = Tape.open(log.home, reader)
    group = f"g{log.clock.now()}" if len(sets) > 1 else ""
    runs: list[Run | RunInfo] = []
    missing: list[Event] = []
    adopts = False
    for one in sets:
        same = [info for info in candidates(known, mode, [one]) if is_about(info, specs)]
        taken_up = _take_up(same[-1], tape, reader, notices) if same else None
        if taken_up is None:
            before = earlier_run(reader, known) if mode == "live" else None
            runs.append(_start(log, mode, one, _pairs_to_trade(specs, before), group, before))
            if before is not None:
                adopts = True
                notices.say("holdings taken over", of=before.run, pairs=[pair.short.symbol for pair in before.pairs])
        else:
            runs.append(taken_up[0])
            missing += taken_up[1]
    tape = Tape.open(log.home, reader)  # which runs there are is part of it
    opened: list[Run] = []
    for begun in runs:
        run = begun if isinstance(begun, Run) else Run(begun, tape)
        if run is not begun:
            decided = run.warm_up(tape).events
            assert adopts or not decided, "a run without holdings decides nothing before it starts"
            missing += decided
        opened.append(run)
    return Started(opened, missing, tape)


def last_settled(tape: Tape) -> dict[Instrument, int]:
    """When each perpetual settled last, as far as the log knows."""
    newest: dict[Instrument, int] = {}
    for rows in tape.blocks(Cursor(MAX, tape.last_seq)):
        settled = rows[rows["kind"] == Kind.FUNDING_SETTLED]
        for number in np.unique(settled["subject"]).tolist():
            name, at = tape.instruments[number].instrument, int(settled["event_at"][settled["subject"] == number].max())
            newest[name] = max(newest.get(name, at), at)
    return newest


def is_about(info: RunInfo, specs: Sequence[PairSpec]) -> bool:
    """True if the run has every pair that trades, and no others but such as have closed since."""
    trading = {*pairs_of(spec for spec in specs if is_trading(spec))}
    return trading <= {*info.pairs} <= {*pairs_of(specs)}


def _pairs_to_trade(specs: Sequence[PairSpec], before: EarlierRun | None) -> tuple[Pair, ...]:
    """Those that trade, and those that an earlier run still has something on. Raises VenueError."""
    listed, held = {*pairs_of(specs)}, () if before is None else before.pairs
    unknown = [pair.name for pair in held if pair not in listed]
    if before is not None and unknown:
        raise VenueError(
            f"run {before.run} still has {', '.join(unknown)} on, which the venue does not list any more: close it by"
            f" hand, then start that run again as it was"
        )
    trading = {*pairs_of(spec for spec in specs if is_trading(spec))}
    return tuple(sorted({*trading, *held}, key=lambda pair: pair.order))


def _start(
    log: EventLog, mode: Mode, one: ParameterSet, pairs: tuple[Pair, ...], group: str, before: EarlierRun | None
) -> RunInfo:
    """Begin a run and adopt what `before` has on, in one append: no crash leaves one without the other."""
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


def _take_up(info: RunInfo, tape: Tape, reader: LogReader, notices: Notices) -> tuple[Run, list[Event]] | None:
    """The run folded up to the log's end, and what it decided that nobody recorded: on what came into the log while no
    daemon ran."""
    run = Run(info, tape)
    missing = missing_records(reader, info, run.warm_up(tape))
    if missing is not None:
        return run, missing
    text = (
        f"run {info.run} does not come out of the log as it was recorded, because history was added since or the log"
        f" was changed: carryfold verify-run {info.run} tells"
    )
    if info.live:
        raise VenueError(
            f"{text}; a live run is not left behind: start with other parameters, and what it holds is taken over"
        )
    notices.alert("new run", f"{text}; a new run begins")
    return None


def missing_records(reader: LogReader, info: RunInfo, again: FoldResult) -> list[Event] | None:
    """Of what the fold brought out again, what the log does not have yet; None if the log has something else."""
    decisions: list[EntryDecided | ExitDecided] = []
    fills: list[Event] = []
    for event in recorded(reader, info):
        if isinstance(event, FillSimulated):
            fills.append(event)
        else:
            decisions.append(event)
    missing: list[Event] = []
    for before, now in ((decisions, again.decisions), (fills, again.fills)):
        if [encode(event) for event in before] != [encode(event) for event in now[: len(before)]]:
            return None
        missing += now[len(before) :]
    return missing
