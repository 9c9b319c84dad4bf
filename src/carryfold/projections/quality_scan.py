"""One pass over the tape that judges every market row of every pair.

Within a pair and a group (price, settled, predicted, activity) rows are taken as a fold takes them: by known_at, and
in an instant by content. What is common is done for many rows at once; the rules themselves see the rows one by one,
the price rule only where some basis of the block is large enough to matter.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.rows import GROUPS, KINDS, Kind, Rows
from carryfold.projections.cursor import MINUTE_NS, Cursor, format_time
from carryfold.projections.quality_rules import SUSPECT_BASIS, PriceRule, SettlementRule, with_told_intervals
from carryfold.projections.tape import PairName, Tape

__all__ = ["MAX_LISTED", "Gap", "IntervalChange", "PairScan", "scan_pairs"]

MAX_LISTED: Final = 100
"""As many gaps and interval changes of a pair are listed; all are counted."""

SCAN_ROWS: Final = 1 << 19
_KINDS_OF: Final = {
    group: np.array([kind for kind, spec in KINDS.items() if spec.group == group], np.int16) for group in GROUPS
}
_CONTENT: Final = ("slot", "d", "c", "b", "a", "kind", "event_at", "known_at")  # the last one weighs most

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Gap(msgspec.Struct, frozen=True):
    """Nothing between two observations where something was due. `what` is settlement or bar; times are RFC 3339 event
    times; `missing` settlements, or minutes of bars."""

    what: str
    after: str
    before: str
    missing: int


class IntervalChange(msgspec.Struct, frozen=True):
    """The funding interval in force changed with the settlement at `settled_at` (RFC 3339), from and to in hours."""

    settled_at: str
    from_hours: float
    to_hours: float


class PairScan:
    """What was found in the rows of one pair so far, and what the rules need to go on."""

    def __init__(self) -> None:
        self.settlements = 0
        self.settlement_gaps = 0
        self.missing_settlements = 0
        self.price_rows = 0
        self.bar_gaps = 0
        self.missing_bar_minutes = 0
        self.one_legged = 0
        self.suspect = 0
        self.late = dict.fromkeys(GROUPS, 0)
        self.gaps: list[Gap] = []
        self.interval_changes: list[IntervalChange] = []
        self._newest = dict.fromkeys(GROUPS, -1)
        self._bar_until: int | None = None
        self._price = PriceRule()
        self._settlement = SettlementRule()
        self._settled_at = 0
        self._hours = 0.0

    def see(self, rows: Rows, counted: Flags) -> None:
        """Take the next rows of the pair in known order; only the `counted` ones count."""
        for group, kinds in _KINDS_OF.items():
            chosen = np.isin(rows["kind"], kinds)
            if chosen.any():
                of_group = with_told_intervals(rows) if group == "settled" else rows.compress(chosen)
                self._see_group(group, *_as_folded(of_group, counted.compress(chosen)))

    def _see_group(self, group: str, rows: Rows, counted: Flags) -> None:
        at = rows["event_at"]
        newest = np.maximum.accumulate(np.concatenate([[self._newest[group]], at]))
        late = at <= newest[:-1]
        self._newest[group] = int(newest[-1])
        self.late[group] += int((late & counted).sum())
        if group == "price":
            self.price_rows += int(counted.sum())
            self._see_prices(rows.compress(~late), counted.compress(~late))
        elif group == "settled":
            self.settlements += int(counted.sum())
            self._see_settlements(rows.compress(~late), counted.compress(~late))

    def _see_settlements(self, rows: Rows, counted: Flags) -> None:
        for at, given, counts in zip(rows["event_at"].tolist(), rows["b"].tolist(), counted.tolist(), strict=True):
            said = self._settlement.see(at, given)
            if counts and said.gap:
                self.settlement_gaps += 1
                self.missing_settlements += said.missing
                self._list_gap("settlement", self._settled_at, at, said.missing)
            if counts and self._hours and said.hours != self._hours and len(self.interval_changes) < MAX_LISTED:
                self.interval_changes.append(IntervalChange(format_time(at), self._hours, said.hours))
            self._settled_at, self._hours = at, said.hours

    def _see_prices(self, rows: Rows, counted: Flags) -> None:
        bars = rows["kind"] == Kind.BAR_CLOSED
        if bars.any():
            self._see_bars(rows.compress(bars), counted.compress(bars))
        spot, perp = _prices(rows, bars)
        both = (spot > 0) & (perp > 0)
        self.one_legged += int((~both & counted).sum())
        if both.any():
            basis = perp.compress(both) / spot.compress(both) - 1.0
            self._see_basis(rows["event_at"].compress(both), basis, counted.compress(both))

    def _see_basis(self, at: Times, basis: Floats, counted: Flags) -> None:
        wide = np.flatnonzero(np.abs(basis) > SUSPECT_BASIS)
        # A small basis is accepted whatever came before; the rule has to see it only where a large one follows.
        needed = np.union1d(np.union1d(wide, wide[wide > 0] - 1), [len(basis) - 1])
        for index in needed.tolist():
            suspect = self._price.is_suspect(int(at[index]), float(basis[index]))
            self.suspect += suspect and bool(counted[index])

    def _see_bars(self, bars: Rows, counted: Flags) -> None:
        """A bar that opens later than the one before it closed leaves a gap."""
        closes = bars["event_at"]
        opens = closes - bars["slot"].astype(np.int64) * MINUTE_NS
        before = np.concatenate([[opens[0] if self._bar_until is None else self._bar_until], closes[:-1]])
        self._bar_until = int(closes[-1])
        for index in np.flatnonzero((opens > before) & counted).tolist():
            missing = int(opens[index] - before[index]) // MINUTE_NS
            self.bar_gaps += 1
            self.missing_bar_minutes += missing
            self._list_gap("bar", int(before[index]), int(opens[index]), missing)

    def _list_gap(self, what: str, after: int, before: int, missing: int) -> None:
        if len(self.gaps) < MAX_LISTED:
            self.gaps.append(Gap(what, format_time(after), format_time(before), missing))


def scan_pairs(tape: Tape, cursor: Cursor, since: int, until: int) -> dict[PairName, PairScan]:
    """A scan of each pair with rows under the cursor and known before `until` (ns); those before `since` do not
    count."""
    scans: dict[int, PairScan] = {}
    for block in tape.blocks(cursor, until=until, block_rows=SCAN_ROWS):
        by_pair = block.take(np.argsort(block["pair"], kind="stable"))
        counted = by_pair["known_at"] >= since
        starts = np.flatnonzero(np.diff(by_pair["pair"], prepend=-2)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(by_pair)], strict=True):
            pair = int(by_pair["pair"][start])
            if pair >= 0:
                scans.setdefault(pair, PairScan()).see(by_pair[start:stop], counted[start:stop])
    return {tape.pairs[pair]: scan for pair, scan in scans.items()}


def _as_folded(rows: Rows, counted: Flags) -> tuple[Rows, Flags]:
    """Rows of a pair and group in the order of the fold. They come in known order, and instants of several are rare."""
    known = rows["known_at"]
    if not (known[1:] == known[:-1]).any():
        return rows, counted
    order = np.lexsort([rows[name] for name in _CONTENT])
    return rows.take(order), counted.take(order)


def _prices(rows: Rows, bars: Flags) -> tuple[Floats, Floats]:
    """Spot and perpetual price of bars (closes) and quotes (mid of bid and ask); 0 where there is none."""
    a, b, c, d = (rows[name] for name in "abcd")
    spot = np.where(bars, a, np.where((a > 0) & (b > 0), (a + b) / 2.0, 0.0))
    perp = np.where(bars, b, np.where((c > 0) & (d > 0), (c + d) / 2.0, 0.0))
    return spot, perp
