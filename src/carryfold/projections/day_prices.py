"""The last prices of instruments at the end of each UTC day, from the tape.

A price is the close of a bar or the middle of bid and ask, in the instrument's own quantity. Rows that are late, as the
fold has it, are left out. Whether the basis of a pair is suspect is not looked at here.
"""

from bisect import bisect_right
from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Instrument
from carryfold.domain.rows import KINDS, Kind, Rows
from carryfold.projections.cursor import DAY_NS, Cursor
from carryfold.projections.tape import Tape

__all__ = ["DayPrices", "day_prices", "prices_of"]

_KINDS: Final = np.array([kind for kind, spec in KINDS.items() if spec.group == "price"], np.int16)


class DayPrices:
    """The last price of each instrument by UTC day. `last_known`: known_at (ns) of the newest price, 0 without one."""

    def __init__(self) -> None:
        self.last_known = 0
        self._days: dict[Instrument, list[int]] = {}
        self._prices: dict[Instrument, list[float]] = {}

    def add(self, instrument: Instrument, days: list[int], prices: list[float], last_known: int) -> None:
        """Take the last prices of some days in order. The first of them may be the latest day that is there."""
        known, kept = self._days.setdefault(instrument, []), self._prices.setdefault(instrument, [])
        if known and known[-1] == days[0]:
            known.pop()
            kept.pop()
        known += days
        kept += prices
        self.last_known = max(self.last_known, last_known)

    def at(self, instrument: Instrument, day: int) -> float | None:
        """The last price that was known by the end of a day; None: there was none yet."""
        place = bisect_right(self._days.get(instrument, []), day)
        return self._prices[instrument][place - 1] if place else None


def day_prices(tape: Tape, cursor: Cursor, instruments: Collection[Instrument], since: int) -> DayPrices:
    """The prices of some instruments that became known from `since` (ns) on. Reads that part of the tape once."""
    ids = {index: one.instrument for index, one in enumerate(tape.instruments) if one.instrument in instruments}
    found = DayPrices()
    newest = dict.fromkeys(ids, -1)
    if not ids:
        return found
    for block in tape.blocks(cursor, since=since, instrument_ids=list(ids)):
        rows = block.compress(np.isin(block["kind"], _KINDS))
        for index in np.unique(rows["subject"]).tolist():
            own = rows.compress(rows["subject"] == index)
            at = own["event_at"]
            reached = np.maximum.accumulate(np.concatenate([[newest[index]], at]))
            newest[index] = int(reached[-1])
            price = prices_of(own)
            kept = (at > reached[:-1]) & (price > 0)
            if kept.any():
                known, price = own["known_at"].compress(kept), price.compress(kept)
                days = known // DAY_NS
                ends = np.flatnonzero(np.diff(days, append=-1))
                found.add(ids[index], days[ends].tolist(), price[ends].tolist(), int(known[-1]))
    return found


def prices_of(rows: Rows) -> npt.NDArray[np.float64]:
    """The price of each bar (close) and quote (middle of bid and ask); 0 where there is none."""
    a, b = rows["a"], rows["b"]
    quoted = np.where((a > 0) & (b > 0), (a + b) / 2.0, 0.0)
    prices: npt.NDArray[np.float64] = np.where(rows["kind"] == Kind.BAR_CLOSED, a, quoted)
    return prices
