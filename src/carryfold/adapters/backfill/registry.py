"""What the venue lists now, recorded as what changed since the log last heard of it.

A listing becomes PairListed at its launch, with what will always be true of it; what may change (interval, cap, lot,
minimum, announced delisting) is PairChanged at the time of the snapshot, so that no run can know it earlier. A snapshot
that finds nothing new adds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from carryfold.adapters.importing.call import LogEntry
from carryfold.adapters.venue import PairSpec
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import PairChanged, PairDelisted, PairListed
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.cursor import format_optional_time
from carryfold.projections.registry import REGISTRY, PairRecord, registry
from carryfold.projections.runner import Projections

__all__ = ["Snapshot", "listing_changes", "record_listings", "snapshot_registry"]

BATCH: Final = 1_000

_Names = tuple[str, str]


class Lister(Protocol):
    """The part of a `venue.Market` that a snapshot needs."""

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""

    async def pairs(self) -> Sequence[PairSpec]:
        """Every pair there is now, and closed ones."""


class Snapshot(NamedTuple):
    """The pairs there are, numbered as the log numbers them, and how many events were new."""

    pairs: list[PairSpec]
    appended: int


async def snapshot_registry(market: Lister, log: EventLog, symbols: Collection[str] | None = None) -> Snapshot:
    """Ask the venue what it lists and record what changed; `symbols`: of these alone. Everything is recorded as known
    from now on, as a running daemon has to. Raises VenueError."""
    pairs = await market.pairs()
    now = await market.server_time()
    wanted = [pair for pair in pairs if symbols is None or pair.listed.symbol in symbols]
    return record_listings(log, wanted, now)


def record_listings(log: EventLog, pairs: Sequence[PairSpec], seen_at: int, *, as_history: bool = False) -> Snapshot:
    """Record what is new in `pairs`, as the venue told it at `seen_at` (ns). `as_history`: a listing counts as known
    since its launch and a delisting since it happened, for a log that no run owns."""
    numbered, events = listing_changes(log.home, pairs, seen_at)
    entries: list[LogEntry] = [
        (encode(event), event_key(event), min(event.event_at, seen_at) if as_history else None) for event in events
    ]
    appended = sum(log.append(entries[at : at + BATCH]).count for at in range(0, len(entries), BATCH))
    return Snapshot(numbered, appended)


def listing_changes(
    home: Path, pairs: Sequence[PairSpec], seen_at: int
) -> tuple[list[PairSpec], list[PairListed | PairChanged | PairDelisted]]:
    """(the pairs, numbered as the log numbers them, what is new in them since the log last heard)."""
    known = _known(home)
    numbered = list(_numbered(pairs, known))
    events: list[PairListed | PairChanged | PairDelisted] = []
    for spec in numbered:
        record = known.get((spec.listed.venue, spec.listed.symbol), {}).get(spec.listed.listing)
        events += _changes(spec, record, seen_at)
    return numbered, events


def _known(home: Path) -> Mapping[_Names, dict[int, PairRecord]]:
    """What the log says about pairs, by venue and symbol, then by listing."""
    with LogReader.open(home) as reader, Projections.open(home, reader, [REGISTRY]) as projections:
        projections.update()
        found: dict[_Names, dict[int, PairRecord]] = {}
        for record in registry(projections):
            found.setdefault((record.venue, record.symbol), {})[record.listing] = record
        return found


def _numbered(pairs: Sequence[PairSpec], known: Mapping[_Names, dict[int, PairRecord]]) -> Iterator[PairSpec]:
    """The specs with the log's numbers: the venue forgets old listings, the log does not."""
    by_symbol = attrgetter("listed.venue", "listed.symbol")
    for names, group in groupby(sorted(pairs, key=lambda spec: (*by_symbol(spec), spec.listed.event_at)), by_symbol):
        records = known.get(names, {})
        by_launch = {record.listed_at: number for number, record in records.items()}
        used: set[int] = set()
        for spec in group:
            number = by_launch.get(format_optional_time(spec.listed.event_at or None))
            if number is None:  # an assumed listing of unknown time is this one; else it is new
                assumed = by_launch.get(None)
                free = assumed is not None and assumed not in used
                number = assumed if free and assumed is not None else max([*records, *used, 0]) + 1
            used.add(number)
            yield replace(spec, listed=replace(spec.listed, listing=number))


def _changes(
    spec: PairSpec, record: PairRecord | None, seen_at: int
) -> Iterator[PairListed | PairChanged | PairDelisted]:
    listed = spec.listed
    name = listed.venue, listed.symbol, listed.listing
    if record is None or record.listed_at is None:
        yield replace(listed, interval_hours=0.0, rate_cap=0.0)
    if spec.status == "Closed":
        if record is None or record.delisted_at is None:
            yield PairDelisted(*name, spec.delist_at, reason="delisted by the venue")
        return
    changed = _differences(spec, record)
    if changed:
        yield PairChanged(*name, seen_at, **changed)


def _differences(spec: PairSpec, record: PairRecord | None) -> dict[str, Any]:
    """The fields in which the venue now says something else than the log."""
    listed = spec.listed
    fresh = record is None or record.listed_at is None
    now = {
        "lot": (listed.lot, listed.lot if fresh else record and record.lot),
        "min_notional": (listed.min_notional, listed.min_notional if fresh else record and record.min_notional),
        "priced": (listed.priced or None, listed.priced or None if fresh else record and (record.priced or None)),
        "interval_hours": (listed.interval_hours or None, record and record.interval_hours),
        "rate_cap": (listed.rate_cap or None, record and record.rate_cap),
    }
    changed: dict[str, Any] = {field: new for field, (new, old) in now.items() if new is not None and new != old}
    if format_optional_time(spec.delist_at or None) != (record and record.delist_at):
        changed["delist_at"] = spec.delist_at
    return changed
