"""Each fault does what its description says; observed through ccxt where possible."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from carryfold.simexchange import Faults, SimExchange
from carryfold.simexchange.faults import NAMES, Fault, Stage
from tests.simexchange.venue import (
    DEADLINE_S,
    HOUR_MS,
    Caller,
    calling,
    ccxt_of,
    run,
    serving,
)

D = Decimal
PERP, SPOT = "BTC/USDT:USDT", "BTC/USDT"
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}

TESTED: set[str] = set()
"""Names of the faults tested here."""


def card(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a test with the faults it covers."""
    TESTED.update(names)
    return lambda test: test


@asynccontextmanager
async def faulty(name: str, **details: Any) -> AsyncIterator[tuple[SimExchange, Any, Fault]]:
    """A venue with one fault, on order/create by default, and a loaded ccxt client."""
    async with serving(pairs=2, history_days=3) as venue, ccxt_of(venue) as client:
        await client.load_markets()
        await client.fetch_balance()
        yield venue, client, venue.faults.inject(name, **({"where": "order/create"} | details))


async def order_of(client: Any, symbol: str = PERP, link: str = "leg-1", share: float = 0.1) -> Any:
    price = (await client.fetch_ticker(symbol))["ask"]
    params = {"timeInForce": "IOC", "clientOrderId": link}
    return await client.create_order(symbol, "limit", "buy", share, price, params)


def links(venue: SimExchange) -> list[str]:
    return [one.link_id for one in venue.exchange.orders.all]


@card("lose_response", "timeout_after", "drop_request", "timeout_before")
@pytest.mark.parametrize(
    ("name", "done"),
    [("lose_response", True), ("timeout_after", True), ("drop_request", False), ("timeout_before", False)],
)
def test_a_missing_answer_does_not_show_whether_the_order_was_executed(name: str, done: bool) -> None:
    async def work() -> None:
        import ccxt

        async with faulty(name, seconds=0.4) as (venue, client, fault):
            client.timeout = 200 if name.startswith("timeout") else 10_000
            with pytest.raises((ccxt.NetworkError, ccxt.RequestTimeout)):
                await order_of(client)
            client.timeout = 10_000
            assert links(venue) == (["leg-1"] if done else []) and fault.triggered == 1
            if done:
                with pytest.raises(ccxt.InvalidOrder, match="110072"):
                    await order_of(client)
                found = await client.fetch_open_orders(PERP, params={"orderLinkId": "leg-1"})
                assert [one["clientOrderId"] for one in found] == ["leg-1"]
            else:
                assert (await order_of(client))["id"]
            assert len(venue.exchange.orders.all) == 1

    run(work())


@card("http_error", "rate_limit", "ip_ban", "refuse")
@pytest.mark.parametrize(
    ("name", "details", "error"),
    [
        ("http_error", {}, "ExchangeNotAvailable"),
        ("http_error", {"value": 429}, "RateLimitExceeded"),
        ("rate_limit", {}, "RateLimitExceeded"),
        ("ip_ban", {"seconds": 0.3}, "RateLimitExceeded"),
        ("refuse", {}, "ExchangeError"),
        ("refuse", {"value": 110007, "text": "ab not enough for new order"}, "InsufficientFunds"),
    ],
)
def test_a_rejected_request_has_no_effect(name: str, details: dict[str, Any], error: str) -> None:
    async def work() -> None:
        import ccxt

        async with faulty(name, **details) as (venue, client, _):
            with pytest.raises(getattr(ccxt, error)):
                await order_of(client)
            assert links(venue) == []
            if name == "ip_ban":
                with pytest.raises(ccxt.RateLimitExceeded):
                    await client.fetch_time()
                venue.limits.ban(0)
            await order_of(client)
            assert links(venue) == ["leg-1"]

    run(work())


@card("error_after", "create_timeout")
@pytest.mark.parametrize(
    ("name", "symbol", "code"),
    [("error_after", PERP, "10016"), ("create_timeout", SPOT, "170146"), ("create_timeout", PERP, "10000")],
)
def test_an_executed_request_can_return_an_error(name: str, symbol: str, code: str) -> None:
    async def work() -> None:
        import ccxt

        async with faulty(name) as (venue, client, _):
            with pytest.raises(ccxt.ExchangeError, match=code):
                await order_of(client, symbol)
            assert links(venue) == ["leg-1"] and venue.exchange.orders.all[0].filled > 0

    run(work())


