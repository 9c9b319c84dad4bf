"""A recorded market: a home's bars and settlements, played back as if they happened now.

Prices go straight from one recorded close to the next (in logarithms), settlements are the recorded ones, and what a
ticker predicts moves from the resting rate to the one that will be settled. Sizes, volumes and trades are made up:
nobody recorded them. The premium index is mark over index, and does not lead to the rates by the formula. Before its
first bar a pair is not launched; after the last record prices stand still and the last rate is settled again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from carryfold.adapters.importing.names import spot_of
from carryfold.adapters.simexchange.funding import HOUR_MS, MINUTE_MS, RATE_DECIMALS, first_estimate
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.noise import Floats, Ints
from carryfold.adapters.simexchange.source import Settlement
from carryfold.domain.rows import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from carryfold.domain.rows import Rows
    from carryfold.projections.tape import Tape

__all__ = ["RecordedMarket", "open_record"]

_NS_PER_MS: Final = 1_000_000
_DEFAULT_TURNOVER: Final = 1e7
_LEAST_CAP: Final = 0.005
_ORDER_VALUE: Final = 5.0
_LEAD_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class _Pair(NamedTuple):
    """What was recorded of one pair: closes in logarithms by time, settlements, and when it lived."""

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
    there is nothing to play, and what the log and its tape raise."""
    from carryfold.eventlog import LogReader
    from carryfold.projections.tape import Tape

    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        rows = _rows_by_pair(tape)
        found = []
        for number, name in enumerate(tape.pairs):
            if (Kind.BAR_CLOSED in rows[number]) and (made := _read(name.symbol, rows[number])) is not None:
                found.append((name.symbol, *made))
    found.sort(key=lambda one: -one[2].daily_turnover)
    found = found[: most or None]
    if not found:
        raise ValueError(f"{home} holds no bars that could be played back")
    for number, (_, _, instrument) in enumerate(found):
        instrument.number = number
    return RecordedMarket([one[0] for one in found], [one[1] for one in found], [one[2] for one in found], start_ms)


def _rows_by_pair(tape: Tape) -> dict[int, dict[int, Rows]]:
    parts: dict[int, dict[int, list[Rows]]] = defaultdict(lambda: defaultdict(list))
    wanted = (Kind.BAR_CLOSED, Kind.FUNDING_SETTLED, Kind.PAIR_DELISTED)
    for block in tape.blocks():
        for kind in wanted:
            rows = block[block["kind"] == kind]
            for pair in np.unique(rows["pair"]).tolist():
                parts[pair][kind].append(rows[rows["pair"] == pair])
    joined: dict[int, dict[int, Rows]] = defaultdict(dict)
    for pair, kinds in parts.items():
        joined[pair] = {kind: np.concatenate(blocks) for kind, blocks in kinds.items()}
    return joined


def _read(symbol: str, rows: dict[int, Rows]) -> tuple[_Pair, Instrument] | None:
    bars = rows[Kind.BAR_CLOSED]
    bars = bars[np.argsort(bars["event_at"], kind="stable")]
    perp = np.where(bars["b"] > 0, bars["b"], bars["c"])
    mark = np.where(bars["c"] > 0, bars["c"], perp)
    priced = bool((bars["a"] > 0).any())
    spot = bars["a"] if priced else mark
    good = (perp > 0) & (mark > 0) & (spot > 0)
    if not good.any():
        return None
    times = bars["event_at"][good] // _NS_PER_MS
    settled = rows.get(Kind.FUNDING_SETTLED, bars[:0])
    settled = settled[np.argsort(settled["event_at"], kind="stable")]
    pair = _Pair(
        times.astype(np.float64),
        np.log(spot[good]),
        mark[good] / spot[good],
        perp[good] / mark[good],
        (settled["event_at"] // _NS_PER_MS).tolist(),
        settled["a"].tolist(),
    )
    ends = rows.get(Kind.PAIR_DELISTED)
    delivery_ms = 0 if ends is None else int(ends["event_at"][-1]) // _NS_PER_MS
    price = float(np.median(perp[good]))
    return pair, _instrument(symbol, times, pair, price, delivery_ms, priced=priced, turnover=_turnover(bars))


def _turnover(bars: Rows) -> float:
    known = bars["d"] >= 0
    if not known.any():
        return _DEFAULT_TURNOVER
    minutes = max(int(bars["slot"][0]), 1)
    return max(float(bars["d"][known].mean()) * 1_440 / minutes, 1.0)


def _instrument(
    symbol: str, times: Ints, pair: _Pair, price: float, delivery_ms: int, *, priced: bool, turnover: float
) -> Instrument:
    """As it could be listed: steps follow from the price."""
    listed = symbol if symbol.endswith("USDT") else symbol + "USDT"
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
