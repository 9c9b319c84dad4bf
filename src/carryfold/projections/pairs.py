"""The pairs that the instruments of a registry form, under its cursor."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from carryfold.domain.instruments import Instrument, Legs, Pair, common_lot, labels, pairs_of
from carryfold.projections.registry import InstrumentRecord, listings_of

__all__ = ["PairRecord", "pair_records"]

_ENDING: Final = ("listed", "delisting", "delisted")  # the status of a pair is that of the leg farthest along


class PairRecord(msgspec.Struct, frozen=True):
    """A pair with the labels of both legs (`bybit:spot:BTCUSDT`). Venue, symbol and listing are those of its short leg.

    `priced` is false if the spot leg is only assumed. `lot` is the smallest number of coins that both legs trade, and
    `min_notional` the larger of the two. `first_row_at`, `last_row_at` and `rows` are of both legs together.
    """

    pair: str
    long: str
    short: str
    venue: str
    symbol: str
    listing: int
    status: str
    priced: bool
    lot: Decimal | None
    min_notional: float | None
    first_row_at: str | None
    last_row_at: str | None
    rows: int | None


def pair_records(
    records: Iterable[InstrumentRecord], legs: Legs = "carry", *, carry_across: bool = False
) -> dict[Pair, PairRecord]:
    """Every pair of the instruments that are listed, in the order of ties."""
    known = {record.instrument: record for record in records}
    pairs = pairs_of(listings_of(known.values()), legs, carry_across=carry_across)
    names = labels(pairs, several_venues=len({name.venue for name in known}) > 1)
    return {pair: _record(names[pair], pair, known) for pair in pairs}


def _record(name: str, pair: Pair, known: dict[Instrument, InstrumentRecord]) -> PairRecord:
    short = known[pair.short]
    long = short if pair.long.is_assumed else known[pair.long]
    legs = [short] if pair.long.is_assumed else [long, short]
    return PairRecord(
        name,
        pair.long.label,
        pair.short.label,
        short.venue,
        short.symbol,
        short.listing,
        status=max((leg.status for leg in legs), key=_ENDING.index),
        priced=not pair.long.is_assumed,
        lot=_lot(long, short),
        min_notional=max((leg.min_notional for leg in legs if leg.min_notional is not None), default=None),
        first_row_at=min((leg.first_row_at for leg in legs if leg.first_row_at), key=_order, default=None),
        last_row_at=max((leg.last_row_at for leg in legs if leg.last_row_at), key=_order, default=None),
        rows=None if short.rows is None else sum(leg.rows or 0 for leg in legs),
    )


def _lot(long: InstrumentRecord, short: InstrumentRecord) -> Decimal | None:
    if not long.lot or not short.lot:
        return None
    return common_lot(long.lot, long.multiplier, short.lot, short.multiplier)


def _order(time: str) -> str:
    """RFC 3339 in UTC sorts as text once the Z behind its decimals is gone."""
    return time.rstrip("Z")
