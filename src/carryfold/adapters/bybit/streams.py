"""Quotes and running estimates of the rate as they come: tickers of the perpetuals, best bid and ask of the spot books.

Spot tickers hold no bid and ask, hence the first level of the spot order book. A quote is of one instrument and bears
the time of the message that showed it. A slow reader gets the latest of each instrument, nothing piles up.

Once an hour the candles that closed are asked for and come as BarClosed, the very events that a backfill makes of them:
a live log and one that is filled later agree, and neither counts a turnover twice. (The turnover in tickers is one of a
sliding day, of which no difference is an hour's.) Hours that an outage took come with the next one, up to a day of
them: a turnover that counts is one of a day.

A change that was lost cannot be seen: changes carry no number that counts them. Prices put themselves right with the
next change, and a crossed book is no quote; but the time of the next settlement may stay wrong for hours. So tickers
are compared with whole ones once a minute, and one that is behind twice begins the stream anew. (F22)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from carryfold.adapters.backfill.entries import closed_bars
from carryfold.adapters.backfill.source import History
from carryfold.adapters.bybit.client import Sleep
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.outbox import Outbox
from carryfold.adapters.bybit.sockets import Message, Socket, batches
from carryfold.adapters.bybit.tickers import NS_PER_MS, number_of, predicted_of, price_of
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.bybit import text_of
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.events import FeedConnected, FeedLost, InstrumentListed, MarketEvent, Quoted

__all__ = ["LINEAR_FEED", "SPOT_FEED", "PublicStreams"]

LINEAR_FEED: Final = "bybit.linear"
SPOT_FEED: Final = "bybit.spot"
REPEATED_EVERY_MS: Final = 1_000
"""A ticker that leaves bid and ask as they were confirms them: so often they are told again, under the new time. Else a
calm perpetual would look as if its price were old. The first level of the spot book comes every 3 s by itself."""

SILENCE_S: Final = 20.0
COMPARED_EVERY_S: Final = 60.0
HOUR_MINUTES: Final = 60
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
HOUR_SETTLES_MS: Final = 10_000
SPOT_TOPICS_A_REQUEST: Final = 10
LINEAR_TOPICS_A_REQUEST: Final = 100
_ESTIMATE: Final = frozenset({"fundingRate", "nextFundingTime", "fundingIntervalHour", "markPrice"})
_QUOTE: Final = frozenset({"bid1Price", "ask1Price"})
_COMPARED: Final = "nextFundingTime", "fundingIntervalHour"

StreamEvent = MarketEvent | FeedConnected | FeedLost
Whole = Callable[[], Awaitable[Sequence[Message]]]
"""Every perpetual's ticker, as the venue has it. Raises VenueError."""


class _Perp:
    """What is known of a perpetual just now: its ticker, the venue time of its last quote and of its last candle."""

    __slots__ = ("candles_ms", "pair", "quoted_ms", "ticker")

    def __init__(self, pair: PairSpec) -> None:
        self.pair = pair
        self.candles_ms = 0
        self.forget()

    def forget(self) -> None:
        self.ticker: dict[str, Any] = {}
        self.quoted_ms = 0


class _Spot:
    """Best bid and ask of a spot instrument just now; 0: none."""

    __slots__ = ("ask", "bid", "listed")

    def __init__(self, listed: InstrumentListed) -> None:
        self.listed = listed
        self.forget()

    def forget(self) -> None:
        self.bid = self.ask = 0.0


