"""`carryfold import`, and what the log holds: `pairs`, `rates`, `quality`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from carryfold.adapters.cli.errors import CheckFailed
from carryfold.adapters.cli.options import AsOf, Json, PairList, Since, Until, UptoSeq, Venue
from carryfold.adapters.terminal import Terminal, clean, count, percent, short_time

if TYPE_CHECKING:
    from carryfold.adapters.bootstrap import Place
    from carryfold.adapters.importing import ImportReport
    from carryfold.eventlog import LogReader
    from carryfold.projections.cursor import Cursor
    from carryfold.projections.rates import RateStatistics
    from carryfold.projections.runner import Projections

__all__ = ["import_files", "pairs", "quality", "rates"]

SAMPLES_SHOWN: Final = 5  # refused rows of each file


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
    without_spot: Annotated[
        bool, typer.Option("--without-spot", help="Take perpetual klines whose spot klines are not given.")
    ] = False,
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
            without_spot=without_spot,
            progress=told,
        )
        last_seq = log.last.seq
    if json:
        sums = ("rows", "appended", "duplicates", "conflicts", "rejected", "ignored", "pairs")
        terminal.emit(
            {name: getattr(report, name) for name in sums}
            | {"last_seq": last_seq, "errors": report.errors, "notes": report.notes, "files": report.files}
        )
    else:
        _show_import(terminal, report, last_seq)
        if venue is None and settings.venue is None:
            terminal.note("venue: as the format says, else bybit; --venue names another")
    if report.errors:
        raise CheckFailed(report.errors[0])
    if report.appended + report.duplicates + report.conflicts == 0:
        raise CheckFailed("nothing in these files could be used: see the refused rows")


def _show_import(terminal: Terminal, report: ImportReport, last_seq: int) -> None:
    columns = ["file", "format", "rows", "new events", "known already", "other value", "refused", "not for us"]
    rows = [
        [
            one.file, one.format, count(one.rows), count(one.appended), count(one.duplicates), count(one.conflicts),
            count(one.rejected), count(sum(one.ignored.values())),
        ]
        for one in report.files
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    for file in report.files:
        for reason, number in sorted(file.rejected_by_reason.items(), key=lambda one: -one[1]):
            terminal.say(f"refused in {file.file}: {number:,} x {reason}")
        for sample in file.samples[:SAMPLES_SHOWN]:
            terminal.say(f"  {sample}")
        for reason, number in file.ignored.items():
            terminal.say(f"not for us in {file.file}: {number:,} x {reason}")
    if report.conflicts:
        terminal.say(
            f"{report.conflicts:,} observations are in the log with another value: the first one stays in force"
        )
    for note in report.notes:
        terminal.say(note)
    terminal.say(f"{report.pairs} pairs, {report.appended:,} new events; the log ends at seq {last_seq:,}.")
    if report.appended:
        terminal.say(
            "Next: `carryfold quality` for what is wrong with the data, `carryfold compare` for what it earns."
        )


class _View(NamedTuple):
    """Opened read models and the bounds of a question."""

    reader: LogReader
    projections: Projections
    cursor: Cursor
    is_wanted: Callable[[str, str], bool]


@contextmanager
def _open_view(
    place: Place, terminal: Terminal, symbols: str | None, venue: str | None, as_of: str | None, upto_seq: str | None
) -> Iterator[_View]:
    from carryfold.adapters.bootstrap import open_projections, open_reader
    from carryfold.projections.cursor import parse_cursor

    cursor = parse_cursor(as_of, upto_seq)
    names = None if symbols is None else {s.strip() for s in symbols.split(",") if s.strip()}

    def is_wanted(of_venue: str, symbol: str) -> bool:
        return (venue is None or of_venue == venue) and (names is None or symbol in names)

    with open_reader(place.home) as reader, open_projections(place.home, reader, terminal) as projections:
        yield _View(reader, projections, cursor, is_wanted)


def _check_found(found: Iterable[object], symbols: str | None, venue: str | None) -> None:
    if (symbols is not None or venue is not None) and not list(found):
        wanted = " ".join(one for one in (symbols, venue and f"of venue {venue}") if one)
        raise CheckFailed(f"no pair {wanted} in the log: `carryfold pairs` lists what there is")


def pairs(
    context: typer.Context,
    only: PairList = None,
    venue: Venue = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """List the pairs of the log: status, lot, span of their data."""
    from carryfold.adapters.bootstrap import open_tape
    from carryfold.projections.registry import registry

    terminal = Terminal(json=json)
    with _open_view(context.obj, terminal, only, venue, as_of, upto_seq) as view:
        tape = open_tape(context.obj.home, view.reader, terminal)
        found = [
            one for one in registry(view.projections, view.cursor, tape=tape) if view.is_wanted(one.venue, one.symbol)
        ]
    _check_found(found, only, venue)
    if json:
        terminal.emit({"pairs": found})
        return
    columns = ["pair", "venue", "listing", "status", "priced", "lot", "min notional", "known from", "to", "rows"]
    rows = [
        [
            one.symbol, one.venue, count(one.listing), one.status, "yes" if one.priced else "no",
            "-" if one.lot is None else f"{one.lot:g}", "-" if one.min_notional is None else f"{one.min_notional:g}",
            short_time(one.first_row_at), short_time(one.last_row_at), count(one.rows),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1, 3))
    terminal.say(f"{len(found)} pairs")


def rates(
    context: typer.Context,
    only: PairList = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    listed: Annotated[bool, typer.Option("--list", help="List every settlement of the chosen pairs.")] = False,
    json: Json = False,
) -> None:
    """Settled funding rates of each pair: number, sum, spread."""
    from carryfold.projections.cursor import MAX, parse_time
    from carryfold.projections.rates import rate_series, rate_statistics
    from carryfold.projections.tape import PairName

    terminal = Terminal(json=json)
    first, end = 0 if since is None else parse_time(since), MAX if until is None else parse_time(until)
    with _open_view(context.obj, terminal, only, venue, as_of, upto_seq) as view:
        found = [
            one
            for one in rate_statistics(view.projections, view.cursor, since=first, until=end)
            if view.is_wanted(one.venue, one.symbol)
        ]
        _check_found(found, only, venue)
        if not listed:
            _show_rates(terminal, found)
            return
        for one in found:
            name = PairName(one.venue, one.symbol, one.listing)
            series = rate_series(view.projections, name, view.cursor, since=first, until=end)
            if json:
                terminal.emit(series)
                continue
            points = [
                [p.settled_at, f"{p.rate:.8f}", "-" if p.interval_hours is None else f"{p.interval_hours:g}",
                 "inferred" if p.inferred else "", "late" if p.late else ""]
                for p in series.points
            ]  # fmt: skip
            terminal.table(["settled at", "rate", "hours", "", ""], points, title=f"{one.venue} {one.symbol}")


def _show_rates(terminal: Terminal, found: list[RateStatistics]) -> None:
    if terminal.json:
        terminal.emit({"pairs": found})
        return
    columns = ["pair", "venue", "settlements", "sum", "mean", "lowest", "highest", "at 0.0001", "positive", "hours",
               "first", "last", "gaps", "late", "revised"]  # fmt: skip
    rows = [
        [
            one.symbol, one.venue, count(one.count), f"{one.sum:.8f}", f"{one.mean:.6f}", f"{one.minimum:.6f}",
            f"{one.maximum:.6f}", percent(one.share_base), percent(one.share_positive),
            "/".join(f"{i.hours:g}" for i in one.intervals if i.hours), short_time(one.first_settled_at)[:10],
            short_time(one.last_settled_at)[:10], count(one.gaps), count(one.late), count(one.revisions),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    terminal.say(f"{len(found)} pairs, {sum(one.count for one in found):,} settlements")


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
    found = [one for one in report.pairs if view.is_wanted(one.venue, one.symbol)]
    _check_found(found, only, venue)
    if json:
        terminal.emit({"pairs": found, "rejected": report.rejected})
        return
    columns = ["pair", "venue", "settlements", "gaps", "missing", "prices", "bar gaps", "missing h", "one leg",
               "suspect", "late", "revised", "corrected"]  # fmt: skip
    rows = [
        [
            one.symbol, one.venue, count(one.settlements), count(one.settlement_gaps), count(one.missing_settlements),
            count(one.price_rows), count(one.bar_gaps), f"{one.missing_bar_minutes / 60:,.0f}", count(one.one_legged),
            count(one.suspect), count(sum(one.late.values())), count(one.revised), count(sum(one.corrected.values())),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    for source in report.rejected:
        reasons = ", ".join(f"{number:,} x {reason}" for reason, number in source.reasons.items())
        terminal.say(f"refused from {clean(source.source)}: {reasons}")
    gaps, suspect = sum(one.settlement_gaps for one in found), sum(one.suspect for one in found)
    terminal.say(
        f"{len(found)} pairs; {gaps:,} places where settlements are missing, {suspect:,} suspect price rows"
        " (never traded on). --json lists the gaps with their times."
    )
