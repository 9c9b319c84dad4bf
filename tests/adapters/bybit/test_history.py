"""Paging backwards loses no row: whatever the intervals were, and even where the venue forgets rows of a page."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.history import CANDLES_A_PAGE, SETTLEMENTS_A_PAGE, BybitHistory
from carryfold.adapters.venues import VenueError
from carryfold.adapters.venues.history import NotServed
from carryfold.domain.instruments import Instrument
from tests.adapters.bybit.venue import DAY_MS, HOUR_MS, NOW_MS, answering, exchange, no_pause, run

START_MS = NOW_MS // DAY_MS * DAY_MS - 420 * DAY_MS  # where a simulated history of 420 days begins


def switched(*parts: tuple[int, int]) -> list[int]:
    """Settlement times of an interval that was switched at days of the history: (day, hours), ..."""
    ends = [*(START_MS + day * DAY_MS for day, _ in parts[1:]), NOW_MS]
    times: list[int] = []
    for (day, hours), end in zip(parts, ends, strict=True):
        first = START_MS + day * DAY_MS + hours * HOUR_MS
        times += range(first, end + 1, hours * HOUR_MS)
    return times


def perp(symbol: str) -> Instrument:
    return Instrument("bybit", symbol, "perp")


async def settled(history: BybitHistory, symbol: str, since_ms: int, until_ms: int) -> tuple[list[int], int]:
    """(times oldest first, pages); checks that the pages cover the span without a gap."""
    found: list[int] = []
    pages = 0
    end = until_ms
    async for page in history.settlements(perp(symbol), since_ms, until_ms):
        assert page.until_ms == end
        assert all(page.since_ms <= row.at_ms < page.until_ms for row in page.rows)
        found = [*(row.at_ms for row in page.rows), *found]
        end = page.since_ms
        pages += 1
    assert end == since_ms
    return found, pages


def test_an_interval_that_went_from_eight_hours_to_one_and_back_loses_no_settlement() -> None:
    expected = switched((0, 8), (150, 1), (260, 8))

    async def work() -> tuple[list[int], int]:
        schedule = {"SYN02USDT": ((150, 1), (260, 8))}
        async with exchange(schedule=schedule) as (_, market):
            return await settled(market.history, "SYN02USDT", START_MS, NOW_MS)

    found, pages = run(work())

    assert len(expected) > 10 * SETTLEMENTS_A_PAGE
    assert found == expected
    assert pages < 2 + len(expected) / (SETTLEMENTS_A_PAGE - 1)


def test_a_span_is_cut_exactly() -> None:
    expected = [at for at in switched((0, 8)) if START_MS + 20 * DAY_MS <= at < START_MS + 30 * DAY_MS]

    async def work() -> list[int]:
        async with exchange(schedule={}) as (_, market):
            found, _ = await settled(market.history, "BTCUSDT", START_MS + 20 * DAY_MS, START_MS + 30 * DAY_MS)
            return found

    assert run(work()) == expected


def funding_venue(times: list[int], forget: Callable[[int], bool] = lambda _: False) -> Callable[[web.Request], Any]:
    """A venue with these settlements, answering as Bybit documents it. A long page leaves out what it forgets."""

    def answer(request: web.Request) -> Any:
        query = request.query
        assert "startTime" not in query or "endTime" in query, "the venue refuses a start without an end"
        start, end = int(query.get("startTime", 0)), int(query.get("endTime", 2**62))
        rows = [at for at in times if start <= at <= end][-int(query["limit"]) :]
        if len(rows) > 5:
            rows = [at for at in rows if not forget(at)]
        found = [{"symbol": "X", "fundingRate": "0.0001", "fundingRateTimestamp": str(at)} for at in reversed(rows)]
        return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": found}, "time": NOW_MS}

    return answer


async def settled_of(answer: Any, since_ms: int, until_ms: int) -> tuple[list[int], int]:
    seen: list[web.Request] = []
    async with answering(answer, seen=seen) as endpoint:
        client = RestClient(endpoint, rate_limit_ms=1, sleep=no_pause)
        try:
            found, _ = await settled(BybitHistory(client), "X", since_ms, until_ms)
        finally:
            await client.close()
    return found, len(seen)


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_intervals_comes_back_whole(seed: int) -> None:
    rng = random.Random(seed)
    times = [START_MS]
    while times[-1] < START_MS + 200 * DAY_MS:
        hours = rng.choice((1, 2, 4, 8))
        times += [times[-1] + hours * HOUR_MS * n for n in range(1, rng.randint(2, 300))]
    since, until = times[0] + rng.randint(-DAY_MS, DAY_MS), times[-1] + rng.randint(-DAY_MS, DAY_MS)

    found, _ = run(settled_of(funding_venue(times), since, until))

    assert found == [at for at in times if since <= at < until]


@pytest.mark.parametrize("hours", [1, 8])
def test_rows_that_a_page_left_out_are_requested_by_themselves(hours: int) -> None:
    times = list(range(START_MS, START_MS + 60 * DAY_MS, hours * HOUR_MS))
    lost = set(random.Random(hours).sample(times[2:-2], len(times) // 20))

    found, _ = run(settled_of(funding_venue(times, lambda at: at in lost), times[0], times[-1] + 1))

    assert found == times


def test_a_gap_that_the_venue_confirms_costs_one_request() -> None:
    times = [
        at
        for at in range(START_MS, START_MS + 30 * DAY_MS, 8 * HOUR_MS)
        if not 0 <= at - START_MS - 9 * DAY_MS < DAY_MS
    ]

    found, requests = run(settled_of(funding_venue(times), times[0], times[-1] + 1))

    assert found == times
    assert requests == 2


def test_a_symbol_that_the_venue_has_forgotten_is_one_empty_page() -> None:
    assert run(settled_of(funding_venue([]), START_MS, NOW_MS)) == ([], 2), "requested twice"


def test_a_symbol_that_the_venue_refuses_is_not_served() -> None:
    refused = {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "time": NOW_MS}

    with pytest.raises(NotServed, match="Not supported symbols"):
        run(settled_of(refused, START_MS, NOW_MS))


@pytest.mark.parametrize(
    "rows",
    [
        [{"symbol": "X", "fundingRate": "0.0001"}],
        [{"symbol": "X", "fundingRate": "0.0001", "fundingRateTimestamp": "-1"}],
        [{"symbol": "X", "fundingRate": "0.0001", "fundingRateTimestamp": "1e12"}],
        [{"symbol": "X", "fundingRate": "0.0001", "fundingRateTimestamp": str(NOW_MS + 1)}],
        [{"symbol": "X", "fundingRateTimestamp": str(START_MS)}],
        ["row"],
        [None],
    ],
)
def test_a_page_that_is_not_what_the_venue_documents_is_refused(rows: list[Any]) -> None:
    """F26. A row beyond the end that was asked for would page for ever."""
    with pytest.raises(VenueError, match="not what it documents"):
        run(settled_of({"retCode": 0, "result": {"list": rows}, "time": NOW_MS}, START_MS, NOW_MS))


@pytest.mark.parametrize(
    ("kind", "price"),
    [("spot", "trade"), ("perp", "trade"), ("perp", "mark"), ("perp", "index"), ("perp", "premium")],
)
def test_candles_of_every_price_cover_their_span(kind: Any, price: Any) -> None:
    since, until = START_MS + DAY_MS, START_MS + 60 * DAY_MS

    async def work() -> list[int]:
        async with exchange() as (_, market):
            opens: list[int] = []
            async for page in market.history.candles(Instrument("bybit", "BTCUSDT", kind), price, 60, since, until):
                opens = [*(candle.open_ms for candle in page.rows), *opens]
                assert all(bool(candle.turnover) == (price == "trade") for candle in page.rows)
            return opens

    found = run(work())

    assert len(found) > CANDLES_A_PAGE
    assert found == list(range(since, until, HOUR_MS))


def test_open_interest_covers_its_span() -> None:
    since, until = NOW_MS // HOUR_MS * HOUR_MS - 20 * DAY_MS, NOW_MS // HOUR_MS * HOUR_MS

    async def work() -> list[tuple[int, str]]:
        async with exchange() as (_, market):
            pages = [page async for page in market.history.open_interest(perp("BTCUSDT"), 60, since, until)]
            return sorted((row.at_ms, row.coins) for page in pages for row in page.rows)

    found = run(work())

    assert [at for at, _ in found] == list(range(since, until, HOUR_MS))
    assert all(float(coins) > 0 for _, coins in found)


def test_candles_of_a_strange_shape_are_refused() -> None:
    answer = {"retCode": 0, "result": {"list": [["1", "2", "3"]]}, "time": NOW_MS}

    async def work() -> None:
        async with answering(answer) as endpoint:
            client = RestClient(endpoint, rate_limit_ms=1, sleep=no_pause)
            try:
                async for _ in BybitHistory(client).candles(perp("X"), "trade", 60, 0, HOUR_MS):
                    raise AssertionError("a page of nothing that was documented")
            finally:
                await client.close()

    with pytest.raises(VenueError, match="not what it documents"):
        run(work())
