"""The venue's rules for requests: signatures, clocks, limits, pages, windows, errors."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from carryfold.simexchange import KeyRights, SimExchange
from tests.simexchange.venue import (
    DAY_MS,
    HOUR_MS,
    Caller,
    calling,
    ccxt_of,
    config,
    order,
    quotes,
    run,
    serving,
    still,
)

INFO = "/v5/account/info"
REAL: dict[str, Any] = {"pairs": 2, "history_days": 3, "start_ms": 0, "speed": 1.0}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_valid_signature_is_accepted_and_a_wrong_signature_key_or_secret_is_refused() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            assert (await caller.signed("GET", INFO))["retCode"] == 0
            assert (await caller.signed("GET", INFO, key="somebody"))["retCode"] == 10003
            wrong = await caller.signed("GET", INFO, secret="guess")
            assert wrong["retCode"] == 10004 and venue.api_secret not in str(wrong)
            assert (await caller.signed("POST", "/v5/order/cancel-all", {"category": "spot"}))["retCode"] == 0
            venue.revoke_key()
            assert (await caller.signed("GET", INFO))["retCode"] == 10003

    run(work())


@pytest.mark.parametrize(("off_ms", "code"), [(-4_000, 0), (-5_500, 10002), (700, 0), (1_500, 10002)])
def test_a_timestamp_has_to_lie_in_the_window(off_ms: int, code: int) -> None:
    async def work() -> None:
        async with await SimExchange.start(config(**REAL)) as venue, calling(venue) as caller:
            assert (await caller.signed("GET", INFO, timestamp_ms=now_ms() + off_ms))["retCode"] == code

    run(work())


def test_a_venue_with_a_slow_clock_refuses_clients_with_correct_clocks() -> None:
    async def work() -> None:
        import ccxt

        async with await SimExchange.start(config(**REAL)) as venue, ccxt_of(venue) as client:
            await client.fetch_balance()
            venue.clock.skew_ms = -3_000
            with pytest.raises(ccxt.InvalidNonce):
                await client.fetch_balance()
            await client.load_time_difference()
            await client.fetch_balance()

    run(work())


@pytest.mark.parametrize(
    ("rights", "codes"),
    [
        (KeyRights(trade=False), (0, 10005)),
        (KeyRights(read_only=True), (0, 10005)),
        (KeyRights(withdraw=True), (0, 10001)),
    ],
)
def test_a_key_is_limited_to_its_rights(rights: KeyRights, codes: tuple[int, int]) -> None:
    async def work() -> None:
        async with serving(pairs=1, rights=rights) as venue, calling(venue) as caller:
            key = await caller.signed("GET", "/v5/user/query-api")
            created = await caller.signed("POST", "/v5/order/create", {"category": "spot"})

            assert (key["retCode"], created["retCode"]) == codes
            assert ("Withdraw" in key["result"]["permissions"]["Wallet"]) == rights.withdraw
            assert bool(key["result"]["permissions"]["Spot"]) == rights.trade
            assert key["result"]["readOnly"] == int(rights.read_only)

    run(work())


def test_a_request_above_the_limit_per_second_is_refused() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            codes = [(await caller.signed("GET", "/v5/account/fee-rate"))["retCode"] for _ in range(12)]
            assert codes[0] == 0 and 10006 in codes

    run(work())


def test_an_address_with_too_many_requests_is_banned_for_a_while() -> None:
    async def work() -> None:
        async with serving(pairs=1, ip_limit=30, ip_ban_s=0.05) as venue, calling(venue) as caller:
            statuses = [await caller.status("/v5/market/time") for _ in range(31)]
            assert statuses == [200] * 30 + [403]
            deadline = time.monotonic() + 5
            while await caller.status("/v5/market/time") == 403:
                assert time.monotonic() < deadline

    run(work())


def test_an_unknown_path_is_not_found_and_a_get_with_a_body_is_forbidden() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            assert await caller.status("/v5/market/nothing") == 404
            assert await caller.status("/") == 404
            session, url = caller._session, venue.endpoints.rest + "/v5/market/time"
            async with session.get(url, data="{}") as response:
                assert response.status == 403

    run(work())


async def funding(caller: Caller, **params: Any) -> dict[str, Any]:
    return await caller.get("/v5/market/funding/history", category="linear", symbol="SYN02USDT", **params)


def test_funding_history_has_the_venues_windows() -> None:
    async def work() -> None:
        async with serving(pairs=3, history_days=200, auto_switch=False) as venue, calling(venue) as caller:
            one = venue.exchange.market.perps["SYN02USDT"]
            truth = [at_ms for at_ms, _ in venue.exchange.market.settlements(one, 0, venue.now_ms - 3_000)]

            async def times(**params: Any) -> list[int]:
                answer = await funding(caller, **params)
                assert answer["retCode"] == 0, answer
                return [int(row["fundingRateTimestamp"]) for row in answer["result"]["list"]]

            newest = truth[::-1]
            assert await times() == newest[:200] and await times(limit=5) == newest[:5]
            assert await times(limit=999) == newest[:200]
            assert await times(endTime=truth[-7]) == newest[6:206]
            assert await times(endTime=truth[-7] - 1, limit=1) == [truth[-8]]
            assert await times(startTime=truth[-9], endTime=truth[-7]) == newest[6:9]
            assert await times(startTime=truth[0], endTime=newest[0]) == newest[:200]
            assert await times(startTime=1, endTime=2) == []
            assert (await funding(caller, startTime=truth[0]))["retCode"] == 10001
            assert (await funding(caller, startTime=2, endTime=1))["retCode"] == 10001
            assert (await funding(caller, limit=0))["retCode"] == 10001
            assert (await funding(caller, limit="x"))["retCode"] == 10001
            unknown = await caller.get("/v5/market/funding/history", category="linear", symbol="NOUSDT")
            assert unknown["retCode"] == 10001

    run(work())


def test_a_settlement_appears_in_the_history_after_a_delay() -> None:
    async def work() -> None:
        async with serving(pairs=3) as venue, calling(venue) as caller:
            settled_ms = 1_767_225_600_000 + 8 * HOUR_MS
            venue.advance((settled_ms - venue.now_ms) / 1_000 + 1)
            early = (await funding(caller, limit=1))["result"]["list"][0]["fundingRateTimestamp"]
            venue.advance(3)
            late = (await funding(caller, limit=1))["result"]["list"][0]["fundingRateTimestamp"]
            assert (int(early), int(late)) == (settled_ms - 8 * HOUR_MS, settled_ms)

    run(work())


def test_closed_history_decides_whether_a_closed_symbol_returns_its_history() -> None:
    async def work() -> None:
        for visible in (True, False):
            async with serving(pairs=8, closed_history=visible) as venue, calling(venue) as caller:
                listed = await caller.get("/v5/market/instruments-info", category="linear", status="Closed")
                (row,) = listed["result"]["list"]
                symbol, ended_ms = row["symbol"], int(row["deliveryTime"])
                assert symbol == "SYN06USDT" and ended_ms < venue.now_ms
                rates = await caller.get("/v5/market/funding/history", category="linear", symbol=symbol)
                bars = await caller.get("/v5/market/kline", category="linear", symbol=symbol, interval="60")
                rows = rates["result"]["list"]
                assert (len(rows) > 20, len(bars["result"]["list"]) == 200) == (visible, visible)
                if visible:
                    assert int(rows[0]["fundingRateTimestamp"]) == ended_ms
                    assert int(bars["result"]["list"][0][0]) == ended_ms - HOUR_MS

    run(work())


def test_candles_have_the_venues_windows() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            now = venue.now_ms

            async def starts(**params: Any) -> list[int]:
                answer = await caller.get(
                    "/v5/market/kline", category="linear", symbol="BTCUSDT", interval="60", **params
                )
                assert answer["retCode"] == 0, answer
                return [int(row[0]) for row in answer["result"]["list"]]

            hour = now // HOUR_MS * HOUR_MS
            assert await starts() == [hour - k * HOUR_MS for k in range(200)]
            assert await starts(limit=2) == [hour, hour - HOUR_MS]
            assert await starts(start=hour - 5 * HOUR_MS, limit=2) == [hour - 4 * HOUR_MS, hour - 5 * HOUR_MS]
            assert await starts(start=hour - 5 * HOUR_MS - 1, limit=1) == [hour - 5 * HOUR_MS]
            assert await starts(start=hour - 5 * HOUR_MS, end=hour - 3 * HOUR_MS, limit=2) == [
                hour - 3 * HOUR_MS,
                hour - 4 * HOUR_MS,
            ]
            assert await starts(end=hour - 1, limit=1) == [hour - HOUR_MS]
            assert await starts(start=now + DAY_MS) == []
            assert len(await starts(start=now - 30 * DAY_MS, limit=5_000)) == 720
            assert min(await starts(end=now - 39 * DAY_MS, limit=1_000)) >= now - 40 * DAY_MS - DAY_MS
            bad = await caller.get("/v5/market/kline", category="linear", symbol="BTCUSDT", interval="7")
            assert bad["retCode"] == 10001

    run(work())


def test_cursors_visit_every_page_once() -> None:
    async def work() -> None:
        async with serving(pairs=8) as venue, calling(venue) as caller:
            seen: list[str] = []
            cursor = ""
            while True:
                page = await caller.get("/v5/market/instruments-info", category="linear", limit=3, cursor=cursor)
                seen += [row["symbol"] for row in page["result"]["list"]]
                cursor = page["result"]["nextPageCursor"]
                if not cursor:
                    break
            assert len(seen) == len(set(seen)) == 7
            held: list[str] = []
            cursor = ""
            for _ in range(3):
                page = await caller.get(
                    "/v5/market/open-interest",
                    category="linear",
                    symbol="BTCUSDT",
                    intervalTime="1h",
                    limit=10,
                    cursor=cursor,
                )
                held += [row["timestamp"] for row in page["result"]["list"]]
                cursor = page["result"]["nextPageCursor"]
            assert held == [str(venue.now_ms // HOUR_MS * HOUR_MS - k * HOUR_MS) for k in range(30)]
            bad = await caller.get("/v5/market/instruments-info", category="linear", cursor="nonsense")
            assert bad["retCode"] == 10001

    run(work())


def test_pages_of_executions_do_not_shift_when_new_ones_come_in() -> None:
    async def work() -> None:
        async with serving(pairs=1, private_limits=False) as venue, calling(venue) as caller:
            for _ in range(7):
                venue.external_trade("BTCUSDT", Decimal("0.001"))

            async def page(cursor: str) -> tuple[list[str], str]:
                params = {"category": "linear", "limit": 3, "cursor": cursor}
                answer = (await caller.signed("GET", "/v5/execution/list", params))["result"]
                return [row["execId"] for row in answer["list"]], answer["nextPageCursor"]

            first, cursor = await page("")
            venue.external_trade("BTCUSDT", Decimal("0.001"))
            second, cursor = await page(cursor)
            third, cursor = await page(cursor)
            ids = [one.exec_id for one in venue.exchange.fills.executions]
            assert first + second + third == ids[:7][::-1] and cursor == ""

    run(work())


def test_private_lists_span_at_most_a_week_and_drop_unfilled_orders_after_a_day() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            exchange = venue.exchange
            bid, ask = quotes(exchange, "BTCUSDT")
            gone = exchange.matching.create(order("BTCUSDT", "Buy", "0.1", bid - 100, timeInForce="IOC"))
            done = exchange.matching.create(order("BTCUSDT", "Buy", "0.1", ask, timeInForce="IOC"))

            async def listed(**params: Any) -> list[str]:
                answer = await caller.signed("GET", "/v5/order/history", {"category": "linear", **params})
                assert answer["retCode"] == 0, answer
                return [row["orderId"] for row in answer["result"]["list"]]

            assert await listed() == [done.order_id, gone.order_id]
            assert await listed(orderStatus="Cancelled") == [gone.order_id]
            venue.advance(2 * 86_400)
            assert await listed() == [done.order_id]
            venue.advance(6 * 86_400)
            assert await listed() == [] and await listed(startTime=done.created_ms) == [done.order_id]
            span = {"category": "linear", "startTime": 1, "endTime": 1 + 8 * DAY_MS}
            assert (await caller.signed("GET", "/v5/execution/list", span))["retCode"] == 10001
            assert (await caller.signed("GET", "/v5/order/realtime", {"category": "linear"}))["retCode"] == 10001

    run(work())


def test_invalid_settings_are_refused() -> None:
    for wrong in ({"seed": -1}, {"pairs": -1}, {"history_days": 1}, {"speed": -1.0}, {"push_ms": 1}):
        with pytest.raises(ValueError, match="must"):
            config(**wrong)
    with pytest.raises(ValueError, match="cannot move backwards"):
        still(pairs=1).clock.advance(-1)


def test_the_rate_of_a_ticker_can_be_rebuilt_from_premium_candles() -> None:
    """As a bot does to get past predictions: from premium candles, by the published formula."""

    async def work() -> None:
        async with serving(pairs=4) as venue, calling(venue) as caller:
            venue.advance(5 * 3_600)
            for symbol, hours in (("BTCUSDT", 8), ("SYN03USDT", 4)):
                named = {"category": "linear", "symbol": symbol}
                (row,) = (await caller.get("/v5/market/tickers", **named))["result"]["list"]
                begun_ms = int(row["nextFundingTime"]) - hours * HOUR_MS
                minutes = (venue.now_ms - begun_ms) // 60_000
                bars = await caller.get(
                    "/v5/market/premium-index-price-kline", **named, interval="1", start=begun_ms, limit=1_000
                )
                closes = [Decimal(bar[4]) for bar in reversed(bars["result"]["list"])][:minutes]
                weights = range(1, minutes + 1)
                average = sum((w * close for w, close in zip(weights, closes, strict=True)), Decimal(0)) / sum(weights)
                interest = Decimal("0.0003") * hours / 24
                damped = max(min(interest - average, Decimal("0.0005")), Decimal("-0.0005"))
                cap = Decimal(row["fundingCap"])
                by_hand = max(min(average + damped, cap), -cap)
                assert abs(by_hand - Decimal(row["fundingRate"])) <= Decimal("0.00000001")

    run(work())
