"""The rules by which market data is judged, for one perpetual or pair at a time, in the order of a fold.

They are the rules of the fold, in plain Python; a test compares the two. Times are event_at in ns.
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
    "SettlementFinding",
    "SettlementRule",
    "with_given_intervals",
]

INTERVALS_H: Final = (1, 2, 4, 6, 8)
SNAP_NS: Final = 10 * MINUTE_NS
SUSPECT_BASIS: Final = 0.03
LEG_SKEW_NS: Final = 5 * SECOND_NS
"""Prices of two legs farther apart than this form no pair row."""


class SettlementFinding(NamedTuple):
    """The judgement of one settlement. `hours` is the interval in force, 0 while none is known or if the row is late;
    `gap`: the settlement is later than the interval allows, and about `missing` ones should have come before it."""

    late: bool = False
    hours: float = 0.0
    gap: bool = False
    missing: int = 0


class SettlementRule:
    """Judges the settlements of a perpetual one by one: late ones, the interval in force, and missing ones."""

    def __init__(self) -> None:
        self._last_at: int | None = None
        self._hours = 0.0
        self._longer = 0.0
        self._usual_ns = 0
        self._usual = SettlementFinding()

    def judge(self, event_at: int, given_hours: float) -> SettlementFinding:
        """Judge the next settlement; `given_hours` 0: its source gives no interval."""
        if self._last_at is not None and event_at <= self._last_at:
            return SettlementFinding(late=True)
        spacing = 0 if self._last_at is None else event_at - self._last_at
        self._last_at = event_at
        if spacing == self._usual_ns and spacing and given_hours in (0.0, self._hours):
            self._longer = 0.0  # the usual case: nothing changes
            return self._usual
        self._adopt(given_hours, spacing)
        self._usual_ns, self._usual = int(self._hours * HOUR_NS), SettlementFinding(hours=self._hours)
        if not self._hours or spacing <= self._usual_ns + SNAP_NS:
            return self._usual
        return SettlementFinding(False, self._hours, True, round(spacing / self._usual_ns) - 1)

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


def with_given_intervals(rows: Rows) -> Rows:
    """The settlements among whole instants of rows (copied). One without an interval gets that of another source: of a
    revision in the same instant that changes no rate."""
    settled: Rows = rows[rows["kind"] == Kind.FUNDING_SETTLED]
    revised = rows[(rows["kind"] == Kind.FUNDING_REVISED) & (rows["a"] == rows["c"])]
    names = ["known_at", "event_at", "subject", "a"]
    given = {tuple(key): hours for *key, hours in revised[[*names, "b"]].tolist()}
    if given:
        for place in np.flatnonzero(settled["b"] == 0.0).tolist():
            settled["b"][place] = given.get(settled[names][place].item(), 0.0)
    return settled


class BasisRule:
    """Judges the rows of a pair, which have a price of both legs, one by one: suspect or not."""

    def __init__(self) -> None:
        self._accepted: tuple[int, float] | None = None
        self._before: tuple[float, bool] | None = None  # the basis of the row before, and whether it was suspect

    def is_suspect(self, event_at: int, basis: float) -> bool:
        """Judge the next row; `basis` = short/long - 1, prices per coin."""
        suspect = not self._is_credible(event_at, basis)
        self._before = (basis, suspect)
        if not suspect:
            self._accepted = (event_at, basis)
        return suspect

    def _is_credible(self, event_at: int, basis: float) -> bool:
        if self._accepted is None or abs(basis) <= SUSPECT_BASIS:
            return True
        accepted_at, accepted = self._accepted
        if abs(basis - accepted) <= SUSPECT_BASIS or event_at - accepted_at > DAY_NS:
            return True
        return self._before is not None and self._before[1] and abs(basis - self._before[0]) <= SUSPECT_BASIS


def _snapped(spacing: int) -> float:
    """The usual interval that is nearest to a spacing, in hours; 0 if none is near."""
    for hours in INTERVALS_H:
        if abs(spacing - hours * HOUR_NS) <= SNAP_NS:
            return float(hours)
    return 0.0
