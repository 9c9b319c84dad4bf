"""`carryfold import`, and what the log holds: `pairs`, `rates`, `quality`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer

from carryfold.adapters.cli.data_tables import (
    short_labels,
    show_import,
    show_instruments,
    show_pairs,
    show_quality,
    show_rates,
    show_rejected,
    show_series,
)
from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import (
    AsOf,
    CarryAcross,
    Json,
    LegsName,
    PairList,
    Since,
    Until,
    UptoSeq,
    Venue,
)
from carryfold.adapters.terminal import Terminal

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import Place
    from carryfold.domain.instruments import Instrument, Legs, Listing
    from carryfold.eventlog import LogReader
    from carryfold.projections.cursor import Cursor
    from carryfold.projections.runner import Projections

__all__ = ["import_files", "pairs", "quality", "rates"]


def import_files(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="CSV, JSON or feather, also .gz and .zip.")],
    venue: Annotated[
        str | None, typer.Option(metavar="NAME", help="Venue of the files.  [default: as the format says, else bybit]")
    ] = None,
    bar_delay: Annotated[
        float | None, typer.Option(metavar="S", help="A bar is known this many seconds after its close.  [default: 1]")
    ] = None,
    settlement_delay: Annotated[
        float | None, typer.Option(metavar="S", help="A rate is known this long after its settlement.  [default: 60]")
    ] = None,
    bar_minutes: Annotated[
        int | None, typer.Option(metavar="N", help="Length of the bars.  [default: the commonest spacing in the file]")
    ] = None,
    json: Json = False,
) -> None:
    """Read files of market history into the log.

    Nothing is imported twice. Bad rows are refused one by one, with file, line and reason; good rows are kept.
    """
    from carryfold.adapters.bootstrap import open_log
    from carryfold.adapters.importing import import_paths

    terminal = Terminal(json=json)
    settings = context.obj.load_config().data
    with open_log(context.obj.home) as log, terminal.progress("importing (rows)") as advance:
        read: dict[str, int] = {}

        def told(file: str, rows: int) -> None:
            read[file] = rows
            advance(sum(read.values()))

        report = import_paths(
            log,
            paths,
            venue=settings.venue if venue is None else venue,
            bar_delay_s=settings.bar_delay_s if bar_delay is None else bar_delay,
            settlement_delay_s=settings.settlement_delay_s if settlement_delay is None else settlement_delay,
            bar_minutes=settings.bar_minutes if bar_minutes is None else bar_minutes,
            progress=told,
        )
        last_seq = log.last.seq
    if json:
        sums = ("rows", "appended", "duplicates", "conflicts", "rejected", "ignored", "pairs")
        terminal.emit(
            {name: getattr(report, name) for name in sums}
            | {"last_seq": last_seq, "errors": report.errors, "files": report.files}
        )
    else:
        show_import(terminal, report, last_seq)
        if venue is None and settings.venue is None:
            terminal.note("venue: as the format says, else bybit; --venue names another")
    if report.errors:
        raise CheckFailed(report.errors[0])
    if report.appended + report.duplicates + report.conflicts == 0:
        raise CheckFailed("nothing in these files could be used: see the refused rows")


class _Wanted(NamedTuple):
    """Which instruments and pairs a question is about: names, of a venue; None: any. `spellings` are what else people
    call the instruments of the log."""

    names: frozenset[str] | None
    venue: str | None
    spellings: Mapping[Instrument, frozenset[str]]

    @property
    def is_all(self) -> bool:
        """Nothing was named."""
        return self.names is None and self.venue is None

    def has(self, *instruments: Instrument, name: str = "") -> bool:
        """Is one of these wanted, or the pair of them that is called `name`?"""
        return any(
            (self.venue is None or one.venue == self.venue)
            and (
                self.names is None
                or not self.names.isdisjoint((name, one.symbol, one.label, *self.spellings.get(one, ())))
            )
            for one in instruments
        )

    def check(self, found: Sized) -> None:
        """Raises CheckFailed if what was named does not exist."""
        if not self.is_all and not found:
            names = None if self.names is None else ",".join(sorted(self.names))
            wanted = " ".join(one for one in (names, self.venue and f"of venue {self.venue}") if one)
            raise CheckFailed(f"no {wanted} in the log: `carryfold pairs` lists what there is")


class _View(NamedTuple):
    """Opened read models and the bounds of a question."""

    reader: LogReader
    projections: Projections
    cursor: Cursor
    wanted: _Wanted


@contextmanager
def _open_view(
    place: Place, terminal: Terminal, names: str | None, venue: str | None, as_of: str | None, upto_seq: str | None
) -> Iterator[_View]:
    from carryfold.adapters.bootstrap import open_projections, open_reader
    from carryfold.projections.cursor import parse_cursor
    from carryfold.projections.registry import listings_of, registry

    cursor = parse_cursor(as_of, upto_seq)
    named = None if names is None else frozenset(s.strip() for s in names.split(",") if s.strip())
    with open_reader(place.home) as reader, open_projections(place.home, reader, terminal) as projections:
        listings = [] if named is None else listings_of(registry(projections, cursor))
        spellings = {one.instrument: _spellings(one) for one in listings}
        yield _View(reader, projections, cursor, _Wanted(named, venue, spellings))


def _spellings(one: Listing) -> frozenset[str]:
    """Its coin, and ccxt's unified name."""
    unified = f"{one.base}/{one.quote}" + (f":{one.quote}" if one.instrument.kind == "perp" else "")
    return frozenset((one.base, unified))


