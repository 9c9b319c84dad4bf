"""The rules by which market data is judged, one perpetual or pair at a time and in the order in which a fold takes it.

The same rules as the fold's, written once more to be read: a test holds the two together. Times are event_at in ns.
"""

from typing import Final, NamedTuple

import numpy as np

from carryfold.domain.rows import Kind, Rows
from carryfold.projections.cursor import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

__all__ = [
    "INTERVALS_H",
    "LEG_SKEW_NS",
    "SNAP_NS",
    "SUSPECT_BASIS",
    "BasisRule",
    "Settlement",
    "SettlementRule",
    "with_told_intervals",
]

INTERVALS_H: Final = (1, 2, 4, 6, 8)
SNAP_NS: Final = 10 * MINUTE_NS
SUSPECT_BASIS: Final = 0.03
LEG_SKEW_NS: Final = 5 * SECOND_NS
"""Prices of two legs that are farther apart than this make no pair row."""


class Settlement(NamedTuple):
    """What the rule says of a settled rate. `hours` is the interval in force, 0 while none is known or the row is late;
    `gap`: it came later than the interval allows, and about `missing` settlements should have come before it."""

    late: bool = False
    hours: float = 0.0
    gap: bool = False
    missing: int = 0


class SettlementRule:
    """Follows the settlements of a perpetual: which are late, what interval is in force, where some are missing."""

    def __init__(self) -> None:
        self._last_at: int | None = None
        self._hours = 0.0
        self._longer = 0.0
        self._usual_ns = 0
        self._usual = Settlement()

    def see(self, event_at: int, given_hours: float) -> Settlement:
        """Take the next settlement; `given_hours` 0: its source does not say."""
        if self._last_at is not None and event_at <= self._last_at:
            return Settlement(late=True)
        spacing = 0 if self._last_at is None else event_at - self._last_at
        self._last_at = event_at
        if spacing == self._usual_ns and spacing and given_hours in (0.0, self._hours):
            self._longer = 0.0  # nothing changes: nearly all settlements are such
            return self._usual
        self._adopt(given_hours, spacing)
        self._usual_ns, self._usual = int(self._hours * HOUR_NS), Settlement(hours=self._hours)
        if not self._hours or spacing <= self._usual_ns + SNAP_NS:
            return self._usual
        return Settlement(False, self._hours, True, round(spacing / self._usual_ns) - 1)

    def _adopt(self, given: float, spacing: int) -> None:
        snapped = _snapped(spacing)
        if given > 0:
            self._hours, self._longer = given, 0.0
        elif not snapped:
            self._longer = 0.0 if spacing else self._longer
        elif self._hours == 0 or snapped <= self._hours or snapped == self._longer:
            self._hours, self._longer = snapped, 0.0
        else:  # once may be a missing settlement, twice is a change
            self._longer = snapped


def with_told_intervals(rows: Rows) -> Rows:
    """The settlements among whole instants of rows (copied), each with its own interval, or with the one that another
    source told of it: in a revision of the same instant that changes no rate."""
    settled: Rows = rows[rows["kind"] == Kind.FUNDING_SETTLED]
    revised = rows[(rows["kind"] == Kind.FUNDING_REVISED) & (rows["a"] == rows["c"])]
    names = ["known_at", "event_at", "subject", "a"]
    told = {tuple(key): hours for *key, hours in revised[[*names, "b"]].tolist()}
    if told:
        for place in np.flatnonzero(settled["b"] == 0.0).tolist():
            settled["b"][place] = told.get(settled[names][place].item(), 0.0)
    return settled


class BasisRule:
    """Follows the pair rows of a pair, which have a price of both legs: which of them are suspect."""

    def __init__(self) -> None:
        self._accepted: tuple[int, float] | None = None
        self._before: tuple[float, bool] | None = None  # the row before: its basis, and was it suspect

    def is_suspect(self, event_at: int, basis: float) -> bool:
        """Take the next row; `basis` = short/long - 1, prices per coin."""
        suspect = not self._believed(event_at, basis)
        self._before = (basis, suspect)
        if not suspect:
            self._accepted = (event_at, basis)
        return suspect

    def _believed(self, event_at: int, basis: float) -> bool:
        if self._accepted is None or abs(basis) <= SUSPECT_BASIS:
            return True
        accepted_at, accepted = self._accepted
        if abs(basis - accepted) <= SUSPECT_BASIS or event_at - accepted_at > DAY_NS:
            return True
        return self._before is not None and self._before[1] and abs(basis - self._before[0]) <= SUSPECT_BASIS


def _snapped(spacing: int) -> float:
    """The usual interval that a spacing stands for, in hours; 0 if it is none of them."""
    for hours in INTERVALS_H:
        if abs(spacing - hours * HOUR_NS) <= SNAP_NS:
            return float(hours)
    return 0.0