@card("slow", "stale", "corrupt")
def test_answers_can_be_slow_empty_or_corrupt() -> None:
    async def work() -> None:
        async with serving(pairs=2, history_days=3) as venue, calling(venue) as caller:
            venue.faults.inject("slow", where="market/time", seconds=0.2)
            begun = time.monotonic()
            assert (await caller.get("/v5/market/time"))["retCode"] == 0
            assert time.monotonic() - begun >= 0.2

            venue.external_trade("BTCUSDT", D("0.1"))
            venue.faults.inject("stale", where="order/history")
            first = await caller.signed("GET", "/v5/order/history", {"category": "linear"})
            second = await caller.signed("GET", "/v5/order/history", {"category": "linear"})
            assert (first["retCode"], first["result"]["list"], len(second["result"]["list"])) == (0, [], 1)

            venue.faults.inject("corrupt", where="market/tickers")
            with pytest.raises(ValueError, match=r"(?i)unterminated|expecting|delimiter"):
                await caller.get("/v5/market/tickers", category="linear")
            venue.faults.inject("corrupt", where="market/tickers", text="NaN")
            row = (await caller.get("/v5/market/tickers", category="linear"))["result"]["list"][0]
            assert (row["markPrice"], row["symbol"]) == ("NaN", "BTCUSDT")

    run(work())


@card("partial_fill", "late_reject")
@pytest.mark.parametrize(
    ("name", "details", "filled", "status"),
    [
        ("partial_fill", {"value": 0.3}, "0.03", "Cancelled"),
        ("partial_fill", {"value": 0}, "0", "Cancelled"),
        ("late_reject", {}, "0", "Rejected"),
    ],
)
def test_an_accepted_order_can_fill_in_part_or_be_rejected_later(
    name: str, details: dict[str, Any], filled: str, status: str
) -> None:
    async def work() -> None:
        async with faulty(name, **details) as (venue, client, _):
            assert (await order_of(client))["id"]
            (accepted,) = venue.exchange.orders.all
            assert (accepted.filled, accepted.status) == (D(filled), status)

    run(work())


@card("refuse")
def test_one_leg_can_be_rejected_and_the_other_not() -> None:
    async def work() -> None:
        import ccxt

        async with faulty("refuse", category="linear", value=110007) as (venue, client, _):
            await order_of(client, SPOT, "spot-leg")
            with pytest.raises(ccxt.InsufficientFunds):
                await order_of(client, PERP, "perp-leg")
            assert links(venue) == ["spot-leg"]

    run(work())


