"""The runs of a log, with their status."""

from typing import Any

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.instruments import Pair
from carryfold.projections.cursor import format_optional_time, format_time
from carryfold.projections.facts import Fact
from carryfold.projections.queries.answers import Answer, QueryError, bounds
from carryfold.projections.queries.names import pair_labels
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_facts import ACCOUNT, DECISIONS, EVERY_RUN, ORDERS, RUNS, run_facts, run_numbers

__all__ = ["RunRecord", "RunStart", "Runs", "run_start", "runs"]


class RunRecord(msgspec.Struct, frozen=True):
    """One run. `run` is the seq of its start, and its number everywhere. `status` is started, armed, halted (an
    operator's halt), flattening (an operator's flatten) or stopped (in order; an interrupted run is not). Times are RFC
    3339. `adopts` is the run whose holdings it took over, 0: none. `fills` counts real fills, or the simulated bookings
    that are no funding. `last_seq` is the seq of its last event."""

    run: int
    mode: str
    strategy: str
    group: str
    status: str
    started_at: str
    armed_at: str | None
    stopped_at: str | None
    stop_reason: str
    adopts: int
    pairs: list[str]
    decisions: int
    orders: int
    fills: int
    last_seq: int
    code_digest: str
    state_hash: str
    parameters: dict[str, Any]


class Runs(Answer, frozen=True, kw_only=True):
    """Runs, oldest first."""

    runs: list[RunRecord]


class RunStart(msgspec.Struct, frozen=True):
    """The start of a run: its number, its known_at in ns, its event, and the labels of its pairs."""

    run: int
    known_at: int
    event: ev.RunStarted
    labels: dict[Pair, str]

    @property
    def is_simulated(self) -> bool:
        """True if its fills were booked by the simulated venue."""
        return self.event.mode != "live"

    def label(self, pair: Pair) -> str:
        """The name of a pair of the run, or of one that a reconciliation found beside them."""
        return self.labels.get(pair, pair.name)


def run_start(sources: Sources, run: int | None) -> RunStart:
    """The start of a run; None: of the latest one. Raises QueryError if there is none under the cursor."""
    numbers = run_numbers(sources.projections) if run is None else [run]
    for number in reversed(numbers):
        for fact in run_facts(sources.projections, RUNS, number, sources.cursor):
            if isinstance(fact.event, ev.RunStarted):
                return RunStart(number, fact.known_at, fact.event, pair_labels(fact.event.pairs))
    if run is None:
        raise QueryError("the log has no run: `carryfold run` begins one")
    raise QueryError(f"the log has no run {run}: `carryfold runs` lists what there is")


def runs(sources: Sources) -> Runs:
    """Every run that had begun under the cursor."""
    commands = run_facts(sources.projections, RUNS, EVERY_RUN, sources.cursor)
    found = (_record(sources, run, commands) for run in run_numbers(sources.projections))
    return Runs(runs=[one for one in found if one is not None], **bounds(sources.cursor))


def _record(sources: Sources, run: int, commands: list[Fact]) -> RunRecord | None:
    own = run_facts(sources.projections, RUNS, run, sources.cursor)
    if not own or not isinstance(own[0].event, ev.RunStarted):
        return None
    start = own[0].event
    decisions, orders, account = (
        run_facts(sources.projections, one, run, sources.cursor) for one in (DECISIONS, ORDERS, ACCOUNT)
    )
    last_seq = max(facts[-1].seq for facts in (own, decisions, orders, account) if facts)
    stop = own[-1].event if own[-1].seq == last_seq else None  # a run that goes on after a stop was taken up again
    stopped = stop if isinstance(stop, ev.RunStopped) else None
    return RunRecord(
        run=run,
        mode=start.mode,
        strategy=str(start.parameters.get("strategy", "")),
        group=start.group,
        status=_status(sorted([*own, *commands], key=lambda fact: fact.seq), stopped is not None),
        started_at=format_time(own[0].known_at),
        armed_at=next((format_time(one.known_at) for one in own if isinstance(one.event, ev.RunArmed)), None),
        stopped_at=None if stopped is None else format_optional_time(stopped.event_at),
        stop_reason="" if stopped is None else stopped.reason,
        adopts=start.adopts,
        pairs=list(pair_labels(start.pairs).values()),
        decisions=len(decisions),
        orders=sum(isinstance(one.event, ev.OrderIntended) for one in orders),
        fills=sum(_is_fill(one.event) for one in account),
        last_seq=last_seq,
        code_digest=start.code_digest,
        state_hash="" if stopped is None else stopped.state_hash,
        parameters=start.parameters,
    )


def _status(facts: list[Fact], stopped: bool) -> str:
    """By the events of a run and the commands to every run, in the order of the log."""
    armed, command = False, ""
    for fact in facts:
        event = fact.event
        if isinstance(event, ev.RunArmed):
            armed = True
        elif isinstance(event, ev.Resumed):
            command = ""
        elif isinstance(event, ev.FlattenRequested):
            command = "flattening"
        elif isinstance(event, ev.Halted):
            command = command or "halted"
    if stopped:
        return "stopped"
    return command or ("armed" if armed else "started")


def _is_fill(event: ev.Event) -> bool:
    if isinstance(event, ev.FillSimulated):
        return event.action != "funding"
    return isinstance(event, ev.OrderFilled)
