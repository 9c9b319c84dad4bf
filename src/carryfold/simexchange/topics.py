"""The public topics: a snapshot for each new subscriber, then changes for all subscribers."""

from __future__ import annotations

from typing import Any, Final, Protocol

from carryfold.simexchange import tickers
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.funding import MINUTE_MS
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.rest_history import INTERVALS, candle_rows, candle_starts
from carryfold.simexchange.rest_public import level_texts

__all__ = ["Message", "Topic", "open_topic"]

Message = dict[str, Any]

_DEPTHS: Final = ("1", "50", "200", "1000")
_REPEAT_MS: Final = 3_000
_CANDLE_MS: Final = 1_000
_SEQUENCE_MS: Final = 10


class Topic(Protocol):
    """One public topic. `snapshot` returns its first messages; `changes` returns the messages since the last call."""

    def snapshot(self, exchange: Exchange) -> list[Message]: ...

    def changes(self, exchange: Exchange) -> list[Message]: ...


def open_topic(exchange: Exchange, name: str, *, spot: bool) -> Topic | None:
    """The topic of a name, or None when it does not exist."""
    kind, _, rest = name.partition(".")
    market = exchange.market
    instruments = market.spots if spot else market.perps
    detail, _, symbol = rest.rpartition(".")
    pair = instruments.get(symbol)
    if pair is None or pair.status(exchange.now_ms) == "PreLaunch":
        return None
    if kind == "tickers" and not detail:
        return SpotTicker(name, pair) if spot else LinearTicker(name, pair)
    if kind == "orderbook" and detail in _DEPTHS:
        return OrderBook(name, pair, int(detail), spot=spot)
    if kind == "kline" and detail in INTERVALS:
        return Candle(name, pair, detail, spot=spot)
    if kind == "publicTrade" and not detail:
        return Trades(name, pair, spot=spot)
    return None


