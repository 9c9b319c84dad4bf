"""What the market is at one moment: prices, best bid and ask, depth, predicted rate, day statistics, trades.

A moment's prices of all pairs are worked out together and remembered until another moment is asked for. Prices are
floats that lie on the tick; whoever writes them uses the instrument's decimals.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from carryfold.adapters.simexchange.funding import HOUR_MS, MINUTE_MS
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.noise import Floats, stream_of, uniform, uniforms
from carryfold.adapters.simexchange.series import Kind, Series
from carryfold.adapters.simexchange.source import Settlement, Source

__all__ = ["Day", "Frame", "Level", "Market", "PublicTrade", "Rate"]

_DAY_MINUTES: Final = 1_440
_SIZES, _SPREADS, _LEVELS, _TRADES, _INTEREST = range(100, 105)
_TRADES_A_SECOND: Final = 2
_ZERO_RATE_MS: Final = 25_000  # for so long after a settlement the ticker shows 0
_TOP_SHARE: Final = 2e-5  # of the daily turnover, in the best level
_TOP_LEAST: Final = 600.0  # quote
_INTEREST_SHARE: Final = 0.15  # open interest over daily turnover
_MAJOR_SPREAD: Final = 0.2  # of what others have
_NEVER: Final = -1


class Level(NamedTuple):
    """One level of a book, in the market's own coins."""

    price: float
    size: float


class Rate(NamedTuple):
    """What the ticker says of the next settlement."""

    rate: float
    next_ms: int
    hours: int


class Day(NamedTuple):
    """The 24 hours before a minute."""

    opened: float
    hour_ago: float
    high: float
    low: float
    volume: float
    turnover: float


class PublicTrade(NamedTuple):
    """One trade of somebody else."""

    trade_id: str
    time_ms: int
    buy: bool
    price: float
    size: float


class Frame(NamedTuple):
    """All pairs at one moment: mid of the spot pair, index, mark, and mid of the perpetual."""

    at_ms: int
    spot: Floats
    indices: Floats
    mark: Floats
    perp: Floats


