"""Price bars as CSV.

    symbol,open_at_ms,(spot_close),(mark_close),perp_close,(perp_turnover_usdt | perp_volume_coin),(open_interest_coin)

Columns in brackets may be absent, or empty in a row: not observed. A row is stamped with its open; its values are
those at the close, which is where the event is. A volume in coins counts as turnover at the perpetual's close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.call import MS_PER_MINUTE, Call, LogEntry
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import Header

COLUMNS: Final = ("symbol", "open_at_ms", "perp_close")

_NAMES: Final = (
    "symbol", "open_at_ms", "spot_close", "mark_close", "perp_close", "perp_turnover_usdt", "perp_volume_coin",
    "open_interest_coin",
)  # fmt: skip


class _Row(NamedTuple):
    symbol: str
    open_ms: int
    spot: float
    mark: float
    perp: float
    turnover: float
    open_interest: float


class _Pair(NamedTuple):
    length_ms: int
    bar: Callable[[int, float, float, float, float], LogEntry]
    activity: Callable[[int, float, float], LogEntry]


def read_bars(
    source: Source, header: Header, call: Call, tally: Tally, minutes: Mapping[str, int]
) -> Iterator[LogEntry]:
    """Entries of a bars CSV: a bar a row, and with an open interest what was observed beside it."""
    venue = call.venue or "bybit"
    pairs: dict[str, _Pair] = {}
    priced: set[str] = set()
    width = header.width
    i_symbol, i_at, i_spot, i_mark, i_perp, i_turnover, i_volume, i_interest = map(header.place, _NAMES)
    earliest, latest = checks.EARLIEST_MS, call.now_ms + checks.FUTURE_MS
    low, high, most = checks.MIN_PRICE, checks.MAX_PRICE, checks.MAX_AMOUNT
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
                fields.append("")
                symbol = fields[i_symbol]
                length_ms, bar, activity = pairs[symbol]
                close_ms = int(fields[i_at]) + length_ms
                perp = float(fields[i_perp])
                spot = float(text) if (text := fields[i_spot]) else 0.0
                mark = float(mark_text) if (mark_text := fields[i_mark]) else 0.0
                turnover = -1.0
                if volume := fields[i_volume]:
                    coins = float(volume)
                    turnover = coins * perp
                if given := fields[i_turnover]:
                    turnover = float(given)
                interest = float(interest_text) if (interest_text := fields[i_interest]) else -1.0
                if not (
                    earliest + length_ms <= close_ms <= latest
                    and low <= perp <= high
                    and (not text or low <= spot <= high)
                    and (not mark_text or low <= mark <= high)
                    and (not volume or 0.0 <= coins <= most)
                    and (not (given or volume) or 0.0 <= turnover <= most)
                    and (not interest_text or 0.0 <= interest <= most)
                ):
                    raise ValueError  # noqa: TRY301
            except (ValueError, KeyError):
                try:
                    symbol, open_ms, spot, mark, perp, turnover, interest = _careful(line, header, call)
                    pair = pairs.get(symbol) or _new_pair(call, venue, symbol, minutes)
                    close_ms = open_ms + pair.length_ms
                    if close_ms > latest:
                        raise RowRefused("bar is not closed yet")  # noqa: TRY301
                except RowRefused as refused:
                    tally.reject(line_number, str(refused), line)
                    continue
                pairs[symbol] = pair
                bar, activity = pair.bar, pair.activity
            if spot and symbol not in priced:
                priced.add(symbol)
                call.pairs.price(venue, symbol)
            yield bar(close_ms, spot, perp, mark, turnover)
            if interest >= 0.0:
                yield activity(close_ms, -1.0, interest)


def _new_pair(call: Call, venue: str, symbol: str, minutes: Mapping[str, int]) -> _Pair:
    length = call.bar_minutes or minutes.get(symbol)
    if length is None:  # the first pass met every symbol, so there were too many, or the file is another one by now
        raise RowRefused("symbol was not met when the length of the bars was measured")
    return _Pair(length * MS_PER_MINUTE, call.bars(venue, symbol, length), call.activity(venue, symbol, length))


def _careful(line: str, header: Header, call: Call) -> _Row:
    """The values of a row that the quick way did not take."""
    fields = [*header.fields(line), ""]
    symbol, at, spot, mark, perp, turnover, volume, interest = (fields[header.place(name)].strip() for name in _NAMES)
    name = checks.symbol(symbol)
    open_ms = checks.time_ms(at, "open_at_ms", call.now_ms)
    perp_close = checks.price(perp, "perp_close")
    spot_close = checks.price(spot, "spot_close") if spot else 0.0
    mark_close = checks.price(mark, "mark_close") if mark else 0.0
    turned = checks.amount(turnover, "perp_turnover_usdt") if turnover else -1.0
    coins = checks.amount(volume, "perp_volume_coin") if volume else -1.0
    if turned < 0.0 <= coins:
        turned = coins * perp_close
        if turned > checks.MAX_AMOUNT:
            raise RowRefused(f"perp_volume_coin is a turnover beyond {checks.MAX_AMOUNT:g}")
    held = checks.amount(interest, "open_interest_coin") if interest else -1.0
    return _Row(name, open_ms, spot_close, mark_close, perp_close, turned, held)
