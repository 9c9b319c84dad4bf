"""The tape: the log as fixed-width rows in known order, ready for the fold. Disposable, made from the log and nothing else.

Guarantees: `blocks` hands out exactly the input and outcome rows of the log that its cursor admits, ordered by known_at and
then seq, in whole instants, in bounded memory; a damaged or foreign file is never served, the tape is built again instead; a
tape that is being read may be brought up to date by other processes at the same time, and its reader does not notice.
Not guaranteed: that the log was intact (see its `verify`).
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.rows import ROW, Rows
from carryfold.eventlog.reader import LogReader
from carryfold.projections.cursor import MAX, NOW, Cursor, format_day
from carryfold.projections.lineage import has_head
from carryfold.projections.tape_build import Progress, bring_up_to_date
from carryfold.projections.tape_files import Manifest, Part, TapeDamaged, read_part, tape_dir
from carryfold.projections.tape_merge import end_of_instant
from carryfold.projections.tape_rows import NO_PAIR, PairName, TapeError

__all__ = ["BLOCK_ROWS", "PairName", "Tape", "TapeDay", "TapeError"]

BLOCK_ROWS: Final = 65_536
_RETRIES: Final = 3


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
        self._manifest = manifest

    @classmethod
    def open(cls, home: Path, reader: LogReader, *, progress: Progress | None = None) -> Self:
        """The tape of all that the log holds now, built or brought up to date first where that is needed.

        `progress` is called with (events read, events to read). Raises TapeError, or OSError when the disk refuses a write.
        The reader has to stay open as long as the tape is in use.
        """
        return cls(home, reader, bring_up_to_date(tape_dir(home), reader, progress=progress))

    def refresh(self, progress: Progress | None = None) -> None:
        """Take in what was appended since. Iterations that have begun stay with what they began with."""
        self._manifest = bring_up_to_date(self._folder, self._reader, progress=progress)

    @property
    def pairs(self) -> list[PairName]:
        """Pair names by dense id."""
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
        pair_ids: Collection[int] | None = None,
        block_rows: int = BLOCK_ROWS,
    ) -> Iterator[Rows]:
        """Blocks of rows in known order that the cursor admits, each a writable, contiguous array of its own of dtype ROW.

        Rows have since <= known_at < until (ns), and belong to one of `pair_ids` or to no pair. `since` only skips. A block holds
        whole instants and at most about `block_rows` rows, fewer after filtering, more for a longer instant; never none.
        Only files that may hold such rows are read. Raises TapeError when the log was replaced while reading.
        """
        assert block_rows > 0
        start, stop = since or 0, min(MAX if until is None else until, cursor.as_of + 1)
        head = self._manifest.head
        upto_seq = min(cursor.upto_seq, head.seq)
        wanted = None if pair_ids is None else _pair_table(pair_ids, len(self.pairs))
        manifest = self._manifest
        for attempt in range(_RETRIES):
            try:
                for rows in self._whole_parts(manifest, start, stop, upto_seq, block_rows):
                    start = int(rows["known_at"][-1]) + 1
        ...
