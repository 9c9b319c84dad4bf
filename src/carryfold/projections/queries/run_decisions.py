"""The decisions of a run, with their working."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

import msgspec

from carryfold.domain.events import EntryDecided, ExitDecided
from carryfold.projections.cursor import MAX, format_optional_time
from carryfold.projections.facts import Fact
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_facts import DECISIONS, run_facts

__all__ = ["Decision", "Decisions", "decisions"]


class Decision(msgspec.Struct, frozen=True):
    """One entry or exit at `at` (RFC 3339, null: unknown). Entries have a `size` in quote, exits a `reason`. `working`
    has every figure of the decision by name, amounts in integers of 1e-8 quote."""

    seq: int
    at: str | None
    pair: str
    action: str
    lots: int
    size: Decimal | None
    reason: str
    working: dict[str, Any]


class Decisions(Answer, frozen=True, kw_only=True):
    """Entries and exits of a run, in the order of the log."""

    run: int
    mode: str
    decisions: list[Decision]


def decisions(
    sources: Sources,
    *,
    run: int | None = None,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Decisions:
    """The decisions of a run (None: the latest) with since <= event_at < until (ns). Refusals of entries are not
    recorded. Raises QueryError."""
    start = run_start(sources, run)
    wanted = Names(sources, names, venue)
    found = [
        _decision(start, fact, fact.event)
        for fact in run_facts(sources.projections, DECISIONS, start.run, sources.cursor)
        if isinstance(fact.event, EntryDecided | ExitDecided)
        and since <= fact.event.event_at < until
        and wanted.match_pair(fact.event.pair, start.label(fact.event.pair))
    ]
    return Decisions(run=start.run, mode=start.event.mode, decisions=found, **bounds(sources.cursor))


def _decision(start: RunStart, fact: Fact, event: EntryDecided | ExitDecided) -> Decision:
    entry = isinstance(event, EntryDecided)
    return Decision(
        seq=fact.seq,
        at=format_optional_time(event.event_at),
        pair=start.label(event.pair),
        action="enter" if entry else "exit",
        lots=event.lots,
        size=event.size if isinstance(event, EntryDecided) else None,
        reason=event.reason if isinstance(event, ExitDecided) else "",
        working=event.working,
    )
