"""The registry: the instruments that exist under a cursor, their listings, and since when these were known."""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from carryfold.domain.events import InstrumentChanged, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument, InstrumentKind, Listing
from carryfold.domain.listings import without_rules
from carryfold.domain.rows import KINDS
from carryfold.projections.cursor import NOW, Cursor, format_optional_time, format_time
from carryfold.projections.facts import (
    Fact,
    admitted,
    as_folded,
    decode_facts,
    encode_facts,
    instrument_of_shard,
    instrument_shard,
    keep,
)
from carryfold.projections.runner import Projection, Projections, Stamp
from carryfold.projections.tape import Tape

__all__ = ["REGISTRY", "InstrumentChange", "InstrumentRecord", "MarketSpan", "listings_of", "market_spans", "registry"]

_CHANGEABLE: Final = ("lot", "min_notional", "tick", "delist_at", "interval_hours", "rate_cap")
_MARKET_KINDS: Final = np.array(sorted(kind for kind, spec in KINDS.items() if spec.group), np.int16)


class InstrumentChange(msgspec.Struct, frozen=True):
    """One change of a listing: `field` became `value` at `changed_at`, known from `known_from`. Times are RFC 3339,
    null where unknown; so is the value of a `delist_at`, which is null where the delisting was withdrawn."""

    field: str
    value: float | str | None
    changed_at: str
    known_from: str | None
    seq: int


class InstrumentRecord(msgspec.Struct, frozen=True):
    """An instrument as it stands under a cursor.

    `status` is unlisted (data without a listing: its coins are unknown), listed, delisting or delisted. Times are RFC
    3339, null where unknown. `lot` is in the instrument's own quantity, of which one unit is `multiplier` coins of
    `base`; `min_notional` is in quote; `tick`, `interval_hours` and `rate_cap` are null where the venue did not tell.
    `rules_known_from`: since when trading rules have been observed; null while they are assumed. `first_row_at`,
    `last_row_at` and `rows` are the span and the number of its market rows; null without a tape.
    """

    venue: str
    symbol: str
    kind: InstrumentKind
    listing: int
    status: str
    listed_at: str | None
    known_from: str | None
    base: str
    quote: str
    multiplier: float
    lot: float | None
    min_notional: float | None
    tick: float | None
    interval_hours: float | None
    rate_cap: float | None
    rules_known_from: str | None
    delist_at: str | None
    delisted_at: str | None
    delisted_reason: str
    changes: list[InstrumentChange]
    first_row_at: str | None
    last_row_at: str | None
    rows: int | None

    @property
    def instrument(self) -> Instrument:
        """The instrument of this record."""
        return Instrument(self.venue, self.symbol, self.kind, self.listing)


class MarketSpan(msgspec.Struct, frozen=True):
    """The market rows of an instrument: known_at of the first and the last in ns, and how many there are."""

    first_known: int
    last_known: int
    rows: int


def _shard(_: Stamp, event: InstrumentListed | InstrumentChanged | InstrumentDelisted) -> str:
    return instrument_shard(event.instrument)


REGISTRY: Final[Projection[list[Fact]]] = Projection(
    "registry", 2, (InstrumentListed, InstrumentChanged, InstrumentDelisted), _shard, list, keep, encode_facts,
    decode_facts,
)  # fmt: skip
"""Listings, changes and delistings in the order of the log, a shard for each instrument."""


def registry(projections: Projections, cursor: Cursor = NOW, *, tape: Tape | None = None) -> list[InstrumentRecord]:
    """All instruments under a cursor, by venue, symbol, kind and listing. With a tape, which is read once, also the
    span of their rows, and instruments that have rows without a listing."""
    view = projections.view(REGISTRY)
    facts = {instrument_of_shard(shard): admitted(state, cursor, view.position) for shard, state in view.shards.items()}
    spans = {} if tape is None else market_spans(tape, cursor)
    names = sorted({name for name, found in facts.items() if found} | spans.keys())
    return [_record(name, as_folded(facts.get(name, [])), spans.get(name), tape is not None) for name in names]


def listings_of(records: Iterable[InstrumentRecord]) -> list[Listing]:
    """The instruments whose coins are known: those that can form pairs."""
    return [Listing(one.instrument, one.base, one.quote) for one in records if one.base]


