"""The composition root: the one place where the commands' concrete parts are made and put together.

Nothing heavy is imported before it is asked for, so that `carryfold --help` costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from carryfold.adapters.config import Config, load_config
from carryfold.adapters.strategy_files import register_named

if TYPE_CHECKING:
    from carryfold.adapters.terminal import Terminal
    from carryfold.domain.params import Parameters
    from carryfold.domain.rows import Rows
    from carryfold.eventlog import EventLog, LogReader
    from carryfold.projections.backtest import Backtest, Figures, LookaheadReport, Selection
    from carryfold.projections.cursor import Cursor
    from carryfold.projections.runner import Projections
    from carryfold.projections.tape import Tape

__all__ = [
    "Bench",
    "Place",
    "Request",
    "announce_compiling",
    "open_bench",
    "open_log",
    "open_projections",
    "open_reader",
    "open_tape",
]

_COMPILING: Final = "compiling the fold for this machine, once (about a minute) ..."


class Place(NamedTuple):
    """Which home a command works in, and which configuration file was named. `given`: the user said so."""

    home: Path
    config_file: Path | None = None
    given: bool = True

    def load_config(self) -> Config:
        """Raises ConfigError or OSError."""
        return load_config(self.home, self.config_file)


class Request(NamedTuple):
    """What a run is asked to be about, as the user wrote it."""

    strategy: str | None = None
    settings: Sequence[str] = ()
    pairs: str | None = None
    venue: str | None = None
    since: str | None = None
    until: str | None = None
    as_of: str | None = None
    upto_seq: str | None = None
    legs: str | None = None
    carry_across: bool = False

    @property
    def parameters(self) -> list[str]:
        """The settings of the command line; those with an option of their own come first, and `--set` may overrule
        them."""
        named = {"strategy": self.strategy, "legs": self.legs, "carry_across": "true" if self.carry_across else None}
        return [*(f"{name}={value}" for name, value in named.items() if value is not None), *self.settings]


class Bench(NamedTuple):
    """A request made concrete over one home's log: everything a run of the fold needs."""

    reader: LogReader
    tape: Tape
    params: Parameters
    selection: Selection
    cursor: Cursor
    since: int
    until: int | None

    @property
    def rows_at_most(self) -> int:
        """How many rows a run may have to read; for progress bars."""
        from carryfold.projections.cursor import MAX

        last = min(self.cursor.as_of, MAX if self.until is None else self.until)
        return sum(day.rows for day in self.tape.days if day.first_known <= last)

    @property
    def cursor_fields(self) -> dict[str, Any]:
        """What to ask for to get the very same figures again."""
        from carryfold.projections.cursor import MAX, format_time

        as_of = None if self.cursor.as_of == MAX else format_time(self.cursor.as_of)
        return {"as_of": as_of, "upto_seq": min(self.cursor.upto_seq, self.tape.last_seq)}

    def blocks(self) -> Iterator[Rows]:
        """The rows that the request is about."""
        return self.tape.blocks(self.cursor, until=self.until, instrument_ids=self.selection.instrument_ids)

    def run(self, terminal: Terminal, strategy: str | None = None) -> Backtest:
        """One backtest, with a progress bar; `strategy`: another one with otherwise equal parameters."""
        from carryfold.projections.backtest import run_backtest

        params = self.params if strategy is None else self.params.changed({"strategy": strategy})
        with terminal.progress(f"folding {params.strategy}", self.rows_at_most) as advance:
            done = 0

            def folded(rows: int) -> None:
                nonlocal done
                done += rows
                advance(done)

            return run_backtest(
                self.tape,
                params,
                self.selection,
                cursor=self.cursor,
                since=self.since,
                until=self.until,
                progress=folded,
            )

    def run_hold(self, terminal: Terminal, run: Backtest) -> Backtest | None:
        """What `run` is compared with: itself if it is of hold; None where there are no carry pairs to hold."""
        if run.params.strategy == "hold":
            return run
        if not any(pair.is_carry for pair in self.selection.pairs):
            return None
        return self.run(terminal, "hold")

    def check_lookahead(self, terminal: Terminal, cuts: int, seed: int = 1) -> LookaheadReport:
        """The look-ahead checks on these rows, with a progress bar."""
        from carryfold.projections.backtest import check_lookahead

        total = self.rows_at_most * (2 + 2 * cuts)  # shorter runs read less: the bar then arrives early
        with terminal.progress(f"checking {self.params.strategy} for look-ahead", total) as advance:
            read = 0

            def blocks() -> Iterator[Rows]:
                nonlocal read
                for rows in self.blocks():
                    read += len(rows)
                    advance(read)
                    yield rows

            return check_lookahead(blocks, self.params, self.selection, since=self.since, cuts=cuts, seed=seed)

    def write_report(self, file: Path, run: Backtest, figures: Figures, hold: Backtest | None, command: str) -> None:
        """The HTML report of a run; the file appears, or is replaced, only when it is whole."""
        from carryfold.adapters.importing.availability import META_NAME, Availability
        from carryfold.adapters.report import render_report

        stored = self.reader.get_meta(META_NAME)
        delays = None if stored is None else msgspec.json.decode(stored, type=Availability)
        upto_seq = min(self.cursor.upto_seq, self.tape.last_seq)  # what was there now, for whoever asks again later
        page = render_report(
            run,
            figures,
            hold=hold,
            command=command,
            cursor=msgspec.structs.replace(self.cursor, upto_seq=upto_seq),
            availability=None if delays is None else (delays.bar_delay_s, delays.settlement_delay_s),
        )
        partial = file.with_name(f".{file.name}.partial")
        try:
            partial.write_text(page, encoding="utf-8")
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def open_log(home: Path) -> EventLog:
    """The owner's handle; makes the home when there is none."""
    from carryfold.eventlog import EventLog

    return EventLog.open(home)


