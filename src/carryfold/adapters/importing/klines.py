"""Klines of spot, perpetual and mark come in files of their own; a bar holds all three. Here they are joined.

The log keeps the first bar it gets, so a bar must never be appended half: an import that brought the perpetual today
and the spot tomorrow would end in another log than one that brought both. Hence one rule: klines are gathered until
the end of the call, and a bar is made only where every kind of kline that the call has for its pair has a candle,
perp always and spot too (unless the call is told to do without). Candles that find no partner are rejected with that
hint, and nothing of them is kept; importing all files of the pair together is always right, in any order and
splitting.

A candle that was not closed when the venue answered, or is not closed now, is not a bar.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from carryfold.adapters.importing.call import MS_PER_MINUTE, Call, LogEntry
from carryfold.adapters.importing.checks import FUTURE_MS
from carryfold.adapters.importing.names import spot_of
from carryfold.adapters.importing.report import Tally
from carryfold.adapters.importing.spacing import HINT, MAX_MINUTES, commonest

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class Candle(NamedTuple):
    """What is used of one kline. `turnover` is in quote, -1 unknown; `row` is its place in its file."""

    open_ms: int
    close: float
    turnover: float
    row: int


class _Leg:
    """Candles of one kind, pair and length, as columns."""

    def __init__(self) -> None:
        self.open, self.answered, self.file, self.row = array("q"), array("q"), array("q"), array("q")
        self.close, self.turnover = array("d"), array("d")

    def add(self, candle: Candle, file: int, answered_ms: int) -> None:
        self.open.append(candle.open_ms)
        self.close.append(candle.close)
        self.turnover.append(candle.turnover)
        self.answered.append(answered_ms)
        self.file.append(file)
        self.row.append(candle.row)


class _Clean(NamedTuple):
    """A leg in the order of its opens, each once."""

    open: _Ints
    close: _Floats
    turnover: _Floats
    file: _Ints
    row: _Ints

    def at(self, chosen: npt.NDArray[np.bool_] | _Ints) -> _Clean:
        return _Clean(self.open[chosen], self.close[chosen], self.turnover[chosen], self.file[chosen], self.row[chosen])


class KlineStage:
    """The klines of one call. Memory: 48 bytes a candle."""

    def __init__(self) -> None:
        self._legs: dict[tuple[str, str, int], dict[str, _Leg]] = {}
        self._undated: list[tuple[str, str, str, Candle, int, int]] = []
        self._tallies: list[Tally] = []
        self.candles = 0

    def add(
        self,
        venue: str,
        symbol: str,
        kind: str,
        candles: list[Candle],
        tally: Tally,
        *,
        answered_ms: int = 0,
        minutes: int = 0,
    ) -> None:
        """Candles of one response. Without `minutes` their length is their commonest spacing."""
        if not self._tallies or self._tallies[-1] is not tally:
            self._tallies.append(tally)
        file = len(self._tallies) - 1
        self.candles += len(candles)
        answered = answered_ms or np.iinfo(np.int64).max
        length = minutes or _length_of(candles)
        for candle in candles:
            if length:
                self._put(venue, symbol, length, kind, candle, file, answered)
            else:
                self._undated.append((venue, symbol, kind, candle, file, answered))

    def join(self, call: Call, *, spot_needed: bool) -> Iterator[LogEntry]:
        """The bars, and the turnover of their spot legs. Rejects in the tallies of the files whatever finds no
        partner."""
        self._date_the_undated(call)
        for venue, symbol, minutes in sorted(self._legs):
            legs = self._legs[venue, symbol, minutes]
            if "perp" not in legs and "mark" not in legs:
                continue  # a spot alone: looked at from its perpetual, or rejected at the end
            spot_symbol, multiplier = spot_of(symbol)
            spot_legs = self._legs.get((venue, spot_symbol, minutes), {})
            given = {kind: leg for kind, leg in legs.items() if kind != "spot"}
            if "spot" in spot_legs:
                given["spot"] = spot_legs["spot"]
            wanted = {*given, "perp", *(("spot",) if spot_needed and not call.without_spot else ())}
            clean = {kind: self._clean(leg, minutes, call) for kind, leg in sorted(given.items())}
            joined = self._joined(clean, wanted)
            if joined is not None:
                yield from _bars(call, venue, symbol, minutes, multiplier, joined)
        self._reject_lone_spots(call)

    def _put(self, venue: str, symbol: str, minutes: int, kind: str, candle: Candle, file: int, answered: int) -> None:
        legs = self._legs.setdefault((venue, symbol, minutes), {})
        legs.setdefault(kind, _Leg()).add(candle, file, answered)

    def _date_the_undated(self, call: Call) -> None:
        """Responses of a single candle: by option, or as long as the pair's others when these agree."""
        for venue, symbol, kind, candle, file, answered in self._undated:
            lengths = {minutes for of_venue, name, minutes in self._legs if (of_venue, name) == (venue, symbol)}
            minutes = call.bar_minutes or (lengths.pop() if len(lengths) == 1 else 0)
            if minutes:
                self._put(venue, symbol, minutes, kind, candle, file, answered)
            else:
                self._tallies[file].reject(candle.row, f"length of a lone kline cannot be told: {HINT}")
        self._undated = []

    def _clean(self, leg: _Leg, minutes: int, call: Call) -> _Clean:
        """Finished candles in order; of several for one open the first file's, the others rejected where they
        differ."""
        opens, answered = np.array(leg.open, np.int64), np.array(leg.answered, np.int64)
        columns = _Clean(
            opens,
            np.array(leg.close),
            np.array(leg.turnover),
            np.array(leg.file, np.int64),
            np.array(leg.row, np.int64),
        )
        # The venue's answer is a witness of its own: a candle open then is unfinished, however old the file is by now.
        finished = opens + minutes * MS_PER_MINUTE <= np.minimum(answered, call.now_ms + FUTURE_MS)
        self._reject(columns.at(~finished), "bar is not closed yet")
        columns = columns.at(finished)
        columns = columns.at(np.lexsort((columns.row, columns.file, columns.open)))
        again = np.zeros(len(columns.open), np.bool_)
        again[1:] = columns.open[1:] == columns.open[:-1]
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))
        differs = (columns.close != columns.close[first]) | (columns.turnover != columns.turnover[first])
        self._reject(columns.at(again & differs), "another kline of the same bar has other values")
        return columns.at(~again)

    def _joined(self, clean: Mapping[str, _Clean], wanted: Iterable[str]) -> dict[str, _Clean] | None:
        missing = sorted(set(wanted) - set(clean))
        if missing:
            for leg in clean.values():
                self._reject(leg, _no_partner(missing[0]))
            return None
        common = clean["perp"].open
        for leg in clean.values():
            common = np.intersect1d(common, leg.open, assume_unique=True)
        for leg in clean.values():
            alone = ~np.isin(leg.open, common, assume_unique=True)
            if alone.any():
                for kind in sorted(wanted):
                    lacks = alone & ~np.isin(leg.open, clean[kind].open, assume_unique=True)
                    self._reject(leg.at(lacks), _no_partner(kind))
                    alone &= ~lacks
        return {kind: leg.at(np.isin(leg.open, common, assume_unique=True)) for kind, leg in clean.items()}

    def _reject_lone_spots(self, call: Call) -> None:
        used = {
            (venue, spot_of(symbol)[0], minutes)
            for (venue, symbol, minutes), legs in self._legs.items()
            if "perp" in legs or "mark" in legs
        }
        for key in sorted(self._legs):
            if key not in used and "spot" in self._legs[key]:
                self._reject(self._clean(self._legs[key]["spot"], key[2], call), _no_partner("perp"))

    def _reject(self, leg: _Clean, reason: str) -> None:
        for file, row, at in zip(leg.file.tolist(), leg.row.tolist(), leg.open.tolist(), strict=True):
            self._tallies[file].reject(row, reason, f"open {at}")