def market_spans(tape: Tape, cursor: Cursor = NOW) -> dict[Instrument, MarketSpan]:
    """First and last market row of each instrument that has one under a cursor. Reads the tape once."""
    count = len(tape.instruments)
    first, last, rows = np.full(count, -1, np.int64), np.full(count, -1, np.int64), np.zeros(count, np.int64)
    for block in tape.blocks(cursor):
        market = block.compress(np.isin(block["kind"], _MARKET_KINDS))
        subject, known = market["subject"], market["known_at"]
        last[subject] = known  # of several assignments the last one stays
        earliest = np.full(count, -1, np.int64)
        earliest[subject[::-1]] = known[::-1]
        first = np.where(first < 0, earliest, first)
        rows += np.bincount(subject, minlength=count)
    return {
        tape.instruments[index].instrument: MarketSpan(int(first[index]), int(last[index]), int(rows[index]))
        for index in np.flatnonzero(rows).tolist()
    }


class _State:
    """The listing of an instrument, from its facts in the order of the fold."""

    def __init__(self, name: Instrument) -> None:
        self.listed = InstrumentListed(*name, 0, "", "", 0.0, 0.0)
        self.known_at: int | None = None
        self.lot: float | None = None
        self.min_notional: float | None = None
        self.tick = 0.0
        self.interval_hours = 0.0
        self.rate_cap = 0.0
        self.rules_known_at: int | None = None
        self.delist_at = 0
        self.delisted: InstrumentDelisted | None = None
        self.changes: list[InstrumentChange] = []

    def take(self, fact: Fact) -> None:
        event = fact.event
        if isinstance(event, InstrumentListed):
            self._list(event, fact.known_at)
        elif isinstance(event, InstrumentChanged):
            for field in _CHANGEABLE:
                value = getattr(event, field)
                if value is not None:
                    setattr(self, field, value)
                    self.changes.append(_change(field, value, fact))
                    if self.rules_known_at is None and field != "delist_at":
                        self.rules_known_at = fact.known_at
        elif isinstance(event, InstrumentDelisted):
            self.delisted = event

    def _list(self, event: InstrumentListed, known_at: int) -> None:
        if self.known_at is None:
            self.known_at = known_at
        elif event.event_at == 0:  # assumed by an importer: never overrides another one
            return
        self.listed = event
        self.lot, self.min_notional, self.tick = event.lot, event.min_notional, event.tick
        self.interval_hours, self.rate_cap = event.interval_hours, event.rate_cap
        self.rules_known_at = None if event == without_rules(event) else known_at

    def status(self) -> str:
        if self.delisted is not None:
            return "delisted"
        if self.delist_at:
            return "delisting"
        return "unlisted" if self.known_at is None else "listed"


def _record(name: Instrument, facts: Iterable[Fact], span: MarketSpan | None, spans_asked: bool) -> InstrumentRecord:
    state = _State(name)
    for fact in facts:
        state.take(fact)
    listed, delisted = state.listed, state.delisted
    rows = 0 if spans_asked else None
    return InstrumentRecord(
        *name,
        status=state.status(),
        listed_at=format_optional_time(listed.event_at),
        known_from=format_optional_time(state.known_at),
        base=listed.base,
        quote=listed.quote,
        multiplier=listed.multiplier,
        lot=state.lot,
        min_notional=state.min_notional,
        tick=state.tick or None,
        interval_hours=state.interval_hours or None,
        rate_cap=state.rate_cap or None,
        rules_known_from=None if state.rules_known_at is None else format_time(state.rules_known_at),
        delist_at=format_optional_time(state.delist_at),
        delisted_at=None if delisted is None else format_time(delisted.event_at),
        delisted_reason="" if delisted is None else delisted.reason,
        changes=state.changes,
        first_row_at=None if span is None else format_time(span.first_known),
        last_row_at=None if span is None else format_time(span.last_known),
        rows=rows if span is None else span.rows,
    )


def _change(field: str, value: float, fact: Fact) -> InstrumentChange:
    shown = format_optional_time(int(value)) if field == "delist_at" else value
    changed_at, known_from = format_time(fact.event.event_at), format_optional_time(fact.known_at)
    return InstrumentChange(field, shown, changed_at, known_from, fact.seq)
