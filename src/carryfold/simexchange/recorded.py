"""A recorded market: the bars and settlements in a home's log, replayed as if they happened now.

Prices are interpolated between recorded closes (in logarithms). Settlements are the recorded ones. The predicted rate
moves linearly from the resting rate to the rate of the next settlement. Sizes, volumes and trades are generated, since
they were not recorded. The premium index is mark over index; the rates do not follow from it by the formula. A pair is
not launched before its first bar. After the last record, prices stand still and the last rate is settled again.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from carryfold.domain.symbols import spot_of
from carryfold.simexchange.funding import HOUR_MS, MINUTE_MS, RATE_DECIMALS, first_estimate
from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.recordings import Recording, read_recordings
from carryfold.simexchange.seeded_random import Floats, Ints
from carryfold.simexchange.source import Settlement

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RecordedMarket", "open_record"]

_DEFAULT_TURNOVER: Final = 1e7
_MIN_CAP: Final = 0.005
_ORDER_VALUE: Final = 5.0
_LEAD_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class _Record(NamedTuple):
    """The record of one pair: log spot prices and price ratios by time, and settlements. Prices are per coin."""

    times_ms: Floats
    spot: Floats
    mark_over_spot: Floats
    perp_over_mark: Floats
    settled_ms: list[int]
    rates: list[float]


class RecordedMarket:
    """Implements MarketSource."""

    def __init__(self, names: list[str], records: list[_Record], pairs: list[ListedPair], start_ms: int) -> None:
        """Use `open_record`."""
        self.names = names
        self.pairs = pairs
        self._records = records
        spans = [(record.times_ms[0], record.times_ms[-1]) for record in records]
        first, last = int(min(a for a, _ in spans)), int(max(b for _, b in spans))
        # The default start leaves some history before it and most of the record after it.
        self.start_ms = start_ms or first + min(_LEAD_DAYS * _DAY_MS, (last - first) // 2)

    def spot(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        return np.exp(self._interpolated(number, first, count, self._records[number].spot))

    def premium(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        premium = self._interpolated(number, first, count, self._records[number].mark_over_spot) - 1.0
        rounded: Floats = np.round(premium, RATE_DECIMALS)
        return rounded

    def perp_over_mark(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        return self._interpolated(number, first, count, self._records[number].perp_over_mark)

    def predicted(self, number: int, minute: int) -> float:
        """See MarketSource."""
        at_ms = minute * MINUTE_MS
        hours, next_ms = self.interval(number, at_ms)
        resting = first_estimate(hours, self.pairs[number].cap)
        share = 1.0 - (next_ms - at_ms) / (hours * HOUR_MS)
        return round(resting + (self._rate_at(number, next_ms) - resting) * share, RATE_DECIMALS)

    def interval(self, number: int, at_ms: int) -> tuple[int, int]:
        """See MarketSource."""
        times = self._records[number].settled_ms
        index = bisect_right(times, at_ms)
        if 0 < index < len(times):
            hours = max(1, round((times[index] - times[index - 1]) / HOUR_MS))
            return hours, times[index]
        hours = self.pairs[number].hours
        if index == 0 and times and times[0] - at_ms <= hours * HOUR_MS:
            return hours, times[0]
        return hours, (at_ms // (hours * HOUR_MS) + 1) * hours * HOUR_MS

    def settlements(self, number: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """See MarketSource."""
        record = self._records[number]
        first, last = bisect_right(record.settled_ms, after_ms), bisect_right(record.settled_ms, until_ms)
        found = list(zip(record.settled_ms[first:last], record.rates[first:last], strict=True))
        if record.settled_ms and until_ms > record.settled_ms[-1]:
            step = self.pairs[number].hours * HOUR_MS
            begin = (max(after_ms, record.settled_ms[-1]) // step + 1) * step
            found += [(at_ms, record.rates[-1]) for at_ms in range(begin, until_ms + 1, step)]
        return found

    def switch(self, number: int, at_ms: int, hours: int) -> None:  # noqa: ARG002 - it always raises
        """See MarketSource."""
        raise ValueError("the settlement interval of a recorded market cannot be changed")

    def _rate_at(self, number: int, at_ms: int) -> float:
        record = self._records[number]
        index = bisect_right(record.settled_ms, at_ms - 1)
        return record.rates[min(index, len(record.rates) - 1)] if record.rates else 0.0

    def _interpolated(self, number: int, first: int, count: int, values: Floats) -> Floats:
        times = np.arange(first, first + count, dtype=np.float64) * MINUTE_MS
        found: Floats = np.interp(times, self._records[number].times_ms, values)
        return found


def open_record(home: Path, start_ms: int, max_pairs: int) -> RecordedMarket:
    """The market in the log of a home, limited to the `max_pairs` pairs with the greatest turnover; 0 means all pairs.

    Raises ValueError when the log holds no bars, and the errors of the log.
    """
    found = []
    for symbol, perp, spot in read_recordings(home):
        if (found_pair := _read(symbol, perp, spot)) is not None:
            found.append((symbol, *found_pair))
    found.sort(key=lambda item: -item[2].daily_turnover)
    found = found[: max_pairs or None]
    if not found:
        raise ValueError(f"{home} holds no bars to replay")
    for number, (_, _, pair) in enumerate(found):
        pair.number = number
    return RecordedMarket(
        [item[0] for item in found], [item[1] for item in found], [item[2] for item in found], start_ms
    )


def _read(symbol: str, perp: Recording, spot: Recording | None) -> tuple[_Record, ListedPair] | None:
    """The record at the times when both instruments have bars. Without spot, the mark replaces the spot price."""
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
    complete = (close > 0) & (mark > 0) & (spot_price > 0)
    if not complete.any():
        return None
    times, close, mark, spot_price = times[complete], close[complete], mark[complete], spot_price[complete]
    settled = sorted(perp.settled)
    record = _Record(
        times.astype(np.float64),
        np.log(spot_price),
        mark / spot_price,
        close / mark,
        settled,
        [perp.settled[at_ms] for at_ms in settled],
    )
    turnover = max(perp.turnover or _DEFAULT_TURNOVER, 1.0)
    price = float(np.median(close))
    return record, _listed_pair(symbol, times, record, price, perp.ended_ms, priced=spot is not None, turnover=turnover)


def _listed(symbol: str) -> str:
    """The symbol under which the exchange lists it, quoted in USDT."""
    return symbol if symbol.endswith("USDT") else symbol + "USDT"


def _listed_pair(
    symbol: str, times: Ints, record: _Record, price: float, delivery_ms: int, *, priced: bool, turnover: float
) -> ListedPair:
    """A plausible listing: its steps follow from the price."""
    listed = _listed(symbol)
    spot_symbol, coins = spot_of(listed)
    multiplier = int(coins)
    digits = len(str(multiplier)) - 1
    magnitude = int(np.floor(np.log10(price)))
    hours = 8
    if len(record.settled_ms) > 1:
        hours = max(1, round(float(np.median(np.diff(record.settled_ms[-100:]))) / HOUR_MS))
    highest = max((abs(rate) for rate in record.rates), default=0.0)
    cap = float(Decimal(str(max(highest, _MIN_CAP))).quantize(Decimal("0.00001"), rounding="ROUND_UP"))
    return ListedPair(
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
