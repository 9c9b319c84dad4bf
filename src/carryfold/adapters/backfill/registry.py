"""What the venue lists now, recorded as what changed since the log last heard of it.

A perpetual becomes InstrumentListed at its launch, with what will always be true of it; what may change (interval, cap,
lot, minimum, tick, announced delisting) is InstrumentChanged at the time of the snapshot, so that no run can know it
earlier. Of a spot instrument the venue does not tell the launch: it is listed at an unknown time with the facts that an
import assumes, and what the venue tells is a change. A snapshot that finds nothing new adds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from carryfold.adapters.backfill.entries import assumed_spot
from carryfold.adapters.importing.call import LogEntry
from carryfold.adapters.venue import PairSpec
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import InstrumentChanged, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.cursor import format_optional_time
from carryfold.projections.registry import REGISTRY, InstrumentRecord, registry
from carryfold.projections.runner import Projections

__all__ = ["ListingEvent", "Snapshot", "listing_changes", "record_listings", "snapshot_registry"]

BATCH: Final = 1_000
REASON: Final = "delisted by the venue"
FACTS: Final = ("lot", "min_notional", "tick", "interval_hours", "rate_cap")

ListingEvent = InstrumentListed | InstrumentChanged | InstrumentDelisted
_Name = tuple[str, str, str]
_Known = Mapping[_Name, dict[int, InstrumentRecord]]


class Lister(Protocol):
    """The part of a `venue.Market` that a snapshot needs."""

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""

    async def pairs(self) -> Sequence[PairSpec]:
        """Every pair there is now, and closed ones."""


class Snapshot(NamedTuple):
    """The pairs there are, numbered as the log numbers their instruments, and how many events were new."""

    pairs: list[PairSpec]
    appended: int


async def snapshot_registry(market: Lister, log: EventLog, symbols: Collection[str] | None = None) -> Snapshot:
    """Ask the venue what it lists and record what changed; `symbols`: of these alone. Everything is recorded as known
    from now on, as a running daemon has to. Raises VenueError."""
    pairs = await market.pairs()
    now = await market.server_time()
    wanted = [pair for pair in pairs if symbols is None or pair.symbol in symbols]
    return record_listings(log, wanted, now)


def record_listings(log: EventLog, pairs: Sequence[PairSpec], seen_at: int, *, as_history: bool = False) -> Snapshot:
    """Record what is new in `pairs`, as the venue told it at `seen_at` (ns). `as_history`: a listing counts as known
    since its launch and a delisting since it happened, for a log that no run owns."""
    numbered, events = listing_changes(log.home, pairs, seen_at, as_history=as_history)
    entries: list[LogEntry] = [
        (encode(event), event_key(event), min(event.event_at, seen_at) if as_history else None) for event in events
    ]
    appended = sum(log.append(entries[at : at + BATCH]).count for at in range(0, len(entries), BATCH))
    return Snapshot(numbered, appended)


def listing_changes(
    home: Path, pairs: Sequence[PairSpec], seen_at: int, *, as_history: bool = False
) -> tuple[list[PairSpec], list[ListingEvent]]:
    """(the pairs, numbered as the log numbers their instruments, what is new in them since the log last heard).
    `as_history`: what is first heard of a spot instrument has always been so, because nothing else is known."""
    known = _known(home)
    numbered = list(_numbered(pairs, known))
    events: list[ListingEvent] = []
    spots: set[Instrument] = set()  # several listings of a perpetual have one spot instrument
    for spec in numbered:
        events += _perp_changes(spec, _record(spec.perp, known), seen_at)
        name = spec.spot.instrument
        if not name.is_assumed and name not in spots:
            spots.add(name)
            events += _spot_changes(spec, _record(spec.spot, known), seen_at, as_history=as_history)
    return numbered, events


def _known(home: Path) -> _Known:
    """What the log says about instruments, by venue, symbol and kind, then by listing."""
    with LogReader.open(home) as reader, Projections.open(home, reader, [REGISTRY]) as projections:
        projections.update()
        found: dict[_Name, dict[int, InstrumentRecord]] = {}
        for record in registry(projections):
            found.setdefault((record.venue, record.symbol, record.kind), {})[record.listing] = record
        return found


def _of_name(listed: InstrumentListed) -> _Name:
    return listed.venue, listed.symbol, listed.kind


def _record(listed: InstrumentListed, known: _Known) -> InstrumentRecord | None:
    return known.get(_of_name(listed), {}).get(listed.listing)


def _numbered(pairs: Sequence[PairSpec], known: _Known) -> Iterator[PairSpec]:
    """The specs with the log's numbers: the venue forgets old listings, the log does not."""
    ordered = sorted(pairs, key=lambda spec: (*_of_name(spec.perp), spec.perp.event_at))
    for name, group in groupby(ordered, lambda spec: _of_name(spec.perp)):
        records = known.get(name, {})
        by_launch = {record.listed_at: number for number, record in records.items()}
        used: set[int] = set()
        for spec in group:
            number = by_launch.get(format_optional_time(spec.perp.event_at or None))
            if number is None:  # an assumed listing of unknown time is this one; else it is new
                assumed = by_launch.get(None)
                free = assumed is not None and assumed not in used
                number = assumed if free and assumed is not None else max([*records, *used, 0]) + 1
            used.add(number)
            perp = replace(spec.perp, listing=number)
            yield replace(spec, perp=perp, spot=_numbered_spot(spec, known.get(_of_name(spec.spot), {})))


