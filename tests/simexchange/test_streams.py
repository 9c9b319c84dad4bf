"""The venue's rules for websockets, message by message."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import aiohttp

from carryfold.simexchange import connection
from tests.simexchange.venue import DEADLINE_S, calling, order, quotes, run, serving, until


async def received(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return dict(await socket.receive_json(timeout=DEADLINE_S))


def test_replies_to_pings_subscriptions_and_invalid_requests() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            public = await caller.socket(venue.endpoints.ws_public_linear)
            await public.send_json({"op": "ping", "req_id": "7"})
            pong = await received(public)
            assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "7")
            await public.send_json({"op": "subscribe", "req_id": "8", "args": ["tickers.NOUSDT"]})
            refused = await received(public)
            assert refused["success"] is False and "tickers.NOUSDT" in refused["ret_msg"]
            await public.send_str("nonsense")
            assert (await received(public))["success"] is False
            await public.send_json({"op": "dance"})
            assert (await received(public))["success"] is False

            private = await caller.socket(venue.endpoints.ws_private)
            await private.send_json({"op": "ping"})
            assert (await received(private))["op"] == "pong"
            await private.send_json({"op": "subscribe", "args": ["order"]})
            assert (await received(private))["success"] is False
            await private.send_json({"op": "auth", "args": [venue.api_key, "1", "x"]})
            failed = await received(private)
            assert (failed["op"], failed["success"]) == ("auth", False)

    run(work())


def test_spot_allows_ten_topics_per_request() -> None:
    async def work() -> None:
        async with serving(pairs=12, history_days=3) as venue, calling(venue) as caller:
            names = [f"tickers.{symbol}" for symbol in list(venue.exchange.market.spots)[:11]]
            socket = await caller.socket(venue.endpoints.ws_public_spot)
            await socket.send_json({"op": "subscribe", "req_id": "1", "args": names})
            assert (await received(socket))["success"] is False
            await socket.send_json({"op": "subscribe", "req_id": "2", "args": names[:10]})
            assert (await received(socket))["success"] is True
            snapshots = [await received(socket) for _ in range(10)]
            assert {one["type"] for one in snapshots} == {"snapshot"}
            assert all("bid1Price" not in one["data"] for one in snapshots)

    run(work())


def test_a_linear_ticker_is_a_snapshot_and_then_deltas() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT")
            first = await received(socket)
            assert first["type"] == "snapshot"
            merged = dict(first["data"])
            for _ in range(3):
                venue.advance(61)
                delta = await received(socket)
                assert delta["type"] == "delta" and len(delta["data"]) < len(merged)
                merged |= delta["data"]
            row = (await caller.get("/v5/market/tickers", category="linear", symbol="BTCUSDT"))["result"]["list"][0]
            assert {name: row[name] for name in merged if name in row} == {
                name: value for name, value in merged.items() if name in row
            }

    run(work())


def test_after_a_settlement_the_ticker_shows_zero_and_then_the_new_rate() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT")
            before = (await received(socket))["data"]
            venue.advance((int(before["nextFundingTime"]) - venue.now_ms) / 1_000 + 1)
            at = (await received(socket))["data"]
            assert at["fundingRate"] == "0" and int(at["nextFundingTime"]) > int(before["nextFundingTime"])
            venue.advance(30)
            assert (await received(socket))["data"]["fundingRate"] != "0"

    run(work())


def test_a_book_is_a_snapshot_and_deltas_without_a_gap() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_spot, "orderbook.50.BTCUSDT")
            first = await received(socket)
            sides = {name: dict(first["data"][name]) for name in ("b", "a")}
            update = first["data"]["u"]
            for _ in range(5):
                venue.advance(3)
                delta = await received(socket)
                assert (delta["type"], delta["data"]["u"]) == ("delta", update + 1)
                update += 1
                for name, side in sides.items():
                    side |= dict(delta["data"][name])
            book = (await caller.get("/v5/market/orderbook", category="spot", symbol="BTCUSDT", limit=50))["result"]
            for name, side in sides.items():
                assert {price: size for price, size in side.items() if size != "0"} == dict(book[name])

    run(work())


def test_an_unchanged_best_level_is_repeated() -> None:
    async def work() -> None:
        async with serving(pairs=1, push_ms=10, speed=0.0) as venue, calling(venue) as caller:
            topic = "orderbook.1.BTCUSDT"
            socket = await caller.socket(venue.endpoints.ws_public_linear, topic)
            assert (await received(socket))["type"] == "snapshot"
            book = venue._streams._topics[False, topic]
            sides, update = book._sides, book._update  # type: ignore[attr-defined]
            book._read = lambda _: sides  # type: ignore[attr-defined]
            venue.advance(3)
            again = await received(socket)
            assert (again["type"], again["data"]["u"]) == ("snapshot", update)

    run(work())


def test_a_candle_is_confirmed_once_when_it_closes() -> None:
    async def work() -> None:
        async with serving(pairs=1) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_linear, "kline.1.BTCUSDT")
            messages = [await received(socket)]
            for _ in range(9):
                venue.advance(10)
                messages.append(await received(socket))
                while messages[-1]["data"][0]["confirm"]:
                    messages.append(await received(socket))
            confirmed = [one["data"][0] for one in messages if one["data"][0]["confirm"]]
            rows = (await caller.get("/v5/market/kline", category="linear", symbol="BTCUSDT", interval="1"))["result"][
                "list"
            ]
            bars = {int(row[0]): row for row in rows}
            assert len(confirmed) == len({one["start"] for one in confirmed}) >= 1
            for one in confirmed:
                row = bars[one["start"]]
                assert [one[name] for name in ("open", "high", "low", "close", "volume", "turnover")] == row[1:]

    run(work())


def test_categories_of_a_private_topic_are_kept_apart() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            perp = await caller.socket(venue.endpoints.ws_private, "order.linear", "execution.linear", known=True)
            spot = await caller.socket(venue.endpoints.ws_private, "order.spot", known=True)
            venue.external_trade("BTCUSDT", Decimal("0.01"))
            venue.external_trade("BTCUSDT", Decimal("0.02"), spot=True)

            assert [(await received(perp))["topic"] for _ in range(2)] == ["execution.linear", "order.linear"]
            pushed = await received(spot)
            assert (pushed["topic"], pushed["data"][0]["cumExecQty"], pushed["data"][0]["orderLinkId"]) == (
                "order.spot",
                "0.02",
                "",
            )

    run(work())


def test_a_fill_is_pushed_in_the_venues_order_and_with_its_fee() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            topics = ("order", "execution", "position", "wallet")
            socket = await caller.socket(venue.endpoints.ws_private, *topics, known=True)
            bid, _ = quotes(venue.exchange, "BTCUSDT")
            body = order("BTCUSDT", "Sell", "0.1", bid, timeInForce="IOC", orderLinkId="one")
            created = await caller.signed("POST", "/v5/order/create", body)
            messages = [await received(socket) for _ in range(4)]

            assert [one["topic"] for one in messages] == ["execution", "position", "order", "wallet"]
            fill, position, final, wallet = (one["data"][0] for one in messages)
            assert created["result"] == {"orderId": fill["orderId"], "orderLinkId": "one"}
            assert (fill["execQty"], fill["execPrice"], fill["feeRate"]) == ("0.1", f"{bid.normalize():f}", "0.00055")
            assert Decimal(fill["execFee"]) == bid * Decimal("0.1") * Decimal("0.00055")
            assert (position["side"], position["size"]) == ("Sell", "0.1")
            assert (final["orderStatus"], final["cumFeeDetail"]) == ("Filled", {"USDT": fill["execFee"]})
            coin = next(one for one in wallet["coin"] if one["coin"] == "USDT")
            assert Decimal(coin["walletBalance"]) == 100_000 - Decimal(fill["execFee"])

    run(work())


def test_an_unsubscribed_client_gets_no_more_messages() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT", "tickers.ETHUSDT")
            assert {(await received(socket))["topic"] for _ in range(2)} == {"tickers.BTCUSDT", "tickers.ETHUSDT"}
            await socket.send_json({"op": "unsubscribe", "args": ["tickers.BTCUSDT"], "req_id": "2"})
            assert (await received(socket))["success"] is True
            venue.advance(120)
            assert (await received(socket))["topic"] == "tickers.ETHUSDT"

    run(work())


def test_two_subscribers_get_the_same_messages() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, calling(venue) as caller:
            one = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT")
            await received(one)
            venue.advance(5)
            other = await caller.socket(venue.endpoints.ws_public_linear, "tickers.BTCUSDT")
            merged = dict((await received(other))["data"])
            assert (
                merged["markPrice"]
                == (await caller.get("/v5/market/tickers", category="linear", symbol="BTCUSDT"))["result"]["list"][0][
                    "markPrice"
                ]
            )
            await received(one)
            venue.advance(5)
            first, second = await asyncio.gather(received(one), received(other))
            assert first == second and first["type"] == "delta"

    run(work())


def test_a_slow_client_is_disconnected() -> None:
    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            slow = await caller.socket(venue.endpoints.ws_private, "execution", known=True)
            with patch.object(connection, "_MAX_WAITING", 5):
                for _ in range(6):  # all in one turn of the loop: nothing can be sent in between
                    venue.external_trade("BTCUSDT", Decimal("0.001"))
            assert (await slow.receive(timeout=DEADLINE_S)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            await until(lambda: venue.connections == 0)

    run(work())
