"""Quotes and running estimates of the rate as they come: tickers of the perpetuals, best bid and ask of the spot books.

Spot tickers have no bid and ask, so the first level of the spot order book is used. A quote is of one instrument and
has the time of the message that showed it. A slow reader gets the latest of each instrument, and nothing piles up.

Once an hour the closed candles are requested and come as BarClosed, the same events that a backfill makes of them. A
live log and a log that is filled later therefore agree, and no turnover counts twice. (The turnover in tickers is that
of a sliding day; its differences are not the turnover of an hour.) Hours that an outage took come with the next one, up
to a day of them, because decisions use the turnover of a day.

A lost change cannot be noticed directly, because changes are not numbered. Prices are corrected by the next change, and
a crossed book is no quote; but the time of the next settlement may stay wrong for hours. Tickers are therefore compared
with complete ones once a minute, and a ticker that is behind twice makes the stream reconnect. (F22)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from carryfold.adapters.bybit.client import Sleep
from carryfold.adapters.bybit.conflating_queue import ConflatingQueue
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.fields import text_of
from carryfold.adapters.bybit.sockets import Message, Socket, batches
from carryfold.adapters.bybit.tickers import number_or_none, predicted_of, price_of
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.bars import closed_bars
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.adapters.venues.history import History
from carryfold.domain.events import FeedConnected, FeedLost, InstrumentListed, MarketEvent, Quoted

__all__ = ["LINEAR_FEED", "SPOT_FEED", "PublicStreams"]

LINEAR_FEED: Final = "bybit.linear"
SPOT_FEED: Final = "bybit.spot"
REPEATED_EVERY_MS: Final = 1_000
"""A ticker without bid and ask confirms the last ones: this often they are quoted again, with the new time. Otherwise
the price of a calm perpetual would look old. The first level of the spot book comes every 3 s by itself."""

SILENCE_S: Final = 20.0
COMPARED_EVERY_S: Final = 60.0
HOUR_MINUTES: Final = 60
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
CANDLES_READY_MS: Final = 10_000
SPOT_TOPICS_A_REQUEST: Final = 10
LINEAR_TOPICS_A_REQUEST: Final = 100
_ESTIMATE: Final = frozenset({"fundingRate", "nextFundingTime", "fundingIntervalHour", "markPrice"})
_QUOTE: Final = frozenset({"bid1Price", "ask1Price"})
_COMPARED: Final = "nextFundingTime", "fundingIntervalHour"

StreamEvent = MarketEvent | FeedConnected | FeedLost
AllTickers = Callable[[], Awaitable[Sequence[Message]]]
"""Requests every perpetual's ticker as it is now. Raises VenueError."""


class _Perp:
    """The present state of a perpetual: its ticker, and the venue times of its last quote and its last candle."""

    __slots__ = ("candles_ms", "pair", "quoted_ms", "ticker")

    def __init__(self, pair: PairSpec) -> None:
        self.pair = pair
        self.candles_ms = 0
        self.reset()

    def reset(self) -> None:
        self.ticker: dict[str, Any] = {}
        self.quoted_ms = 0


class _Spot:
    """The present best bid and ask of a spot instrument; 0: none."""

    __slots__ = ("ask", "bid", "listed")

    def __init__(self, listed: InstrumentListed) -> None:
        self.listed = listed
        self.reset()

    def reset(self) -> None:
        self.bid = self.ask = 0.0


