"""Klines of spot, perpetual and mark come in files of their own.

A spot kline is a bar of its instrument at once. A perpetual's kline and the mark kline of the same hour belong to one
bar, so both are held back until the end of the import. A bar without its counterpart is made without it, and values of
a later import are added to it in the log (marketdata/writer.py). No file depends on another.

A candle that was not closed when the venue answered, or is not closed now, is not a bar.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.spacing import HINT, MAX_MINUTES, commonest
from carryfold.adapters.marketdata.checks import FUTURE_MS, RowRefused
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE, LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.domain.instruments import Instrument

KlineKind = Literal["spot", "perp", "mark"]


class Candle(NamedTuple):
    """The fields of a kline that are used. `turnover` in quote, -1: unknown; `row` is its place in its file."""

    open_ms: int
    close: float
    turnover: float
    row: int


class _Response(NamedTuple):
    """Candles of one kind that came together."""

    venue: str
    symbol: str
    kind: KlineKind
    candles: Sequence[Candle]
    builder: ReportBuilder
    answered_ms: int  # 0: unknown

    @property
    def instrument(self) -> Instrument:
        return Instrument(self.venue, self.symbol, "spot" if self.kind == "spot" else "perp")


class _Perp:
    """Candles of one perpetual and of its mark, of one length, in columns."""

    def __init__(self) -> None:
        self.open, self.close, self.turnover = array("q"), array("d"), array("d")
        self.mark_open, self.mark = array("q"), array("d")

    def add(self, kind: KlineKind, candle: Candle) -> None:
        if kind == "mark":
            self.mark_open.append(candle.open_ms)
            self.mark.append(candle.close)
        else:
            self.open.append(candle.open_ms)
            self.close.append(candle.close)
            self.turnover.append(candle.turnover)

    def joined(self) -> Iterator[tuple[int, float, float, float]]:
        """(open_ms, close or 0, mark or 0, turnover or -1) of every bar, ascending; then the marks without a bar.
        Duplicates are kept, because the log handles them."""
        opens, close, turnover = np.array(self.open, np.int64), np.array(self.close), np.array(self.turnover)
        order = np.argsort(opens, kind="stable")
        opens, close, turnover = opens[order], close[order], turnover[order]
        mark_open, mark = np.array(self.mark_open, np.int64), np.array(self.mark)
        known, first = np.unique(mark_open, return_index=True)
        place = np.searchsorted(known, opens)
        marks = np.append(mark[first], 0.0)[np.where(np.isin(opens, known), place, len(known))]
        yield from zip(opens.tolist(), close.tolist(), marks.tolist(), turnover.tolist(), strict=True)
        alone = np.ones(len(mark), np.bool_)
        alone[first[np.isin(known, opens)]] = False
        for open_ms, value in zip(mark_open[alone].tolist(), mark[alone].tolist(), strict=True):
            yield open_ms, 0.0, value, -1.0


class KlineStage:
    """The klines of one import. Memory: 24 bytes for a candle of a perpetual, 16 for one of a mark."""

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._factories: dict[tuple[Instrument, int], Callable[[int, float, float, float], LogEntry]] = {}
        self._perps: dict[tuple[Instrument, int], _Perp] = {}
        self._undated: list[_Response] = []
        self._lengths: dict[tuple[str, str], set[int]] = {}

    def take(
        self,
        venue: str,
        symbol: str,
        kind: KlineKind,
        candles: Sequence[Candle],
        builder: ReportBuilder,
        *,
        answered_ms: int = 0,
        minutes: int = 0,
    ) -> Iterator[LogEntry]:
        """Bars of the spot candles of one response. Other candles are held back for `join`, and so are those of unknown
        length. Without `minutes` the length is the commonest spacing."""
        response = _Response(venue, symbol, kind, candles, builder, answered_ms)
        length = minutes or _length_of(candles)
        if length:
            self._lengths.setdefault((venue, symbol), set()).add(length)
            yield from self._take(response, length)
        elif candles:
            self._undated.append(response)

    def join(self) -> Iterator[LogEntry]:
        """The bars of all candles that were held back."""
        for response in self._undated:
            yield from self._date(response)
        for (name, minutes), perp in sorted(self._perps.items(), key=lambda item: item[0]):
            make = self._factories[name, minutes]
            for open_ms, close, mark, turnover in perp.joined():
                yield make(open_ms + minutes * MS_PER_MINUTE, close, mark, turnover)

    @property
    def is_empty(self) -> bool:
        """Nothing is held back."""
        return not self._perps and not self._undated

    def _date(self, response: _Response) -> Iterator[LogEntry]:
        """A response too short to tell its length, which is the one of the option, else that of the symbol's others
        when these agree."""
        lengths = self._lengths.get((response.venue, response.symbol), set())
        minutes = self._context.bar_minutes or (next(iter(lengths)) if len(lengths) == 1 else 0)
        if minutes:
            yield from self._take(response, minutes)
        else:
            _reject(response.builder, response.candles, f"length of a lone kline cannot be told: {HINT}")

    def _take(self, response: _Response, minutes: int) -> Iterator[LogEntry]:
        length = minutes * MS_PER_MINUTE
        # A candle that was open when the venue answered is unfinished, however old the file is by now.
        latest = (
            min(self._context.now_ms + FUTURE_MS, response.answered_ms or self._context.now_ms + FUTURE_MS) - length
        )
        _reject(response.builder, [one for one in response.candles if one.open_ms > latest], "bar is not closed yet")
        finished = [one for one in response.candles if one.open_ms <= latest]
        if not finished:
            return
        key = response.instrument, minutes
        try:
            make = self._factories.get(key) or self._factories.setdefault(key, self._context.bars(*key))
        except RowRefused as refused:
            _reject(response.builder, finished, str(refused))
            return
        if response.kind == "spot":
            for candle in finished:
                yield make(candle.open_ms + length, candle.close, 0.0, candle.turnover)
            return
        perp = self._perps.setdefault(key, _Perp())
        for candle in finished:
            perp.add(response.kind, candle)


def _reject(builder: ReportBuilder, candles: Sequence[Candle], reason: str) -> None:
    for candle in candles:
        builder.reject(candle.row, reason, f"open {candle.open_ms}")


def _length_of(candles: Sequence[Candle]) -> int:
    """Minutes; 0 when they are unknown."""
    opens = np.unique(np.array([candle.open_ms for candle in candles], np.int64))
    length = commonest(np.diff(opens)) or 0
    known = length % MS_PER_MINUTE == 0 and length <= MAX_MINUTES * MS_PER_MINUTE
    return length // MS_PER_MINUTE if known else 0
