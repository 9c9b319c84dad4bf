"""A universe that depends on time: which perpetuals a run may enter, by what was known at each month's start.

At the first instant of each UTC month the members are the N perpetuals with the greatest mean daily turnover of the 30
days before that month, among those of the run that had any and were not delisted by then. Only rows known before the
month count, and a day without turnover counts as zero. Perpetuals that were closed later are ranked like all others.
Membership reaches the fold as rows (Kind.UNIVERSE_CHANGED); no log contains such rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Instrument
from carryfold.domain.rows import Kind, Rows, empty_rows, in_canonical_order
from carryfold.projections.cursor import DAY_NS

__all__ = ["TRAILING_DAYS", "Universe"]

TRAILING_DAYS: Final = 30
_MINUTE_NS: Final = 60 * 10**9


class Universe:
    """Chooses the members while the rows of a run pass by. `months` has the members of each month by its first day, in
    ranking order."""

    def __init__(self, perpetuals: Mapping[int, Instrument], top: int) -> None:
        self.months: dict[str, list[Instrument]] = {}
        self._instruments = perpetuals
        self._ids = np.array(sorted(perpetuals), np.int64)
        self._top = top
        names = [perpetuals[number] for number in self._ids.tolist()]
        order = sorted(range(len(names)), key=lambda place: names[place])
        self._rank_of_name = np.argsort(np.array(order, np.int64)) if order else np.zeros(0, np.int64)
        self._turnover: dict[int, npt.NDArray[np.float64]] = {}  # by UTC day
        self._newest = np.full(len(self._ids), -(2**62))  # event time of the newest turnover
        self._delisted = np.zeros(len(self._ids), np.bool_)
        self._member = np.ones(len(self._ids), np.bool_)  # what the fold assumes before the first row

    def extend(self, blocks: Iterable[Rows]) -> Iterator[Rows]:
        """The same blocks of whole instants, with the changes of membership in them."""
        boundary = -(2**63)
        for block in blocks:
            parts: list[Rows] = []
            rest = block
            while len(rest) and rest["known_at"][-1] >= boundary:
                start = int(np.searchsorted(rest["known_at"], boundary))
                self._observe(rest[:start])
                at = int(rest["known_at"][start])
                parts += [rest[:start], self._choose(at)]
                rest, boundary = rest[start:], _next_month(at)
            self._observe(rest)
            yield in_canonical_order(np.concatenate([*parts, rest])) if parts else block

    def _observe(self, rows: Rows) -> None:
        """Add turnover to its days. Of overlapping observations only the time that is new counts."""
        kinds = rows["kind"]
        delisted = rows["subject"][kinds == Kind.INSTRUMENT_DELISTED]
        self._delisted |= np.isin(self._ids, delisted)
        found = rows[(kinds == Kind.BAR_CLOSED) | (kinds == Kind.ACTIVITY_OBSERVED)]
        amounts = np.where(found["kind"] == Kind.BAR_CLOSED, found["c"], found["a"])
        counts = (amounts >= 0) & np.isin(found["subject"], self._ids)
        found, amounts = found[counts], amounts[counts]
        order = np.argsort(found["subject"], kind="stable")
        numbers, starts = np.unique(found["subject"][order], return_index=True)
        for number, mine in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
            place = int(np.searchsorted(self._ids, number))
            self._add(place, found["event_at"][mine], found["slot"][mine], amounts[mine])

    def _add(
        self,
        place: int,
        event_at: npt.NDArray[np.int64],
        minutes: npt.NDArray[np.int16],
        amounts: npt.NDArray[np.float64],
    ) -> None:
        newest = np.maximum.accumulate(np.concatenate(([self._newest[place]], event_at)))
        self._newest[place] = newest[-1]
        length = np.maximum(minutes, 1).astype(np.int64) * _MINUTE_NS
        new = np.clip((event_at - newest[:-1]) / length, 0.0, 1.0)
        days = (event_at - 1) // DAY_NS  # a bar that closes at 00:00 is of the day before
        for day in np.unique(days).tolist():
            sums = self._turnover.setdefault(day, np.zeros(len(self._ids)))
            sums[place] += float((amounts * new)[days == day].sum())

    def _choose(self, at: int) -> Rows:
        """The rows that change the membership at `at`, the first instant of its month."""
        month = np.datetime64(at, "ns").astype("M8[M]")
        day = int(month.astype("M8[D]").astype(np.int64))
        self._turnover = {one: sums for one, sums in self._turnover.items() if one >= day - TRAILING_DAYS}
        total = sum((sums for one, sums in self._turnover.items() if one < day), np.zeros(len(self._ids)))
        total = np.where(self._delisted, 0.0, total)
        ranked = np.lexsort((self._rank_of_name, -total))[: self._top]
        ranked = ranked[total[ranked] > 0]
        self.months[f"{month}-01"] = [self._instruments[number] for number in self._ids[ranked].tolist()]
        member = np.zeros(len(self._ids), np.bool_)
        member[ranked] = True
        changed = np.flatnonzero(member != self._member)
        self._member = member
        rows = empty_rows(len(changed))
        rows["known_at"] = rows["event_at"] = at
        rows["subject"], rows["kind"], rows["a"] = self._ids[changed], Kind.UNIVERSE_CHANGED, member[changed]
        return rows


def _next_month(at: int) -> int:
    """The first instant (ns) of the UTC month after that of `at`."""
    return int((np.datetime64(at, "ns").astype("M8[M]") + 1).astype("M8[ns]").astype(np.int64))
