"""Sorting more rows than fit into memory: sorted runs on the disk, then one merge for each UTC day.

Rows come in seq order and leave in the tape's order: by known_at and, inside an instant, canonically. However long the
log or a day is, a small multiple of `RUN_ROWS` + `MERGE_ROWS` rows is in memory at a time; only a single instant longer
than that takes more.
"""

import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from carryfold.domain.rows import ROW, Rows, in_canonical_order
from carryfold.projections.cursor import DAY_NS
from carryfold.projections.tape_files import Part, read_part

__all__ = [
    "MERGE_ROWS", "RUN_ROWS", "PartsSource", "RunSource", "Runs", "Source", "end_of_instant", "in_known_order",
    "in_tape_order", "joined", "merge",
]  # fmt: skip

RUN_ROWS: Final = 1 << 19  # 32 MiB
MERGE_ROWS: Final = 1 << 19
_LEAST_TAKEN: Final = 256


def in_known_order(rows: Rows) -> Rows:
    """Rows sorted by known_at; rows of equal known_at as they come."""
    return rows.take(np.argsort(rows["known_at"], kind="stable"))  # six times faster than indexing


def in_tape_order(rows: Rows) -> Rows:
    """Rows sorted by known_at and, inside an instant, canonically: the fold then need not sort them at every run."""
    return in_canonical_order(in_known_order(rows))


def joined(pieces: Sequence[Rows]) -> Rows:
    """The pieces one after the other. As plain words: numpy copies records of several fields three times slower."""
    return np.concatenate([piece.view(np.int64) for piece in pieces]).view(ROW)


def end_of_instant(rows: Rows, position: int) -> int:
    """Where the instant of the row before `position` ends, in sorted rows: `position` or later."""
    known = rows["known_at"]
    return bisect_right(known, known[position - 1], lo=position)


class Source(Protocol):
    """Rows in known order, handed out piece by piece. `left` rows are still to come."""

    left: int

    def take(self, count: int) -> Rows:
        """The next rows, at least one and at most `count`. Call it only while some are left."""


def merge(sources: Sequence[Source]) -> Iterator[Rows]:
    """All rows of all sources in known order, in pieces that never divide an instant.

    Raises TapeDamaged when a part is not what was written.
    """
    share = max(_LEAST_TAKEN, MERGE_ROWS // len(sources))
    held = [source.take(share) for source in sources]
    while any(len(rows) for rows in held):
        # What a source has not shown yet is not earlier than the last it has shown: before that moment all is known.
        shown = [int(rows["known_at"][-1]) for rows, source in zip(held, sources, strict=True) if source.left]
        if not shown:
            yield in_tape_order(joined(held))
            return
        until = min(shown)
        cuts = [bisect_left(rows["known_at"], until) for rows in held]
        if any(cuts):
            yield in_tape_order(joined([rows[:cut] for rows, cut in zip(held, cuts, strict=True)]))
        for index, (source, cut) in enumerate(zip(sources, cuts, strict=True)):
            rows = held[index][cut:]
            if source.left and (len(rows) < share or int(rows["known_at"][-1]) == until):
                rows = joined([rows, source.take(share)])
            held[index] = rows


class Runs:
    """Rows staged for sorting. Every `RUN_ROWS` rows become a sorted run on the disk; the last run stays in memory."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - `close` closes it
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._runs: list[_Run] = []

    def add(self, rows: Rows) -> None:
        """Stage rows whose seqs are greater than all before."""
        if not len(rows):
            return
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        self.count += len(rows)
        if self._waiting_rows >= RUN_ROWS:
            run = self._sorted()
            run.move_to(self._file.fileno())
            self._runs.append(run)

    def finish(self) -> None:
        """Nothing more will be added."""
        if self._waiting:
            self._runs.append(self._sorted())

    def days(self) -> list[int]:
        """Numbers of the UTC days that have staged rows, in order."""
        return sorted({day for run in self._runs for day in run.days})

    def sources(self, day: int) -> "list[RunSource]":
        """The staged rows of a UTC day: one source for each run that has some, in seq order."""
        return [RunSource(run, *run.days[day]) for run in self._runs if day in run.days]

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def _sorted(self) -> "_Run":
        rows = in_known_order(joined(self._waiting))
        self._waiting.clear()
        self._waiting_rows = 0
        return _Run(rows)


class _Run:
    """Sorted rows in memory or in a file, and where each UTC day starts and stops among them."""

    def __init__(self, rows: Rows) -> None:
        days = rows["known_at"] // DAY_NS
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        bounds = [*starts.tolist(), len(rows)]
        self.days: dict[int, tuple[int, int]] = {
            day: (bounds[index], bounds[index + 1]) for index, day in enumerate(days[starts].tolist())
        }
        self._rows: Rows | None = rows
        self._descriptor = -1
        self._offset = 0

    def move_to(self, descriptor: int) -> None:
        """Write the rows to the end of a file and forget them."""
        assert self._rows is not None
        self._descriptor, self._offset = descriptor, os.lseek(descriptor, 0, os.SEEK_END)
        left = self._rows.view(np.uint8).data
        while left:
            left = left[os.write(descriptor, left) :]
        self._rows = None

    def read(self, start: int, stop: int) -> Rows:
        if self._rows is not None:
            return self._rows[start:stop]
        rows = np.empty(stop - start, ROW)
        count = os.preadv(self._descriptor, [rows.view(np.uint8).data], self._offset + start * ROW.itemsize)
        assert count == rows.nbytes, "the staging file is shorter than what was written to it"
        return rows


class RunSource:
    """The rows of one UTC day in one run."""

    def __init__(self, run: _Run, start: int, stop: int) -> None:
        self.left = stop - start
        self._run = run
        self._stop = stop

    @property
    def first_known(self) -> int:
        """known_at of the first row; only before anything is taken."""
        return int(self._run.read(self._stop - self.left, self._stop - self.left + 1)["known_at"][0])

    @property
    def last_known(self) -> int:
        """known_at of the last row."""
        return int(self._run.read(self._stop - 1, self._stop)["known_at"][0])

    def take(self, count: int) -> Rows:
        """The next rows."""
        start = self._stop - self.left
        count = min(count, self.left)
        self.left -= count
        return self._run.read(start, start + count)


class PartsSource:
    """The rows of parts that follow each other, one part in memory at a time. Raises TapeDamaged from `take`."""

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        self.left = sum(part.rows for part in parts)
        self._folder = folder
        self._parts = list(reversed(parts))
        self._rows = np.empty(0, ROW)

    def take(self, count: int) -> Rows:
        """The next rows."""
        if not len(self._rows):
            part = self._parts.pop()
            self._rows = np.empty(part.rows, ROW)
            read_part(self._folder, part, self._rows)
        taken, self._rows = self._rows[:count], self._rows[count:]
        self.left -= len(taken)
        return taken
