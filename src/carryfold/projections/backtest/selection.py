"""Which instruments and pairs a run is about: all that were listed under the cursor, or those that a user names."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from carryfold.domain.instruments import Instrument, Legs, Listing, Pair, labels, pairs_of
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.cursor import Cursor
from carryfold.projections.pair_choices import PairChoice
from carryfold.projections.tape import Tape

__all__ = [
    "MAJORS", "NothingListed", "PairRequest", "Selection", "SelectionError", "choose_pairs", "listed_ids",
    "parse_universe", "select_pairs",
]  # fmt: skip

MAJORS: Final = frozenset({"BTC", "ETH"})
"""The coins of the two majors."""

_UNIVERSE: Final = "top:"


class SelectionError(ValueError):
    """A pair or venue that the log does not have; the text names the nearest that it has."""


class NothingListed(SelectionError):
    """There is nothing to select from."""


class PairRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs that a user asks for: of these legs, of `venue`, named by `symbols` (None: all). `universe`: of them
    only the N perpetuals with the greatest turnover at each month's start may be entered."""

    legs: Legs = "carry"
    carry_across: bool = False
    venue: str | None = None
    symbols: tuple[str, ...] | None = None
    universe: int | None = None


def parse_universe(text: str) -> int:
    """N of `top:N`. Raises SelectionError."""
    number = text.removeprefix(_UNIVERSE)
    if not text.startswith(_UNIVERSE) or not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= 10_000:
        raise SelectionError(f"--universe '{text}' is not of the form top:N, N from 1 to 10000")
    return int(number)


class Selection:
    """The pairs of a run, in the order of ties, and the instruments of the log by id.

    `universe` bounds what may be entered (see universe.py). `named` and `choices` say how the pairs were chosen: by
    these names, or by backfills of these choices.
    """

    def __init__(
        self,
        listings: Sequence[Listing],
        pairs: Sequence[Pair],
        *,
        universe: int | None = None,
        named: Sequence[str] = (),
        choices: Sequence[PairChoice] = (),
    ) -> None:
        self.listings = list(listings)
        self.pairs = sorted(pairs, key=lambda pair: pair.order)
        self.universe = universe
        self.named = tuple(named)
        self.choices = tuple(choices)
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
    def perpetuals(self) -> dict[int, Instrument]:
        """Perpetual legs of the pairs by id."""
        ids = self.instrument_ids
        return {
            number: one.instrument
            for number, one in enumerate(self.listings)
            if number in ids and one.instrument.kind == "perp"
        }

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
        return self if len(kept) == len(self.pairs) else self._narrowed(kept)

    def majors(self) -> "Selection":
        """The same log, the carry pairs of BTC and ETH only."""
        return self._narrowed([p for p in self.pairs if p.is_carry and self.base(p) in MAJORS])

    def _narrowed(self, pairs: Sequence[Pair]) -> "Selection":
        return Selection(self.listings, pairs, universe=self.universe, named=self.named, choices=self.choices)


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
    request = PairRequest(
        legs=legs, carry_across=carry_across, venue=venue, symbols=None if symbols is None else tuple(symbols)
    )
    return choose_pairs(request, tape.instruments, listed_ids(tape.blocks(cursor, until=until)))


def choose_pairs(
    request: PairRequest, listings: Sequence[Listing], listed: Collection[int], choices: Sequence[PairChoice] = ()
) -> Selection:
    """The requested pairs of the instruments with the ids `listed`. Raises SelectionError."""
    known = [listings[number] for number in sorted(listed)]
    if not known:
        raise NothingListed(
            "the log has no pairs under this cursor: import market data first (carryfold import PATH...)"
        )
    venues = sorted({one.instrument.venue for one in known})
    if request.venue is not None and request.venue not in venues:
        raise SelectionError(f"no pairs of venue '{request.venue}' in the log; it has: {', '.join(venues)}")
    chosen = [one for one in known if request.venue is None or one.instrument.venue == request.venue]
    pairs = pairs_of(chosen, request.legs, carry_across=request.carry_across)
    if request.symbols is not None:
        pairs = _narrowed(pairs, chosen, request.symbols, several_venues=len(venues) > 1)
    if not pairs:
        raise NothingListed(
            f"the log has no {request.legs} pairs under this cursor: a spread needs perpetuals of two venues"
        )
    return Selection(listings, pairs, universe=request.universe, named=request.symbols or (), choices=choices)


def listed_ids(blocks: Iterable[Rows]) -> set[int]:
    """Ids of the instruments that rows list."""
    listed: set[int] = set()
    for rows in blocks:
        listed.update(np.unique(rows["subject"][rows["kind"] == Kind.INSTRUMENT_LISTED]).tolist())
    return listed


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
