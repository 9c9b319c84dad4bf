"""Which instruments and pairs a run is about, as a user names them: by symbol, by venue, or all that were listed under
the cursor."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from carryfold.domain.instruments import Instrument, Legs, Listing, Pair, labels, pairs_of
from carryfold.domain.rows import Kind
from carryfold.projections.cursor import Cursor
from carryfold.projections.tape import Tape

__all__ = ["MAJORS", "NothingListed", "Selection", "SelectionError", "select_pairs"]

MAJORS: Final = frozenset({"BTC", "ETH"})
"""The coins of the two majors."""


class SelectionError(ValueError):
    """A pair or venue that the log does not have; the text names the nearest that it has."""


class NothingListed(SelectionError):
    """There is nothing to select from."""


class Selection:
    """The pairs of a run, in the order of ties, and the instruments of the log by id."""

    def __init__(self, listings: Sequence[Listing], pairs: Sequence[Pair]) -> None:
        self.listings = list(listings)
        self.pairs = sorted(pairs, key=lambda pair: pair.order)
        venues = {one.instrument.venue for one in self.listings if one.base}
        self._labels = labels(self.pairs, several_venues=len(venues) > 1)

    @property
    def instruments(self) -> list[Instrument]:
        """All instruments of the log, by id."""
        return [one.instrument for one in self.listings]

    @property
    def instrument_ids(self) -> set[int]:
        """Ids of the legs of the pairs."""
        legs = {leg for pair in self.pairs for leg in pair}
        return {number for number, one in enumerate(self.listings) if one.instrument in legs}

    @property
    def venues(self) -> list[str]:
        """Venues of the legs, in byte order."""
        return sorted({venue for pair in self.pairs for venue in pair.venues}, key=str.encode)

    def label(self, pair: int) -> str:
        """A pair as reports name it."""
        return self._labels[self.pairs[pair]]

    def base(self, pair: Pair) -> str:
        """The coin of a pair."""
        return next(one.base for one in self.listings if one.instrument == pair.short)

    def of_legs(self, legs: Legs) -> "Selection":
        """The same log, the pairs of this kind only; itself where all of them are."""
        kept = [pair for pair in self.pairs if legs == "both" or pair.is_carry == (legs == "carry")]
        return self if len(kept) == len(self.pairs) else Selection(self.listings, kept)

    def majors(self) -> "Selection":
        """The same log, the carry pairs of BTC and ETH only."""
        return Selection(self.listings, [p for p in self.pairs if p.is_carry and self.base(p) in MAJORS])


def select_pairs(
    tape: Tape,
    cursor: Cursor,
    *,
    symbols: Sequence[str] | None = None,
    venue: str | None = None,
    until: int | None = None,
    legs: Legs = "carry",
    carry_across: bool = False,
) -> Selection:
    """The pairs that the instruments listed under the cursor can form, narrowed to `venue` (of all legs) and to
    `symbols`: a pair's name, a perpetual's symbol (of either leg), a coin, or ccxt's unified name. Raises
    SelectionError."""
    listings = tape.instruments
    listed = [listings[number] for number in _listed_ids(tape, cursor, until)]
    if not listed:
        raise NothingListed(
            "the log has no pairs under this cursor: import market data first (carryfold import PATH...)"
        )
    venues = sorted({one.instrument.venue for one in listed})
    if venue is not None and venue not in venues:
        raise SelectionError(f"no pairs of venue '{venue}' in the log; it has: {', '.join(venues)}")
    chosen = [one for one in listed if venue is None or one.instrument.venue == venue]
    pairs = pairs_of(chosen, legs, carry_across=carry_across)
    if symbols is not None:
        pairs = _narrowed(pairs, chosen, symbols, several_venues=len(venues) > 1)
    if not pairs:
        raise NothingListed(f"the log has no {legs} pairs under this cursor: a spread needs perpetuals of two venues")
    return Selection(listings, pairs)


def _narrowed(
    pairs: list[Pair], listings: Sequence[Listing], symbols: Sequence[str], *, several_venues: bool
) -> list[Pair]:
    """The pairs that `symbols` name. Raises SelectionError for one that names none."""
    if not symbols:
        raise SelectionError("no pair is named")
    names = labels(pairs, several_venues=several_venues)
    known = {pair: _names(pair, names[pair], listings) for pair in pairs}
    for symbol in symbols:
        if not any(symbol in found for found in known.values()):
            some = sorted(set(names.values()))
            more = ", ..." if len(some) > 10 else ""
            raise SelectionError(f"no pair '{symbol}' in the log; it has: {', '.join(some[:10])}{more}")
    return [pair for pair in pairs if known[pair] & set(symbols)]


def _names(pair: Pair, label: str, listings: Sequence[Listing]) -> set[str]:
    """Everything that a person may call a pair."""
    found = {label, pair.name}
    for leg in pair:
        for one in listings:
            if one.instrument != leg or (leg.kind == "spot" and pair.is_carry):
                continue
            found |= {leg.symbol, leg.label, f"{one.base}/{one.quote}:{one.quote}", one.base}
    return found


def _listed_ids(tape: Tape, cursor: Cursor, until: int | None) -> list[int]:
    listed: set[int] = set()
    for rows in tape.blocks(cursor, until=until):
        listed.update(np.unique(rows["subject"][rows["kind"] == Kind.INSTRUMENT_LISTED]).tolist())
    return sorted(listed)
