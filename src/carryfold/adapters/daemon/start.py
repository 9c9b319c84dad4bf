"""Before anything is armed: which runs there are, new or taken up again, and their folds up to the log's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.run import Made, Run
from carryfold.adapters.daemon.settings import Mode, ParameterSet
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.codec import BATCH_DECODER, encode
from carryfold.domain.events import EntryDecided, Event, ExitDecided, FillSimulated, RunStarted
from carryfold.domain.fold import CODE_DIGEST
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.runs import RunInfo, list_runs, pair_label
from carryfold.projections.tape import Tape

__all__ = ["begin_runs", "missing_records", "pairs_listed", "warm_up"]


def pairs_listed(specs: Sequence[PairSpec]) -> tuple[str, ...]:
    """The pairs as RunStarted names them, in order."""
    return tuple(sorted(pair_label((s.listed.venue, s.listed.symbol, s.listed.listing)) for s in specs))


def begin_runs(
    log: EventLog, reader: LogReader, mode: Mode, sets: Sequence[ParameterSet], pairs: tuple[str, ...]
) -> list[RunInfo]:
    """A run for each parameter set: the last one of the log with this mode, parameters, code and these pairs is taken
    up again, so that a restart forgets nothing; else a new one begins. Raises VenueError where a live run of other
    parameters or code still has something on."""
    known = list_runs(reader)
    group = f"g{log.clock.now()}" if len(sets) > 1 else ""
    begun: list[RunInfo] = []
    for one in sets:
        same = [info for info in known if _is_same(info, mode, one, pairs)]
        begun.append(same[-1] if same else _start(log, mode, one, pairs, group))
    return begun


def _is_same(info: RunInfo, mode: Mode, one: ParameterSet, pairs: tuple[str, ...]) -> bool:
    return (info.mode, info.parameters, info.code_digest, info.pairs) == (mode, one.parameters, CODE_DIGEST, pairs)


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


async def warm_up(infos: Sequence[RunInfo], tape: Tape, reader: LogReader, engine: Engine) -> list[Run]:
    """Fold the whole log for each run. What a killed daemon decided and did not come to record is recorded now."""
    runs: list[Run] = []
    for info in infos:
        run = Run(info, tape)
        made = run.warm_up(tape)
        missing = missing_records(reader, info, made)
        if missing:
            await engine.note(missing)
        runs.append(run)
    return runs


def missing_records(reader: LogReader, info: RunInfo, made: Made) -> list[Event]:
    """Of what the fold made again, what the log does not have yet. Raises VenueError if the log has something else."""
    decisions: list[EntryDecided | ExitDecided] = []
    fills: list[Event] = []
    for batch in reader.read(info.run):
        for _, event in BATCH_DECODER.decode(batch.payload):
            if isinstance(event, EntryDecided | ExitDecided) and event.run == info.run:
                decisions.append(event)
            elif isinstance(event, FillSimulated) and event.run == info.run:
                fills.append(event)
    missing: list[Event] = []
    for recorded, again in ((decisions, made.decisions), (fills, made.fills)):
        if [encode(event) for event in recorded] != [encode(event) for event in again[: len(recorded)]]:
            raise VenueError(
                f"run {info.run} does not come out of the log as it was recorded: look at carryfold verify-run"
                f" {info.run}; another parameter makes a new run"
            )
        missing += again[len(recorded) :]
    return missing