class PublicStreams:
    """The public streams of some pairs. `events` has one reader."""

    def __init__(
        self,
        endpoint: Endpoint,
        pairs: Sequence[PairSpec],
        *,
        history: History | None = None,
        all_tickers: AllTickers | None = None,
        silence_s: float = SILENCE_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`history` gives the candles of each closed hour, `all_tickers` the tickers to compare with; without them
        there are no candles and no comparison. When one instrument of a pair has closed, the other is still followed:
        its coins may have to be sold, or its position closed."""
        self.queue: ConflatingQueue[StreamEvent] = ConflatingQueue()
        self.venue_ms = 0
        self.unreadable = 0
        self._history = history
        self._all_tickers = all_tickers
        self._sleep = sleep
        self._hour_ms = 0
        self._hour_over = asyncio.Event()
        open_spots = [one.spot for one in pairs if one.spot_status != "Closed" and not one.spot.instrument.is_assumed]
        self._perps = {one.symbol: _Perp(one) for one in pairs if one.status != "Closed"}
        self._spots = {spot.symbol: _Spot(spot) for spot in open_spots}
        linear = [f"tickers.{symbol}" for symbol in self._perps]
        spot = [f"orderbook.1.{symbol}" for symbol in self._spots]
        self._sockets = [
            Socket(
                endpoint, endpoint.ws_linear, list(batches(linear, LINEAR_TOPICS_A_REQUEST)), take=self._take_ticker,
                up=lambda message: self._up(LINEAR_FEED, message), down=lambda why: self._lost(LINEAR_FEED, why),
                silence_s=silence_s, sleep=sleep,
            ),
            Socket(
                endpoint, endpoint.ws_spot, list(batches(spot, SPOT_TOPICS_A_REQUEST)), take=self._take_book,
                up=lambda message: self._up(SPOT_FEED, message), down=lambda why: self._lost(SPOT_FEED, why),
                silence_s=silence_s, sleep=sleep,
            ),
        ]  # fmt: skip

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Events for as long as it is iterated; close it to end the connections. Without pairs there are none."""
        streams = zip((self._perps, self._spots), self._sockets, strict=True)
        sockets = [socket for instruments, socket in streams if instruments]  # one without topics would count as lost
        if not sockets:
            return
        tasks = [asyncio.ensure_future(socket.run()) for socket in sockets]
        if self._history is not None:
            tasks.append(asyncio.ensure_future(self._follow_hours(self._history)))
        if self._all_tickers is not None:
            tasks.append(asyncio.ensure_future(self._compare(self._all_tickers)))
        for task in tasks:
            self.queue.watch(task)
        try:
            while True:
                yield await self.queue.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_hours(self, history: History) -> None:
        """The candles of each hour, shortly after its end by venue time."""
        begun = 0
        while True:
            await self._hour_over.wait()
            self._hour_over.clear()
            until = self._hour_ms
            begun = begun or until - HOUR_MS
            for one in self._perps.values():
                since = max(one.candles_ms or begun, until - DAY_MS)
                try:
                    events = await closed_bars(history, one.pair, HOUR_MINUTES, since, until)
                except VenueError:
                    continue  # they come with the next hour
                one.candles_ms = until
                for event in events:
                    self.queue.put((event.instrument, "bar", event.event_at), event)

    async def _compare(self, all_tickers: AllTickers) -> None:
        """Reconnect the tickers when one of them has missed a change."""
        behind: set[str] = set()
        while True:
            await self._sleep(COMPARED_EVERY_S)
            try:
                rows = await all_tickers()
            except VenueError:
                continue
            before, behind = behind, {text_of(row, "symbol") for row in rows if self._is_behind(row)}
            if missed := before & behind:
                self._sockets[0].reconnect(f"a change of {min(missed)} was missed")
                behind = set()

    def _is_behind(self, row: Message) -> bool:
        one = self._perps.get(text_of(row, "symbol"))
        if one is None:
            return False
        current = {name: number_or_none(row, name) for name in _COMPARED if name in one.ticker}
        return any(value is not None and value != number_or_none(one.ticker, name) for name, value in current.items())

    def _up(self, feed: str, message: Message) -> None:
        self._reset(feed)
        self._time_of(message)
        self.queue.put((feed, "up"), FeedConnected(self._event_at(), feed))

    def _lost(self, feed: str, why: str) -> None:
        self._reset(feed)
        self.queue.put((feed, "down"), FeedLost(self._event_at(), feed, why))

    def _reset(self, feed: str) -> None:
        """Drop the state from before a gap: it says nothing about the present."""
        instruments = self._perps if feed == LINEAR_FEED else self._spots
        for one in instruments.values():
            one.reset()

    def _event_at(self) -> int:
        """The latest venue time, else this machine's."""
        return (self.venue_ms or time.time_ns() // NS_PER_MS) * NS_PER_MS

    def _time_of(self, message: Message) -> int | None:
        at = message.get("ts")
        if type(at) is not int or not checks.EARLIEST_MS <= at <= checks.LATEST_MS:
            return None
        if at > self.venue_ms:
            self.venue_ms = at
            hour = (at - CANDLES_READY_MS) // HOUR_MS * HOUR_MS
            if hour > self._hour_ms:
                if self._hour_ms:
                    self._hour_over.set()
                self._hour_ms = hour
        return at

    def _take_ticker(self, message: Message) -> None:
        """A snapshot or a change, in which an absent field is unchanged."""
        data, at = message.get("data"), self._time_of(message)
        one = self._perps.get(str(message.get("topic")).removeprefix("tickers."))
        if one is None or at is None or not isinstance(data, dict):
            self.unreadable += 1
            return
        if message.get("type") == "snapshot":
            one.ticker = dict(data)
        elif one.ticker:
            one.ticker.update(data)
        else:
            return  # a change without the snapshot before it
        if not _ESTIMATE.isdisjoint(data):
            estimate = predicted_of(one.pair.perp, one.ticker, at)
            if estimate is not None:
                self.queue.put((estimate.instrument, "predicted"), estimate)
        if not _QUOTE.isdisjoint(data) or at - one.quoted_ms >= REPEATED_EVERY_MS:
            one.quoted_ms = at
            self._quote(one.pair.perp, at, price_of(one.ticker, "bid1Price"), price_of(one.ticker, "ask1Price"))

    def _take_book(self, message: Message) -> None:
        """The first level of a book: complete, or the sides that changed."""
        data, at = message.get("data"), self._time_of(message)
        one = self._spots.get(str(message.get("topic")).removeprefix("orderbook.1."))
        if one is None or at is None or not isinstance(data, dict):
            self.unreadable += 1
            return
        is_snapshot = message.get("type") == "snapshot"
        one.bid = _best(data.get("b"), one.bid, is_snapshot=is_snapshot)
        one.ask = _best(data.get("a"), one.ask, is_snapshot=is_snapshot)
        self._quote(one.listed, at, one.bid, one.ask)

    def _quote(self, listed: InstrumentListed, at: int, bid: float, ask: float) -> None:
        if 0.0 < bid < ask:
            name = listed.instrument
            self.queue.put((name, "quoted"), Quoted(*name, at * NS_PER_MS, bid, ask))


def _best(levels: Any, before: float, *, is_snapshot: bool) -> float:
    """The price of the one level of a side; in a change, a level without size is removed."""
    best = 0.0 if is_snapshot else before
    for level in levels if isinstance(levels, list) else []:
        if not isinstance(level, list) or len(level) < 2:
            continue
        price, size = price_of({"p": level[0]}, "p"), price_of({"s": level[1]}, "s")
        if price and size:
            best = price
        elif price == best:
            best = 0.0
    return best
