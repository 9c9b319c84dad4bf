"""One pass over the tape that judges every market row of every instrument, and the rows of carry pairs of one venue.

Blocks come in the order in which a fold takes their rows. What is common is done for many rows at once; the rules
themselves see the rows one by one, and the rule of the basis only where one in the block is large enough to matter.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Instrument, Pair, pairs_of
from carryfold.domain.rows import GROUPS, KINDS, Kind, Rows, Subject
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, Cursor, format_time
from carryfold.projections.quality_pairs import NOTHING, Flags, Floats, LegRows, PairScan, Times
from carryfold.projections.quality_rules import SNAP_NS, SettlementRule, with_told_intervals
from carryfold.projections.tape import Tape

__all__ = ["MAX_LISTED", "CloseSettlements", "Gap", "InstrumentScan", "IntervalChange", "Scans", "scan_tape"]

MAX_LISTED: Final = 100
"""As many gaps, interval changes and close settlements of an instrument are listed; all are counted."""

SCAN_ROWS: Final = 1 << 19
_OF_INSTRUMENTS: Final = np.array([k for k, spec in KINDS.items() if spec.subject is Subject.INSTRUMENT], np.int16)
_KINDS_OF: Final = {
    group: np.array([kind for kind, spec in KINDS.items() if spec.group == group], np.int16) for group in GROUPS
}


class Gap(msgspec.Struct, frozen=True):
    """Nothing between two observations where something was due. `what` is settlement or bar; times are RFC 3339 event
    times; `missing` settlements, or minutes of bars."""

    what: str
    after: str
    before: str
    missing: int


class CloseSettlements(msgspec.Struct, frozen=True):
    """Two settlements (RFC 3339) that are closer than the shortest interval of their perpetual: one cannot be real."""

    first: str
    second: str


class IntervalChange(msgspec.Struct, frozen=True):
    """The funding interval in force changed with the settlement at `settled_at` (RFC 3339), from and to in hours."""

    settled_at: str
    from_hours: float
    to_hours: float


class InstrumentScan:
    """What was found in the rows of one instrument so far, and what the rules need to go on."""

    def __init__(self) -> None:
        self.settlements = 0
        self.settlement_gaps = 0
        self.missing_settlements = 0
        self.price_rows = 0
        self.bar_gaps = 0
        self.missing_bar_minutes = 0
        self.without_mark = 0
        self.late = dict.fromkeys(GROUPS, 0)
        self.gaps: list[Gap] = []
        self.interval_changes: list[IntervalChange] = []
        self._newest = dict.fromkeys(GROUPS, -1)
        self._newest_bar = -1
        self._listed_at: int | None = None
        self._settlement = SettlementRule()
        self._settled_at = 0
        self._hours = 0.0
        self._shortest_hours = 0.0
        self._settled: list[tuple[Times, Flags]] = []

    def see(self, rows: Rows, counted: Flags) -> LegRows:
        """Take the next rows of the instrument; only the `counted` ones count. Gives what its pairs have to see."""
        self._see_group("predicted", rows, counted)
        self._see_group("activity", rows, counted)
        self._see_settlements(rows, counted)
        known, multipliers = self._multipliers(rows)
        return self._see_prices(rows, counted)._replace(multiplied=known, multipliers=multipliers)

    def close_settlements(self) -> tuple[int, list[CloseSettlements]]:
        """How many of all settlements, late ones too, are closer to the one before than the shortest interval that was
        ever in force, and the first of them. What follows one is compared with the settlement before it."""
        if not self._shortest_hours:
            return 0, []
        at, counted = (np.concatenate(parts) for parts in zip(*self._settled, strict=True))
        order = np.argsort(at, kind="stable")
        at, counted = at[order], counted[order]
        least = int(self._shortest_hours * HOUR_NS) - SNAP_NS
        found: list[tuple[int, int]] = []
        if (np.diff(at) < least).any():
            times, counts = at.tolist(), counted.tolist()
            kept = 0
            for place in range(1, len(times)):
                if times[place] - times[kept] >= least:
                    kept = place
                elif counts[place] or counts[kept]:
                    found.append((times[kept], times[place]))
        listed = [CloseSettlements(format_time(first), format_time(second)) for first, second in found[:MAX_LISTED]]
        return len(found), listed

    def _see_group(self, group: str, rows: Rows, counted: Flags) -> None:
        """A group of which only lateness is judged."""
        chosen = np.isin(rows["kind"], _KINDS_OF[group])
        if chosen.any():
            late, _ = self._late(group, rows["event_at"].compress(chosen))
            self.late[group] += int((late & counted.compress(chosen)).sum())

    def _late(self, group: str, at: Times) -> tuple[Flags, Times]:
        """(which rows are not newer than all before them, the newest event_at before each)."""
        newest = np.maximum.accumulate(np.concatenate([[self._newest[group]], at]))
        self._newest[group] = int(newest[-1])
        return at <= newest[:-1], newest[:-1]

    def _see_settlements(self, rows: Rows, counted: Flags) -> None:
        chosen = rows["kind"] == Kind.FUNDING_SETTLED
        if not chosen.any():
            return
        counted = counted.compress(chosen)
        settled = with_told_intervals(rows)
        at = settled["event_at"]
        late, _ = self._late("settled", at)
        self.late["settled"] += int((late & counted).sum())
        self.settlements += int(counted.sum())
        self._settled.append((at.copy(), counted))
        fresh = ~late
        given = settled["b"].compress(fresh).tolist()
        for time, hours, counts in zip(
            at.compress(fresh).tolist(), given, counted.compress(fresh).tolist(), strict=True
        ):
            self._see_settlement(time, hours, counts)

    def _see_settlement(self, at: int, given_hours: float, counts: bool) -> None:
        said = self._settlement.see(at, given_hours)
        if counts and said.gap:
            self.settlement_gaps += 1
            self.missing_settlements += said.missing
            self._list_gap("settlement", self._settled_at, at, said.missing)
        if said.hours != self._hours:
            if counts and self._hours and len(self.interval_changes) < MAX_LISTED:
                self.interval_changes.append(IntervalChange(format_time(at), self._hours, said.hours))
            self._shortest_hours = min(said.hours, self._shortest_hours or said.hours)
        self._settled_at, self._hours = at, said.hours

    def _see_prices(self, rows: Rows, counted: Flags) -> LegRows:
        chosen = np.isin(rows["kind"], _KINDS_OF["price"])
        if not chosen.any():
            return NOTHING
        rows, counted = rows.compress(chosen), counted.compress(chosen)
        bars = rows["kind"] == Kind.BAR_CLOSED
        price = _prices(rows, bars)
        at = rows["event_at"]
        late, newest = self._late("price", at)
        # A bar that has nothing but the mark of a bar that is there already is no observation of its own.
        self.late["price"] += int((late & counted & ((price > 0) | (at < newest))).sum())
        self.price_rows += int(((price > 0) & counted).sum())
        priced = ~late & (price > 0)
        marked = at.compress(bars & (rows["b"] > 0))  # another source may have told the mark, in a bar of its own
        bars &= price > 0
        closed, closes_counted = self._see_bars(rows.compress(bars), counted.compress(bars))
        self.without_mark += int((closes_counted & ~np.isin(closed, marked)).sum())
        return LegRows(
            known=rows["known_at"].compress(priced),
            at=at.compress(priced),
            price=price.compress(priced),
            closed=closed,
            closes_counted=closes_counted,
        )

    def _see_bars(self, bars: Rows, counted: Flags) -> tuple[Times, Flags]:
        """A bar that opens later than the one before it closed leaves a gap. Bars are judged by bars alone: live,
        quotes overtake the bar of their hour. Gives the closes that are newer than all before them, and which of them
        count."""
        closes = bars["event_at"]
        newest = np.maximum.accumulate(np.concatenate([[self._newest_bar], closes]))
        fresh = closes > newest[:-1]
        closes, before, counted = closes.compress(fresh), newest[:-1].compress(fresh), counted.compress(fresh)
        opens = closes - bars["slot"].compress(fresh).astype(np.int64) * MINUTE_NS
        self._newest_bar = int(newest[-1])
        for index in np.flatnonzero((opens > before) & (before >= 0) & counted).tolist():
            missing = int(opens[index] - before[index]) // MINUTE_NS
            self.bar_gaps += 1
            self.missing_bar_minutes += missing
            self._list_gap("bar", int(before[index]), int(opens[index]), missing)
        return closes, counted

    def _multipliers(self, rows: Rows) -> tuple[Times, Floats]:
        """(since when, which) of the multipliers that listings tell; one of unknown time never overrides another."""
        known, multipliers = [], []
        listed = rows.compress(rows["kind"] == Kind.INSTRUMENT_LISTED)
        for known_at, listed_at, multiplier in listed[["known_at", "event_at", "c"]].tolist():
            if self._listed_at is None or listed_at > 0:
                self._listed_at = listed_at
                known.append(known_at)
                multipliers.append(multiplier if multiplier > 0 else 1.0)
        return np.array(known, np.int64), np.array(multipliers, np.float64)

    def _list_gap(self, what: str, after: int, before: int, missing: int) -> None:
        if len(self.gaps) < MAX_LISTED:
            self.gaps.append(Gap(what, format_time(after), format_time(before), missing))


class Scans(NamedTuple):
    """The instruments with rows, and the carry pairs of one venue whose legs both exist, under the cursor."""

    instruments: dict[Instrument, InstrumentScan]
    pairs: dict[Pair, PairScan]


def scan_tape(tape: Tape, cursor: Cursor, since: int, until: int) -> Scans:
    """Scan what is known under the cursor and before `until` (ns); what was known before `since` does not count."""
    names = [one.instrument for one in tape.instruments]
    ids = {name: index for index, name in enumerate(names)}
    carry = [pair for pair in pairs_of(one for one in tape.instruments if one.base) if not pair.long.is_assumed]
    pairs = {(ids[pair.long], ids[pair.short]): PairScan(since) for pair in carry}
    scans: dict[int, InstrumentScan] = {}
    for block in tape.blocks(cursor, until=until, block_rows=SCAN_ROWS):
        rows = block.compress(np.isin(block["kind"], _OF_INSTRUMENTS))
        rows = rows.take(np.argsort(rows["subject"], kind="stable"))
        starts = np.flatnonzero(np.diff(rows["subject"], prepend=-1))
        seen: dict[int, LegRows] = {}
        for of_one in np.split(rows, starts[1:]) if len(rows) else ():
            subject = int(of_one["subject"][0])
            seen[subject] = scans.setdefault(subject, InstrumentScan()).see(of_one, of_one["known_at"] >= since)
        for (long, short), pair in pairs.items():
            if long in seen or short in seen:
                pair.see(seen.get(long, NOTHING), seen.get(short, NOTHING))
    found = {pair: pairs[ids[pair.long], ids[pair.short]] for pair in carry}
    return Scans(
        {names[subject]: scan for subject, scan in scans.items()},
        {pair: scan for pair, scan in found.items() if ids[pair.long] in scans and ids[pair.short] in scans},
    )


def _prices(rows: Rows, bars: Flags) -> Floats:
    """The price of bars (close) and quotes (mid of bid and ask); 0 where there is none."""
    a, b = rows["a"], rows["b"]
    prices: npt.NDArray[np.float64] = np.where(bars, a, np.where((a > 0) & (b > 0), (a + b) / 2.0, 0.0))
    return prices
