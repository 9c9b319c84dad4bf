"""The sources of answers: the log of a home, its projections and its tape, under one cursor."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from carryfold.domain.instruments import Instrument
from carryfold.eventlog import LogReader
from carryfold.projections.catalogue import ALL_PROJECTIONS
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.registry import InstrumentRecord, registry
from carryfold.projections.runner import Projections
from carryfold.projections.tape import Tape

__all__ = ["OpenHome", "Progress", "Sources", "open_home"]

Progress = Callable[[str], AbstractContextManager[Callable[[int], None]]]
"""Starts the report of a long work with this title; the function that it returns takes the percentage that is done."""


class OpenHome:
    """A home that is open for questions. The first question that needs the read models brings them up to date;
    `refresh` lets the next one do so again. Use `open_home`."""

    def __init__(self, home: Path, reader: LogReader, progress: Progress) -> None:
        self.home: Final = home
        self.reader: Final = reader
        self._progress = progress
        self._stored: Projections | None = None
        self._updated = False
        self._tape: Tape | None = None
        self._last_seq = reader.last.seq

    def at(self, cursor: Cursor = NOW) -> "Sources":
        """The sources of questions under a cursor. Its `upto_seq` is bounded by the end of the log when the home was
        opened or last refreshed, so that all answers are about the same log."""
        return Sources(self, Cursor(cursor.as_of, min(cursor.upto_seq, self._last_seq)))

    def refresh(self) -> None:
        """Take in what was recorded since."""
        self._last_seq = self.reader.last.seq
        self._updated, self._tape = False, None

    @property
    def stored(self) -> Projections:
        """The projections as they are, maybe behind the log."""
        if self._stored is None:
            self._stored = Projections.open(self.home, self.reader, ALL_PROJECTIONS)
        return self._stored

    @property
    def projections(self) -> Projections:
        """The projections, brought up to date. Raises ProjectionError."""
        if not self._updated:
            with self._progress("bringing the read models up to date") as report:
                self.stored.update(lambda reached, end: report(100 * reached // max(end, 1)))
            self._updated = True
        return self.stored

    @property
    def tape(self) -> Tape:
        """The tape, brought up to date. Raises TapeError."""
        if self._tape is None:
            with self._progress("laying the log out as rows") as report:
                self._tape = Tape.open(
                    self.home, self.reader, progress=lambda read, total: report(100 * read // max(total, 1))
                )
        return self._tape

    def close(self) -> None:
        """Close the projections and the log."""
        if self._stored is not None:
            self._stored.close()
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Sources:
    """The read models of a home under one cursor. Instruments are read once and kept."""

    def __init__(self, home: OpenHome, cursor: Cursor) -> None:
        """Use `OpenHome.at`."""
        self.home: Final = home
        self.cursor: Final = cursor

    @property
    def reader(self) -> LogReader:
        """The log."""
        return self.home.reader

    @property
    def projections(self) -> Projections:
        """The projections, brought up to date. Raises ProjectionError."""
        return self.home.projections

    @property
    def tape(self) -> Tape:
        """The tape, brought up to date. Raises TapeError."""
        return self.home.tape

    @cached_property
    def instruments(self) -> list[InstrumentRecord]:
        """Every instrument that has a listing, without the span of its rows."""
        return registry(self.projections, self.cursor)

    @cached_property
    def multipliers(self) -> dict[Instrument, float]:
        """Coins in one unit of each instrument."""
        return {one.instrument: one.multiplier for one in self.instruments}


def open_home(home: Path, progress: Progress | None = None) -> OpenHome:
    """Open the log of a home for questions, beside whoever owns it. `progress` reports long works. Raises LogError."""
    return OpenHome(home, LogReader.open(home), progress or (lambda _: nullcontext(lambda _: None)))
