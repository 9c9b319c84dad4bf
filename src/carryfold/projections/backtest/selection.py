"""Which pairs a run is about, as a user names them: by symbol, by venue, or all that were listed under the cursor."""

from collections.abc import Sequence

import numpy as np

from carryfold.domain.rows import Kind
from carryfold.projections.cursor import Cursor
from carryfold.projections.tape import PairName, Tape

__all__ = ["MAJORS", "NothingListed", "Selection", "SelectionError", "select_pairs"]

MAJORS = ("BTCUSDT", "ETHUSDT", "BTC", "ETH")
"""Symbols of the two majors, as perpetual symbols and as bare coins."""


class SelectionError(ValueError):
    """A pair or venue that the log does not have; the text names the nearest that it has."""


class NothingListed(SelectionError):
    """There is nothing to select from."""


class Selection:
    """The pairs of a run: `ids` chosen among `names`, all pairs of the log by id."""

    def __init__(self, names: Sequence[PairName], ids: Sequence[int]) -> None:
        self.names = list(names)
        self.ids = sorted(ids)

    def flags(self) -> list[bool]:
        """For each pair of the log, whether it is chosen."""
        chosen = set(self.ids)
        return [i in chosen for i in range(len(self.names))]

    def symbols(self) -> list[bytes]:
        """What ties are decided by, for each pair of the log."""
        return [name.symbol.encode() for name in self.names]

    def label(self, pair: int) -> str:
        """The pair as reports name it: its symbol, with venue or listing where the symbol alone is not unique."""
        name = self.names[pair]
        same = [other for other in self.names if other.symbol == name.symbol]
        label = name.symbol
        if len({other.venue for other in same}) > 1:
            label = f"{name.venue}:{label}"
        return label if name.listing == 1 else f"{label}#{name.listing}"

    def majors(self) -> "Selection":
        """The same log, BTC and ETH only."""
        return Selection(self.names, [i for i in self.ids if self.names[i].symbol in MAJORS])


def select_pairs(
    tape: Tape,
    cursor: Cursor,
    *,
    symbols: Sequence[str] | None = None,
    venue: str | None = None,
    until: int | None = None,
) -> Selection:
    """The pairs that were listed under the cursor, narrowed to `symbols` and `venue`. Raises SelectionError."""
    names = tape.pairs
    listed = _listed_ids(tape, cursor, until)
    if not listed:
        raise NothingListed(
            "the log has no pairs under this cursor: import market data first (carryfold import PATH...)"
        )
    venues = sorted({names[i].venue for i in listed})
    if venue is not None and venue not in venues:
        raise SelectionError(f"no pairs of venue '{venue}' in the log; it has: {', '.join(venues)}")
    ids = [i for i in listed if venue is None or names[i].venue == venue]
    if symbols is not None:
        if not symbols:
            raise SelectionError("no pair is named")
        known = {names[i].symbol for i in ids}
        missing = [symbol for symbol in symbols if symbol not in known]
        if missing:
            some = ", ".join(sorted(known)[:10])
            raise SelectionError(
                f"no pair '{missing[0]}' in the log; it has: {some}{', ...' if len(known) > 10 else ''}"
            )
        ids = [i for i in ids if names[i].symbol in symbols]
    return Selection(names, ids)


def _listed_ids(tape: Tape, cursor: Cursor, until: int | None) -> list[int]:
    listed: set[int] = set()
    for rows in tape.blocks(cursor, until=until):
        listed.update(np.unique(rows["pair"][rows["kind"] == Kind.PAIR_LISTED]).tolist())
    return sorted(listed)
