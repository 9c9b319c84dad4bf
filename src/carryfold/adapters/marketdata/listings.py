"""Listings as a venue tells them now, recorded as what changed since the log last heard of them.

A listing says only what never changes (coins, multiplier) and may therefore be known since the launch. The trading
rules of today (lot, minimum, tick, interval, cap) and an announced delisting become an InstrumentChanged at the time at
which they were observed, so no run can know them earlier; until then the log says assumed ones. A spot market's launch
is not told, so it is listed at an unknown time. Recording the same answer again adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from carryfold.adapters.marketdata.entries import log_entry
from carryfold.adapters.venues import PairSpec
from carryfold.domain.events import InstrumentChanged, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument
from carryfold.domain.listings import DELISTED, assumed_listing, without_rules
from carryfold.domain.symbols import read_symbol
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.cursor import format_optional_time
from carryfold.projections.registry import REGISTRY, InstrumentRecord, registry
from carryfold.projections.runner import Projections

__all__ = [
    "ListingEvent", "RecordedListings", "assumed_spot", "listing_changes", "record_listings", "spot_leg",
]  # fmt: skip

BATCH: Final = 1_000
RULES: Final = ("lot", "min_notional", "tick", "interval_hours", "rate_cap")

ListingEvent = InstrumentListed | InstrumentChanged | InstrumentDelisted
_Name = tuple[str, str, str]
_Known = Mapping[_Name, dict[int, InstrumentRecord]]


class RecordedListings(NamedTuple):
    """The pairs, numbered as the log numbers their instruments, and how many events were new."""

    pairs: list[PairSpec]
    appended: int


def spot_leg(spec: PairSpec) -> Instrument:
    """The spot instrument of a pair. Where the venue no longer lists one, the one that the perpetual's symbol tells."""
    name = spec.spot.instrument
    if not name.is_assumed:
        return name
    return Instrument(name.venue, read_symbol(name.venue, spec.symbol).spot_symbol, "spot")


def assumed_spot(spec: PairSpec) -> InstrumentListed:
    """The listing of the pair's spot instrument at an unknown time, with assumed trading rules."""
    return assumed_listing(spot_leg(spec), 0, spec.spot.base, spec.spot.quote)


def record_listings(
    log: EventLog, pairs: Sequence[PairSpec], seen_at: int, *, as_history: bool = False
) -> RecordedListings:
    """Record what is new in `pairs`, as the venue told it at `seen_at` (UTC ns). `as_history`: a listing counts as
    known since its launch and a delisting since it happened, in a log that no run owns; otherwise everything is known
    from the commit on."""
    numbered, events = listing_changes(log.home, pairs, seen_at)
    entries = [log_entry(event, min(event.event_at, seen_at) if as_history else None) for event in events]
    appended = sum(log.append(entries[at : at + BATCH]).count for at in range(0, len(entries), BATCH))
    return RecordedListings(numbered, appended)


def listing_changes(home: Path, pairs: Sequence[PairSpec], seen_at: int) -> tuple[list[PairSpec], list[ListingEvent]]:
    """(the pairs, numbered as the log numbers their instruments; what is new in them since the log last heard)."""
    known = _known(home)
    numbered = list(_numbered(pairs, known))
    events: list[ListingEvent] = []
    spots: set[Instrument] = set()  # several listings of a perpetual have one spot instrument
    for spec in numbered:
        events += _perp_changes(spec, _record(spec.perp, known), seen_at)
        name = spec.spot.instrument
        if not name.is_assumed and name not in spots:
            spots.add(name)
            events += _spot_changes(spec, _record(spec.spot, known), seen_at)
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
    perp = spec.perp
    known = record
    if record is None or record.listed_at is None:
        yield without_rules(perp)
        known = None  # this listing replaces every rule with an assumed one, so all of them are said again
    if spec.status == "Closed":
        if record is None or record.delisted_at is None:
            yield InstrumentDelisted(*perp.instrument, spec.delist_at, DELISTED)
        return
    changed = _differences(perp, known)
    if _is_first(known) or format_optional_time(spec.delist_at or None) != (known and known.delist_at):
        changed["delist_at"] = spec.delist_at
    if changed:
        yield InstrumentChanged(*perp.instrument, seen_at, **changed)


def _spot_changes(spec: PairSpec, record: InstrumentRecord | None, seen_at: int) -> Iterator[ListingEvent]:
    spot = spec.spot
    if record is None:
        yield assumed_spot(spec) if spot.listing == 1 else replace(without_rules(spot), event_at=seen_at)
    if spec.spot_status == "Closed":
        if record is None or record.delisted_at is None:
            yield InstrumentDelisted(*spot.instrument, seen_at, DELISTED)
        return
    changed = _differences(spot, record)
    if changed:
        yield InstrumentChanged(*spot.instrument, seen_at, **changed)


def _differences(now: InstrumentListed, record: InstrumentRecord | None) -> dict[str, Any]:
    """The rules in which the venue now differs from the log. The first observation says every rule that the venue
    tells, because the log has only assumed ones so far."""
    changed: dict[str, Any] = {}
    for field in RULES:
        new = _rule(now, field)
        if new is not None and (_is_first(record) or new != _rule(record, field)):
            changed[field] = new
    return changed


def _is_first(record: InstrumentRecord | None) -> bool:
    return record is None or not record.changes


def _rule(one: InstrumentListed | InstrumentRecord | None, field: str) -> float | None:
    """A rule; None where it is not told, which events write as 0 in fields of which 0 is no value."""
    value: float | None = None if one is None else getattr(one, field)
    return value if field == "min_notional" else value or None