def open_reader(home: Path) -> LogReader:
    """A reader beside whoever owns the log."""
    from carryfold.eventlog import LogReader

    return LogReader.open(home)


def open_tape(home: Path, reader: LogReader, terminal: Terminal) -> Tape:
    """The tape of all that is in the log, built first where that is needed."""
    from carryfold.projections.tape import Tape

    with terminal.progress("laying the log out as rows", 100) as advance:
        return Tape.open(home, reader, progress=lambda read, total: advance(100 * read // max(total, 1)))


@contextmanager
def open_projections(
    home: Path, reader: LogReader, terminal: Terminal, *, update: bool = True
) -> Iterator[Projections]:
    """Every read model of a home, brought up to date with its log unless that is not wanted."""
    from carryfold.projections.quality import QUALITY
    from carryfold.projections.rates import RATES
    from carryfold.projections.registry import REGISTRY
    from carryfold.projections.runner import Projections

    with Projections.open(home, reader, [REGISTRY, RATES, QUALITY]) as projections:
        if update:
            with terminal.progress("bringing the read models up to date", 100) as advance:
                projections.update(lambda reached, end: advance(100 * reached // max(end, 1)))
        yield projections


@contextmanager
def open_bench(place: Place, request: Request, terminal: Terminal) -> Iterator[Bench]:
    """Check the request, then open what it needs. What is wrong with the request shows before any work is done."""
    params = place.load_config().parse_parameters(register_named(request.parameters))
    from carryfold.projections.cursor import CursorError, parse_cursor, parse_time

    cursor = parse_cursor(request.as_of, request.upto_seq)
    since = 0 if request.since is None else parse_time(request.since)
    until = None if request.until is None else parse_time(request.until)
    if until is not None and until <= since:
        raise CursorError(f"--until {request.until} is not after --since {request.since or '1970-01-01'}")
    symbols = None if request.pairs is None else [s.strip() for s in request.pairs.split(",") if s.strip()]
    with open_reader(place.home) as reader:
        reader.check_tail()
        tape = open_tape(place.home, reader, terminal)
        from carryfold.projections.backtest import select_pairs

        selection = select_pairs(
            tape,
            cursor,
            symbols=symbols,
            venue=request.venue,
            until=until,
            legs=params.legs,
            carry_across=params.carry_across,
        )
        announce_compiling(terminal)
        yield Bench(reader, tape, params, selection, cursor, since, until)


def announce_compiling(terminal: Terminal) -> None:
    """Say so when the next fold will be compiled first."""
    from carryfold.domain.fold import is_compiled

    if not is_compiled():
        terminal.note(_COMPILING)
