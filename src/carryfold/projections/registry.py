"""The registry: which pairs there are under a cursor, what their listings say, and since when."""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from carryfold.domain.events import PairChanged, PairDelisted, PairListed
from carryfold.domain.rows import KINDS
from carryfold.projections.cursor import NOW, Cursor, format_optional_time, format_time
from carryfold.projections.facts import (
    Fact,
    admitted,
    as_folded,
    decode_facts,
    encode_facts,
    keep,
    pair_of_shard,
    pair_shard,
)
from carryfold.projections.runner import Projection, Projections, Stamp
from carryfold.projections.tape import PairName, Tape

__all__ = ["REGISTRY", "MarketSpan", "PairChange", "PairRecord", "market_spans", "registry"]

_CHANGEABLE: Final = ("lot", "min_notional", "priced", "delist_at", "interval_hours", "rate_cap")
_MARKET_KINDS: Final = np.array(sorted(kind for kind, spec in KINDS.items() if spec.group), np.int16)


class PairChange(msgspec.Struct, frozen=True):
    """One announced change: which field got which value, when (RFC 3339), and since when it was known. A `delist_at` is
    RFC 3339 as well, null when it was withdrawn."""

    field: str
    value: float | bool | str | None
    changed_at: str
    known_from: str
    seq: int


class PairRecord(msgspec.Struct, frozen=True):
    """A pair as it stands under a cursor.

    `status` is unlisted (data, but no listing), listed, delisting or delisted. `listed_at` null: the time is unknown.
    `lot` in base coins, `min_notional` in quote, `interval_hours` and `rate_cap` null: not given. `first_row_at`,
    `last_row_at` and `rows` tell since when, until when and how many market rows were known; null where no tape was
    asked.
    """

    venue: str
    symbol: str
    listing: int
    status: str
    listed_at: str | None
    known_from: str | None
    lot: float | None
    min_notional: float | None
    lot_units: int
    priced: bool
    multiplier: float
    interval_hours: float | None
    spot_symbol: str
    rate_cap: float | None
    delist_at: str | None
    delisted_at: str | None
    delisted_reason: str
    changes: list[PairChange]
    first_row_at: str | None
    last_row_at: str | None
    rows: int | None


class MarketSpan(msgspec.Struct, frozen=True):
    """The market rows of a pair: known_at of the first and the last in ns, and how many there are."""

    first_known: int
    last_known: int
    rows: int


def _shard(_: Stamp, event: PairListed | PairChanged | PairDelisted) -> str:
    return pair_shard(PairName(event.venue, event.symbol, event.listing))


REGISTRY: Final[Projection[list[Fact]]] = Projection(
    "registry", 1, (PairListed, PairChanged, PairDelisted), _shard, list, keep, encode_facts, decode_facts
)
"""Listings, changes and delistings as they came, a shard for each pair."""


def registry(projections: Projections, cursor: Cursor = NOW, *, tape: Tape | None = None) -> list[PairRecord]:
    """All pairs under a cursor, by name. With a tape, which is read through once, also what is known of their rows, and
    pairs that have rows without a listing."""
    view = projections.view(REGISTRY)
    facts = {pair_of_shard(shard): admitted(state, cursor, view.position) for shard, state in view.shards.items()}
    spans = {} if tape is None else market_spans(tape, cursor)
    pairs = sorted({pair for pair, found in facts.items() if found} | spans.keys())
    return [_record(pair, as_folded(facts.get(pair, [])), spans.get(pair), tape is not None) for pair in pairs]


def market_spans(tape: Tape, cursor: Cursor = NOW) -> dict[PairName, MarketSpan]:
    """First and last market row of each pair that has one under a cursor. Reads the tape once."""
    pairs = len(tape.pairs)
    first, last, rows = np.full(pairs, -1, np.int64), np.full(pairs, -1, np.int64), np.zeros(pairs, np.int64)
    for block in tape.blocks(cursor):
        market = block.compress(np.isin(block["kind"], _MARKET_KINDS))
        pair, known = market["pair"], market["known_at"]
        last[pair] = known  # of several assignments the last one stays
        earliest = np.full(pairs, -1, np.int64)
        earliest[pair[::-1]] = known[::-1]
        first = np.where(first < 0, earliest, first)
        rows += np.bincount(pair, minlength=pairs)
    return {
        tape.pairs[index]: MarketSpan(int(first[index]), int(last[index]), int(rows[index]))
        for index in np.flatnonzero(rows).tolist()
    }


class _Listing:
    """What the facts of a pair, taken in the order of the fold, add up to."""

    def __init__(self) -> None:
        self.listed = PairListed("", "", 1, 0, 0.0, 0.0)
        self.known_at: int | None = None
        self.lot: float | None = None
        self.min_notional: float | None = None
        self.priced = False
        self.interval_hours = 0.0
        self.rate_cap = 0.0
        self.delist_at = 0
        self.delisted: PairDelisted | None = None
        self.changes: list[PairChange] = []

    def take(self, fact: Fact) -> None:
        event = fact.event
        if isinstance(event, PairListed):
            self._list(event, fact.known_at)
        elif isinstance(event, PairChanged):
            for field in _CHANGEABLE:
                value = getattr(event, field)
                if value is not None:
                    setattr(self, field, value)
                    self.changes.append(_change(field, value, fact))
        elif isinstance(event, PairDelisted):
            self.delisted = event

    def _list(self, event: PairListed, known_at: int) -> None:
        if self.known_at is None:
            self.known_at = known_at
        elif event.event_at == 0:  # of unknown time, assumed by an importer: never overrides another one
            return
        self.listed = event
        self.lot, self.min_notional = event.lot, event.min_notional
        self.interval_hours, self.rate_cap = event.interval_hours, event.rate_cap
        self.priced = self.priced or event.priced

    def status(self) -> str:
        if self.delisted is not None:
            return "delisted"
        if self.delist_at:
            return "delisting"
        return "unlisted" if self.known_at is None else "listed"


def _record(pair: PairName, facts: Iterable[Fact], span: MarketSpan | None, spans_asked: bool) -> PairRecord:
    listing = _Listing()
    for fact in facts:
        listing.take(fact)
    listed, delisted = listing.listed, listing.delisted
    rows = 0 if spans_asked else None
    return PairRecord(
        *pair,
        status=listing.status(),
        listed_at=_time_or_unknown(listed.event_at),
        known_from=format_optional_time(listing.known_at),
        lot=listing.lot,
        min_notional=listing.min_notional,
        lot_units=listed.lot_units,
        priced=listing.priced,
        multiplier=listed.multiplier,
        interval_hours=listing.interval_hours or None,
        spot_symbol=listed.spot_symbol,
        rate_cap=listing.rate_cap or None,
        delist_at=_time_or_unknown(listing.delist_at),
        delisted_at=None if delisted is None else format_time(delisted.event_at),
        delisted_reason="" if delisted is None else delisted.reason,
        changes=listing.changes,
        first_row_at=None if span is None else format_time(span.first_known),
        last_row_at=None if span is None else format_time(span.last_known),
        rows=rows if span is None else span.rows,
    )


def _change(field: str, value: float | bool | int, fact: Fact) -> PairChange:
    shown = _time_or_unknown(int(value)) if field == "delist_at" else value
    return PairChange(field, shown, format_time(fact.event.event_at), format_time(fact.known_at), fact.seq)


def _time_or_unknown(time: int) -> str | None:
    """RFC 3339; events write 0 where there is no time."""
    return format_time(time) if time else None
