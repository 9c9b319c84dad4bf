"""What a restart needs of the log's run events: interrupted processes, and the numbers that repairs have used."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from carryfold.domain.events import EntryDecided, Event, ExitDecided, HedgeEnded, OrderIntended
from carryfold.domain.execution import (
    Execution,
    ExecutionLimits,
    ProcessSpec,
    TradedPair,
    parse_client_id,
    run_tag,
)
from carryfold.domain.execution.client_ids import OrderName
from carryfold.domain.execution.holdings import Holdings
from carryfold.domain.instruments import Leg, Pair
from carryfold.eventlog import LogReader
from carryfold.projections.run_facts import EVERY_RUN, facts_of_run, run_numbers
from carryfold.projections.runs import RunInfo, run_projections

__all__ = ["Logged", "interrupted_processes", "last_repair", "run_events"]


class Logged(NamedTuple):
    """One event of the log."""

    seq: int
    known_at: int
    event: Event


class _Begun(NamedTuple):
    """The first order of an unfinished process: its name, the time and the place among the run's events at which it was
    intended, and the leg that goes first."""

    name: OrderName
    pair: Pair
    known_at: int
    place: int
    thin: Leg


def run_events(reader: LogReader, runs: Collection[int] | None = None) -> list[Logged]:
    """The events of these runs (None: of all) and the operator's commands to every run, in the order of the log. They
    come from projections, so of the log only what is new since their last update is read. Raises RunError."""
    with run_projections(reader) as projections:
        chosen = {EVERY_RUN, *(run_numbers(projections) if runs is None else runs)}
        facts = [fact for run in chosen for fact in facts_of_run(projections, run)]
    facts.sort(key=lambda fact: fact.seq)
    return [Logged(fact.seq, fact.known_at, fact.event) for fact in facts]


def interrupted_processes(
    info: RunInfo, pairs: Mapping[str, TradedPair], own: Sequence[Logged], limits: ExecutionLimits
) -> list[Execution]:
    """Every process that has an order in the log and no end. `own` are the run's events in order."""
    decisions = {seq: event for seq, _, event in own if isinstance(event, EntryDecided | ExitDecided)}
    by_pair = {pair.pair: pair for pair in pairs.values()}
    found: list[Execution] = []
    for begun in _unfinished(own).values():
        if begun.pair not in by_pair:
            continue
        long_units, short_units = _units_held(info.run, own[: begun.place], begun.pair)
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
        found.append(Execution.recover(spec, own[begun.place :]))
    return found


def last_repair(own: Sequence[Logged]) -> int:
    """The largest number in the name of one of the run's repairs; 0: there was none."""
    names = (parse_client_id(event.client_id) for _, _, event in own if isinstance(event, OrderIntended))
    return max((name.decision_seq for name in names if name is not None and name.kind == "repair"), default=0)


def _unfinished(own: Sequence[Logged]) -> dict[str, _Begun]:
    """By the name of the process. The leg that goes first is that of the first order with the purpose open or close;
    orders before it only matched the legs."""
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


def _units_held(run: int, own: Sequence[Logged], pair: Pair) -> tuple[int, int]:
    """(long units, short units) of a pair that the run held after these events."""
    holdings = Holdings(run)
    for _, _, event in own:
        holdings.apply(event)
    held = holdings.of(pair)
    return held.long.units, held.short.units