class Market:
    """The market of a source."""

    def __init__(self, source: Source, seed: int) -> None:
        self.source = source
        self.series = Series(source, seed)
        self.instruments = source.instruments
        self.perps = {one.symbol: one for one in self.instruments}
        self.spots = {one.spot_symbol: one for one in self.instruments if one.spot_symbol}
        self._seed = seed
        self._frame: Frame | None = None
        self._minute = _NEVER
        self._ends: tuple[Floats, ...] = ()
        self._quotes: dict[tuple[int, bool], tuple[Level, Level]] = {}
        self._sizes: dict[tuple[int, bool, bool], tuple[int, float]] = {}
        self._days: dict[tuple[int, bool], tuple[int, Day]] = {}
        self._interest: dict[int, float] = {}

    def frame(self, at_ms: int) -> Frame:
        """The prices of a moment."""
        if self._frame is not None and self._frame.at_ms == at_ms:
            return self._frame
        if at_ms // MINUTE_MS != self._minute:
            self._enter(at_ms // MINUTE_MS)
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

    def price(self, one: Instrument, at_ms: int, *, spot: bool) -> float:
        """Mid price of one leg."""
        frame = self.frame(at_ms)
        return float((frame.spot if spot else frame.perp)[one.number])

    def mark(self, one: Instrument, at_ms: int) -> float:
        """Mark price, on the tick."""
        return round(float(self.frame(at_ms).mark[one.number]), one.decimals)

    def index(self, one: Instrument, at_ms: int) -> float:
        """Index price of the perpetual, on the tick."""
        return round(float(self.frame(at_ms).indices[one.number]), one.decimals)

    def best(self, one: Instrument, at_ms: int, *, spot: bool) -> tuple[Level, Level]:
        """(best bid, best ask), as if nobody had traded with them."""
        mid = self.price(one, at_ms, spot=spot)
        found = self._quotes.get((one.number, spot))
        if found is None:
            decimals = one.spot_decimals if spot else one.decimals
            scale = 10.0**decimals
            half = self._half_spread(one, at_ms // MINUTE_MS, spot=spot)
            bid = np.floor(mid * (1.0 - half) * scale)
            ask = max(np.ceil(mid * (1.0 + half) * scale), bid + 1.0)
            found = self._quotes[one.number, spot] = (
                Level(round(float(bid / scale), decimals), self._top(one, at_ms, mid, spot=spot, bid=True)),
                Level(round(float(ask / scale), decimals), self._top(one, at_ms, mid, spot=spot, bid=False)),
            )
        return found

    def depth(self, one: Instrument, at_ms: int, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks), best first; nothing below zero."""
        best = self.best(one, at_ms, spot=spot)
        decimals, places = _decimals(one, spot=spot)
        tick = 10.0**-decimals
        gap = max(1, round(best[0].price * 1e-4 / tick)) * tick
        sides: list[list[Level]] = []
        for bid, top in zip((True, False), best, strict=True):
            stream = stream_of(self._seed, _LEVELS, one.number, spot, bid)
            side = [top]
            for number in range(1, levels):
                price = round(top.price + (-gap if bid else gap) * number, decimals)
                if price <= 0:
                    break
                grown = top.size * (1 + 0.4 * number) * (0.5 + uniform(stream, at_ms // 1_000 * 64 + number))
                side.append(Level(price, max(round(grown, places), 10.0**-places)))
            sides.append(side)
        return sides[0], sides[1]

    def rate(self, one: Instrument, at_ms: int) -> Rate:
        """The running estimate; 0 for a while after each settlement, as the venue has it."""
        hours, next_ms = self.source.interval(one.number, at_ms)
        since_ms = at_ms - (next_ms - hours * HOUR_MS)
        if since_ms < _ZERO_RATE_MS and next_ms - hours * HOUR_MS > one.launch_ms:
            return Rate(0.0, next_ms, hours)
        return Rate(self.source.predicted(one.number, at_ms // MINUTE_MS), next_ms, hours)

    def settlements(self, one: Instrument, after_ms: int, until_ms: int) -> list[Settlement]:
        """Those of its life with after_ms < time <= until_ms, oldest first."""
        until_ms = min(until_ms, one.delivery_ms) if one.delivery_ms else until_ms
        after_ms = max(after_ms, one.launch_ms)
        return self.source.settlements(one.number, after_ms, until_ms) if after_ms < until_ms else []

    def day(self, one: Instrument, at_ms: int, *, spot: bool) -> Day:
        """Statistics of the 24 hours before the running minute."""
        minute = at_ms // MINUTE_MS
        found = self._days.get((one.number, spot))
        if found is None or found[0] != minute:
            first = max(minute - _DAY_MINUTES, -(-one.launch_ms // MINUTE_MS))
            count = max(minute - first, 1)
            kind: Kind = "spot" if spot else "perp"
            closes = self.series.closes(one.number, kind, first, count + 1)
            turnovers = self.series.turnovers(one.number, kind, first, count)
            volume = float(np.sum(turnovers / closes[1:]))
            hour_ago = float(closes[max(len(closes) - 61, 0)])
            found = self._days[one.number, spot] = (
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

    def open_interest(self, one: Instrument, at_ms: int) -> float:
        """Coins of the perpetual held by everybody, both sides counted once."""
        base = self._interest.get(one.number)
        if base is None:
            price = float(self.series.closes(one.number, "perp", self.source.start_ms // MINUTE_MS, 1)[0])
            base = self._interest[one.number] = one.daily_turnover * _INTEREST_SHARE / price
        stream = stream_of(self._seed, _INTEREST, one.number)
        hour, rest = divmod(at_ms, HOUR_MS)
        low, high = uniform(stream, hour), uniform(stream, hour + 1)
        return base * (0.8 + 0.4 * (low + (high - low) * rest / HOUR_MS))

    def trades(self, one: Instrument, after_ms: int, until_ms: int, *, spot: bool) -> list[PublicTrade]:
        """What others traded with after_ms < time <= until_ms, oldest first."""
        seconds = np.arange(after_ms // 1_000, until_ms // 1_000 + 1)
        kind: Kind = "spot" if spot else "perp"
        decimals, places = _decimals(one, spot=spot)
        found: list[PublicTrade] = []
        for number in range(_TRADES_A_SECOND):
            draws = [
                uniforms(stream_of(self._seed, _TRADES, one.number, spot, number, part), seconds) for part in range(3)
            ]
            times = seconds * 1_000 + (draws[0] * 1_000).astype(np.int64)
            chosen = (times > after_ms) & (times <= until_ms) & (times >= one.launch_ms)
            if not chosen.any():
                continue
            prices = self.series.prices(one.number, kind, times[chosen])
            for time_ms, price, side, size in zip(
                times[chosen].tolist(), prices.tolist(), draws[1][chosen].tolist(), draws[2][chosen].tolist(),
                strict=True,
            ):  # fmt: skip
                half = self._half_spread(one, time_ms // MINUTE_MS, spot=spot)
                buy = side < 0.5
                coins = max(round(one.daily_turnover / 400_000 / price * (0.05 + size), places), 10.0**-places)
                found.append(
                    PublicTrade(
                        f"{one.number:04d}{int(spot)}{number}-{time_ms}",
                        time_ms,
                        buy,
                        round(price * (1 + half if buy else 1 - half), decimals),
                        coins,
                    )
                )
        return sorted(found, key=lambda trade: trade.time_ms)

    def delivery_price(self, one: Instrument) -> float:
        """Mean index price of the half hour before the end."""
        prices = self.series.closes(one.number, "index", one.delivery_ms // MINUTE_MS - 29, 30)
        return round(float(prices.mean()), one.decimals)

    def forget(self) -> None:
        """What was remembered of the running minute no longer holds."""
        self._frame, self._minute = None, _NEVER
        self._quotes.clear()
        self._days.clear()

    def _enter(self, minute: int) -> None:
        pairs = range(len(self.instruments))
        spot = np.array([self.source.spot(pair, minute, 2) for pair in pairs])
        premium = np.array([self.source.premium(pair, minute, 2) for pair in pairs])
        noise = np.array([self.source.perp_over_mark(pair, minute, 2) for pair in pairs])
        swings = np.array([self.series.swings(pair, minute, 1)[0] for pair in pairs])
        index = spot * np.array([one.multiplier for one in self.instruments])[:, None]
        mark = index * (1.0 + premium)
        ends = [values[:, at] for values in (spot, index, mark, mark * noise) for at in (0, 1)]
        self._minute, self._ends = minute, (*ends, swings)

    def _half_spread(self, one: Instrument, minute: int, *, spot: bool) -> float:
        drawn = uniform(stream_of(self._seed, _SPREADS, one.number, spot), minute)
        return (0.5e-4 + 1.0e-4 * drawn) * (_MAJOR_SPREAD if one.major else 1.0)

    def _top(self, one: Instrument, at_ms: int, mid: float, *, spot: bool, bid: bool) -> float:
        """Size of the best level, drawn anew each second."""
        second = at_ms // 1_000
        found = self._sizes.get((one.number, spot, bid))
        if found is None or found[0] != second:
            value = max(one.daily_turnover * _TOP_SHARE * (0.3 if spot else 1.0), _TOP_LEAST)
            drawn = uniform(stream_of(self._seed, _SIZES, one.number, spot, bid), second)
            _, places = _decimals(one, spot=spot)
            size = max(round(value / mid * (0.3 + 1.4 * drawn), places), 10.0**-places)
            found = self._sizes[one.number, spot, bid] = (second, size)
        return found[1]


def _decimals(one: Instrument, *, spot: bool) -> tuple[int, int]:
    """(of prices, of quantities)."""
    return (one.spot_decimals, one.spot_qty_decimals) if spot else (one.decimals, one.qty_decimals)