def pairs(
    context: typer.Context,
    only: PairList = None,
    venue: Venue = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    instruments: Annotated[bool, typer.Option("--instruments", help="List the instruments instead.")] = False,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """List the pairs of the log: status, lot, span of their data."""
    from carryfold.adapters.bootstrap import open_tape
    from carryfold.projections.pairs import pair_records
    from carryfold.projections.registry import registry

    legs = legs or "carry"
    if legs not in ("carry", "spread", "both"):
        raise UsageFailed(f"--legs {legs} is none of carry, spread, both")
    terminal = Terminal(json=json)
    with _open_view(context.obj, terminal, only, venue, as_of, upto_seq) as view:
        tape = open_tape(context.obj.home, view.reader, terminal)
        records = registry(view.projections, view.cursor, tape=tape)
    wanted = view.wanted
    if instruments:
        listed = [one for one in records if wanted.has(one.instrument)]
        wanted.check(listed)
        if json:
            terminal.emit({"instruments": listed})
        else:
            show_instruments(terminal, listed, short_labels(one.instrument for one in records))
        return
    every = pair_records(records, cast("Legs", legs), carry_across=carry_across)
    found = [one for pair, one in every.items() if wanted.has(*pair, name=one.pair)]
    wanted.check(found)
    if json:
        terminal.emit({"pairs": found})
    else:
        show_pairs(terminal, found)


def rates(
    context: typer.Context,
    only: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    listed: Annotated[bool, typer.Option("--list", help="List every settlement of the chosen perpetuals.")] = False,
    json: Json = False,
) -> None:
    """Settled funding rates of each perpetual: number, sum, spread."""
    from carryfold.projections.cursor import MAX, parse_time
    from carryfold.projections.rates import rate_series, rate_statistics

    terminal = Terminal(json=json)
    first, end = 0 if since is None else parse_time(since), MAX if until is None else parse_time(until)
    with _open_view(context.obj, terminal, only, venue, as_of, upto_seq) as view:
        every = rate_statistics(view.projections, view.cursor, since=first, until=end)
        found = [one for one in every if view.wanted.has(one.instrument)]
        view.wanted.check(found)
        names = short_labels(one.instrument for one in every)
        if listed:
            for one in found:
                series = rate_series(view.projections, one.instrument, view.cursor, since=first, until=end)
                if json:
                    terminal.emit(series)
                else:
                    show_series(terminal, series, names[one.instrument])
        elif json:
            terminal.emit({"instruments": found})
        else:
            show_rates(terminal, found, names)


def quality(
    context: typer.Context,
    only: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """What is wrong with the data: gaps, late, suspect, refused."""
    from carryfold.adapters.bootstrap import open_tape
    from carryfold.projections.cursor import MAX, parse_time
    from carryfold.projections.quality import data_quality

    terminal = Terminal(json=json)
    first, end = 0 if since is None else parse_time(since), MAX if until is None else parse_time(until)
    with _open_view(context.obj, terminal, only, venue, as_of, upto_seq) as view:
        tape = open_tape(context.obj.home, view.reader, terminal)
        with terminal.progress("looking at every row"):
            report = data_quality(view.projections, tape, view.cursor, since=first, until=end)
    wanted = view.wanted
    of_pairs = [one for one in report.pairs if wanted.has(*one.legs, name=one.pair)]
    legs = {leg for one in of_pairs for leg in one.legs}
    found = [one for one in report.instruments if one.instrument in legs or wanted.has(one.instrument)]
    wanted.check(found)
    if json:
        terminal.emit({"instruments": found, "pairs": of_pairs, "rejected": report.rejected})
        return
    show_quality(terminal, found, of_pairs, short_labels(one.instrument for one in report.instruments))
    show_rejected(terminal, report.rejected)
