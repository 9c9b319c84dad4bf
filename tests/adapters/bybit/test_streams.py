"""Public streams of a simulated Bybit: nothing without a snapshot, the latest first, and every gap reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from carryfold.adapters.bybit.conflating_queue import ConflatingQueue
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.streams import COMPARED_EVERY_S, LINEAR_FEED, REPEATED_EVERY_MS, SPOT_FEED, PublicStreams
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.adapters.venues.history import Candle, Page
from carryfold.domain.events import (
    BarClosed,
    FeedConnected,
    FeedLost,
    FundingPredicted,
    Quoted,
)
from carryfold.domain.instruments import Instrument, InstrumentKind
from carryfold.simexchange import SimExchange
from tests.adapters.bybit.venue import HOUR_MS, NOW_MS, exchange, run

NS = 1_000_000


async def at_once(seconds: float) -> None:
    """Instead of the pause before a reconnect, or between two comparisons."""
    await asyncio.sleep(0.1 if seconds >= COMPARED_EVERY_S else 0.01)


class Reader:
    """Reads a stream in the background and keeps all of it."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self.seen: list[Any] = []
        self._events = events
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for event in self._events:
            self.seen.append(event)

    def of(self, cls: type, symbol: str = "", kind: InstrumentKind | None = None) -> list[Any]:
        found: list[Any] = [
            one for one in self.seen if isinstance(one, cls) and symbol in ("", getattr(one, "symbol", ""))
        ]
        return [one for one in found if kind is None or one.kind == kind]

    def has_both_legs(self, symbol: str, since: int = 0) -> bool:
        """Both instruments of a pair whose names are the same were quoted after so many events."""
        kinds = {one.kind for one in self.seen[since:] if isinstance(one, Quoted) and one.symbol == symbol}
        return kinds == {"spot", "perp"}

    async def until(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        """Raises TimeoutError, or what ended the stream."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self._task.done():
                await self._task
            if time.monotonic() > deadline:
                raise TimeoutError(f"not seen in {len(self.seen)} events")
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._events.aclose()  # type: ignore[attr-defined]


@asynccontextmanager
async def reading(**options: Any) -> AsyncIterator[tuple[SimExchange, BybitMarket, Reader, list[PairSpec]]]:
    silence_s, compared = options.pop("silence_s", 20.0), options.pop("compared", False)
    async with exchange(**{"history_days": 3, "push_ms": 20, "pairs": 5, **options}) as (venue, market):
        pairs = [pair for pair in await market.pairs() if pair.status != "Closed"]
        endpoint = Endpoint.at(venue.endpoints.rest)
        streams = PublicStreams(
            endpoint, pairs, history=market.history, all_tickers=market.tickers if compared else None,
            silence_s=silence_s, sleep=at_once,
        )  # fmt: skip
        reader = Reader(streams.events())
        try:
            yield venue, market, reader, pairs
        finally:
            await reader.close()


def test_quotes_of_both_legs_and_estimates_come_for_every_pair() -> None:
    async def work() -> None:
        async with reading() as (_, _, reader, pairs):
            names = {name for pair in pairs for name in pair.pair}
            await reader.until(lambda: {one.instrument for one in reader.of(Quoted)} == names)
            await reader.until(
                lambda: {one.instrument for one in reader.of(FundingPredicted)} == {one.pair.short for one in pairs}
            )

            assert {one.feed for one in reader.of(FeedConnected)} == {LINEAR_FEED, SPOT_FEED}
            assert isinstance(reader.seen[0], FeedConnected), "nothing comes before the stream is up"
            quotes = {one.instrument: one for one in reader.of(Quoted)}
            for quote in quotes.values():
                assert 0 < quote.bid < quote.ask
                assert quote.event_at // NS == pytest.approx(NOW_MS, abs=60_000)
            for pair in pairs:
                spot, perp = (quotes[name] for name in pair.pair)
                assert perp.bid == pytest.approx(spot.ask * pair.perp.multiplier, rel=0.03), "in the venue's own prices"
            for estimate in reader.of(FundingPredicted):
                assert estimate.next_at > estimate.event_at
                assert estimate.interval_hours in (1.0, 2.0, 4.0, 8.0)
                assert estimate.mark == pytest.approx(quotes[estimate.instrument].bid, rel=0.03)

    run(work())


def test_an_estimate_carries_the_interval_of_the_ticker_not_of_the_listing() -> None:
    """F27: the interval is switched while the stream runs."""

    async def work() -> None:
        async with reading(schedule={}) as (venue, _, reader, _):
            await reader.until(lambda: reader.of(FundingPredicted, "BTCUSDT"))
            venue.switch_interval("BTCUSDT", 1)
            venue.advance(2 * 3_600)
            await reader.until(lambda: reader.of(FundingPredicted, "BTCUSDT")[-1].interval_hours == 1.0)

    run(work())


def test_a_broken_connection_is_reported_and_followed_by_snapshots() -> None:
    async def work() -> None:
        async with reading() as (venue, _, reader, _):
            await reader.until(lambda: reader.has_both_legs("BTCUSDT"))
            venue.disconnect()
            await reader.until(lambda: len(reader.of(FeedLost)) == 2)
            before = len(reader.seen)
            await reader.until(lambda: len(reader.of(FeedConnected)) == 4)
            await reader.until(lambda: reader.has_both_legs("BTCUSDT", before))

            for feed in (LINEAR_FEED, SPOT_FEED):
                own = [one for one in reader.seen if isinstance(one, (FeedConnected, FeedLost)) and one.feed == feed]
                assert [type(one) for one in own] == [FeedConnected, FeedLost, FeedConnected]
            assert all(one.reason for one in reader.of(FeedLost))

    run(work())


def test_f22_a_lost_change_is_noticed_and_the_tickers_reconnect() -> None:
    async def work() -> None:
        async with reading(compared=True) as (venue, _, reader, _):
            await reader.until(lambda: reader.of(FundingPredicted, "BTCUSDT"))
            before = reader.of(FundingPredicted, "BTCUSDT")[-1].next_at
            venue.faults.inject("drop", where="tickers.BTCUSDT")
            venue.advance((before - NOW_MS * NS) / 1e9 + 120.0)  # the next settlement is another one now
            await reader.until(lambda: reader.of(FeedLost))
            await reader.until(lambda: reader.of(FundingPredicted, "BTCUSDT")[-1].next_at > before)

            assert venue.faults.triggered == [("drop", "tickers.BTCUSDT")]
            assert [(one.feed, one.reason) for one in reader.of(FeedLost)] == [
                (LINEAR_FEED, "a change of BTCUSDT was missed")
            ]

    run(work())


def test_pictures_that_agree_are_left_alone() -> None:
    async def work() -> None:
        async with reading(compared=True) as (venue, _, reader, _):
            await reader.until(lambda: reader.has_both_legs("BTCUSDT"))
            for _ in range(40):
                venue.advance(300.0)
                await asyncio.sleep(0.05)

            assert len({one.next_at for one in reader.of(FundingPredicted)}) > 2
            assert not reader.of(FeedLost)

    run(work())


def test_the_leg_of_a_lost_stream_is_not_observed() -> None:
    async def work() -> None:
        async with reading() as (venue, _, reader, _):
            await reader.until(lambda: reader.has_both_legs("BTCUSDT"))
            venue.faults.inject("refuse_connect", where="spot", count=1_000)
            venue.faults.inject("disconnect", where="orderbook*", count=1)
            venue.advance(1)
            await reader.until(lambda: any(one.feed == SPOT_FEED for one in reader.of(FeedLost)))
            before = len(reader.seen)
            for _ in range(30):
                venue.advance(1)
                await asyncio.sleep(0.02)
            quotes = [one for one in reader.seen[before:] if isinstance(one, Quoted)]

            assert quotes
            assert {one.kind for one in quotes} == {"perp"}

    run(work())


def test_a_stream_that_is_silent_though_connected_is_lost() -> None:
    """F21."""

    async def work() -> None:
        async with reading(silence_s=0.4) as (venue, _, reader, _):
            await reader.until(lambda: len(reader.of(FeedConnected)) == 2)
            venue.faults.inject("silence", where="tickers*", seconds=1e9)
            venue.faults.inject("silence", where="orderbook*", seconds=1e9)
            await reader.until(lambda: {one.feed for one in reader.of(FeedLost)} == {LINEAR_FEED, SPOT_FEED})

            assert all("nothing came for 0.4 s" in one.reason for one in reader.of(FeedLost))

    run(work())


def test_what_cannot_be_read_begins_the_stream_anew() -> None:
    """F26."""

    async def work() -> None:
        async with reading() as (venue, _, reader, _):
            await reader.until(lambda: len(reader.of(FeedConnected)) == 2)
            venue.faults.inject("corrupt_push", where="tickers*")
            venue.advance(5)
            await reader.until(lambda: any(one.feed == LINEAR_FEED for one in reader.of(FeedLost)))
            await reader.until(lambda: sum(one.feed == LINEAR_FEED for one in reader.of(FeedConnected)) == 2)

            (lost,) = reader.of(FeedLost)
            assert lost.reason == "a message is not JSON"

    run(work())


@pytest.mark.parametrize("text", ["NaN", "1e400", "-1", "", "0", "\x1b[2J"])
def test_hostile_numbers_become_nothing_observed(text: str) -> None:
    """F26: never a number that cannot be."""

    async def work() -> None:
        async with reading() as (venue, _, reader, _):
            await reader.until(lambda: len(reader.of(FeedConnected)) == 2)
            venue.faults.inject("corrupt_push", where="*", count=20, text=text)
            for _ in range(20):
                venue.advance(1)
                await asyncio.sleep(0.01)
            venue.advance(60)
            count = len(reader.seen)
            await reader.until(lambda: reader.has_both_legs("BTCUSDT", count))

            for quote in reader.of(Quoted):
                assert 0 < quote.bid < quote.ask < 1e12
            for estimate in reader.of(FundingPredicted):
                assert abs(estimate.rate) < 1
                assert 0 <= estimate.mark < 1e12

    run(work())


def test_the_hour_that_closed_comes_as_a_backfill_would_write_it() -> None:
    async def work() -> None:
        async with reading() as (venue, market, reader, pairs):
            await reader.until(lambda: reader.of(Quoted))
            venue.advance(3_600)
            await reader.until(lambda: len(reader.of(BarClosed)) == 2 * len(pairs))

            hour = (NOW_MS + HOUR_MS) // HOUR_MS * HOUR_MS
            assert {one.event_at for one in reader.of(BarClosed)} == {hour * NS}
            assert {one.instrument for one in reader.of(BarClosed)} == {name for pair in pairs for name in pair.pair}
            assert all(one.turnover > 0 and (one.mark > 0) == (one.kind == "perp") for one in reader.of(BarClosed))
            perp = Instrument("bybit", "BTCUSDT", "perp")
            (page,) = [page async for page in market.history.candles(perp, "trade", 60, hour - HOUR_MS, hour)]
            assert reader.of(BarClosed, "BTCUSDT", "perp")[0].close == float(page.rows[0].close)

    run(work())


def test_hours_that_an_outage_took_come_with_the_next_one_a_day_of_them_at_most() -> None:
    async def work() -> None:
        async with reading() as (venue, market, reader, pairs):
            requests: list[Any] = []

            def down(*question: Any) -> AsyncIterator[Page[Candle]]:
                requests.append(question)
                raise VenueError("bybit does not answer")

            async def hours(number: int) -> None:
                await reader.until(lambda: len(reader.of(BarClosed)) == number * 2 * len(pairs))

            await reader.until(lambda: reader.of(Quoted))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(market.history, "candles", down)
                for hour in range(1, 31):
                    venue.advance(3_600)
                    await reader.until(lambda hour=hour: len(requests) == hour * len(pairs))  # type: ignore[misc]
            assert not reader.of(BarClosed)
            venue.advance(3_600)
            await hours(24)
            venue.advance(3_600)
            await hours(25)

            last = (NOW_MS + 32 * HOUR_MS) // HOUR_MS * HOUR_MS
            for name in (name for pair in pairs for name in pair.pair):
                closes = [one.event_at // NS for one in reader.of(BarClosed) if one.instrument == name]
                assert closes == [last - back * HOUR_MS for back in range(24, -1, -1)]

    run(work())


def streams_of(pair: PairSpec) -> PublicStreams:
    return PublicStreams(Endpoint.at("http://127.0.0.1:1"), [pair])


def ticker(kind: str, at: int = NOW_MS, **data: str) -> dict[str, Any]:
    return {"topic": "tickers.BTCUSDT", "type": kind, "data": {"symbol": "BTCUSDT", **data}, "ts": at}


def book(bid: str, ask: str, at: int = NOW_MS, kind: str = "snapshot", size: str = "1") -> dict[str, Any]:
    sides = {"b": [[bid, size]] if bid else [], "a": [[ask, size]] if ask else []}
    return {"topic": "orderbook.1.BTCUSDT", "type": kind, "data": {"s": "BTCUSDT", **sides}, "ts": at}


@pytest.fixture(scope="module")
def pair() -> PairSpec:
    async def work() -> PairSpec:
        async with exchange(history_days=3) as (_, market):
            return next(one for one in await market.pairs() if one.symbol == "BTCUSDT")

    return run(work())


def events_after(pair: PairSpec, *messages: dict[str, Any]) -> list[Any]:
    async def work() -> list[Any]:
        streams = streams_of(pair)
        for message in messages:
            if message["topic"].startswith("tickers"):
                streams._take_ticker(message)
            else:
                streams._take_book(message)
        return [await streams.queue.get() for _ in range(len(streams.queue))]

    return run(work())


def test_a_change_without_a_snapshot_before_it_is_not_used(pair: PairSpec) -> None:
    """F22."""
    assert events_after(pair, ticker("delta", bid1Price="1", ask1Price="2")) == []


def test_absent_fields_are_as_before(pair: PairSpec) -> None:
    snapshot = ticker("snapshot", bid1Price="99", ask1Price="101", fundingRate="0.0001", markPrice="100",
                           nextFundingTime=str(NOW_MS + HOUR_MS), fundingIntervalHour="8")  # fmt: skip

    found = events_after(pair, snapshot, ticker("delta", NOW_MS + 1, ask1Price="102"), book("98", "99.5", NOW_MS + 2))

    assert [type(one) for one in found] == [FundingPredicted, Quoted, Quoted]
    assert found[0].mark == 100.0
    assert found[1] == Quoted("bybit", "BTCUSDT", "perp", 1, (NOW_MS + 1) * NS, 99.0, 102.0)
    assert found[2] == Quoted("bybit", "BTCUSDT", "spot", 1, (NOW_MS + 2) * NS, 98.0, 99.5)


def test_a_level_that_went_away_is_no_quote(pair: PairSpec) -> None:
    found = events_after(pair, book("98", "99"), book("98", "", NOW_MS + 1, "delta", "0"))

    assert [one.event_at for one in found] == [NOW_MS * NS]


def test_a_crossed_book_is_no_quote(pair: PairSpec) -> None:
    (quote,) = events_after(pair, ticker("snapshot", bid1Price="102", ask1Price="101"), book("98", "99"))

    assert (quote.kind, quote.bid, quote.ask) == ("spot", 98.0, 99.0)


def test_each_leg_bears_the_time_of_its_own_message(pair: PairSpec) -> None:
    spot, perp = events_after(
        pair, book("98", "99", NOW_MS), ticker("snapshot", NOW_MS + 9_000, bid1Price="99", ask1Price="101")
    )

    assert (spot.kind, spot.event_at, perp.kind, perp.event_at) == ("spot", NOW_MS * NS, "perp", (NOW_MS + 9_000) * NS)


def test_a_ticker_confirms_prices_that_did_not_change_once_a_second(pair: PairSpec) -> None:
    """A calm perpetual must not look as if its price were old."""
    begin = ticker("snapshot", bid1Price="99", ask1Price="101")
    soon = events_after(pair, begin, ticker("delta", NOW_MS + REPEATED_EVERY_MS - 1, lastPrice="100"))
    later = events_after(pair, begin, ticker("delta", NOW_MS + REPEATED_EVERY_MS, lastPrice="100"))

    assert [one.event_at // NS - NOW_MS for one in soon] == [0]
    assert [(one.event_at // NS - NOW_MS, one.bid, one.ask) for one in later] == [(REPEATED_EVERY_MS, 99.0, 101.0)]


def test_nothing_seen_before_a_gap_is_used_after_it(pair: PairSpec) -> None:
    async def work() -> int:
        streams = streams_of(pair)
        streams._take_ticker(ticker("snapshot", bid1Price="99", ask1Price="101"))
        streams._take_book(book("98", "99"))
        streams._lost(LINEAR_FEED, "gone")
        streams._lost(SPOT_FEED, "gone")
        before = len(streams.queue)
        streams._take_ticker(ticker("delta", NOW_MS + 5_000, ask1Price="102"))
        streams._take_book(book("98.5", "", NOW_MS + 5_000, "delta"))
        return len(streams.queue) - before

    assert run(work()) == 0


def test_of_a_pair_one_leg_of_which_has_closed_the_other_is_followed(pair: PairSpec) -> None:
    messages = ticker("snapshot", bid1Price="99", ask1Price="101"), book("98", "99")

    assert [one.kind for one in events_after(replace(pair, spot_status="Closed"), *messages)] == ["perp"]
    assert [one.kind for one in events_after(replace(pair, status="Closed"), *messages)] == ["spot"]


@pytest.mark.parametrize(
    "message",
    [
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": [], "ts": NOW_MS},
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": {"bid1Price": "1"}},
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": {"bid1Price": "1"}, "ts": "now"},
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": {"bid1Price": "1"}, "ts": 10**30},
        {"topic": "tickers.OTHERUSDT", "type": "snapshot", "data": {"bid1Price": "1"}, "ts": NOW_MS},
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": {"bid1Price": {}, "ask1Price": []}, "ts": NOW_MS},
        {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "data": {"b": [[]], "a": "x"}, "ts": NOW_MS},
        {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "data": None, "ts": NOW_MS},
    ],
)
def test_messages_of_a_strange_shape_say_nothing(pair: PairSpec, message: dict[str, Any]) -> None:
    assert events_after(pair, message) == []


def test_a_slow_reader_gets_the_latest_of_each_thing_in_the_order_of_arrival() -> None:
    async def work() -> list[str]:
        queue: ConflatingQueue[str] = ConflatingQueue()
        for number in range(1_000):
            queue.put("a", f"a{number}")
            queue.put("b", f"b{number}")
        queue.put("lost", "lost")
        queue.put("a", "a-after")
        assert len(queue) == 3
        return [await queue.get() for _ in range(3)]

    assert run(work()) == ["b999", "lost", "a-after"]


def test_a_reader_gets_what_there_is_before_the_error_that_ended_it() -> None:
    async def work() -> None:
        queue: ConflatingQueue[str] = ConflatingQueue()
        queue.put("a", "a")
        queue.fail(ValueError("over"))
        assert await queue.get() == "a"
        with pytest.raises(ValueError, match="over"):
            await queue.get()

    run(work())


def test_without_pairs_there_is_nothing_to_wait_for() -> None:
    async def work() -> list[Any]:
        return [event async for event in PublicStreams(Endpoint.at("http://127.0.0.1:1"), []).events()]

    assert run(work()) == []
