"""`carryfold import`, and the market data of the log: `pairs`, `rates`, `predictions`, `quality`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from carryfold.adapters.cli.data_tables import (
    show_import,
    show_instruments,
    show_pairs,
    show_predictions,
    show_quality,
    show_rates,
    show_series,
)
from carryfold.adapters.cli.errors import CheckFailed, UsageFailed
from carryfold.adapters.cli.options import AsOf, CarryAcross, Json, LegsName, UptoSeq, Venue
from carryfold.adapters.cli.questions import Names, Since, Until, give, open_sources, parse_span, split_names
from carryfold.adapters.terminal import Terminal
from carryfold.adapters.venue_names import DEFAULT_VENUE

if TYPE_CHECKING:
    from carryfold.domain.instruments import Legs

__all__ = ["import_files", "pairs", "predictions", "quality", "rates"]


def import_files(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="CSV, JSON or feather, also .gz and .zip.")],
    venue: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Venue of the files.  [default: as the format says, else {DEFAULT_VENUE}]"),
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

        def report_rows(file: str, rows: int) -> None:
            read[file] = rows
            advance(sum(read.values()))

        report = import_paths(
            log,
            paths,
            venue=settings.venue if venue is None else venue,
            bar_delay_s=settings.bar_delay_s if bar_delay is None else bar_delay,
            settlement_delay_s=settings.settlement_delay_s if settlement_delay is None else settlement_delay,
            bar_minutes=settings.bar_minutes if bar_minutes is None else bar_minutes,
            progress=report_rows,
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
            terminal.note(f"venue: as the format says, else {DEFAULT_VENUE}; --venue names another")
    if report.errors:
        raise CheckFailed(report.errors[0])
    if report.appended + report.duplicates + report.conflicts == 0:
        raise CheckFailed("nothing in these files could be used: see the refused rows")


def pairs(
    context: typer.Context,
    only: Names = None,
    venue: Venue = None,
    legs: LegsName = None,
    carry_across: CarryAcross = False,
    instruments: Annotated[bool, typer.Option("--instruments", help="List the instruments instead.")] = False,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """List the pairs of the log: status, lot, span of their data."""
    from carryfold.projections import queries

    legs = legs or "carry"
    if legs not in ("carry", "spread", "both"):
        raise UsageFailed(f"--legs {legs} is none of carry, spread, both")
    terminal = Terminal(json=json)
    names = split_names(only)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        if instruments:
            listed = queries.instruments(sources, names=names, venue=venue)
            give(terminal, listed, show_instruments)
        else:
            found = queries.pairs(sources, names=names, venue=venue, legs=cast("Legs", legs), carry_across=carry_across)
            give(terminal, found, show_pairs)


def rates(
    context: typer.Context,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    listed: Annotated[bool, typer.Option("--list", help="List every settlement of the chosen perpetuals.")] = False,
    json: Json = False,
) -> None:
    """Settled funding rates of each perpetual: number, sum, spread."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        if listed:
            series = queries.settlements(sources, names=split_names(only), venue=venue, **span._asdict())
            give(terminal, series, show_series)
        else:
            found = queries.rates(sources, names=split_names(only), venue=venue, **span._asdict())
            give(terminal, found, show_rates)


def predictions(
    context: typer.Context,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Errors of predicted rates against the settled ones."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with open_sources(context, terminal, as_of, upto_seq) as sources:
        found = queries.predictions(sources, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_predictions)


def quality(
    context: typer.Context,
    only: Names = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    upto_seq: UptoSeq = None,
    json: Json = False,
) -> None:
    """Faults in the data: gaps, late, suspect and refused rows."""
    from carryfold.projections import queries

    terminal = Terminal(json=json)
    span = parse_span(since, until)
    with (
        open_sources(context, terminal, as_of, upto_seq) as sources,
        terminal.progress("looking at every row"),
    ):
        found = queries.quality(sources, names=split_names(only), venue=venue, **span._asdict())
    give(terminal, found, show_quality)
