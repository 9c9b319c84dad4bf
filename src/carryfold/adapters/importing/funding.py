"""Settled funding rates as CSV.

    funding   symbol,settled_at_ms,rate[,interval_hours]
    Binance   calc_time,funding_interval_hours,last_funding_rate      the symbol is in the file's name

Venues stamp a settlement late and with jitter; its entry is at its nominal time, whatever the source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import ABSENT, Header
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.adapters.venue_names import DEFAULT_VENUE

COLUMNS: Final = ("symbol", "settled_at_ms", "rate")
BINANCE: Final = "binance"
BINANCE_COLUMNS: Final = ("calc_time", "last_funding_rate")

_BINANCE_NAME: Final = re.compile(r"([A-Z0-9_]{1,40})-fundingRate-", re.ASCII)

_Factory = Callable[[int, float, float], LogEntry]


def read_funding(source: Source, header: Header, context: ImportContext, builder: ReportBuilder) -> Iterator[LogEntry]:
    """Entries of a funding CSV."""
    return _read(
        source, header, context, builder, _Columns(header, "symbol", "settled_at_ms", "rate", "interval_hours")
    )


def read_binance(source: Source, header: Header, context: ImportContext, builder: ReportBuilder) -> Iterator[LogEntry]:
    """Entries of a fundingRate CSV of Binance's public archive."""
    columns = _Columns(header, ABSENT, "calc_time", "last_funding_rate", "funding_interval_hours")
    return _read(source, header, context, builder, columns, binance_symbol(source), BINANCE)


def binance_symbol(source: Source) -> str:
    """The symbol in the name of an archive file. Raises ImportRefused when there is none."""
    found = _BINANCE_NAME.match(source.stem)
    if found is None:
        raise ImportRefused(f"{source.name}: the name must begin with SYMBOL-fundingRate-, as Binance publishes it")
    return found[1]


class _Columns:
    """Names and places of the four columns; an absent one has the place just behind the row."""

    def __init__(self, header: Header, symbol: str, at: str, rate: str, hours: str) -> None:
        self.names = symbol, at, rate, hours
        self.symbol, self.at, self.rate, self.hours = map(header.place, self.names)
        self.has_hours = self.hours < header.width


def _read(
    source: Source,
    header: Header,
    context: ImportContext,
    builder: ReportBuilder,
    columns: _Columns,
    fixed_symbol: str = "",
    usual_venue: str = DEFAULT_VENUE,
) -> Iterator[LogEntry]:
    venue = context.venue_or(usual_venue)
    factories: dict[str, _Factory] = {}
    width, i_symbol, i_at, i_rate, i_hours = header.width, columns.symbol, columns.at, columns.rate, columns.hours
    earliest, latest, guard = checks.EARLIEST_MS, context.now_ms + checks.FUTURE_MS, checks.RATE_GUARD
    # An absent column reads `fixed_symbol`: the symbol in the file's name, and where there is none, nothing.
    hours_of = checks.HOURS_OF if columns.has_hours else {fixed_symbol: 0.0}
    report = builder.report
    for chunk in source.lines():
        odd = chunk.odd
        for line_number, line in enumerate(chunk.lines, chunk.first):
            if line_number == 1 or not line or line.isspace():
                continue
            report.rows += 1
            fields = line.split(",")
            try:
                if len(fields) != width or (odd and ("_" in line or '"' in line)):
                    raise ValueError  # noqa: TRY301 - `_read_slowly` decides
                fields.append(fixed_symbol)
                make = factories[fields[i_symbol]]
                at = int(fields[i_at])
                rate = float(fields[i_rate])
                hours = hours_of[fields[i_hours]]
                if not (earliest <= at <= latest and -guard <= rate <= guard):
                    raise ValueError  # noqa: TRY301
            except (ValueError, KeyError):
                try:
                    symbol, at, rate, hours = _read_slowly(line, header, columns, context, venue, fixed_symbol)
                    make = factories.get(symbol) or factories.setdefault(symbol, context.settlements(venue, symbol))
                except RowRefused as refused:
                    builder.reject(line_number, str(refused), line)
                    continue
            yield make(at, rate, hours)


def _read_slowly(
    line: str, header: Header, columns: _Columns, context: ImportContext, venue: str, fixed_symbol: str
) -> tuple[str, int, float, float]:
    """(symbol, settled_at_ms, rate, interval_hours) of a row that the fast path did not accept. Raises RowRefused."""
    fields = header.fields(line)
    symbol = fixed_symbol or checks.symbol(fields[columns.symbol])
    at = checks.time_ms(fields[columns.at], columns.names[1], context.now_ms)
    rate = checks.rate(fields[columns.rate], columns.names[2], context.rate_caps.get((venue, symbol), 0.0))
    hours = checks.interval_hours(fields[columns.hours], columns.names[3]) if columns.has_hours else 0.0
    return symbol, at, rate, hours