class PublicStreams:
    """The streams of some pairs; `events` is their one reader."""

    def __init__(
        self,
        endpoint: Endpoint,
        pairs: Sequence[PairSpec],
        *,
        history: History | None = None,
        whole: Whole | None = None,
        silence_s: float = SILENCE_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`history` is asked for the candles of each hour that closed, `whole` for every ticker as it is now; without
        them there are no candles and nothing is compared. Of a pair one of whose instruments has closed the other one
        is followed: its coins may still have to be sold, its position to be closed."""
        self.outbox: Outbox[StreamEvent] = Outbox()
        self.venue_ms = 0
        self.unreadable = 0
        self._history = history
        self._whole = whole
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
        """For as long as it is iterated; close it to end the connections. Without pairs there are none."""
        followed = zip((self._perps, self._spots), self._sockets, strict=True)
        sockets = [socket for instruments, socket in followed if instruments]  # one without topics counts as lost
        if not sockets:
            return
        tasks = [asyncio.ensure_future(socket.run()) for socket in sockets]
        if self._history is not None:
            tasks.append(asyncio.ensure_future(self._follow_hours(self._history)))
        if self._whole is not None:
            tasks.append(asyncio.ensure_future(self._compare(self._whole)))
        for task in tasks:
            self.outbox.watch(task)
        try:
            while True:
                yield await self.outbox.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_hours(self, history: History) -> None:
        """The candles of each hour, once venue time has passed its end by a little."""
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
                    self.outbox.put((event.instrument, "bar", event.event_at), event)

    async def _compare(self, whole: Whole) -> None:
        """Begin the tickers anew when one of them has missed a change."""
        behind: set[str] = set()
        while True:
            await self._sleep(COMPARED_EVERY_S)
            try:
                rows = await whole()
            except VenueError:
                continue
            before, behind = behind, {text_of(row, "symbol") for row in rows if self._is_behind(row)}
            if missed := before & behind:
                self._sockets[0].begin_anew(f"a change of {min(missed)} was missed")
                behind = set()

    def _is_behind(self, row: Message) -> bool:
        one = self._perps.get(text_of(row, "symbol"))
        if one is None:
            return False
        told = {name: number_of(row, name) for name in _COMPARED if name in one.ticker}
        return any(value is not None and value != number_of(one.ticker, name) for name, value in told.items())

    def _up(self, feed: str, message: Message) -> None:
        self._forget(feed)
        self._time_of(message)
        self.outbox.put((feed, "up"), FeedConnected(self._event_at(), feed))

    def _lost(self, feed: str, why: str) -> None:
        self._forget(feed)
        self.outbox.put((feed, "down"), FeedLost(self._event_at(), feed, why))

    def _forget(self, feed: str) -> None:
        """What was seen before a gap says nothing about now."""
        instruments = self._perps if feed == LINEAR_FEED else self._spots
        for one in instruments.values():
            one.forget()

    def _event_at(self) -> int:
        """Venue time as last heard, else this machine's."""
        return (self.venue_ms or time.time_ns() // NS_PER_MS) * NS_PER_MS

    def _time_of(self, message: Message) -> int | None:
        at = message.get("ts")
        if type(at) is not int or not checks.EARLIEST_MS <= at <= checks.LATEST_MS:
            return None
        if at > self.venue_ms:
            self.venue_ms = at
            hour = (at - HOUR_SETTLES_MS) // HOUR_MS * HOUR_MS
            if hour > self._hour_ms:
                if self._hour_ms:
                    self._hour_over.set()
                self._hour_ms = hour
        return at

    def _take_ticker(self, message: Message) -> None:
        """A snapshot, or what changed since: an absent field is as before."""
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
            return  # a change of what was never seen whole
        if not _ESTIMATE.isdisjoint(data):
            estimate = predicted_of(one.pair.perp, one.ticker, at)
            if estimate is not None:
                self.outbox.put((estimate.instrument, "predicted"), estimate)
        if not _QUOTE.isdisjoint(data) or at - one.quoted_ms >= REPEATED_EVERY_MS:
            one.quoted_ms = at
            self._quote(one.pair.perp, at, price_of(one.ticker, "bid1Price"), price_of(one.ticker, "ask1Price"))

    def _take_book(self, message: Message) -> None:
        """The first level of a book: whole each time, or the sides that changed."""
        data, at = message.get("data"), self._time_of(message)
        one = self._spots.get(str(message.get("topic")).removeprefix("orderbook.1."))
        if one is None or at is None or not isinstance(data, dict):
            self.unreadable += 1
            return
        whole = message.get("type") == "snapshot"
        one.bid = _best(data.get("b"), one.bid, whole=whole)
        one.ask = _best(data.get("a"), one.ask, whole=whole)
        self._quote(one.listed, at, one.bid, one.ask)

    def _quote(self, listed: InstrumentListed, at: int, bid: float, ask: float) -> None:
        if 0.0 < bid < ask:
            name = listed.instrument
            self.outbox.put((name, "quoted"), Quoted(*name, at * NS_PER_MS, bid, ask))


def _best(levels: Any, before: float, *, whole: bool) -> float:
    """The price of the one level of a side; in a change, a level of no size is gone."""
    best = 0.0 if whole else before
    for level in levels if isinstance(levels, list) else []:
        if not isinstance(level, list) or len(level) < 2:
            continue
        price, size = price_of({"p": level[0]}, "p"), price_of({"s": level[1]}, "s")
        if price and size:
            best = price
        elif price == best:
            best = 0.0
    return best