def _no_partner(kind: str) -> str:
    return f"no {kind} kline for this bar: import all klines of a pair together"


def _length_of(candles: list[Candle]) -> int:
    """Minutes, or 0 when they cannot be told."""
    opens = np.unique(np.array([candle.open_ms for candle in candles], np.int64))
    length = commonest(np.diff(opens)) or 0
    known = length % MS_PER_MINUTE == 0 and length <= MAX_MINUTES * MS_PER_MINUTE
    return length // MS_PER_MINUTE if known else 0


def _bars(
    call: Call, venue: str, symbol: str, minutes: int, multiplier: float, legs: Mapping[str, _Clean]
) -> Iterator[LogEntry]:
    """Prices are per coin of the spot leg: those of 1000PEPEUSDT are divided by 1000."""
    perp = legs["perp"]
    if not len(perp.open):
        return
    bar, activity = call.bars(venue, symbol, minutes), call.activity(venue, symbol, minutes)
    nothing = [0.0] * len(perp.open)
    spots, turnovers = nothing, nothing
    if "spot" in legs:
        call.pairs.price(venue, symbol)
        spots, turnovers = legs["spot"].close.tolist(), legs["spot"].turnover.tolist()
    marks = (legs["mark"].close / multiplier).tolist() if "mark" in legs else nothing
    closes = (perp.open + minutes * MS_PER_MINUTE).tolist()
    perps = (perp.close / multiplier).tolist()
    for at, spot, own, mark, turned, spot_turned in zip(
        closes, spots, perps, marks, perp.turnover.tolist(), turnovers, strict=True
    ):
        yield bar(at, spot, own, mark, turned)
        if spot and spot_turned >= 0.0:
            yield activity(at, spot_turned, -1.0)
