"""A recorded market: a home's bars and settlements, played back as if they happened now.

Prices go straight from one recorded close to the next (in logarithms), settlements are the recorded ones, and what a
ticker predicts moves from the resting rate to the one that will be settled. Sizes, volumes and trades are made up:
nobody recorded them. The premium index is mark over index, and does not lead to the rates by the formula. Before its
first bar a pair is not launched; after the last record prices stand still and the last rate is settled again.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from carryfold.adapters.importing.names import spot_of
from carryfold.adapters.simexchange.funding import HOUR_MS, MINUTE_MS, RATE_DECIMALS, first_estimate
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.noise import Floats, Ints
from carryfold.adapters.simexchange.recordings import Recording, read_recordings
from carryfold.adapters.simexchange.source import Settlement

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RecordedMarket", "open_record"]

_DEFAULT_TURNOVER: Final = 1e7
_LEAST_CAP: Final = 0.005
_ORDER_VALUE: Final = 5.0
_LEAD_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class _Pair(NamedTuple):
    """What was recorded of one pair, prices per coin: closes in logarithms by time, and settlements."""

    times_ms: Floats
    spot: Floats
    mark_over_spot: Floats
    perp_over_mark: Floats
    settled_ms: list[int]
    rates: list[float]


class RecordedMarket:
    """Implements Source."""

    def __init__(self, names: list[str], pairs: list[_Pair], instruments: list[Instrument], start_ms: int) -> None:
        """Use `open_record`."""
        self.names = names
        self.instruments = instruments
        self._pairs = pairs
        spans = [(one.times_ms[0], one.times_ms[-1]) for one in pairs]
        first, last = int(min(a for a, _ in spans)), int(max(b for _, b in spans))
        # A start of its own leaves some history behind it and most of the record before it.
        self.start_ms = start_ms or first + min(_LEAD_DAYS * _DAY_MS, (last - first) // 2)

    def spot(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        return np.exp(self._between(pair, first, count, self._pairs[pair].spot))

    def premium(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        premium = self._between(pair, first, count, self._pairs[pair].mark_over_spot) - 1.0
        rounded: Floats = np.round(premium, RATE_DECIMALS)
        return rounded

    def perp_over_mark(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        return self._between(pair, first, count, self._pairs[pair].perp_over_mark)

    def predicted(self, pair: int, minute: int) -> float:
        """See Source."""
        at_ms = minute * MINUTE_MS
        hours, next_ms = self.interval(pair, at_ms)
        resting = first_estimate(hours, self.instruments[pair].cap)
        share = 1.0 - (next_ms - at_ms) / (hours * HOUR_MS)
        return round(resting + (self._rate_at(pair, next_ms) - resting) * share, RATE_DECIMALS)

    def interval(self, pair: int, at_ms: int) -> tuple[int, int]:
        """See Source."""
        times = self._pairs[pair].settled_ms
        place = bisect_right(times, at_ms)
        if 0 < place < len(times):
            hours = max(1, round((times[place] - times[place - 1]) / HOUR_MS))
            return hours, times[place]
        hours = self.instruments[pair].hours
        if place == 0 and times and times[0] - at_ms <= hours * HOUR_MS:
            return hours, times[0]
        return hours, (at_ms // (hours * HOUR_MS) + 1) * hours * HOUR_MS

    def settlements(self, pair: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """See Source."""
        one = self._pairs[pair]
        first, last = bisect_right(one.settled_ms, after_ms), bisect_right(one.settled_ms, until_ms)
        found = list(zip(one.settled_ms[first:last], one.rates[first:last], strict=True))
        if one.settled_ms and until_ms > one.settled_ms[-1]:
            step = self.instruments[pair].hours * HOUR_MS
            begin = (max(after_ms, one.settled_ms[-1]) // step + 1) * step
            found += [(at_ms, one.rates[-1]) for at_ms in range(begin, until_ms + 1, step)]
        return found

    def switch(self, pair: int, at_ms: int, hours: int) -> None:  # noqa: ARG002 - it never does
        """See Source."""
        raise ValueError("a recorded market settles when it did")

    def _rate_at(self, pair: int, at_ms: int) -> float:
        one = self._pairs[pair]
        place = bisect_right(one.settled_ms, at_ms - 1)
        return one.rates[min(place, len(one.rates) - 1)] if one.rates else 0.0

    def _between(self, pair: int, first: int, count: int, values: Floats) -> Floats:
        times = np.arange(first, first + count, dtype=np.float64) * MINUTE_MS
        found: Floats = np.interp(times, self._pairs[pair].times_ms, values)
        return found


def open_record(home: Path, start_ms: int, most: int) -> RecordedMarket:
    """The market in the log of a home: all its pairs, or the `most` of the greatest turnover. Raises ValueError when
    there is nothing to play, and what the log raises."""
    found = []
    for symbol, perp, spot in read_recordings(home):
        if (made := _read(symbol, perp, spot)) is not None:
            found.append((symbol, *made))
    found.sort(key=lambda one: -one[2].daily_turnover)
    found = found[: most or None]
    if not found:
        raise ValueError(f"{home} holds no bars that could be played back")
    for number, (_, _, instrument) in enumerate(found):
        instrument.number = number
    return RecordedMarket([one[0] for one in found], [one[1] for one in found], [one[2] for one in found], start_ms)


def _read(symbol: str, perp: Recording, spot: Recording | None) -> tuple[_Pair, Instrument] | None:
    """Bars of the times that both instruments have; the mark stands for the spot price where there is no spot."""
    coins = spot_of(_listed(symbol))[1]
    times, close, mark = perp.bars()
    close = np.where(close > 0, close, mark) / coins
    mark = np.where(mark > 0, mark / coins, close)
    spot_price = mark
    if spot is not None:
        spot_times, spot_close, _ = spot.bars()
        spot_price = np.zeros(len(times))
        _, ours, theirs = np.intersect1d(times, spot_times, assume_unique=True, return_indices=True)
        spot_price[ours] = spot_close[theirs]
    good = (close > 0) & (mark > 0) & (spot_price > 0)
    if not good.any():
        return None
    times, close, mark, spot_price = times[good], close[good], mark[good], spot_price[good]
    settled = sorted(perp.settled)
    pair = _Pair(
        times.astype(np.float64),
        np.log(spot_price),
        mark / spot_price,
        close / mark,
        settled,
        [perp.settled[at_ms] for at_ms in settled],
    )
    turnover = max(perp.turnover or _DEFAULT_TURNOVER, 1.0)
    price = float(np.median(close))
    return pair, _instrument(symbol, times, pair, price, perp.ended_ms, priced=spot is not None, turnover=turnover)


def _listed(symbol: str) -> str:
    """As the exchange lists it: quoted in USDT."""
    return symbol if symbol.endswith("USDT") else symbol + "USDT"


def _instrument(
    symbol: str, times: Ints, pair: _Pair, price: float, delivery_ms: int, *, priced: bool, turnover: float
) -> Instrument:
    """As it could be listed: steps follow from the price."""
    listed = _listed(symbol)
    spot_symbol, coins = spot_of(listed)
    multiplier = int(coins)
    digits = len(str(multiplier)) - 1
    magnitude = int(np.floor(np.log10(price)))
    hours = 8
    if len(pair.settled_ms) > 1:
        hours = max(1, round(float(np.median(np.diff(pair.settled_ms[-100:]))) / HOUR_MS))
    most = max((abs(rate) for rate in pair.rates), default=0.0)
    cap = float(Decimal(str(max(most, _LEAST_CAP))).quantize(Decimal("0.00001"), rounding="ROUND_UP"))
    return Instrument(
        number=0,
        symbol=listed,
        coin=listed.removesuffix("USDT"),
        spot_symbol=spot_symbol if priced else "",
        spot_coin=spot_symbol.removesuffix("USDT"),
        multiplier=multiplier,
        decimals=max(0, 5 - magnitude - digits),
        spot_decimals=max(0, 5 - magnitude),
        qty_decimals=-int(np.floor(np.log10(_ORDER_VALUE / price))) + digits,
        cap=cap,
        hours=hours,
        daily_turnover=turnover,
        launch_ms=int(times[0]),
        delivery_ms=delivery_ms,
        major=symbol in ("BTCUSDT", "ETHUSDT", "BTC", "ETH"),
    )
