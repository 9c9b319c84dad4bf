"""Price bars as CSV.

    symbol,open_at_ms,(spot_close),(mark_close),(perp_close),(perp_turnover_usdt | perp_volume_coin),
    (open_interest_coin)

The symbol is that of the perpetual; the spot close is one of its spot market, which is an instrument of its own.
Prices, volumes and open interest are the venue's own, in units of the instrument. Columns in brackets may be absent,
or empty in a row, which means not observed; a row has at least one close. A row is stamped with its open; its values
and its events are at the close. A volume counts as turnover at the perpetual's close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import Header
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE, LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.domain.instruments import Instrument
from carryfold.domain.symbols import read_symbol

COLUMNS: Final = ("symbol", "open_at_ms")
CLOSES: Final = ("spot_close", "mark_close", "perp_close")

_NAMES: Final = (
    "symbol", "open_at_ms", "spot_close", "mark_close", "perp_close", "perp_turnover_usdt", "perp_volume_coin",
    "open_interest_coin",
)  # fmt: skip

_Bar = Callable[[int, float, float, float], LogEntry]
_OfPerp = tuple[_Bar, Callable[[int, float], LogEntry]]


class _Row(NamedTuple):
    symbol: str
    open_ms: int
    spot: float
    mark: float
    perp: float
    turnover: float
    open_interest: float

    @property
    def is_of_perp(self) -> bool:
        return self.perp > 0.0 or self.mark > 0.0 or self.turnover >= 0.0 or self.open_interest >= 0.0


class _EntryFactories:
    """The factories of entries, by the symbol in the rows."""

    def __init__(self, context: ImportContext, minutes: Mapping[str, int]) -> None:
        self._context = context
        self._venue = context.venue_or()
        self._minutes = minutes
        self.lengths_ms: dict[str, int] = {}
        self.spots: dict[str, _Bar] = {}
        self.perps: dict[str, _OfPerp] = {}

    def length_ms(self, symbol: str) -> int:
        """Length of this symbol's bars."""
        if symbol not in self.lengths_ms:
            length = self._context.bar_minutes or self._minutes.get(symbol)
            if length is None:  # the first pass saw every symbol: there were too many, or the file has changed since
                raise RowRefused("symbol was not met when the length of the bars was measured")
            self.lengths_ms[symbol] = length * MS_PER_MINUTE
        return self.lengths_ms[symbol]

    def spot(self, symbol: str) -> _Bar:
        """The factory of bars of a perpetual's spot market."""
        if symbol not in self.spots:
            name = Instrument(self._venue, read_symbol(self._venue, symbol).spot_symbol, "spot")
            self.spots[symbol] = self._context.bars(name, self.length_ms(symbol) // MS_PER_MINUTE)
        return self.spots[symbol]

    def perp(self, symbol: str) -> _OfPerp:
        """The factories of bars and open interests of a perpetual."""
        if symbol not in self.perps:
            name = Instrument(self._venue, symbol, "perp")
            minutes = self.length_ms(symbol) // MS_PER_MINUTE
            self.perps[symbol] = self._context.bars(name, minutes), self._context.open_interests(name, minutes)
        return self.perps[symbol]


def read_bars(
    source: Source, header: Header, context: ImportContext, builder: ReportBuilder, minutes: Mapping[str, int]
) -> Iterator[LogEntry]:
    """Entries of a bars CSV: a bar of the perpetual, one of its spot market, and its open interest, as a row has
    them."""
    factories = _EntryFactories(context, minutes)
    lengths, spots, perps = factories.lengths_ms, factories.spots, factories.perps
    width = header.width
    i_symbol, i_at, i_spot, i_mark, i_perp, i_turnover, i_volume, i_interest = map(header.place, _NAMES)
    earliest, latest = checks.EARLIEST_MS, context.now_ms + checks.FUTURE_MS
    low, high, most = checks.MIN_PRICE, checks.MAX_PRICE, checks.MAX_AMOUNT
    report = builder.report
    for chunk in source.lines():
        odd = chunk.odd
        for line_number, line in enumerate(chunk.lines, chunk.first):
            if line_number == 1 or not line or line.isspace():
                continue
            report.rows += 1
            fields = line.split(",")
            of_spot: _Bar | None = None
            of_perp: _OfPerp | None = None
            try:
                if len(fields) != width or (odd and ("_" in line or '"' in line)):
                    raise ValueError  # noqa: TRY301 - `_read_slowly` decides
                fields.append("")
                symbol = fields[i_symbol]
                length_ms = lengths[symbol]
                close_ms = int(fields[i_at]) + length_ms
                perp = float(perp_text) if (perp_text := fields[i_perp]) else 0.0
                mark = float(mark_text) if (mark_text := fields[i_mark]) else 0.0
                turnover = -1.0
                if volume := fields[i_volume]:
                    coins = float(volume)
                    turnover = coins * perp
                if given := fields[i_turnover]:
                    turnover = float(given)
                interest = float(interest_text) if (interest_text := fields[i_interest]) else -1.0
                if spot_text := fields[i_spot]:
                    spot = float(spot_text)
                    of_spot = spots[symbol]
                if perp_text or mark_text or given or interest_text:
                    of_perp = perps[symbol]
                if not (
                    earliest + length_ms <= close_ms <= latest
                    and (perp_text or ((spot_text or mark_text) and not volume))
                    and (not perp_text or low <= perp <= high)
                    and (not spot_text or low <= spot <= high)
                    and (not mark_text or low <= mark <= high)
                    and (not volume or 0.0 <= coins <= most)
                    and (not (given or volume) or 0.0 <= turnover <= most)
                    and (not interest_text or 0.0 <= interest <= most)
                ):
                    raise ValueError  # noqa: TRY301
            except (ValueError, KeyError):
                try:
                    row = _read_slowly(line, header, context)
                    symbol, open_ms, spot, mark, perp, turnover, interest = row
                    close_ms = open_ms + factories.length_ms(symbol)
                    if close_ms > latest:
                        raise RowRefused("bar is not closed yet")  # noqa: TRY301
                    of_spot = factories.spot(symbol) if spot else None
                    of_perp = factories.perp(symbol) if row.is_of_perp else None
                except RowRefused as refused:
                    builder.reject(line_number, str(refused), line)
                    continue
            if of_perp is not None:
                bar, held = of_perp
                if perp or mark or turnover >= 0.0:
                    yield bar(close_ms, perp, mark, turnover)
                if interest >= 0.0:
                    yield held(close_ms, interest)
            if of_spot is not None:
                yield of_spot(close_ms, spot, 0.0, -1.0)


def _read_slowly(line: str, header: Header, context: ImportContext) -> _Row:
    """The values of a row that the fast path did not accept. Raises RowRefused."""
    fields = [*header.fields(line), ""]
    symbol, at, spot, mark, perp, turnover, volume, interest = (fields[header.place(name)].strip() for name in _NAMES)
    name = checks.symbol(symbol)
    open_ms = checks.time_ms(at, "open_at_ms", context.now_ms)
    perp_close = checks.price(perp, "perp_close") if perp else 0.0
    spot_close = checks.price(spot, "spot_close") if spot else 0.0
    mark_close = checks.price(mark, "mark_close") if mark else 0.0
    if not (perp or spot or mark):
        raise RowRefused("closes are all empty")
    turned = checks.amount(turnover, "perp_turnover_usdt") if turnover else -1.0
    coins = checks.amount(volume, "perp_volume_coin") if volume else -1.0
    if turned < 0.0 <= coins:
        if not perp:
            raise RowRefused("perp_volume_coin stands beside no perp_close")
        turned = coins * perp_close
        if turned > checks.MAX_AMOUNT:
            raise RowRefused(f"perp_volume_coin is a turnover beyond {checks.MAX_AMOUNT:g}")
    held = checks.amount(interest, "open_interest_coin") if interest else -1.0
    return _Row(name, open_ms, spot_close, mark_close, perp_close, turned, held)
