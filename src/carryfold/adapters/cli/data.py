"""import, pairs, rates, quality: history into the log, and what the log knows about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carryfold.adapters.bootstrap import open_log, open_reader, open_tape
from carryfold.adapters.cli.options import AsOf, Json, UptoSeq, place_of, terminal_of
from carryfold.adapters.terminal import Terminal, count, percent, short_time

if TYPE_CHECKING:
    from carryfold.adapters.importing import FileReport, ImportReport
    from carryfold.projections.runner import Projections
    from carryfold.projections.tape import Tape

__all__ = ["import_files", "pairs", "quality", "rates"]


def import_files(
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Files of history; gz and zip too. The format is told by the content.")
    ],
    venue: Annotated[
        str | None, typer.Option(help="Venue of the pairs. Default: the format's own, else bybit.")
    ] = None,
    bar_delay: Annotated[
        float | None, typer.Option(help="Seconds from a bar's close until it is known. Default 1.")
    ] = None,
    settlement_delay: Annotated[
        float | None, typer.Option(help="Seconds from a settlement until its rate is known. Default 60.")
    ] = None,
    bar_minutes: Annotated[int | None, typer.Option(help="Length of bars. Default: the commonest spacing.")] = None,
    without_spot: Annotated[
        bool, typer.Option("--without-spot", help="Take perpetual klines whose spot klines are not given.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read files of market history into the log. Importing twice adds nothing; bad rows are refused one by one."""
    from carryfold.adapters.importing import import_paths

    place, terminal = place_of(context), terminal_of(as_json)
    settings = place.load_config().data
    with open_log(place.home) as log, terminal.progress("importing") as advance:
        report = import_paths(
            log,
            paths,
            venue=venue or settings.venue,
            bar_delay_s=settings.bar_delay_s if bar_delay is None else bar_delay,
            settlement_delay_s=settings.settlement_delay_s if settlement_delay is None else settlement_delay,
            bar_minutes=bar_minutes or settings.bar_minutes,
            without_spot=without_spot,
            progress=lambda _file, rows: advance(rows),
        )
    if as_json:
        terminal.emit(_as_json(report))
    else:
        _show_import(terminal, report)
    if report.errors:
        raise typer.Exit(1)


def _as_json(report: ImportReport) -> dict[str, object]:
    totals = ("rows", "appended", "duplicates", "conflicts", "rejected", "ignored", "pairs", "notes", "errors")
    return {"files": report.files} | {name: getattr(report, name) for name in totals}


def _show_import(terminal: Terminal, report: ImportReport) -> None:
    def cells(f: FileReport) -> tuple[str, ...]:
        numbers = (f.rows, f.appended, f.duplicates, f.conflicts, f.rejected, sum(f.ignored.values()))
        return (f.file, f.format, *(count(n) for n in numbers))

    columns = ("file", "format", "rows", "new events", "known already", "conflicts", "refused", "not for us")
    terminal.table(columns, [cells(f) for f in report.files], left=(0, 1))
    for file in report.files:
        for reason, number in sorted(file.rejected_by_reason.items(), key=lambda one: -one[1]):
            terminal.say(f"{file.file}: {count(number)} rows refused: {reason}")
        for sample in file.samples[:5]:
            terminal.say(f"  {sample}")
        for reason, number in file.ignored.items():
            terminal.say(f"{file.file}: {count(number)} rows not for us: {reason}")
    for note in report.notes:
        terminal.say(note)
    for error in report.errors:
        terminal.note(f"carryfold: {error}")
    terminal.say()
    terminal.say(f"{count(report.appended)} new events of {count(report.pairs)} pairs. Next: carryfold compare")


@contextmanager
def _facts(context: typer.Context, terminal: Terminal) -> Iterator[tuple[Projections, Tape]]:
    """The fact projections and the tape of the home, up to date."""
    from carryfold.adapters.bootstrap import open_projections

    place = place_of(context)
    with open_reader(place.home) as reader, open_projections(place.home, reader, terminal) as projections:
        yield projections, open_tape(place.home, reader, terminal)


def pairs(context: typer.Context, as_of: AsOf = None, upto_seq: UptoSeq = None, as_json: Json = False) -> None:
    """The pairs in the log: listings, lots, status, and from when to when they have data."""
    from carryfold.projections.cursor import parse_cursor
    from carryfold.projections.registry import registry

    terminal, cursor = terminal_of(as_json), parse_cursor(as_of, upto_seq)
    with _facts(context, terminal) as (projections, tape):
        records = registry(projections, cursor, tape=tape)
    if as_json:
        terminal.emit({"pairs": records})
        return
    rows = [
        (
            r.symbol,
            r.venue,
            r.status,
            "yes" if r.priced else "no",
            "-" if r.lot is None else f"{r.lot:g}",
            "-" if r.min_notional is None else f"{r.min_notional:g}",
            count(r.rows),
            short_time(r.first_row_at),
            short_time(r.last_row_at),
        )
        for r in records
    ]
    columns = ("pair", "venue", "status", "priced", "lot", "min notional", "market rows", "first", "last")
    terminal.table(columns, rows, left=(0, 1, 2, 3, 7, 8))


def rates(context: typer.Context, as_of: AsOf = None, upto_seq: UptoSeq = None, as_json: Json = False) -> None:
    """Settled funding rates by pair: how many, their sum, and how often exactly 0.0001."""
    from carryfold.projections.cursor import parse_cursor
    from carryfold.projections.rates import rate_statistics

    terminal, cursor = terminal_of(as_json), parse_cursor(as_of, upto_seq)
    with _facts(context, terminal) as (projections, _):
        statistics = rate_statistics(projections, cursor)
    if as_json:
        terminal.emit({"pairs": statistics})
        return
    rows = [
        (
            s.symbol,
            s.venue,
            count(s.count),
            f"{s.sum:.8f}",
            f"{s.mean:.8f}",
            percent(s.share_base),
            percent(s.share_positive),
            count(s.gaps),
            short_time(s.first_settled_at),
            short_time(s.last_settled_at),
        )
        for s in statistics
    ]
    columns = ("pair", "venue", "settlements", "sum", "mean", "exactly 0.0001", "positive", "gaps", "first", "last")
    terminal.table(columns, rows, left=(0, 1, 8, 9))


def quality(context: typer.Context, as_of: AsOf = None, upto_seq: UptoSeq = None, as_json: Json = False) -> None:
    """What is wrong with the data: gaps, late and suspect rows, contradictions, refused input, interval changes."""
    from carryfold.projections.cursor import parse_cursor
    from carryfold.projections.quality import data_quality

    terminal, cursor = terminal_of(as_json), parse_cursor(as_of, upto_seq)
    with _facts(context, terminal) as (projections, tape):
        found = data_quality(projections, tape, cursor)
    if as_json:
        terminal.emit(found)
        return
    rows = [
        (
            q.symbol,
            q.venue,
            *(count(n) for n in (q.settlements, q.settlement_gaps, q.missing_settlements)),
            *(count(n) for n in (q.price_rows, q.bar_gaps, q.one_legged, q.suspect, sum(q.late.values()), q.revised)),
            count(len(q.interval_changes)),
        )
        for q in found.pairs
    ]
    columns = (
        *("pair", "venue", "settlements", "gaps", "missing", "price rows", "bar gaps", "one-legged", "suspect", "late"),
        *("revised", "interval changes"),
    )
    terminal.table(columns, rows, left=(0, 1))
    for source in found.rejected:
        reasons = ", ".join(f"{reason} ({count(n)})" for reason, n in source.reasons.items())
        terminal.say(f"refused from {source.source}: {count(source.rows)} rows: {reasons}")
