"""Bringing a tape up to date with its log.

Read what was appended since, sort it into UTC days, and merge each of those days with what the tape has of it. Rows
that are all later than the tape only make its last part longer or add parts; late rows rewrite the parts of their day
that they fall into. One process builds at a time; the others wait and then find the work done.
"""

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from carryfold.domain.codec import decode_batch
from carryfold.domain.row_builder import RowBuilder, RowError
from carryfold.domain.rows import Rows, empty_rows
from carryfold.eventlog import Batch, Head, LogReader
from carryfold.projections.filelock import exclusive
from carryfold.projections.lineage import has_head
from carryfold.projections.tape_files import (
    FORMAT,
    LOCK_NAME,
    Manifest,
    Part,
    TapeDamaged,
    all_in_place,
    load_manifest,
    read_part,
    remove_strangers,
    save_manifest,
    write_part,
)
from carryfold.projections.tape_merge import PartsSource, Runs, RunSource, Source, end_of_instant, joined, merge
from carryfold.projections.tape_rows import TapeError, code_digest

__all__ = ["PART_ROWS", "Progress", "bring_up_to_date"]

PART_ROWS: Final = 1 << 18  # 16 MiB: what one late or live row makes us write again, at most
_REPORT_BATCHES: Final = 64

Progress = Callable[[int, int], None]
"""Called now and then while events are read: (events read, events to read)."""


def bring_up_to_date(
    folder: Path, reader: LogReader, *, progress: Progress | None = None, doubted: Part | None = None
) -> Manifest:
    """The manifest of a tape that holds all of the log as it is now, after building whatever was missing.

    The tape is built from nothing when there is none, when it was made by other code or from another log, or when a
    file of it is gone or has another size, or when the `doubted` part turns out to be damaged. Raises TapeError for a
    log that cannot be put on a tape, OSError when the disk refuses a write.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(folder / LOCK_NAME):
        manifest = load_manifest(folder)
        if manifest is not None and _is_usable(folder, manifest, reader, doubted):
            if manifest.head.seq == reader.last.seq:
                return manifest
            try:
                return _build(folder, reader, manifest, progress)
            except TapeDamaged:
                pass
        return _build(folder, reader, Manifest(FORMAT, code_digest(), Head(), [], [], [0], []), progress)


def _is_usable(folder: Path, manifest: Manifest, reader: LogReader, doubted: Part | None) -> bool:
    if manifest.code != code_digest() or not has_head(reader, manifest.head) or not all_in_place(folder, manifest):
        return False
    if doubted is not None and doubted in manifest.parts:
        try:
            read_part(folder, doubted, empty_rows(doubted.rows))
        except TapeDamaged:
            return False
    return True


def _build(folder: Path, reader: LogReader, old: Manifest, progress: Progress | None) -> Manifest:
    builder = RowBuilder(old.listings, old.pairs, old.runs)
    runs = Runs(folder)
    try:
        head = _stage(reader, old.head, builder, runs, progress)
        parts = _merged_parts(folder, old.parts, runs)
    finally:
        runs.close()
    manifest = Manifest(FORMAT, old.code, head, builder.listings, builder.pairs, builder.runs, parts)
    save_manifest(folder, manifest)
    remove_strangers(folder, manifest)
    return manifest


def _stage(reader: LogReader, head: Head, builder: RowBuilder, runs: Runs, progress: Progress | None) -> Head:
    """Rows of everything after `head` into `runs`; returns the new head."""
    start = head.seq
    for number, batch in enumerate(reader.read(start)):
        runs.add(_rows(builder, batch))
        head = batch.head
        if progress is not None and number % _REPORT_BATCHES == 0:
            progress(head.seq - start, max(reader.last.seq, head.seq) - start)
    runs.finish()
    if progress is not None:
        progress(head.seq - start, head.seq - start)
    return head


def _rows(builder: RowBuilder, batch: Batch) -> Rows:
    try:
        return builder.build_stamped(decode_batch(batch.payload, batch.first_seq))
    except msgspec.ValidationError as error:
        raise TapeError(
            f"seq {batch.first_seq} to {batch.last_seq} hold an event that this version does not know ({error}): use"
            " the version that wrote it; carryfold log show still tells what it is"
        ) from None
    except RowError as error:
        raise TapeError(str(error)) from None


def _merged_parts(folder: Path, old: Sequence[Part], runs: Runs) -> list[Part]:
    """The parts of a tape whose days with staged rows are merged anew; the other parts stay as they are."""
    days = {day: list(parts) for day, parts in groupby(old, key=lambda part: part.day)}
    writer = _PartWriter(folder)
    for day in runs.days():
        parts = days.get(day, [])
        staged = runs.sources(day)
        start, stop = _touched(parts, staged)
        sources: list[Source] = [*staged]
        if start < stop:
            sources.insert(0, PartsSource(folder, parts[start:stop]))
        days[day] = [*parts[:start], *writer.write(merge(sources)), *parts[stop:]]
    return [part for day in sorted(days) for part in days[day]]


def _touched(parts: Sequence[Part], staged: Sequence[RunSource]) -> tuple[int, int]:
    """[start, stop) of the parts of a day that its staged rows fall into, or that are short beside them."""
    first = min(source.first_known for source in staged)
    last = max(source.last_known for source in staged)
    start = bisect_left(parts, first, key=lambda part: part.last_known)
    stop = bisect_right(parts, last, key=lambda part: part.first_known)
    if start > 0 and parts[start - 1].rows < PART_ROWS:
        start -= 1
    if stop < len(parts) and parts[stop].rows < PART_ROWS:
        stop += 1
    return start, stop


class _PartWriter:
    """Cuts sorted rows into new parts, each at least `PART_ROWS` long but the last, at bounds of instants."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(4)
        self._number = 0

    def write(self, pieces: Iterator[Rows]) -> list[Part]:
        """The parts made of `pieces`, which are in known order and hold whole instants of one UTC day."""
        written: list[Part] = []
        rest = empty_rows()
        for piece in pieces:
            rows = joined([rest, piece]) if len(rest) else piece
            start = 0
            while len(rows) - start >= PART_ROWS:
                stop = end_of_instant(rows, start + PART_ROWS)
                written.append(self._part(rows[start:stop]))
                start = stop
            rest = rows[start:]
        if len(rest):
            written.append(self._part(rest))
        return written

    def _part(self, rows: Rows) -> Part:
        self._number += 1
        return write_part(self._folder, self._token, self._number, rows)
