"""Before anything is armed: which pairs, which runs, new or taken up again, and their folds up to the log's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from carryfold.adapters.backfill import choose_pairs
from carryfold.adapters.daemon.leftovers import refuse_leftovers
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.run import Made, Run
from carryfold.adapters.daemon.settings import Mode, ParameterSet
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.codec import encode
from carryfold.domain.events import EntryDecided, Event, ExitDecided, FillSimulated, RunStarted
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.rows import Kind
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunInfo, pair_label, recorded
from carryfold.projections.tape import Tape

__all__ = [
    "Started", "candidates", "follow_pairs", "is_about", "is_trading", "last_settled", "missing_records", "open_runs",
    "pairs_listed",
]  # fmt: skip

_TOP = "top:"


def follow_pairs(
    text: str,
    listed: Sequence[PairSpec],
    turnover: Mapping[str, float],
    why_not: Callable[[str], str],
    candidates: Sequence[RunInfo],
) -> list[PairSpec]:
    """The pairs to follow. `top:N` chooses when a run begins: one of `candidates`, runs that could be taken up, that
    has as many, or all there were, keeps its own pairs, whatever their turnover is today. Raises VenueError."""
    chosen = choose_pairs(text, listed, turnover, why_not)
    if not text.startswith(_TOP):
        return chosen
    number, known = int(text.removeprefix(_TOP)), {spec.listed.symbol for spec in listed}
    for info in reversed(candidates):
        symbols = [label.split("/")[1] for label in info.pairs]
        had_all = len(symbols) < number and {spec.listed.symbol for spec in chosen} <= {*symbols}
        if (len(symbols) == number or had_all) and known.issuperset(symbols):
            return choose_pairs(",".join(symbols), listed, turnover, why_not)
    return chosen


def is_trading(spec: PairSpec) -> bool:
    """False for a pair that has closed or not opened yet."""
    return spec.status == "Trading"


def pairs_listed(specs: Sequence[PairSpec]) -> tuple[str, ...]:
    """The pairs as RunStarted names them, in order."""
    return tuple(sorted(pair_label((s.listed.venue, s.listed.symbol, s.listed.listing)) for s in specs))


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
    as it is, and a new one begins; a live one raises VenueError, and so does a live run that would begin beside what
    another one still has on."""
    tape = Tape.open(log.home, reader)
    group = f"g{log.clock.now()}" if len(sets) > 1 else ""
    runs: list[Run | RunInfo] = []
    missing: list[Event] = []
    for one in sets:
        same = [info for info in candidates(known, mode, [one]) if is_about(info, specs)]
        taken_up = _take_up(same[-1], tape, reader, notices) if same else None
        if taken_up is None:
            if mode == "live":
                refuse_leftovers(reader, known)
            runs.append(_start(log, mode, one, pairs_listed([spec for spec in specs if is_trading(spec)]), group))
        else:
            runs.append(taken_up[0])
            missing += taken_up[1]
    tape = Tape.open(log.home, reader)  # which runs there are is part of it
    return Started([one if isinstance(one, Run) else _new(one, tape) for one in runs], missing, tape)


def last_settled(tape: Tape) -> dict[str, int]:
    """When each symbol settled last, as far as the log knows; of the newest listing where there were several."""
    newest: dict[str, tuple[int, int]] = {}
    for rows in tape.blocks(Cursor(MAX, tape.last_seq)):
        settled = rows[rows["kind"] == Kind.FUNDING_SETTLED]
        for pair in np.unique(settled["pair"]).tolist():
            name = tape.pairs[pair]
            at = name.listing, int(settled["event_at"][settled["pair"] == pair].max())
            newest[name.symbol] = max(newest.get(name.symbol, at), at)
    return {symbol: at for symbol, (_, at) in newest.items()}


def is_about(info: RunInfo, specs: Sequence[PairSpec]) -> bool:
    """True if the run has every pair that trades, and no others but such as have closed since."""
    trading = {*pairs_listed([spec for spec in specs if is_trading(spec)])}
    return trading <= {*info.pairs} <= {*pairs_listed(specs)}


def _start(log: EventLog, mode: Mode, one: ParameterSet, pairs: tuple[str, ...], group: str) -> RunInfo:
    parameters: dict[str, Any] = msgspec.to_builtins(one.parameters)
    event = RunStarted(log.clock.now(), mode, parameters, CODE_DIGEST, group, pairs)
    result = log.append([(encode(event), None, None)])
    return RunInfo(
        run=result.first_seq,
        started_at=result.recorded_at,
        mode=mode,
        parameters=one.parameters,
        code_digest=CODE_DIGEST,
        group=group,
        pairs=pairs,
        last_seq=result.first_seq,
    )


def _new(info: RunInfo, tape: Tape) -> Run:
    run = Run(info, tape)
    made = run.warm_up(tape)
    assert not made.events, "a run decides nothing before it starts"
    return run


def _take_up(info: RunInfo, tape: Tape, reader: LogReader, notices: Notices) -> tuple[Run, list[Event]] | None:
    """The run folded up to the log's end, and what it decided that nobody recorded: on what came into the log while no
    daemon ran."""
    run = Run(info, tape)
    made = run.warm_up(tape)
    missing = missing_records(reader, info, made)
    if missing is not None:
        return run, missing
    text = (
        f"run {info.run} does not come out of the log as it was recorded, because history was added since or the log"
        f" was changed: carryfold verify-run {info.run} tells"
    )
    if info.live:
        raise VenueError(
            f"{text}; a live run is not left behind: close what it holds, then start with other parameters"
        )
    notices.alert("new run", f"{text}; a new run begins")
    return None


def missing_records(reader: LogReader, info: RunInfo, made: Made) -> list[Event] | None:
    """Of what the fold made again, what the log does not have yet; None if the log has something else."""
    decisions: list[EntryDecided | ExitDecided] = []
    fills: list[Event] = []
    for event in recorded(reader, info):
        if isinstance(event, FillSimulated):
            fills.append(event)
        else:
            decisions.append(event)
    missing: list[Event] = []
    for before, again in ((decisions, made.decisions), (fills, made.fills)):
        if [encode(event) for event in before] != [encode(event) for event in again[: len(before)]]:
            return None
        missing += again[len(before) :]
    return missing
