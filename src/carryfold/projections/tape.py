"""The tape: the log as fixed-width rows in known order, ready for the fold. Disposable, made from the log and nothing
else.

Guarantees: `blocks` hands out exactly the input and outcome rows of the log that its cursor admits, ordered by known_at
and inside an instant canonically (domain.rows), in whole instants, in bounded memory; a damaged or foreign file is
never served, the tape is built again instead; a tape that is being read may be brought up to date by other processes at
the same time, and its reader does not notice. Not guaranteed: that the log was intact (see its `verify`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Listing, Pair
from carryfold.domain.row_builder import NO_SUBJECT
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.eventlog import Head, LogReader
from carryfold.projections.cursor import MAX, NOW, Cursor, format_day
from carryfold.projections.lineage import has_head
from carryfold.projections.tape_build import Progress, bring_up_to_date
from carryfold.projections.tape_files import Manifest, Part, TapeDamaged, map_part, read_part, tape_dir
from carryfold.projections.tape_merge import end_of_instant
from carryfold.projections.tape_rows import TapeError

__all__ = ["BLOCK_ROWS", "Tape", "TapeDay", "TapeError"]

BLOCK_ROWS: Final = 65_536
_RETRIES: Final = 3

SubjectTable = npt.NDArray[np.bool_]


class TapeDay(msgspec.Struct, frozen=True):
    """What the tape has of one UTC day of known_at. Times in ns; `parts` is the number of its files."""

    day: str
    rows: int
    first_known: int
    last_known: int
    max_seq: int
    parts: int


class Tape:
    """The tape of one home, as it was when it was opened or last refreshed. Use `Tape.open`."""

    def __init__(self, home: Path, reader: LogReader, manifest: Manifest) -> None:
        self.home = home
        self._folder = tape_dir(home)
        self._reader = reader
        self._manifest = manifest  # what we show
        self._parts = manifest.parts  # where it is now: the same rows and maybe later ones

    @classmethod
    def open(cls, home: Path, reader: LogReader, *, progress: Progress | None = None) -> Self:
        """The tape of all that the log holds now, built or brought up to date first where that is needed.

        `progress` is called with (events read, events to read). Raises TapeError, or OSError when the disk refuses a
        write. The reader has to stay open as long as the tape is in use.
        """
        return cls(home, reader, bring_up_to_date(tape_dir(home), reader, progress=progress))

    def refresh(self, progress: Progress | None = None) -> None:
        """Take in what was appended since. Iterations that have begun stay with what they began with."""
        self._manifest = bring_up_to_date(self._folder, self._reader, progress=progress)
        self._parts = self._manifest.parts

    @property
    def instruments(self) -> list[Listing]:
        """Instruments and their coins, by dense id."""
        return self._manifest.listings

    @property
    def pairs(self) -> list[Pair]:
        """Pairs of trading events, by dense id."""
        return self._manifest.pairs

    @property
    def runs(self) -> list[int]:
        """Seqs of RunStarted by slot; slot 0 is no run."""
        return self._manifest.runs

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._manifest.rows

    @property
    def last_seq(self) -> int:
        """Where the log ended when this tape was brought up to date."""
        return self._manifest.head.seq

    @property
    def days(self) -> list[TapeDay]:
        """The UTC days that have rows, in order."""
        days: dict[int, list[Part]] = {}
        for part in self._manifest.parts:
            days.setdefault(part.day, []).append(part)
        return [
            TapeDay(
                format_day(day),
                sum(part.rows for part in parts),
                parts[0].first_known,
                parts[-1].last_known,
                max(part.max_seq for part in parts),
                len(parts),
            )
            for day, parts in days.items()
        ]

    def blocks(
        self,
        cursor: Cursor = NOW,
        *,
        since: int | None = None,
        until: int | None = None,
        instrument_ids: Collection[int] | None = None,
        block_rows: int = BLOCK_ROWS,
    ) -> Iterator[Rows]:
        """Blocks of rows in known order that the cursor admits, each a writable, contiguous array of its own of dtype
        ROW.

        Rows have since <= known_at < until (ns), and are not of instruments other than `instrument_ids`. `since` only
        skips. A block holds whole instants and at most about `block_rows` rows, fewer after filtering, more for a
        longer instant; never none. Only files that may hold such rows are read. Raises TapeError when the log was
        replaced while reading.
        """
        assert block_rows > 0
        first = 0 if since is None else since
        last = min(MAX if until is None else until - 1, cursor.as_of)
        head = self._manifest.head
        upto_seq = min(cursor.upto_seq, head.seq)
        wanted = None if instrument_ids is None else _table(instrument_ids, len(self.instruments))
        if wanted is not None and wanted.all():
            wanted = None  # nothing to leave out, and looking at each row would cost as much as reading it
        failures = 0
        while True:
            try:
                for parts in self._groups(first, last, upto_seq, block_rows):
                    rows = _between(first, last, _read(self._folder, parts))
                    first, failures = parts[-1].last_known + 1, 0
                    later = max(part.max_seq for part in parts) > upto_seq
                    recorded = rows.compress(rows["seq"] <= upto_seq) if later else rows
                    yield from _cut(_of_instruments(recorded, wanted), block_rows)
            except TapeDamaged as damage:
                # Built anew, or brought up to date by another process: go on where we are, in the files of now.
                failures += 1
                self._heal(head, damage, failures)
            else:
                return

    def _groups(self, first: int, last: int, upto_seq: int, least_rows: int) -> Iterator[list[Part]]:
        """The parts that may hold rows with first <= known_at <= last and seq <= upto_seq. Small ones come together, as
        many as have `least_rows`; one that has as many alone comes alone, because it need not be copied."""
        group: list[Part] = []
        for part in self._parts:
            if part.last_known < first or part.first_known > last or part.min_seq > upto_seq:
                continue
            if group and (part.rows >= least_rows or sum(one.rows for one in group) >= least_rows):
                yield group
                group = []
            group.append(part)
        if group:
            yield group

    def _heal(self, head: Head, damage: TapeDamaged, failures: int) -> None:
        if failures > _RETRIES:
            raise TapeError(f"the tape in {self._folder} cannot be read back ({damage}): check the disk") from damage
        manifest = bring_up_to_date(self._folder, self._reader, doubted=damage.part)
        if not has_head(self._reader, head):
            raise TapeError(f"the log in {self.home} was replaced while its tape was read: open it again") from damage
        self._parts = manifest.parts


def _read(folder: Path, parts: Sequence[Part]) -> Rows:
    """All rows of some parts; a single one is not copied."""
    if len(parts) == 1:
        return map_part(folder, parts[0])
    rows = np.empty(sum(part.rows for part in parts), ROW)
    start = 0
    for part in parts:
        read_part(folder, part, rows[start : start + part.rows])
        start += part.rows
    return rows


def _between(first: int, last: int, rows: Rows) -> Rows:
    """The sorted rows with first <= known_at <= last."""
    known = rows["known_at"]
    start = bisect_left(known, first) if known[0] < first else 0
    stop = bisect_right(known, last) if known[-1] > last else len(rows)
    return rows[start:stop]


def _of_instruments(rows: Rows, wanted: SubjectTable | None) -> Rows:
    if wanted is None:
        return rows
    subjects = rows["subject"]
    others = rows["kind"] >= Kind.CLOCK_TICKED  # their subject is a pair, or nothing
    if others.any():
        subjects = np.where(others, NO_SUBJECT, subjects)
    return rows.compress(wanted[subjects])


def _cut(rows: Rows, block_rows: int) -> Iterator[Rows]:
    """Pieces of about `block_rows`, none of which ends inside an instant."""
    start = 0
    while start < len(rows):
        near = start + block_rows
        stop = len(rows) if near >= len(rows) else end_of_instant(rows, near)
        yield rows[start:stop]
        start = stop


def _table(instrument_ids: Collection[int], instruments: int) -> SubjectTable:
    """By instrument id: is it wanted? The last entry, which `NO_SUBJECT` reaches as index -1, always is."""
    table = np.zeros(instruments + 1, np.bool_)
    for number in instrument_ids:
        if not 0 <= number < instruments:
            raise TapeError(f"there is no instrument {number}: the tape has {instruments}")
        table[number] = True
    table[NO_SUBJECT] = True
    return table
