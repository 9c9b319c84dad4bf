"""The one door through which history files come into a log.

Everything that makes the whole import impossible (a missing file, a format that cannot be told, bars of unknown
length, other delays than the log's) is found before the first event is appended, and raised as ImportRefused. After
that nothing is raised for what is in the files: rows are rejected one by one and good rows are kept.

The files of a call are taken in an order of their own: instruments, then the rest by format and name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from carryfold.adapters.importing import checks, spacing
from carryfold.adapters.importing.availability import Availability, check_availability
from carryfold.adapters.importing.bars import read_bars
from carryfold.adapters.importing.bybit import INSTRUMENTS, read_bybit, read_responses
from carryfold.adapters.importing.call import Call, LogEntry
from carryfold.adapters.importing.formats import Format, Recognised, recognise
from carryfold.adapters.importing.freqtrade import read_freqtrade
from carryfold.adapters.importing.funding import read_binance, read_funding
from carryfold.adapters.importing.instruments import InstrumentBook
from carryfold.adapters.importing.klines import KlineStage
from carryfold.adapters.importing.report import ImportRefused, ImportReport, Tally
from carryfold.adapters.importing.source import find_sources
from carryfold.adapters.importing.table import Header
from carryfold.adapters.importing.writer import Progress, Writer
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
    """Import files into `log` and say what became of them.

    `venue` None is the format's own (binance for its archive, else bybit). The delays (seconds) say when history was
    knowable; they are the log's for ever. `bar_minutes` overrides the spacing of bars. `now` (UTC ns) dates this
    import: nothing may be later than a second after it. Raises ImportRefused, one line, before anything is appended;
    errors of the log itself pass through.
    """
    availability = Availability(bar_delay_s, settlement_delay_s)
    _check_options(venue, bar_minutes)
    check_availability(log, availability)
    call = Call(now_ns=now(), venue=venue, availability=availability, bar_minutes=bar_minutes)
    files = _recognise_all(paths)
    lengths = _measure_bars(files, call)
    writer = Writer(log, availability, call.instruments, progress)
    tallies = [Tally(file.source.name, file.format.label) for file in files]
    try:
        _write_instruments(files, tallies, call, writer)
        tallies += _write_rest(files, tallies, lengths, call, writer)
        writer.write_rejections(tallies, call.now_ms * 1_000_000)
    finally:
        writer.close()
    return ImportReport([tally.report for tally in tallies], call.instruments.perpetuals)


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


def _measure_bars(files: Sequence[Recognised], call: Call) -> dict[int, dict[str, int]]:
    """Bar lengths by symbol, for each file of bars by its place in `files`."""
    places = [place for place, file in enumerate(files) if file.format is Format.BARS]
    tables = [(files[place].source, _header(files[place])) for place in places]
    return dict(zip(places, spacing.measure(tables, call), strict=True))


def _header(file: Recognised) -> Header:
    assert file.header is not None, "every CSV format is told by its header"
    return file.header


def _write_instruments(files: Sequence[Recognised], tallies: Sequence[Tally], call: Call, writer: Writer) -> None:
    """First of all, because they confirm rates beyond the guard."""
    book = InstrumentBook(call)
    for file, tally in zip(files, tallies, strict=True):
        if file.format is Format.BYBIT:
            for response in read_responses(file.source, None):
                if response.kind == INSTRUMENTS:
                    book.add(response, tally)
    by_file: dict[int, list[LogEntry]] = {}
    for entry, tally in book.resolve():
        by_file.setdefault(tallies.index(tally), []).append(entry)
    for place, entries in by_file.items():
        writer.write(entries, tallies[place])


def _write_rest(
    files: Sequence[Recognised],
    tallies: Sequence[Tally],
    lengths: dict[int, dict[str, int]],
    call: Call,
    writer: Writer,
) -> list[Tally]:
    """Everything else, file by file; then the klines that waited for each other, which are reported as a file of their
    own."""
    stage = KlineStage(call)
    for place, (file, tally) in enumerate(zip(files, tallies, strict=True)):
        writer.write(_entries(file, lengths.get(place, {}), call, tally, stage), tally)
        tally.report.error = file.source.error
    if stage.is_empty:
        return []
    tally = Tally("klines", "joined klines")
    writer.write(stage.join(), tally)
    return [tally]


def _entries(
    file: Recognised, minutes: dict[str, int], call: Call, tally: Tally, stage: KlineStage
) -> Iterator[LogEntry]:
    source = file.source
    match file.format:
        case Format.BYBIT:
            return read_bybit(source, call, tally, stage)
        case Format.FUNDING:
            return read_funding(source, _header(file), call, tally)
        case Format.BINANCE:
            return read_binance(source, _header(file), call, tally)
        case Format.BARS:
            return read_bars(source, _header(file), call, tally, minutes)
        case Format.FREQTRADE_JSON | Format.FREQTRADE_FEATHER:
            feather = file.format is Format.FREQTRADE_FEATHER
            return read_freqtrade(source, feather, call, tally, stage)
