"""The time over which a run is judged: from the first instant at which it could trade to its last market row."""

from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Pair
from carryfold.domain.rows import KINDS, Kind, Rows
from carryfold.projections.backtest.selection import Selection

__all__ = ["SpanTracker"]

_UNKNOWN: Final = 2**62
_PIECE: Final = 256
_IS_MARKET: Final = np.array([kind in KINDS and bool(KINDS[Kind(kind)].group) for kind in range(max(KINDS) + 1)])

Times = npt.NDArray[np.int64]


class SpanTracker:
    """Notes the span while the rows of a run pass by, those before its start (`since`) included.

    `first_row_at` and `last_row_at`: known times of the first and the last market row not before `since`. A listing may
    be years older than the data, and is no market row. `tradeable_at`: the first instant at which a pair of the run had
    prices of both legs, or, while it was unpriced, a settled rate.
    """

    def __init__(self, selection: Selection, since: int) -> None:
        self.first_row_at: int | None = None
        self.last_row_at: int | None = None
        self.tradeable_at: int | None = None
        self._since = since
        ids = {one: number for number, one in enumerate(selection.instruments)}
        self._pairs = [(ids.get(pair.long, -1), ids[pair.short], _may_be_unpriced(pair)) for pair in selection.pairs]
        # by instrument, the known time of the first one
        self._price, self._rate, self._listed = (np.full(len(ids) + 1, _UNKNOWN) for _ in range(3))

    def observe(self, rows: Rows) -> None:
        """Take in the next block."""
        if self.tradeable_at is None:
            self._look_for_prices(rows)
        if self.first_row_at is None:
            self.first_row_at = self._market_time(rows, 1)
        last = self._market_time(rows, -1)
        if last is not None:
            self.last_row_at = last

    def _look_for_prices(self, rows: Rows) -> None:
        kinds = rows["kind"]
        priced = ((kinds == Kind.QUOTED) | (kinds == Kind.BAR_CLOSED)) & (rows["a"] > 0)
        for times, found in (
            (self._price, priced),
            (self._rate, kinds == Kind.FUNDING_SETTLED),
            (self._listed, kinds == Kind.INSTRUMENT_LISTED),
        ):
            np.minimum.at(times, rows["subject"][found], rows["known_at"][found])
        earliest = min((self._tradeable(*one) for one in self._pairs), default=_UNKNOWN)
        if earliest < _UNKNOWN:
            self.tradeable_at = earliest

    def _tradeable(self, long: int, short: int, may_be_unpriced: bool) -> int:
        """When a pair could first be traded. Index -1, an assumed leg, has no price and no listing."""
        rate = int(self._rate[short])
        if may_be_unpriced and rate < self._listed[long]:
            return rate
        return max(int(self._price[long]), int(self._price[short]))

    def _market_time(self, rows: Rows, step: int) -> int | None:
        """known_at of the first market row that is not before `since`, or with step -1 of the last one. The search goes
        piece by piece, because nearly every row is a market row."""
        rows = rows[::step]
        for start in range(0, len(rows), _PIECE):
            piece = rows[start : start + _PIECE]
            found = piece["known_at"][_IS_MARKET[piece["kind"]] & (piece["known_at"] >= self._since)]
            if len(found):
                return int(found[0])
        return None


def _may_be_unpriced(pair: Pair) -> bool:
    return pair.is_carry and pair.is_one_venue