async def broken(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Whether the connection ends next, without a close message."""
    heard = await socket.receive(timeout=DEADLINE_S)
    return heard.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def fills(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    """Quantities of the next executions pushed."""
    found = []
    for _ in range(count):
        message = await socket.receive_json(timeout=DEADLINE_S)
        found.append(message["data"][0]["execQty"])
    return found


@asynccontextmanager
async def listening(name: str, **details: Any) -> AsyncIterator[tuple[SimExchange, Caller, Any]]:
    """A venue with a fault on execution pushes, and a subscriber to them."""
    async with serving(pairs=2, history_days=3) as venue, calling(venue) as caller:
        socket = await caller.socket(venue.endpoints.ws_private, "execution", known=True)
        venue.faults.inject(name, where="execution", **details)
        yield venue, caller, socket


def trade(venue: SimExchange, *sizes: str) -> None:
    for size in sizes:
        venue.external_trade("BTCUSDT", D(size))


@card("drop", "duplicate", "reorder")
@pytest.mark.parametrize(
    ("name", "details", "expected"),
    [
        ("drop", {}, ["0.02", "0.03"]),
        ("drop", {"count": 2}, ["0.03"]),
        ("drop", {"after": 1}, ["0.01", "0.03"]),
        ("duplicate", {}, ["0.01", "0.01", "0.02", "0.03"]),
        ("duplicate", {"value": 3, "after": 2}, ["0.01", "0.02", "0.03", "0.03", "0.03"]),
        ("reorder", {}, ["0.02", "0.01", "0.03"]),
    ],
)
def test_pushes_can_be_lost_duplicated_and_reordered(name: str, details: dict[str, Any], expected: list[str]) -> None:
    async def work() -> None:
        async with listening(name, **details) as (venue, _, socket):
            trade(venue, "0.01", "0.02", "0.03")
            assert await fills(socket, len(expected)) == expected

    run(work())


@card("late")
def test_a_late_push_arrives_at_its_venue_time() -> None:
    async def work() -> None:
        async with listening("late", seconds=600) as (venue, _, socket):
            trade(venue, "0.01", "0.02")
            assert await fills(socket, 1) == ["0.02"]
            venue.advance(599)
            trade(venue, "0.03")
            assert await fills(socket, 1) == ["0.03"]
            venue.advance(1)
            assert await fills(socket, 1) == ["0.01"]

    run(work())


@card("silence")
def test_a_silent_stream_answers_pings_and_resumes_later() -> None:
    async def work() -> None:
        async with listening("silence", seconds=60) as (venue, _, socket):
            trade(venue, "0.01")
            venue.advance(30)
            trade(venue, "0.02")
            await socket.send_json({"op": "ping"})
            assert (await socket.receive_json(timeout=DEADLINE_S))["op"] == "pong"
            venue.advance(30)
            trade(venue, "0.03")
            assert await fills(socket, 1) == ["0.03"]

    run(work())


@card("disconnect", "disconnect_all", "refuse_connect")
def test_a_push_can_break_its_connection_and_the_next_one_can_be_refused() -> None:
    async def work() -> None:
        async with listening("disconnect") as (venue, caller, socket):
            other = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT")
            await other.receive_json(timeout=DEADLINE_S)
            trade(venue, "0.01")
            assert await broken(socket)
            assert not other.closed

            venue.faults.inject("refuse_connect", where="private")
            refused = await caller.socket(venue.endpoints.ws_private)
            assert (await refused.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.CLOSE
            await caller.socket(venue.endpoints.ws_private, "execution", known=True)

            venue.faults.inject("disconnect_all")
            assert await broken(other)

    run(work())


@card("corrupt_push")
def test_a_push_can_be_corrupt() -> None:
    async def work() -> None:
        async with listening("corrupt_push", text="1e400") as (venue, _, socket):
            trade(venue, "0.01")
            assert await fills(socket, 1) == ["1e400"]
            venue.faults.inject("corrupt_push", where="execution")
            trade(venue, "0.01")
            text = await socket.receive_str(timeout=DEADLINE_S)
            assert text.startswith('{"id"') and not text.endswith("}")

    run(work())


@card("drop")
def test_a_lost_delta_leaves_a_visible_gap() -> None:
    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_linear, "orderbook.50.BTCUSDT")
            updates = [(await socket.receive_json(timeout=DEADLINE_S))["data"]["u"]]
            venue.faults.inject("drop", where="orderbook.50.*", after=1)
            for _ in range(3):
                venue.advance(5)
            updates += [(await socket.receive_json(timeout=DEADLINE_S))["data"]["u"] for _ in range(2)]
            assert updates == [1, 2, 4]

    run(work())


@card("clock_skew")
def test_the_venues_clock_can_jump() -> None:
    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            venue.faults.inject("clock_skew", value=-300_000, at_s=10)
            assert (await caller.get("/v5/market/time"))["time"] == venue.now_ms
            venue.advance(10)
            answer = await caller.get("/v5/market/time")
            assert answer["time"] == venue.now_ms - 300_000
            assert (await caller.signed("GET", "/v5/account/info"))["retCode"] == 10002

    run(work())


@card("outage")
def test_a_settlement_during_an_outage_is_booked() -> None:
    async def work() -> None:
        async with serving(pairs=2, history_days=3) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_private, "execution", known=True)
            trade(venue, "-0.5")
            await fills(socket, 1)
            settled_ms = -(-venue.now_ms // (8 * HOUR_MS)) * 8 * HOUR_MS
            venue.advance((settled_ms - venue.now_ms) / 1_000 - 900)
            venue.faults.inject("outage", seconds=1_800)
            assert await caller.status("/v5/market/time") == 503
            assert await broken(socket)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await caller.socket(venue.endpoints.ws_private)
            venue.advance(1_799)
            assert await caller.status("/v5/market/time") == 503
            venue.advance(1)
            params = {"category": "linear", "execType": "Funding"}
            rows = (await caller.signed("GET", "/v5/execution/list", params))["result"]["list"]
            assert [int(row["execTime"]) for row in rows] == [settled_ms]

    run(work())


@card("switch_interval", "delist", "adl", "revoke_key", "hand_trade")
def test_events_of_market_and_account_can_be_scheduled() -> None:
    async def work() -> None:
        async with serving(pairs=2, history_days=3) as venue, calling(venue) as caller:
            plan = venue.faults.inject
            plan("switch_interval", symbol="ETHUSDT", value=4, at_s=1)
            plan("hand_trade", symbol="BTCUSDT", value=-0.4, at_s=2)
            plan("adl", symbol="BTCUSDT", value=0.5, at_s=3)
            plan("delist", symbol="ETHUSDT", seconds=7 * 86_400, at_s=4)
            plan("revoke_key", at_s=5)
            market, account = venue.exchange.market, venue.exchange.account

            venue.advance(1)
            venue.advance(1)
            assert account.positions["BTCUSDT"].size == D("-0.4")
            venue.advance(1)
            assert account.positions["BTCUSDT"].size == D("-0.2")
            venue.advance(1)
            assert market.perps["ETHUSDT"].delivery_ms == venue.now_ms + 7 * 86_400_000
            assert (await caller.signed("GET", "/v5/account/info"))["retCode"] == 0
            venue.advance(1)
            assert (await caller.signed("GET", "/v5/account/info"))["retCode"] == 10003
            venue.advance(8 * 3_600)
            assert market.rate(market.perps["ETHUSDT"], venue.now_ms).hours == 4

    run(work())


def test_every_fault_has_a_test() -> None:
    assert set(NAMES) == TESTED


def test_the_same_seed_and_requests_trigger_the_same_faults() -> None:
    def triggered(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.inject("drop", where="execution", probability=0.3)
        faults.inject("rate_limit", probability=0.5)
        asked: list[tuple[Stage, str]] = [("push", "execution"), ("push", "order"), ("before", "order/create")]
        return [faults.trigger(stage, where, {}) is not None for _ in range(100) for stage, where in asked]

    assert triggered(1) == triggered(1) != triggered(2)
    assert 60 < sum(triggered(1)) < 100
    assert not any(triggered(1)[1::3])


def test_faults_match_by_place_category_symbol_and_count() -> None:
    faults = Faults(1)
    faults.inject("refuse", where="order/*", category="spot", symbol="BTCUSDT", count=2, after=1)
    spot = {"category": "spot", "symbol": "BTCUSDT"}

    assert faults.trigger("before", "order/create", LINEAR) is None
    assert faults.trigger("before", "market/time", spot) is None
    assert faults.trigger("after", "order/create", spot) is None
    assert [faults.trigger("before", "order/cancel", spot) is not None for _ in range(4)] == [False, True, True, False]
    assert faults.triggered == [("refuse", "order/cancel")] * 2
    faults.inject("refuse")
    faults.clear()
    assert faults.trigger("before", "order/create", spot) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "gremlins"},
        {"name": "drop", "probability": 2.0},
        {"name": "drop", "count": -1},
        {"name": "drop", "seconds": "long"},
        {"name": "drop", "wherever": "x"},
    ],
)
def test_an_invalid_fault_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(wrong["name"])):
        Faults(1).inject(**wrong)


def test_faults_of_the_configuration_are_armed_from_the_start() -> None:
    async def work() -> None:
        plan = ({"name": "http_error", "where": "market/time", "value": 502},)
        async with serving(pairs=1, history_days=3, faults=plan) as venue, calling(venue) as caller:
            assert [await caller.status("/v5/market/time") for _ in range(2)] == [502, 200]

    run(work())
