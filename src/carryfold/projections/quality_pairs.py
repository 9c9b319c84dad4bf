"""The rows of one carry pair: which are suspect, and which leg lacks a bar.

There is a row of the pair at each instant at which a leg got a price, if both legs have one and the two are near in
time. It has the last price of each leg (docs/semantics.md).
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
    """Rows of one instrument in a block: prices that are not late (known_at, event_at, price); closes of bars with a
    price, in order of time, and which of them count; multipliers and the times from which they were known."""

    known: Times = _NO_TIMES
    at: Times = _NO_TIMES
    price: Floats = _NO_FLOATS
    closed: Times = _NO_TIMES
    closes_counted: Flags = _NO_FLAGS
    multiplied: Times = _NO_TIMES
    multipliers: Floats = _NO_FLOATS


NOTHING: Final = LegRows()


class PairScan:
    """Findings about one pair so far. `rows` counts rows of the pair; `without_long` bars of the short leg without one
    of the long leg, and `without_short` the reverse, from the short leg's first bar to its last."""

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
        """Bars of the short leg without one of the long leg, including the last ones."""
        return self._without_long + int(self._short.unmatched_counted.sum())

    def add(self, long: LegRows, short: LegRows) -> None:
        """Judge the rows of both legs in the next block."""
        self._judge_prices(long, short)
        self._judge_bars(long, short)

    def _judge_prices(self, long: LegRows, short: LegRows) -> None:
        instants = np.union1d(long.known, short.known)
        long_at, long_price = self._long.last_at(instants, long)
        short_at, short_price = self._short.last_at(instants, short)
        both = (long_price > 0) & (short_price > 0) & (np.abs(long_at - short_at) <= LEG_SKEW_NS)
        if both.any():
            basis = short_price.compress(both) / long_price.compress(both) - 1.0
            at = np.minimum(long_at, short_at).compress(both)
            counted = instants.compress(both) >= self._since
            self.rows += int(counted.sum())
            self._judge_basis(at, basis, counted)

    def _judge_basis(self, at: Times, basis: Floats, counted: Flags) -> None:
        wide = np.flatnonzero(np.abs(basis) > SUSPECT_BASIS)
        # A small basis is always accepted. The rule needs it only where a large one follows.
        needed = np.union1d(np.union1d(wide, wide[wide > 0] - 1), [len(basis) - 1])
        for index in needed.tolist():
            suspect = self._basis.is_suspect(int(at[index]), float(basis[index]))
            self.suspect += suspect and bool(counted[index])

    def _judge_bars(self, long: LegRows, short: LegRows) -> None:
        """Match bars that close together. Closes of a leg only grow, so a bar that the other leg has passed has no
        match."""
        self._long.add_bars(long)
        self._short.add_bars(short)
        together = np.intersect1d(self._long.unmatched, self._short.unmatched, assume_unique=True)
        self._long.drop(together)
        self._short.drop(together)
        self._without_long += int(self._short.drop_until(self._long.closed_until).sum())
        first = self._short.first_close
        if first is not None:
            self._long.drop_before(first)
            self.without_short += int(self._long.drop_until(self._short.closed_until).sum())


class _Leg:
    """The last price of a leg, and its bars that are not matched yet."""

    def __init__(self) -> None:
        self.unmatched = _NO_TIMES
        self.unmatched_counted = _NO_FLAGS
        self.first_close: int | None = None
        self.closed_until = -1
        self._at = 0
        self._price = 0.0
        self._multiplier = 1.0

    def last_at(self, instants: Times, rows: LegRows) -> tuple[Times, Floats]:
        """(event_at, price per coin) of the last price at each instant; 0: none yet. A listing takes effect after the
        prices of its instant."""
        place = np.searchsorted(rows.known, instants, side="right")
        at = np.concatenate([[self._at], rows.at])
        price = np.concatenate([[self._price], rows.price])
        multipliers = np.concatenate([[self._multiplier], rows.multipliers])
        multiplier = multipliers[np.searchsorted(rows.multiplied, instants, side="left")]
        self._at, self._price, self._multiplier = int(at[-1]), float(price[-1]), float(multipliers[-1])
        return at[place], price[place] / multiplier

    def add_bars(self, rows: LegRows) -> None:
        """Add the bars of the next block to those that are not matched."""
        if not len(rows.closed):
            return
        if self.first_close is None:
            self.first_close = int(rows.closed[0])
        self.closed_until = int(rows.closed[-1])
        self.unmatched = np.concatenate([self.unmatched, rows.closed])
        self.unmatched_counted = np.concatenate([self.unmatched_counted, rows.closes_counted])

    def drop(self, closes: Times) -> None:
        """Remove bars that are matched."""
        self._keep(~np.isin(self.unmatched, closes, assume_unique=True))

    def drop_before(self, close: int) -> None:
        """Remove bars that close before this one."""
        self._keep(self.unmatched >= close)

    def drop_until(self, until: int) -> Flags:
        """Remove the bars that close up to `until` without a match; returns which of them count."""
        passed = self.unmatched <= until
        counted = self.unmatched_counted.compress(passed)
        self._keep(~passed)
        return counted

    def _keep(self, which: Flags) -> None:
        self.unmatched, self.unmatched_counted = self.unmatched.compress(which), self.unmatched_counted.compress(which)
