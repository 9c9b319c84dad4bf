"""History files into a log.

Everything that makes the whole import impossible (a missing file, an unknown format, bars of unknown length, other
delays than the log's) is found before the first event is appended, and raised as ImportRefused. After that the content
of the files raises nothing: malformed rows are rejected one by one and good rows are kept.

The order of the files in a call does not matter: instruments are read first, then the rest by format and name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from carryfold.adapters.importing import spacing
from carryfold.adapters.importing.bars import read_bars
from carryfold.adapters.importing.bybit import INSTRUMENTS, read_bybit, read_responses
from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.formats import Format, Recognised, recognise
from carryfold.adapters.importing.freqtrade import read_freqtrade
from carryfold.adapters.importing.funding import read_binance, read_funding
from carryfold.adapters.importing.instruments import InstrumentBook
from carryfold.adapters.importing.klines import KlineStage
from carryfold.adapters.importing.source import find_sources
from carryfold.adapters.importing.table import Header
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.entries import LogEntry
from carryfold.adapters.marketdata.report import ImportReport, ReportBuilder
from carryfold.adapters.marketdata.writer import Progress, Writer
from carryfold.domain.availability import Availability, AvailabilityRefused, check_availability
from carryfold.eventlog import EventLog


def import_paths(
    log: EventLog,
    paths: Sequence[Path],
    *,
    venue: str | None = None,
    bar_delay_s: float = 1.0,
    settlement_delay_s: float = 60.0,
    bar_minutes: int | None = None,
    progress: Progress | None = None,
    now: Callable[[], int] = time.time_ns,
) -> ImportReport:
    """Import files into `log` and report the outcome.

    `venue` None: the one that is usual for the format. The delays (seconds) say when history was knowable; they are the
    log's for ever. `bar_minutes` overrides the spacing of bars. `now` (UTC ns) dates this
    import: nothing may be later than a second after it. Raises ImportRefused, one line, before anything is appended;
    errors of the log itself pass through.
    """
    availability = Availability(bar_delay_s, settlement_delay_s)
    _check_options(venue, bar_minutes)
    try:
        check_availability(log, availability)
    except AvailabilityRefused as refused:
        raise ImportRefused(str(refused)) from None
    context = ImportContext(now_ns=now(), venue=venue, availability=availability, bar_minutes=bar_minutes)
    files = _recognise_all(paths)
    lengths = _measure_bars(files, context)
    writer = Writer(log, availability, context.instruments, progress)
    builders = [ReportBuilder(file.source.name, file.format.label) for file in files]
    try:
        _write_instruments(files, builders, context, writer)
        builders += _write_rest(files, builders, lengths, context, writer)
        writer.write_rejections(builders, context.now_ms * 1_000_000)
    finally:
        writer.close()
    return ImportReport([builder.report for builder in builders], context.instruments.perpetuals)


def _check_options(venue: str | None, bar_minutes: int | None) -> None:
    if venue is not None and not checks.is_symbol(venue):
        raise ImportRefused("the venue must be 1 to 40 letters, digits or . _ : / -")
    if bar_minutes is not None and not 1 <= bar_minutes <= spacing.MAX_MINUTES:
        raise ImportRefused(f"bars of {bar_minutes} minutes: 1 to {spacing.MAX_MINUTES} are possible")


def _recognise_all(paths: Sequence[Path]) -> list[Recognised]:
    if not paths:
        raise ImportRefused("no file to import")
    once = {path.resolve(): path for path in reversed(paths)}
    found = [recognise(source) for path in once.values() for source in find_sources(path)]
    return sorted(found, key=lambda file: file.rank)


def _measure_bars(files: Sequence[Recognised], context: ImportContext) -> dict[int, dict[str, int]]:
    """Bar lengths by symbol, for each file of bars by its place in `files`."""
    places = [place for place, file in enumerate(files) if file.format is Format.BARS]
    tables = [(files[place].source, _header(files[place])) for place in places]
    return dict(zip(places, spacing.measure(tables, context), strict=True))


def _header(file: Recognised) -> Header:
    assert file.header is not None, "every CSV format has a header"
    return file.header


def _write_instruments(
    files: Sequence[Recognised], builders: Sequence[ReportBuilder], context: ImportContext, writer: Writer
) -> None:
    """Write instruments first, because their caps confirm rates beyond the guard."""
    book = InstrumentBook(context)
    for file, builder in zip(files, builders, strict=True):
        if file.format is Format.BYBIT:
            for response in read_responses(file.source, None):
                if response.kind == INSTRUMENTS:
                    book.add(response, builder)
    by_file: dict[int, list[LogEntry]] = {}
    for entry, builder in book.resolve():
        by_file.setdefault(builders.index(builder), []).append(entry)
    for place, entries in by_file.items():
        writer.write(entries, builders[place])


def _write_rest(
    files: Sequence[Recognised],
    builders: Sequence[ReportBuilder],
    lengths: dict[int, dict[str, int]],
    context: ImportContext,
    writer: Writer,
) -> list[ReportBuilder]:
    """Write everything else, file by file; then the klines that had to wait for each other, which get a report of
    their own."""
    stage = KlineStage(context)
    for place, (file, builder) in enumerate(zip(files, builders, strict=True)):
        writer.write(_entries(file, lengths.get(place, {}), context, builder, stage), builder)
        builder.report.error = file.source.error
    if stage.is_empty:
        return []
    builder = ReportBuilder("klines", "joined klines")
    writer.write(stage.join(), builder)
    return [builder]


def _entries(
    file: Recognised, minutes: dict[str, int], context: ImportContext, builder: ReportBuilder, stage: KlineStage
) -> Iterator[LogEntry]:
    source = file.source
    match file.format:
        case Format.BYBIT:
            return read_bybit(source, context, builder, stage)
        case Format.FUNDING:
            return read_funding(source, _header(file), context, builder)
        case Format.BINANCE:
            return read_binance(source, _header(file), context, builder)
        case Format.BARS:
            return read_bars(source, _header(file), context, builder, minutes)
        case Format.FREQTRADE_JSON | Format.FREQTRADE_FEATHER:
            feather = file.format is Format.FREQTRADE_FEATHER
            return read_freqtrade(source, feather, context, builder, stage)
