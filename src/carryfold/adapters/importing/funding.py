"""Settled funding rates as CSV.

    funding   symbol,settled_at_ms,rate[,interval_hours]
    Binance   calc_time,funding_interval_hours,last_funding_rate      the symbol is in the file's name

Venues stamp a settlement late and with jitter; its entry is at its nominal time, whatever the source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.call import Call, LogEntry
from carryfold.adapters.importing.report import ImportRefused, RowRefused, Tally
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import ABSENT, Header

COLUMNS: Final = ("symbol", "settled_at_ms", "rate")
BINANCE_COLUMNS: Final = ("calc_time", "last_funding_rate")

_BINANCE_NAME: Final = re.compile(r"([A-Z0-9_]{1,40})-fundingRate-", re.ASCII)

_Maker = Callable[[int, float, float], LogEntry]


def read_funding(source: Source, header: Header, call: Call, tally: Tally) -> Iterator[LogEntry]:
    """Entries of a funding CSV."""
    return _read(source, header, call, tally, _Columns(header, "symbol", "settled_at_ms", "rate", "interval_hours"))


def read_binance(source: Source, header: Header, call: Call, tally: Tally) -> Iterator[LogEntry]:
    """Entries of a fundingRate CSV of Binance's public archive."""
    columns = _Columns(header, ABSENT, "calc_time", "last_funding_rate", "funding_interval_hours")
    return _read(source, header, call, tally, columns, binance_symbol(source), "binance")


def binance_symbol(source: Source) -> str:
    """The symbol in the name of an archive file. Raises ImportRefused when there is none."""
    found = _BINANCE_NAME.match(source.stem)
    if found is None:
        raise ImportRefused(f"{source.name}: the name must begin with SYMBOL-fundingRate-, as Binance publishes it")
    return found[1]


class _Columns:
    """Names and places of the four columns; those that are absent sit just behind the row."""

    def __init__(self, header: Header, symbol: str, at: str, rate: str, hours: str) -> None:
        self.names = symbol, at, rate, hours
        self.symbol, self.at, self.rate, self.hours = map(header.place, self.names)
        self.has_hours = self.hours < header.width


def _read(
    source: Source,
    header: Header,
    call: Call,
    tally: Tally,
    columns: _Columns,
    fixed_symbol: str = "",
    own_venue: str = "bybit",
) -> Iterator[LogEntry]:
    venue = call.venue or own_venue
    makers: dict[str, _Maker] = {}
    width, i_symbol, i_at, i_rate, i_hours = header.width, columns.symbol, columns.at, columns.rate, columns.hours
    earliest, latest, guard = checks.EARLIEST_MS, call.now_ms + checks.FUTURE_MS, checks.RATE_GUARD
    # An absent column reads `fixed_symbol`: the symbol in the file's name, and where there is none, nothing.
    hours_of = checks.HOURS_OF if columns.has_hours else {fixed_symbol: 0.0}
    report = tally.report
    for chunk in source.lines():
        odd = chunk.odd
        for line_number, line in enumerate(chunk.lines, chunk.first):
            if line_number == 1 or not line or line.isspace():
                continue
            report.rows += 1
            fields = line.split(",")
            try:
                if len(fields) != width or (odd and ("_" in line or '"' in line)):
                    raise ValueError  # noqa: TRY301 - the careful way decides
                fields.append(fixed_symbol)
                make = makers[fields[i_symbol]]
                at = int(fields[i_at])
                rate = float(fields[i_rate])
                hours = hours_of[fields[i_hours]]
                if not (earliest <= at <= latest and -guard <= rate <= guard):
                    raise ValueError  # noqa: TRY301
            except (ValueError, KeyError):
                try:
                    symbol, at, rate, hours = _careful(line, header, columns, call, venue, fixed_symbol)
                    make = makers.get(symbol) or makers.setdefault(symbol, call.settlements(venue, symbol))
                except RowRefused as refused:
                    tally.reject(line_number, str(refused), line)
                    continue
            yield make(at, rate, hours)


def _careful(
    line: str, header: Header, columns: _Columns, call: Call, venue: str, fixed_symbol: str
) -> tuple[str, int, float, float]:
    """(symbol, settled_at_ms, rate, interval_hours) of a row that the quick way did not take."""
    fields = header.fields(line)
    symbol = fixed_symbol or checks.symbol(fields[columns.symbol])
    at = checks.time_ms(fields[columns.at], columns.names[1], call.now_ms)
    rate = checks.rate(fields[columns.rate], columns.names[2], call.rate_caps.get((venue, symbol), 0.0))
    hours = checks.interval_hours(fields[columns.hours], columns.names[3]) if columns.has_hours else 0.0
    return symbol, at, rate, hours