def _numbered_spot(spec: PairSpec, records: Mapping[int, InstrumentRecord]) -> InstrumentListed:
    """The newest one that the log knows; after its end the next, if it trades again."""
    if spec.spot.instrument.is_assumed or not records:
        return spec.spot
    newest = max(records)
    if records[newest].delisted_at is not None and spec.spot_status != "Closed":
        newest += 1
    return replace(spec.spot, listing=newest)


def _perp_changes(spec: PairSpec, record: InstrumentRecord | None, seen_at: int) -> Iterator[ListingEvent]:
    perp, listed = spec.perp, None
    if record is None or record.listed_at is None:
        listed = replace(perp, interval_hours=0.0, rate_cap=0.0)
        yield listed
    if spec.status == "Closed":
        if record is None or record.delisted_at is None:
            yield InstrumentDelisted(*perp.instrument, spec.delist_at, REASON)
        return
    changed = _differences(perp, listed, record)
    if format_optional_time(spec.delist_at or None) != (record and record.delist_at):
        changed["delist_at"] = spec.delist_at
    if changed:
        yield InstrumentChanged(*perp.instrument, seen_at, **changed)


def _spot_changes(
    spec: PairSpec, record: InstrumentRecord | None, seen_at: int, *, as_history: bool
) -> Iterator[ListingEvent]:
    spot, listed = spec.spot, None
    if record is None:
        listed = assumed_spot(spec) if spot.listing == 1 else replace(spot, event_at=seen_at)
        yield listed
    if spec.spot_status == "Closed":
        if record is None or record.delisted_at is None:
            yield InstrumentDelisted(*spot.instrument, seen_at, REASON)
        return
    is_assumed = spot.listing == 1 and (record is None or not record.changes)
    changed = _differences(spot, None, None) if is_assumed else _differences(spot, listed, record)
    if changed:
        yield InstrumentChanged(*spot.instrument, 0 if as_history and is_assumed else seen_at, **changed)


def _differences(
    now: InstrumentListed, listed: InstrumentListed | None, record: InstrumentRecord | None
) -> dict[str, Any]:
    """The fields in which the venue now says something else than the log, with what was `listed` just now."""
    changed: dict[str, Any] = {}
    for field in FACTS:
        new, old = _fact(now, field), _fact(listed, field)
        old = _fact(record, field) if old is None else old
        if new is not None and new != old:
            changed[field] = new
    return changed


def _fact(one: InstrumentListed | InstrumentRecord | None, field: str) -> float | None:
    """None where it is not told, which events write as 0 in fields of which 0 is no value."""
    value: float | None = None if one is None else getattr(one, field)
    return value if field == "min_notional" else value or None
