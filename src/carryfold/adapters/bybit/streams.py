"""Quotes and running estimates of the rate as they come: tickers of the perpetuals, best bid and ask of the spot legs.

Spot tickers hold no bid and ask, hence the first level of the spot order book. A quote has both legs; a leg that has
not been heard of for LEG_FRESH_S, or whose stream is down, is 0 in it: not observed. A slow reader gets the latest of
each pair, nothing piles up.

Once an hour the candles that closed are asked for and come as BarClosed and ActivityObserved, the very events that a
backfill makes of them: a live log and one that is filled later agree, and neither counts a turnover twice. (The
turnover in tickers is one of a sliding day, of which no difference is an hour's.) Hours that an outage took come with
the next one, up to a day of them: a turnover that counts is one of a day.

A change that was lost cannot be seen: changes carry no number that counts them. Prices put themselves right with the
next change, and a crossed leg is not observed; but when the next settlement is may stay wrong for hours. So the
pictures are compared with whole tickers once a minute, and one that is behind twice begins the stream anew. (F22)
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
from carryfold.domain.events import FeedConnected, FeedLost, MarketEvent, Quoted

__all__ = ["LINEAR_FEED", "SPOT_FEED", "PublicStreams"]

LINEAR_FEED: Final = "bybit.linear"
SPOT_FEED: Final = "bybit.spot"
LEG_FRESH_S: Final = 5.0
"""The first level of the spot book comes every 3 s even if nothing changes, a ticker several times a second. No more: a
quote does not say how old each of its legs is, and nothing is priced by what is older (quote_max_age_s)."""

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


class _Leg:
    """Best bid and ask of one leg, and when it was last heard of (loop time)."""

    __slots__ = ("ask", "bid", "heard_at")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.bid, self.ask, self.heard_at = 0.0, 0.0, float("-inf")

    def at(self, now: float) -> tuple[float, float]:
        if now - self.heard_at > LEG_FRESH_S or not 0.0 < self.bid < self.ask:
            return 0.0, 0.0
        return self.bid, self.ask


class _Picture:
    """What is known of one pair just now."""

    __slots__ = ("candles_ms", "pair", "perp", "spot", "ticker")

    def __init__(self, pair: PairSpec) -> None:
        self.pair = pair
        self.candles_ms = 0
        self.ticker: dict[str, Any] = {}
        self.perp = _Leg()
        self.spot = _Leg()


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
        them there are no candles and nothing is compared. Of a pair that has closed the spot leg alone is followed: its
        coins may still have to be sold."""
        self.outbox: Outbox[StreamEvent] = Outbox()
        self.venue_ms = 0
        self.unreadable = 0
        self._history = history
        self._whole = whole
        self._sleep = sleep
        self._hour_ms = 0
        self._hour_over = asyncio.Event()
        self._pictures = [_Picture(pair) for pair in pairs if pair.listed.spot_symbol]
        self._by_perp = {one.pair.listed.symbol: one for one in self._pictures if one.pair.status != "Closed"}
        self._by_spot: dict[str, list[_Picture]] = {}
        for one in self._pictures:
            self._by_spot.setdefault(one.pair.listed.spot_symbol, []).append(one)
        linear = [f"tickers.{symbol}" for symbol in self._by_perp]
        spot = [f"orderbook.1.{symbol}" for symbol in self._by_spot]
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
        if not self._pictures:
            return
        sockets = self._sockets if self._by_perp else self._sockets[1:]  # one without topics counts as lost
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
            for one in self._by_perp.values():
                since = max(one.candles_ms or begun, until - DAY_MS)
                try:
                    events = await closed_bars(history, one.pair, HOUR_MINUTES, since, until)
                except VenueError:
                    continue  # they come with the next hour
                one.candles_ms = until
                for event in events:
                    self.outbox.put((event.symbol, event.listing, type(event).__name__, event.event_at), event)

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
        one = self._by_perp.get(text_of(row, "symbol"))
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
        for one in self._pictures:
            if feed == LINEAR_FEED:
                one.ticker = {}
                one.perp.forget()
            else:
                one.spot.forget()

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
        one = self._by_perp.get(str(message.get("topic")).removeprefix("tickers."))
        if one is None or at is None or not isinstance(data, dict):
            self.unreadable += 1
            return
        if message.get("type") == "snapshot":
            one.ticker = dict(data)
        elif one.ticker:
            one.ticker.update(data)
        else:
            return  # a change of what was never seen whole
        one.perp.heard_at = asyncio.get_running_loop().time()
        if not _ESTIMATE.isdisjoint(data):
            estimate = predicted_of(one.pair, one.ticker, at)
            if estimate is not None:
                self.outbox.put((estimate.symbol, estimate.listing, "predicted"), estimate)
        if not _QUOTE.isdisjoint(data):
            times = one.pair.listed.multiplier
            one.perp.bid = price_of(one.ticker, "bid1Price") / times
            one.perp.ask = price_of(one.ticker, "ask1Price") / times
            self._quote(one, at)

    def _take_book(self, message: Message) -> None:
        """The first level of a book: whole each time, or the sides that changed."""
        data, at = message.get("data"), self._time_of(message)
        pictures = self._by_spot.get(str(message.get("topic")).removeprefix("orderbook.1."))
        if pictures is None or at is None or not isinstance(data, dict):
            self.unreadable += 1
            return
        whole = message.get("type") == "snapshot"
        now = asyncio.get_running_loop().time()
        for one in pictures:
            one.spot.bid = _best(data.get("b"), one.spot.bid, whole=whole)
            one.spot.ask = _best(data.get("a"), one.spot.ask, whole=whole)
            one.spot.heard_at = now
            self._quote(one, at)

    def _quote(self, one: _Picture, at: int) -> None:
        now = asyncio.get_running_loop().time()
        spot, perp = one.spot.at(now), one.perp.at(now)
        if not any((*spot, *perp)):
            return
        listed = one.pair.listed
        quoted = Quoted(listed.venue, listed.symbol, listed.listing, at * NS_PER_MS, *spot, *perp)
        self.outbox.put((listed.symbol, listed.listing, "quoted"), quoted)


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
