"""Rows of instruments reach a run only from when the log could say that its pairs need them.

A spot market may be listed years before the perpetual of its coin. Until both are listed, nobody can know that there
will be a pair, so the spot's rows must not even make instants of a run that trades the pair later. Trading rules and
delistings of that time are handed over, in their order, at the instant at which the pair becomes known.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from carryfold.domain.rows import Kind, Rows, in_canonical_order
from carryfold.projections.backtest.selection import Selection

__all__ = ["KnownLegs"]

_NEVER: Final = 2**62
_FACTS: Final = (Kind.INSTRUMENT_LISTED, Kind.INSTRUMENT_CHANGED, Kind.INSTRUMENT_DELISTED)


class KnownLegs:
    """Filters the rows of a selection's instruments."""

    def __init__(self, selection: Selection) -> None:
        ids = {one: number for number, one in enumerate(selection.instruments)}
        self._pairs = [[ids[leg] for leg in pair if leg in ids] for pair in selection.pairs]
        self._perps = [[ids[leg] for leg in pair if leg.kind == "perp"] for pair in selection.pairs]
        self._legs = np.array(sorted({leg for pair in self._pairs for leg in pair}), np.int64)
        self._listed_at = np.full(len(ids) + 1, _NEVER)
        self._known_at = np.full(len(ids) + 1, _NEVER)
        self._known_at[-1] = -_NEVER  # rows without an instrument
        self._withheld: list[Rows] = []

    def filter(self, blocks: Iterable[Rows]) -> Iterator[Rows]:
        """The blocks without rows of instruments that are not needed yet."""
        is_complete = len(self._legs) == 0
        for block in blocks:
            yield block if is_complete else self._filtered(block)
            is_complete = is_complete or bool((self._known_at[self._legs] < _NEVER).all())

    def _filtered(self, rows: Rows) -> Rows:
        listed = rows["kind"] == Kind.INSTRUMENT_LISTED
        if listed.any():
            np.minimum.at(self._listed_at, rows["subject"][listed], rows["known_at"][listed])
            self._know_pairs()
        subjects = np.where(rows["kind"] < Kind.CLOCK_TICKED, rows["subject"], -1)
        early = rows["known_at"] < self._known_at[subjects]
        self._withheld.append(rows[early & np.isin(rows["kind"], _FACTS)])
        kept = [rows[~early]]
        if len(rows):
            kept += self._handed_over(int(rows["known_at"][-1]))
        return in_canonical_order(np.concatenate(kept)) if len(kept) > 1 else kept[0]

    def _know_pairs(self) -> None:
        for legs, perps in zip(self._pairs, self._perps, strict=True):
            from_when = max(int(self._listed_at[perp]) for perp in perps)
            for leg in legs:
                self._known_at[leg] = min(self._known_at[leg], max(from_when, int(self._listed_at[leg])))

    def _handed_over(self, now: int) -> list[Rows]:
        """Withheld rows of instruments that are known by now, with the time at which they became so."""
        held = [rows for rows in self._withheld if len(rows)]
        if not held:
            return []
        rows = np.concatenate(held)
        due = self._known_at[rows["subject"]] <= now
        self._withheld = [rows[~due]]
        ready = rows[due]
        ready["known_at"] = self._known_at[ready["subject"]]
        return [ready] if len(ready) else []
