"""The market at one moment: prices, best bid and ask, depth, predicted rate, day statistics, public trades.

The prices of all pairs at a moment are computed together and cached until another moment is requested. Prices are
floats on the tick; they are formatted with the decimals of their pair.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from carryfold.simexchange.funding import HOUR_MS, MINUTE_MS
from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.seeded_random import Floats, stream_of, uniform, uniforms
from carryfold.simexchange.series import Kind, Series
from carryfold.simexchange.source import MarketSource, Settlement

__all__ = ["Day", "Frame", "Level", "Market", "PublicTrade", "Rate"]

_DAY_MINUTES: Final = 1_440
_SIZES, _SPREADS, _LEVELS, _TRADES, _INTEREST = range(100, 105)
_TRADES_PER_SECOND: Final = 2
_ZERO_RATE_MS: Final = 25_000  # after a settlement, the ticker shows 0 for this long
_TOP_SHARE: Final = 2e-5  # of the daily turnover, in the best level
_TOP_MIN: Final = 600.0  # quote
_INTEREST_SHARE: Final = 0.15  # open interest over daily turnover
_MAJOR_SPREAD: Final = 0.2  # of the spread of other pairs
_NO_MINUTE: Final = -1


class Level(NamedTuple):
    """One level of an order book, in the coins of its instrument."""

    price: float
    size: float


class Rate(NamedTuple):
    """The predicted rate, the time of the next settlement, and the interval in hours."""

    rate: float
    next_ms: int
    hours: int


class Day(NamedTuple):
    """Statistics of the 24 hours before a minute."""

    opened: float
    hour_ago: float
    high: float
    low: float
    volume: float
    turnover: float


class PublicTrade(NamedTuple):
    """One trade of other participants."""

    trade_id: str
    time_ms: int
    buy: bool
    price: float
    size: float


class Frame(NamedTuple):
    """Prices of all pairs at one moment: spot mid, index, mark and perpetual mid."""

    at_ms: int
    spot: Floats
    indices: Floats
    mark: Floats
    perp: Floats


class Market:
    """The market of one source."""

    def __init__(self, source: MarketSource, seed: int) -> None:
        self.source = source
        self.series = Series(source, seed)
        self.pairs = source.pairs
        self.perps = {pair.symbol: pair for pair in self.pairs}
        self.spots = {pair.spot_symbol: pair for pair in self.pairs if pair.spot_symbol}
        self._seed = seed
        self._frame: Frame | None = None
        self._minute = _NO_MINUTE
        self._ends: tuple[Floats, ...] = ()
        self._quotes: dict[tuple[int, bool], tuple[Level, Level]] = {}
        self._sizes: dict[tuple[int, bool, bool], tuple[int, float]] = {}
        self._days: dict[tuple[int, bool], tuple[int, Day]] = {}
        self._interest: dict[int, float] = {}

    def frame(self, at_ms: int) -> Frame:
        """The prices of all pairs at a moment."""
        if self._frame is not None and self._frame.at_ms == at_ms:
            return self._frame
        if at_ms // MINUTE_MS != self._minute:
            self._start_minute(at_ms // MINUTE_MS)
        spot0, spot1, index0, index1, mark0, mark1, perp0, perp1, swings = self._ends
        part = (at_ms % MINUTE_MS) / MINUTE_MS
        swing = swings * np.sin(2 * np.pi * part)
        self._quotes.clear()
        self._frame = Frame(
            at_ms,
            spot0 + (spot1 - spot0) * part + swing * spot0,
            index0 + (index1 - index0) * part + swing * index0,
            mark0 + (mark1 - mark0) * part + swing * mark0,
            perp0 + (perp1 - perp0) * part + swing * perp0,
        )
        return self._frame

    def price(self, pair: ListedPair, at_ms: int, *, spot: bool) -> float:
        """Mid price of one leg."""
        frame = self.frame(at_ms)
        return float((frame.spot if spot else frame.perp)[pair.number])

    def mark(self, pair: ListedPair, at_ms: int) -> float:
        """Mark price, on the tick."""
        return round(float(self.frame(at_ms).mark[pair.number]), pair.decimals)

    def index(self, pair: ListedPair, at_ms: int) -> float:
        """Index price of the perpetual, on the tick."""
        return round(float(self.frame(at_ms).indices[pair.number]), pair.decimals)

    def best(self, pair: ListedPair, at_ms: int, *, spot: bool) -> tuple[Level, Level]:
        """(best bid, best ask), including what the account took."""
        mid = self.price(pair, at_ms, spot=spot)
        found = self._quotes.get((pair.number, spot))
        if found is None:
            decimals = pair.spot_decimals if spot else pair.decimals
            scale = 10.0**decimals
            half = self._half_spread(pair, at_ms // MINUTE_MS, spot=spot)
            bid = np.floor(mid * (1.0 - half) * scale)
            ask = max(np.ceil(mid * (1.0 + half) * scale), bid + 1.0)
            found = self._quotes[pair.number, spot] = (
                Level(round(float(bid / scale), decimals), self._top_size(pair, at_ms, mid, spot=spot, bid=True)),
                Level(round(float(ask / scale), decimals), self._top_size(pair, at_ms, mid, spot=spot, bid=False)),
            )
        return found

    def depth(self, pair: ListedPair, at_ms: int, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks), best first; only prices above zero."""
        best = self.best(pair, at_ms, spot=spot)
        decimals, places = _decimals(pair, spot=spot)
        tick = 10.0**-decimals
        gap = max(1, round(best[0].price * 1e-4 / tick)) * tick
        sides: list[list[Level]] = []
        for bid, top in zip((True, False), best, strict=True):
            stream = stream_of(self._seed, _LEVELS, pair.number, spot, bid)
            side = [top]
            for number in range(1, levels):
                price = round(top.price + (-gap if bid else gap) * number, decimals)
                if price <= 0:
                    break
                grown = top.size * (1 + 0.4 * number) * (0.5 + uniform(stream, at_ms // 1_000 * 64 + number))
                side.append(Level(price, max(round(grown, places), 10.0**-places)))
            sides.append(side)
        return sides[0], sides[1]

    def rate(self, pair: ListedPair, at_ms: int) -> Rate:
        """The predicted rate; 0 for a while after each settlement, as on the venue."""
        hours, next_ms = self.source.interval(pair.number, at_ms)
        since_ms = at_ms - (next_ms - hours * HOUR_MS)
        if since_ms < _ZERO_RATE_MS and next_ms - hours * HOUR_MS > pair.launch_ms:
            return Rate(0.0, next_ms, hours)
        return Rate(self.source.predicted(pair.number, at_ms // MINUTE_MS), next_ms, hours)

    def settlements(self, pair: ListedPair, after_ms: int, until_ms: int) -> list[Settlement]:
        """Settlements while the pair is listed, with after_ms < time <= until_ms, oldest first."""
        until_ms = min(until_ms, pair.delivery_ms) if pair.delivery_ms else until_ms
        after_ms = max(after_ms, pair.launch_ms)
        return self.source.settlements(pair.number, after_ms, until_ms) if after_ms < until_ms else []

    def day(self, pair: ListedPair, at_ms: int, *, spot: bool) -> Day:
        """Statistics of the 24 hours before the running minute, or since the launch."""
        minute = at_ms // MINUTE_MS
        found = self._days.get((pair.number, spot))
        if found is None or found[0] != minute:
            first = max(minute - _DAY_MINUTES, -(-pair.launch_ms // MINUTE_MS))
            count = max(minute - first, 1)
            kind: Kind = "spot" if spot else "perp"
            closes = self.series.closes(pair.number, kind, first, count + 1)
            turnovers = self.series.turnovers(pair.number, kind, first, count)
            volume = float(np.sum(turnovers / closes[1:]))
            hour_ago = float(closes[max(len(closes) - 61, 0)])
            found = self._days[pair.number, spot] = (
                minute,
                Day(
                    float(closes[0]),
                    hour_ago,
                    float(closes.max()),
                    float(closes.min()),
                    volume,
                    float(turnovers.sum()),
                ),
            )
        return found[1]

    def open_interest(self, pair: ListedPair, at_ms: int) -> float:
        """Open interest in coins of the perpetual."""
        base = self._interest.get(pair.number)
        if base is None:
            price = float(self.series.closes(pair.number, "perp", self.source.start_ms // MINUTE_MS, 1)[0])
            base = self._interest[pair.number] = pair.daily_turnover * _INTEREST_SHARE / price
        stream = stream_of(self._seed, _INTEREST, pair.number)
        hour, rest = divmod(at_ms, HOUR_MS)
        low, high = uniform(stream, hour), uniform(stream, hour + 1)
        return base * (0.8 + 0.4 * (low + (high - low) * rest / HOUR_MS))

    def trades(self, pair: ListedPair, after_ms: int, until_ms: int, *, spot: bool) -> list[PublicTrade]:
        """Public trades with after_ms < time <= until_ms, oldest first."""
        seconds = np.arange(after_ms // 1_000, until_ms // 1_000 + 1)
        kind: Kind = "spot" if spot else "perp"
        decimals, places = _decimals(pair, spot=spot)
        found: list[PublicTrade] = []
        for number in range(_TRADES_PER_SECOND):
            draws = [
                uniforms(stream_of(self._seed, _TRADES, pair.number, spot, number, part), seconds) for part in range(3)
            ]
            times = seconds * 1_000 + (draws[0] * 1_000).astype(np.int64)
            chosen = (times > after_ms) & (times <= until_ms) & (times >= pair.launch_ms)
            if not chosen.any():
                continue
            prices = self.series.prices(pair.number, kind, times[chosen])
            for time_ms, price, side, size in zip(
                times[chosen].tolist(), prices.tolist(), draws[1][chosen].tolist(), draws[2][chosen].tolist(),
                strict=True,
            ):  # fmt: skip
                half = self._half_spread(pair, time_ms // MINUTE_MS, spot=spot)
                buy = side < 0.5
                coins = max(round(pair.daily_turnover / 400_000 / price * (0.05 + size), places), 10.0**-places)
                found.append(
                    PublicTrade(
                        f"{pair.number:04d}{int(spot)}{number}-{time_ms}",
                        time_ms,
                        buy,
                        round(price * (1 + half if buy else 1 - half), decimals),
                        coins,
                    )
                )
        return sorted(found, key=lambda trade: trade.time_ms)

    def delivery_price(self, pair: ListedPair) -> float:
        """Mean index price of the half hour before delivery."""
        prices = self.series.closes(pair.number, "index", pair.delivery_ms // MINUTE_MS - 29, 30)
        return round(float(prices.mean()), pair.decimals)

    def clear_caches(self) -> None:
        """Discard everything cached for the running minute."""
        self._frame, self._minute = None, _NO_MINUTE
        self._quotes.clear()
        self._days.clear()

    def _start_minute(self, minute: int) -> None:
        numbers = range(len(self.pairs))
        spot = np.array([self.source.spot(number, minute, 2) for number in numbers])
        premium = np.array([self.source.premium(number, minute, 2) for number in numbers])
        over_mark = np.array([self.source.perp_over_mark(number, minute, 2) for number in numbers])
        swings = np.array([self.series.swings(number, minute, 1)[0] for number in numbers])
        index = spot * np.array([pair.multiplier for pair in self.pairs])[:, None]
        mark = index * (1.0 + premium)
        ends = [values[:, at] for values in (spot, index, mark, mark * over_mark) for at in (0, 1)]
        self._minute, self._ends = minute, (*ends, swings)

    def _half_spread(self, pair: ListedPair, minute: int, *, spot: bool) -> float:
        drawn = uniform(stream_of(self._seed, _SPREADS, pair.number, spot), minute)
        return (0.5e-4 + 1.0e-4 * drawn) * (_MAJOR_SPREAD if pair.major else 1.0)

    def _top_size(self, pair: ListedPair, at_ms: int, mid: float, *, spot: bool, bid: bool) -> float:
        """Size of the best level, drawn for each second."""
        second = at_ms // 1_000
        found = self._sizes.get((pair.number, spot, bid))
        if found is None or found[0] != second:
            value = max(pair.daily_turnover * _TOP_SHARE * (0.3 if spot else 1.0), _TOP_MIN)
            drawn = uniform(stream_of(self._seed, _SIZES, pair.number, spot, bid), second)
            _, places = _decimals(pair, spot=spot)
            size = max(round(value / mid * (0.3 + 1.4 * drawn), places), 10.0**-places)
            found = self._sizes[pair.number, spot, bid] = (second, size)
        return found[1]


def _decimals(pair: ListedPair, *, spot: bool) -> tuple[int, int]:
    """Decimal places of (prices, quantities)."""
    return (pair.spot_decimals, pair.spot_qty_decimals) if spot else (pair.decimals, pair.qty_decimals)
