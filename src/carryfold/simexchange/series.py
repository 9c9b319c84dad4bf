"""Prices between the minutes, and candles over them.

Within a minute, a price is a straight line from one close to the next plus one period of a sine, whose size is drawn
for the pair and the minute. The highest and lowest price of any candle are therefore known exactly, without sampling,
and agree with the streamed prices. Volumes are drawn by the minute.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np

from carryfold.simexchange.funding import MINUTE_MS
from carryfold.simexchange.seeded_random import Floats, Ints, stream_of, uniforms
from carryfold.simexchange.source import MarketSource

__all__ = ["Candles", "Kind", "Series"]

Kind = Literal["spot", "perp", "mark", "index", "premium"]

_SWING: Final = 4e-4
_SPOT_SHARE: Final = 0.3  # of the perpetual's turnover
_SWINGS, _VOLUMES = range(2)


class Candles(NamedTuple):
    """Candles as columns, oldest first. `volume` (coins) and `turnover` (quote) are defined for spot and perp only."""

    start_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    turnover: Floats


class Series:
    """All price series of a source, at any moment."""

    def __init__(self, source: MarketSource, seed: int) -> None:
        self._source = source
        self._seed = seed

    def closes(self, number: int, kind: Kind, first: int, count: int) -> Floats:
        """Prices at minutes first, first + 1, ..."""
        source = self._source
        if kind == "spot":
            return source.spot(number, first, count)
        if kind == "premium":
            return source.premium(number, first, count)
        index = source.spot(number, first, count) * source.pairs[number].multiplier
        if kind == "index":
            return index
        mark = index * (1.0 + source.premium(number, first, count))
        return mark if kind == "mark" else mark * source.perp_over_mark(number, first, count)

    def swings(self, number: int, first: int, count: int) -> Floats:
        """Signed size of the sine in the minutes that begin at first, first + 1, ..., as a fraction of the price."""
        return _SWING * (self._drawn(_SWINGS, number, first, count) - 0.5)

    def prices(self, number: int, kind: Kind, times_ms: Ints) -> Floats:
        """Prices at the given moments."""
        minutes = times_ms // MINUTE_MS
        first = int(minutes.min())
        count = int(minutes.max()) - first + 1
        closes, swings = self.closes(number, kind, first, count + 1), self.swings(number, first, count)
        place = minutes - first
        part = (times_ms - minutes * MINUTE_MS) / MINUTE_MS
        opened = closes[place]
        swing = 0.0 if kind == "premium" else swings[place] * opened * np.sin(2 * np.pi * part)
        result: Floats = opened + (closes[place + 1] - opened) * part + swing
        return result

    def turnovers(self, number: int, kind: Kind, first: int, count: int) -> Floats:
        """Quote turnover of the minutes that begin at first, first + 1, ..."""
        daily = self._source.pairs[number].daily_turnover * (_SPOT_SHARE if kind == "spot" else 1.0)
        result: Floats = daily / 1_440 * (0.2 + 1.6 * self._drawn(_VOLUMES, number, first, count))
        return result

    def candles(self, number: int, kind: Kind, starts: Ints, now_ms: int) -> Candles:
        """Candles up to now_ms that begin at `starts`: ascending minutes, whose last entry is the end of the last
        candle."""
        last = min(int(starts[-1]), now_ms // MINUTE_MS + (now_ms % MINUTE_MS > 0))
        first = int(starts[0])
        opens, highs, lows, closes, turnovers = self._minutes(number, kind, first, last - first, now_ms)
        at = starts[:-1] - first
        at = at[at < last - first]
        ends = np.append(at[1:], last - first) - 1
        volumes = turnovers / np.where(closes > 0, closes, 1.0)
        return Candles(
            (first + at) * MINUTE_MS,
            opens[at],
            np.maximum.reduceat(highs, at),
            np.minimum.reduceat(lows, at),
            closes[ends],
            np.add.reduceat(volumes, at),
            np.add.reduceat(turnovers, at),
        )

    def _minutes(
        self, number: int, kind: Kind, first: int, count: int, now_ms: int
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """(open, high, low, close, turnover) of consecutive minutes; the last one may still be running."""
        values = self.closes(number, kind, first, count + 1)
        opens, closes = values[:-1], values[1:].copy()
        swings = np.zeros(count) if kind == "premium" else self.swings(number, first, count) * opens
        turnovers = self.turnovers(number, kind, first, count)
        part = np.ones(count)
        ended = closes.copy()
        if (first + count) * MINUTE_MS > now_ms:
            part[-1] = (now_ms - (first + count - 1) * MINUTE_MS) / MINUTE_MS
            turnovers = np.append(turnovers[:-1], turnovers[-1] * part[-1])
            ended[-1] = opens[-1] + (closes[-1] - opens[-1]) * part[-1] + swings[-1] * np.sin(2 * np.pi * part[-1])
        move = closes - opens
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = np.where(np.abs(move) < np.abs(2 * np.pi * swings), -move / (2 * np.pi * swings), 1.0)
        where = np.arccos(turn) / (2 * np.pi)
        high, low = np.maximum(opens, ended), np.minimum(opens, ended)
        for at in (where, 1.0 - where):
            value = opens + move * at + swings * np.sin(2 * np.pi * at)
            value = np.where(at < part, value, opens)
            high, low = np.maximum(high, value), np.minimum(low, value)
        return opens, high, low, ended, turnovers

    def _drawn(self, what: int, number: int, first: int, count: int) -> Floats:
        return uniforms(stream_of(self._seed, what, number), np.arange(first, first + count))
