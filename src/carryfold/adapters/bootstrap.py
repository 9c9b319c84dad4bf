"""The composition root: the concrete parts of the commands are built and connected here.

Heavy modules are imported on use, so that `carryfold --help` stays fast.
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
    from carryfold.projections.backtest import Backtest, Figures, LookaheadReport, PairRequest, Selection
    from carryfold.projections.cursor import Cursor
    from carryfold.projections.queries import OpenHome
    from carryfold.projections.tape import Tape

__all__ = [
    "BacktestRequest",
    "BacktestSession",
    "Workspace",
    "announce_compiling",
    "open_backtest",
    "open_log",
    "open_queries",
    "open_reader",
    "open_tape",
]

_COMPILING: Final = "compiling the fold for this machine, once (about a minute) ..."


class Workspace(NamedTuple):
    """The home and the configuration file of a command. `home_given`: the user named the home."""

    home: Path
    config_file: Path | None = None
    home_given: bool = True

    def load_config(self) -> Config:
        """Raises ConfigError or OSError."""
        return load_config(self.home, self.config_file)


class BacktestRequest(NamedTuple):
    """The options of a backtest as the user wrote them."""

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
    universe: str | None = None

    @property
    def parameters(self) -> list[str]:
        """The parameters of the command line: first those with an option of their own, which `--set` may override."""
        named = {"strategy": self.strategy, "legs": self.legs, "carry_across": "true" if self.carry_across else None}
        return [*(f"{name}={value}" for name, value in named.items() if value is not None), *self.settings]


class BacktestSession(NamedTuple):
    """A checked request over the log of one home: everything that a backtest needs."""

    reader: LogReader
    tape: Tape
    params: Parameters
    pair_request: PairRequest
    selection: Selection
    cursor: Cursor
    since: int
    until: int | None

    @property
    def rows_at_most(self) -> int:
        """The largest number of rows that a run may read, for progress bars."""
        from carryfold.projections.cursor import MAX

        last = min(self.cursor.as_of, MAX if self.until is None else self.until)
        return sum(day.rows for day in self.tape.days if day.first_known <= last)

    @property
    def cursor_fields(self) -> dict[str, Any]:
        """The cursor under which a later command gives the same figures."""
        from carryfold.projections.cursor import MAX, format_time

        as_of = None if self.cursor.as_of == MAX else format_time(self.cursor.as_of)
        return {"as_of": as_of, "upto_seq": min(self.cursor.upto_seq, self.tape.last_seq)}

    def run(self, terminal: Terminal, strategy: str | None = None) -> Backtest:
        """One backtest, with a progress bar. `strategy` replaces that of the request."""
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

        total = self.rows_at_most * (3 + 4 * cuts)  # runs up to a cut read less, so the bar arrives early
        with terminal.progress(f"checking {self.params.strategy} for look-ahead", total) as advance:
            read = 0

            def blocks() -> Iterator[Rows]:
                nonlocal read
                for rows in self.tape.blocks(self.cursor, until=self.until):
                    read += len(rows)
                    advance(read)
                    yield rows

            return check_lookahead(
                blocks,
                self.params,
                self.pair_request,
                self.tape.instruments,
                since=self.since,
                cuts=cuts,
                seed=seed,
            )

    def write_report(self, file: Path, run: Backtest, figures: Figures, hold: Backtest | None, command: str) -> None:
        """Write the HTML report of a run. The file is replaced atomically."""
        from carryfold.adapters.report import render_report
        from carryfold.domain.availability import META_NAME, Availability

        stored = self.reader.get_meta(META_NAME)
        delays = None if stored is None else msgspec.json.decode(stored, type=Availability)
        upto_seq = min(self.cursor.upto_seq, self.tape.last_seq)  # later events must not change the figures
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
    """Open the log as its owner; creates the home if there is none."""
    from carryfold.eventlog import EventLog

    return EventLog.open(home)


def open_reader(home: Path) -> LogReader:
    """Open the log for reading, beside its owner."""
    from carryfold.eventlog import LogReader

    return LogReader.open(home)


def open_tape(home: Path, reader: LogReader, terminal: Terminal) -> Tape:
    """Open the tape of the log, and build it first where needed."""
    from carryfold.projections.tape import Tape

    with terminal.progress("laying the log out as rows", 100) as advance:
        return Tape.open(home, reader, progress=lambda read, total: advance(100 * read // max(total, 1)))


def open_queries(home: Path, terminal: Terminal) -> OpenHome:
    """Open a home for questions; long updates of its read models show a progress bar."""
    from carryfold.projections.queries import OpenHome

    return OpenHome(home, open_reader(home), lambda title: terminal.progress(title, 100))


@contextmanager
def open_backtest(workspace: Workspace, request: BacktestRequest, terminal: Terminal) -> Iterator[BacktestSession]:
    """Check a request and open its log. Errors of the request are raised before any work is done."""
    params = workspace.load_config().parse_parameters(register_named(request.parameters))
    from carryfold.projections.cursor import CursorError, parse_cursor, parse_time

    cursor = parse_cursor(request.as_of, request.upto_seq)
    since = 0 if request.since is None else parse_time(request.since)
    until = None if request.until is None else parse_time(request.until)
    if until is not None and until <= since:
        raise CursorError(f"--until {request.until} is not after --since {request.since or '1970-01-01'}")
    pair_request = _pair_request(request, params)
    with open_reader(workspace.home) as reader:
        reader.check_tail()
        tape = open_tape(workspace.home, reader, terminal)
        from carryfold.projections.backtest import choose_pairs, listed_ids
        from carryfold.projections.pair_choices import pair_choices

        listed = listed_ids(tape.blocks(cursor, until=until))
        selection = choose_pairs(pair_request, tape.instruments, listed, pair_choices(reader))
        announce_compiling(terminal)
        yield BacktestSession(reader, tape, params, pair_request, selection, cursor, since, until)


def _pair_request(request: BacktestRequest, params: Parameters) -> PairRequest:
    """Raises SelectionError."""
    from carryfold.projections.backtest import PairRequest, parse_universe

    symbols = None if request.pairs is None else tuple(s.strip() for s in request.pairs.split(",") if s.strip())
    return PairRequest(
        legs=params.legs,
        carry_across=params.carry_across,
        venue=request.venue,
        symbols=symbols,
        universe=None if request.universe is None else parse_universe(request.universe),
    )


def announce_compiling(terminal: Terminal) -> None:
    """Print a note if the next fold has to be compiled first."""
    from carryfold.domain.fold import is_compiled

    if not is_compiled():
        terminal.note(_COMPILING)
