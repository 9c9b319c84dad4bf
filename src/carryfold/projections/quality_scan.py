"""One pass over the tape that judges every market row of each instrument, and the rows of carry pairs of one venue.

Blocks come in the order of a fold. Common cases are judged for many rows at once; the rules themselves judge one row at
a time, and the rule of the basis only where a basis in the block is large.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from carryfold.domain.instruments import Instrument, Pair, pairs_of
from carryfold.domain.rows import GROUPS, KINDS, Kind, Rows, Subject
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, Cursor, format_time
from carryfold.projections.day_prices import prices_of
from carryfold.projections.quality_pairs import NOTHING, Flags, Floats, LegRows, PairScan, Times
from carryfold.projections.quality_rules import SNAP_NS, SettlementRule, with_given_intervals
from carryfold.projections.tape import Tape

__all__ = ["MAX_LISTED", "CloseSettlements", "Gap", "InstrumentScan", "IntervalChange", "Scans", "scan_tape"]

MAX_LISTED: Final = 100
"""The most gaps, interval changes and close settlements that are listed of an instrument; all are counted."""

SCAN_ROWS: Final = 1 << 19
_OF_INSTRUMENTS: Final = np.array([k for k, spec in KINDS.items() if spec.subject is Subject.INSTRUMENT], np.int16)
_KINDS_OF: Final = {
    group: np.array([kind for kind, spec in KINDS.items() if spec.group == group], np.int16) for group in GROUPS
}


class Gap(msgspec.Struct, frozen=True):
    """A place where settlements or bars (`what`) were due and are missing, between two observations at RFC 3339 event
    times. `missing` counts settlements, or minutes of bars."""

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
    """Findings about the rows of one instrument so far, and the state of its rules."""

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

    def add(self, rows: Rows, counted: Flags) -> LegRows:
        """Judge the next rows of the instrument and count findings of the `counted` ones. Returns the rows for its
        pairs."""
        self._judge_group("predicted", rows, counted)
        self._judge_group("activity", rows, counted)
        self._judge_settlements(rows, counted)
        known, multipliers = self._multipliers(rows)
        return self._judge_prices(rows, counted)._replace(multiplied=known, multipliers=multipliers)

    def close_settlements(self) -> tuple[int, list[CloseSettlements]]:
        """The number of settlements, late ones included, that are closer to the one before than the shortest interval
        ever in force, and the first of them. The settlement after such a one is compared with the one before it."""
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

    def _judge_group(self, group: str, rows: Rows, counted: Flags) -> None:
        """Judge a group of rows by lateness alone."""
        chosen = np.isin(rows["kind"], _KINDS_OF[group])
        if chosen.any():
            late, _ = self._late(group, rows["event_at"].compress(chosen))
            self.late[group] += int((late & counted.compress(chosen)).sum())

    def _late(self, group: str, at: Times) -> tuple[Flags, Times]:
        """(whether each row is late: not newer than all before it; the newest event_at before each)."""
        newest = np.maximum.accumulate(np.concatenate([[self._newest[group]], at]))
        self._newest[group] = int(newest[-1])
        return at <= newest[:-1], newest[:-1]

    def _judge_settlements(self, rows: Rows, counted: Flags) -> None:
        chosen = rows["kind"] == Kind.FUNDING_SETTLED
        if not chosen.any():
            return
        counted = counted.compress(chosen)
        settled = with_given_intervals(rows)
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
            self._judge_settlement(time, hours, counts)

    def _judge_settlement(self, at: int, given_hours: float, counts: bool) -> None:
        finding = self._settlement.judge(at, given_hours)
        if counts and finding.gap:
            self.settlement_gaps += 1
            self.missing_settlements += finding.missing
            self._list_gap("settlement", self._settled_at, at, finding.missing)
        if finding.hours != self._hours:
            if counts and self._hours and len(self.interval_changes) < MAX_LISTED:
                self.interval_changes.append(IntervalChange(format_time(at), self._hours, finding.hours))
            self._shortest_hours = min(finding.hours, self._shortest_hours or finding.hours)
        self._settled_at, self._hours = at, finding.hours

    def _judge_prices(self, rows: Rows, counted: Flags) -> LegRows:
        chosen = np.isin(rows["kind"], _KINDS_OF["price"])
        if not chosen.any():
            return NOTHING
        rows, counted = rows.compress(chosen), counted.compress(chosen)
        bars = rows["kind"] == Kind.BAR_CLOSED
        price = prices_of(rows)
        at = rows["event_at"]
        late, newest = self._late("price", at)
        # A bar that only adds the mark to an earlier bar is no observation of its own.
        self.late["price"] += int((late & counted & ((price > 0) | (at < newest))).sum())
        self.price_rows += int(((price > 0) & counted).sum())
        priced = ~late & (price > 0)
        marked = at.compress(bars & (rows["b"] > 0))  # the mark may have come from another source, in a bar of its own
        bars &= price > 0
        closed, closes_counted = self._judge_bars(rows.compress(bars), counted.compress(bars))
        self.without_mark += int((closes_counted & ~np.isin(closed, marked)).sum())
        return LegRows(
            known=rows["known_at"].compress(priced),
            at=at.compress(priced),
            price=price.compress(priced),
            closed=closed,
            closes_counted=closes_counted,
        )

    def _judge_bars(self, bars: Rows, counted: Flags) -> tuple[Times, Flags]:
        """A bar that opens after the close of the one before leaves a gap. Bars are compared with bars alone, because
        live quotes overtake the bar of their hour. Returns the closes that are newer than all before them, and which of
        them count."""
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
        """(times from which they were known, values) of the multipliers of listings. A listing of unknown time never
        overrides another."""
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
    """Findings by instrument with rows, and by carry pair of one venue whose legs both exist, under the cursor."""

    instruments: dict[Instrument, InstrumentScan]
    pairs: dict[Pair, PairScan]


def scan_tape(tape: Tape, cursor: Cursor, since: int, until: int) -> Scans:
    """Judge what is known under the cursor before `until` (ns), and count what was known from `since` on."""
    names = [one.instrument for one in tape.instruments]
    ids = {name: index for index, name in enumerate(names)}
    carry = [pair for pair in pairs_of(one for one in tape.instruments if one.base) if not pair.long.is_assumed]
    pairs = {(ids[pair.long], ids[pair.short]): PairScan(since) for pair in carry}
    scans: dict[int, InstrumentScan] = {}
    for block in tape.blocks(cursor, until=until, block_rows=SCAN_ROWS):
        rows = block.compress(np.isin(block["kind"], _OF_INSTRUMENTS))
        rows = rows.take(np.argsort(rows["subject"], kind="stable"))
        starts = np.flatnonzero(np.diff(rows["subject"], prepend=-1))
        judged: dict[int, LegRows] = {}
        for of_one in np.split(rows, starts[1:]) if len(rows) else ():
            subject = int(of_one["subject"][0])
            judged[subject] = scans.setdefault(subject, InstrumentScan()).add(of_one, of_one["known_at"] >= since)
        for (long, short), pair in pairs.items():
            if long in judged or short in judged:
                pair.add(judged.get(long, NOTHING), judged.get(short, NOTHING))
    found = {pair: pairs[ids[pair.long], ids[pair.short]] for pair in carry}
    return Scans(
        {names[subject]: scan for subject, scan in scans.items()},
        {pair: scan for pair, scan in found.items() if ids[pair.long] in scans and ids[pair.short] in scans},
    )
