"""Projections of run events: lifecycle, decisions, orders and account of runs, and the state of feeds.

They keep the events with their stamps, so that every question can be asked under any cursor. A shard covers one run and
16,384 seqs, so that a new event rewrites little. The runner keeps them in step with the log.
"""

from typing import Any, Final

from carryfold.domain import events as ev
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.facts import Fact, admitted, decode_facts, encode_facts, keep
from carryfold.projections.runner import Projection, Projections, Stamp

__all__ = [
    "ACCOUNT", "DECISIONS", "EVERY_RUN", "FEEDS", "ORDERS", "RUNS", "RUN_PROJECTIONS", "facts_of_run", "feed_facts",
    "last_facts", "run_facts", "run_numbers",
]  # fmt: skip

EVERY_RUN: Final = 0
"""The run number in an operator's command to all runs."""

_BLOCK_BITS: Final = 14


def _of_run(stamp: Stamp, event: Any) -> str:
    run = stamp.seq if isinstance(event, ev.RunStarted) else event.run
    return f"{_prefix(run)}{stamp.seq >> _BLOCK_BITS:012d}"


def _by_seq(stamp: Stamp, _: object) -> str:
    return f"{stamp.seq >> _BLOCK_BITS:012d}"


def _prefix(run: int) -> str:
    return f"{run:019d}/"


def _run_projection(name: str, *classes: type) -> Projection[list[Fact]]:
    return Projection(name, 1, classes, _of_run, list, keep, encode_facts, decode_facts)


RUNS: Final = _run_projection(
    "runs", ev.RunStarted, ev.RunArmed, ev.RunStopped, ev.Halted, ev.Resumed, ev.FlattenRequested
)
"""Starts, stops and the operator's commands. Commands to every run are those of run 0."""

DECISIONS: Final = _run_projection("decisions", ev.EntryDecided, ev.ExitDecided)
"""Entries and exits with their working."""

ORDERS: Final = _run_projection(
    "orders", ev.OrderIntended, ev.OrderAccepted, ev.OrderRejected, ev.OrderUnknown, ev.OrderCancelled, ev.HedgeEnded
)
"""Events of orders and of two-leg processes, except fills."""

ACCOUNT: Final = _run_projection(
    "account", ev.OrderFilled, ev.FundingPaid, ev.FundingCorrected, ev.BorrowCharged, ev.MarginObserved,
    ev.FillSimulated, ev.ReconciliationCorrected, ev.HoldingAdopted,
)  # fmt: skip
"""Events that moved units or money, real or simulated, and the margin health at the venue."""

RUN_PROJECTIONS: Final = (RUNS, DECISIONS, ORDERS, ACCOUNT)
"""Together they have every event that names a run."""

FEEDS: Final[Projection[list[Fact]]] = Projection(
    "feeds", 1, (ev.FeedConnected, ev.FeedLost, ev.ClockStepped), _by_seq, list, keep, encode_facts, decode_facts
)
"""Market streams that went up and down, and steps of the clock."""


def run_numbers(projections: Projections) -> list[int]:
    """The runs that have a start in the log, oldest first."""
    found = {int(shard.partition("/")[0]) for shard in projections.names(RUNS)}
    return sorted(found - {EVERY_RUN})


def run_facts(
    projections: Projections, projection: Projection[list[Fact]], run: int, cursor: Cursor = NOW
) -> list[Fact]:
    """One run's facts of a projection under a cursor, in the order of the log."""
    view = projections.view(projection, _prefix(run))
    return [fact for state in view.shards.values() for fact in admitted(state, cursor, view.position)]


def last_facts(projections: Projections, projection: Projection[list[Fact]], run: int) -> list[Fact]:
    """The last of a run's facts: those in its last shard, however many came before. Empty if it has none."""
    names = projections.names(projection, _prefix(run))
    view = projections.view(projection, names[-1]) if names else None
    return [] if view is None else [fact for state in view.shards.values() for fact in state]


def facts_of_run(projections: Projections, run: int, cursor: Cursor = NOW) -> list[Fact]:
    """Every event of one run under a cursor, in the order of the log: start, decisions, orders, account, stop."""
    found = [fact for one in RUN_PROJECTIONS for fact in run_facts(projections, one, run, cursor)]
    return sorted(found, key=lambda fact: fact.seq)


def feed_facts(projections: Projections, cursor: Cursor = NOW) -> list[Fact]:
    """Events of the feeds and the clock under a cursor, in the order of the log."""
    view = projections.view(FEEDS)
    return [fact for state in view.shards.values() for fact in admitted(state, cursor, view.position)]