class LinearTicker:
    """The ticker of a perpetual: a snapshot, then deltas with the changed fields."""

    def __init__(self, name: str, pair: ListedPair) -> None:
        self._name = name
        self._pair = pair
        self._last: dict[str, str] = {}

    def snapshot(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        if not self._last:
            self._last = tickers.linear_fields(exchange.market, self._pair, exchange.now_ms)
        return [self._message(exchange, "snapshot", self._last)]

    def changes(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        if self._pair.status(exchange.now_ms) != "Trading":
            return []
        fields = tickers.linear_fields(exchange.market, self._pair, exchange.now_ms)
        last, self._last = self._last, fields
        changed = {name: value for name, value in fields.items() if last.get(name) != value}
        return [self._message(exchange, "delta", {"symbol": self._pair.symbol, **changed})] if changed else []

    def _message(self, exchange: Exchange, kind: str, data: dict[str, str]) -> Message:
        server_time_ms = exchange.server_time_ms
        return {
            "topic": self._name,
            "type": kind,
            "data": data,
            "cs": exchange.now_ms // _SEQUENCE_MS,
            "ts": server_time_ms,
        }


class SpotTicker:
    """The ticker of a spot pair: always a snapshot, without bid and ask."""

    def __init__(self, name: str, pair: ListedPair) -> None:
        self._name = name
        self._pair = pair
        self._last: dict[str, str] = {}

    def snapshot(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        self._last = tickers.spot_fields(exchange.market, self._pair, exchange.now_ms)
        return [self._message(exchange)]

    def changes(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        fields = tickers.spot_fields(exchange.market, self._pair, exchange.now_ms)
        if fields == self._last:
            return []
        self._last = fields
        return [self._message(exchange)]

    def _message(self, exchange: Exchange) -> Message:
        return {
            "topic": self._name,
            "ts": exchange.server_time_ms,
            "type": "snapshot",
            "cs": exchange.now_ms // _SEQUENCE_MS,
            "data": self._last,
        }


class OrderBook:
    """An order book: a snapshot, then the changed levels; size 0 removes a level. `u` grows by one with each delta, so
    that a gap shows a lost one."""

    def __init__(self, name: str, pair: ListedPair, depth: int, *, spot: bool) -> None:
        self._name = name
        self._pair = pair
        self._depth = depth
        self._spot = spot
        self._symbol = pair.spot_symbol if spot else pair.symbol
        self._sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._update = 0
        self._sent_ms = 0

    def snapshot(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        if not self._update:
            self._sides = self._read(exchange)
            self._update = 1
        return [self._message(exchange, "snapshot", self._sides)]

    def changes(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        old, new = self._sides, self._read(exchange)
        changed = tuple(_difference(before, after) for before, after in zip(old, new, strict=True))
        if not any(changed):
            # The venue repeats the best level when it does not change.
            if self._depth == 1 and exchange.now_ms - self._sent_ms >= _REPEAT_MS:
                return [self._message(exchange, "snapshot", self._sides)]
            return []
        self._sides = new
        self._update += 1
        return [self._message(exchange, "delta", (changed[0], changed[1]))]

    def _read(self, exchange: Exchange) -> tuple[dict[str, str], dict[str, str]]:
        bids, asks = exchange.depth(self._pair, self._depth, spot=self._spot)
        return (
            dict(level_texts(self._pair, bids, spot=self._spot)),
            dict(level_texts(self._pair, asks, spot=self._spot)),
        )

    def _message(self, exchange: Exchange, kind: str, sides: tuple[dict[str, str], dict[str, str]]) -> Message:
        self._sent_ms = exchange.now_ms
        bids, asks = ([list(level) for level in side.items()] for side in sides)
        return {
            "topic": self._name,
            "type": kind,
            "ts": exchange.server_time_ms,
            "data": {"s": self._symbol, "b": bids, "a": asks, "u": self._update, "seq": exchange.now_ms},
            "cts": exchange.server_time_ms,
        }


class Candle:
    """The running candle each second, and each candle once more when it has closed."""

    def __init__(self, name: str, pair: ListedPair, interval: str, *, spot: bool) -> None:
        self._name = name
        self._pair = pair
        self._interval = interval
        self._spot = spot
        self._start_ms = 0
        self._sent_ms = 0

    def snapshot(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        return [self._message(exchange, exchange.now_ms)]

    def changes(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        now_ms = exchange.now_ms
        if now_ms - self._sent_ms < _CANDLE_MS:
            return []
        self._sent_ms = now_ms
        before = self._start_ms
        running = self._message(exchange, now_ms)
        start_ms = running["data"][0]["start"]
        self._start_ms = start_ms
        if before and start_ms > before:
            return [self._message(exchange, start_ms, confirm=True), running]
        return [running]

    def _message(self, exchange: Exchange, at_ms: int, *, confirm: bool = False) -> Message:
        launch, last = self._pair.launch_ms // MINUTE_MS, (at_ms - 1) // MINUTE_MS
        starts = candle_starts(self._interval, launch, None, last, 1, forward=False)
        row = candle_rows(exchange, self._pair, "spot" if self._spot else "perp", starts, at_ms)[0]
        data = {
            "start": int(row[0]),
            "end": int(starts[-1]) * MINUTE_MS - 1,
            "interval": self._interval,
            "open": row[1],
            "close": row[4],
            "high": row[2],
            "low": row[3],
            "volume": row[5],
            "turnover": row[6],
            "confirm": confirm,
            "timestamp": exchange.server_time_ms,
        }
        return {"topic": self._name, "data": [data], "ts": exchange.server_time_ms, "type": "snapshot"}


class Trades:
    """The public trades."""

    def __init__(self, name: str, pair: ListedPair, *, spot: bool) -> None:
        self._name = name
        self._pair = pair
        self._spot = spot
        self._last_ms = 0

    def snapshot(self, exchange: Exchange) -> list[Message]:
        """See Topic. There is no snapshot; the topic starts now."""
        self._last_ms = self._last_ms or exchange.now_ms
        return []

    def changes(self, exchange: Exchange) -> list[Message]:
        """See Topic."""
        pair = self._pair
        after_ms = max(self._last_ms, exchange.now_ms - MINUTE_MS)  # after a jump, only the trades of the last minute
        found = exchange.market.trades(pair, after_ms, exchange.now_ms, spot=self._spot)
        self._last_ms = exchange.now_ms
        decimals, places = (
            (pair.spot_decimals, pair.spot_qty_decimals) if self._spot else (pair.decimals, pair.qty_decimals)
        )
        rows = [
            {
                "T": trade.time_ms,
                "s": pair.spot_symbol if self._spot else pair.symbol,
                "S": "Buy" if trade.buy else "Sell",
                "v": fixed(trade.size, places),
                "p": fixed(trade.price, decimals),
                "L": "PlusTick" if trade.buy else "MinusTick",
                "i": trade.trade_id,
                "BT": False,
                "seq": trade.time_ms // _SEQUENCE_MS,
            }
            for trade in found
        ]
        return [{"topic": self._name, "type": "snapshot", "ts": exchange.server_time_ms, "data": rows}] if rows else []


def _difference(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    changed = {price: size for price, size in after.items() if before.get(price) != size}
    return {**{price: "0" for price in before if price not in after}, **changed}
