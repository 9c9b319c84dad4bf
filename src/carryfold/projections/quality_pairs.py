"""The rows of one carry pair: where both legs have a price, which of them are suspect, and which leg lacks a bar.

A pair row comes about at an instant where a leg got a price, if both have one and the two are near in time; it shows
what both legs show then (docs/semantics.md).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.projections.quality_rules import LEG_SKEW_NS, SUSPECT_BASIS, BasisRule

__all__ = ["NOTHING", "Flags", "Floats", "LegRows", "PairScan", "Times"]

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_NO_TIMES: Final[Times] = np.empty(0, np.int64)
_NO_FLAGS: Final[Flags] = np.empty(0, np.bool_)
_NO_FLOATS: Final[Floats] = np.empty(0, np.float64)


class LegRows(NamedTuple):
    """Of the rows of an instrument in a block: the prices that are not late (known_at, event_at, price), the closes of
    bars with a price, in order of time, and which of them count, and the multipliers with the time they were known."""

    known: Times = _NO_TIMES
    at: Times = _NO_TIMES
    price: Floats = _NO_FLOATS
    closed: Times = _NO_TIMES
    closes_counted: Flags = _NO_FLAGS
    multiplied: Times = _NO_TIMES
    multipliers: Floats = _NO_FLOATS


NOTHING: Final = LegRows()


class PairScan:
    """What was found in the rows of one pair so far. `rows` are pair rows; `without_long` counts bars of the short leg
    without a bar of the long one, `without_short` the reverse, from the short leg's first bar to its last."""

    def __init__(self, since: int) -> None:
        self.rows = 0
        self.suspect = 0
        self.without_short = 0
        self._without_long = 0
        self._since = since
        self._long, self._short = _Leg(), _Leg()
        self._basis = BasisRule()

    @property
    def without_long(self) -> int:
        """Bars of the short leg that have none of the long leg, those at the end included."""
        return self._without_long + int(self._short.waiting_counted.sum())

    def see(self, long: LegRows, short: LegRows) -> None:
        """Take the rows of both legs in the next block."""
        self._see_prices(long, short)
        self._see_bars(long, short)

    def _see_prices(self, long: LegRows, short: LegRows) -> None:
        instants = np.union1d(long.known, short.known)
        long_at, long_price = self._long.shown_at(instants, long)
        short_at, short_price = self._short.shown_at(instants, short)
        both = (long_price > 0) & (short_price > 0) & (np.abs(long_at - short_at) <= LEG_SKEW_NS)
        if both.any():
            basis = short_price.compress(both) / long_price.compress(both) - 1.0
            at = np.minimum(long_at, short_at).compress(both)
            counted = instants.compress(both) >= self._since
            self.rows += int(counted.sum())
            self._see_basis(at, basis, counted)

    def _see_basis(self, at: Times, basis: Floats, counted: Flags) -> None:
        wide = np.flatnonzero(np.abs(basis) > SUSPECT_BASIS)
        # A small basis is accepted whatever came before; the rule has to see it only where a large one follows.
        needed = np.union1d(np.union1d(wide, wide[wide > 0] - 1), [len(basis) - 1])
        for index in needed.tolist():
            suspect = self._basis.is_suspect(int(at[index]), float(basis[index]))
            self.suspect += suspect and bool(counted[index])

    def _see_bars(self, long: LegRows, short: LegRows) -> None:
        """Bars that close together match. Closes of a leg only grow, so one that the other leg has passed by stays
        without."""
        self._long.wait(long)
        self._short.wait(short)
        together = np.intersect1d(self._long.waiting, self._short.waiting, assume_unique=True)
        self._long.drop(together)
        self._short.drop(together)
        self._without_long += int(self._short.pass_by(self._long.closed_until).sum())
        first = self._short.first_close
        if first is not None:
            self._long.forget_before(first)
            self.without_short += int(self._long.pass_by(self._short.closed_until).sum())


class _Leg:
    """A leg's last price, and its bars that wait for one of the other leg."""

    def __init__(self) -> None:
        self.waiting = _NO_TIMES
        self.waiting_counted = _NO_FLAGS
        self.first_close: int | None = None
        self.closed_until = -1
        self._at = 0
        self._price = 0.0
        self._multiplier = 1.0

    def shown_at(self, instants: Times, rows: LegRows) -> tuple[Times, Floats]:
        """(event_at, price per coin) of the last price at each instant; price 0: none yet. A listing is taken after the
        prices of its instant."""
        place = np.searchsorted(rows.known, instants, side="right")
        at = np.concatenate([[self._at], rows.at])
        price = np.concatenate([[self._price], rows.price])
        multipliers = np.concatenate([[self._multiplier], rows.multipliers])
        multiplier = multipliers[np.searchsorted(rows.multiplied, instants, side="left")]
        self._at, self._price, self._multiplier = int(at[-1]), float(price[-1]), float(multipliers[-1])
        return at[place], price[place] / multiplier

    def wait(self, rows: LegRows) -> None:
        """Take the bars of the next block."""
        if not len(rows.closed):
            return
        if self.first_close is None:
            self.first_close = int(rows.closed[0])
        self.closed_until = int(rows.closed[-1])
        self.waiting = np.concatenate([self.waiting, rows.closed])
        self.waiting_counted = np.concatenate([self.waiting_counted, rows.closes_counted])

    def drop(self, closes: Times) -> None:
        """These have found their match."""
        self._keep(~np.isin(self.waiting, closes, assume_unique=True))

    def forget_before(self, close: int) -> None:
        """Bars before this one are not asked for."""
        self._keep(self.waiting >= close)

    def pass_by(self, until: int) -> Flags:
        """Stop waiting for bars that close up to `until`. Gives which of those that waited count."""
        passed = self.waiting <= until
        counted = self.waiting_counted.compress(passed)
        self._keep(~passed)
        return counted

    def _keep(self, which: Flags) -> None:
        self.waiting, self.waiting_counted = self.waiting.compress(which), self.waiting_counted.compress(which)
