"""The unmodified ccxt client against the exchange: every call that a bot makes returns complete answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import pairwise
from typing import Any

import pytest

from carryfold.simexchange import SimExchange
from tests.simexchange.venue import DAY_MS, DEADLINE_S, HOUR_MS, ccxt_of, config, point, run, serving

PERP, SPOT = "BTC/USDT:USDT", "BTC/USDT"


async def soon(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, DEADLINE_S)


def test_markets_of_every_kind_are_loaded_with_their_steps_and_states() -> None:
    async def work() -> None:
        async with serving(pairs=8) as venue, ccxt_of(venue) as client:
            markets = await client.load_markets()
            perp, spot = markets[PERP], markets[SPOT]

            assert (perp["swap"], perp["linear"], perp["active"], perp["settle"]) == (True, True, True, "USDT")
            assert (perp["precision"]["amount"], perp["precision"]["price"]) == (0.0001, 0.1)
            assert perp["limits"]["cost"]["min"] == spot["limits"]["cost"]["min"] == 5.0
            assert (spot["spot"], spot["precision"]["amount"]) == (True, 0.000001)
            assert markets["SYN08/USDT:USDT"]["active"] is False  # announced, not launched
            assert "SYN06/USDT:USDT" not in markets and "SYN06/USDT" in markets  # closed; its coin trades on
            assert markets["1000SYN04/USDT:USDT"]["base"] == "1000SYN04"
            assert set(client.currencies) >= {"BTC", "ETH", "USDT", "SYN04"}
            assert abs(await client.fetch_time() - venue.now_ms) < 1_000

    run(work())


def test_three_requests_load_spot_and_linear_markets() -> None:
    async def work() -> None:
        async with serving(pairs=3) as venue:
            import ccxt.async_support

            client = ccxt.async_support.bybit({"options": {"fetchMarkets": {"types": ["spot", "linear"]}}})
            point(client, venue)
            del client.urls["api"]["ws"]
            try:
                markets = await client.load_markets()
            finally:
                await client.close()
            assert len(markets) == 3 + 3 + 1
            assert client.last_response_headers is not None

    run(work())


def test_tickers_and_rates() -> None:
    async def work() -> None:
        async with serving(pairs=8) as venue, ccxt_of(venue) as client:
            perps = await client.fetch_tickers(params={"category": "linear"})
            spots = await client.fetch_tickers([SPOT, "SYN04/USDT"])
            rates = await client.fetch_funding_rates()

            assert len(perps) == 7 and len(rates) == 7
            for ticker in [*perps.values(), *spots.values()]:
                assert 0 < ticker["bid"] < ticker["ask"] and ticker["low"] <= ticker["last"] <= ticker["high"]
                assert ticker["quoteVolume"] > 0
            assert perps["1000SYN04/USDT:USDT"]["indexPrice"] == pytest.approx(
                1_000 * spots["SYN04/USDT"]["last"], rel=2e-3
            )
            rate = rates[PERP]
            assert rate["fundingTimestamp"] % (8 * HOUR_MS) == 0 and rate["interval"] == "8h"
            assert rate["info"]["fundingIntervalHour"] == "8" and rate["markPrice"] > 0

    run(work())


def test_funding_history_paged_backwards_is_complete() -> None:
    async def work() -> None:
        async with serving(pairs=3, history_days=400, auto_switch=False) as venue, ccxt_of(venue) as client:
            history = await client.fetch_funding_rate_history(
                "SYN02/USDT:USDT", params={"paginate": True, "paginationCalls": 60}
            )
            one = venue.exchange.market.perps["SYN02USDT"]
            truth = venue.exchange.market.settlements(one, 0, venue.now_ms - 3_000)

            assert [(row["timestamp"], row["fundingRate"]) for row in history] == truth
            gaps = [(later["timestamp"] - row["timestamp"]) // HOUR_MS for row, later in pairwise(history)]
            assert set(gaps) == {1, 8}

    run(work())


def test_funding_history_paged_forwards_by_ccxt_loses_rows_as_it_does_at_the_venue() -> None:
    """A known fault of ccxt's paging, which makes a backfill incomplete."""

    async def work() -> None:
        async with serving(pairs=3, history_days=400, auto_switch=False) as venue, ccxt_of(venue) as client:
            since = venue.now_ms - 260 * DAY_MS  # inside the hourly time; the pair settles every 8 hours now
            rows = await client.fetch_funding_rate_history("SYN02/USDT:USDT", since, 200)

            assert len(rows) < 200 or rows[0]["timestamp"] - since > 10 * HOUR_MS

    run(work())


@pytest.mark.parametrize("price", [None, "mark", "index", "premiumIndex"])
def test_candles_of_every_price(price: str | None) -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            params = {"price": price} if price else {}
            since = venue.now_ms - 5 * DAY_MS
            hours = await client.fetch_ohlcv(PERP, "1h", since, 1_000, params)
            minutes = await client.fetch_ohlcv(PERP, "1m", None, 1_000, params)

            assert [row[0] for row in hours] == list(range(-(-since // HOUR_MS) * HOUR_MS, venue.now_ms, HOUR_MS))
            assert len(minutes) == 1_000 and minutes[-1][0] == venue.now_ms // 60_000 * 60_000
            for before, row in pairwise(minutes):
                assert row[1] == before[4] and row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2]

    run(work())


def test_open_interest_depth_trades_and_index_components() -> None:
    async def work() -> None:
        async with serving(pairs=5) as venue, ccxt_of(venue) as client:
            held = await client.fetch_open_interest_history(PERP, "1h", limit=30)
            assert len(held) == 30 and all(
                later["timestamp"] - one["timestamp"] == HOUR_MS for one, later in pairwise(held)
            )
            book = await client.fetch_order_book(PERP, 50)
            assert len(book["bids"]) == len(book["asks"]) == 50 and book["bids"][0][0] < book["asks"][0][0]
            trades = await client.fetch_trades(SPOT, limit=20)
            assert len(trades) == 20 and {trade["side"] for trade in trades} == {"buy", "sell"}
            parts = await client.publicGetV5MarketIndexPriceComponents({"indexName": "1000SYN04USDT"})
            assert {part["multiplier"] for part in parts["result"]["components"]} == {"1000"}
            assert {part["spotPair"] for part in parts["result"]["components"]} == {"SYN04USDT"}
            rates = await client.publicGetV5SpotMarginTradeData({"currency": "USDT"})
            assert float(rates["result"]["vipCoinList"][0]["list"][0]["hourlyBorrowRate"]) > 0

    run(work())


def test_fees_balance_and_the_kind_of_account() -> None:
    async def work() -> None:
        async with serving(pairs=3) as venue, ccxt_of(venue) as client:
            assert (await client.fetch_trading_fee(SPOT))["taker"] == 0.001
            assert (await client.fetch_trading_fees())[PERP]["maker"] == 0.0002
            assert (await client.fetch_balance())["USDT"]["total"] == 100_000
            assert await client.is_unified_enabled() == [False, True]

    run(work())


def test_both_legs_of_a_carry_and_all_reports_of_them() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            ticker = await client.fetch_ticker(PERP)
            spot = await client.fetch_ticker(SPOT)
            limit = {"timeInForce": "IOC"}
            bought = await client.create_order(
                SPOT, "limit", "buy", 0.5, spot["ask"], limit | {"clientOrderId": "buy-1"}
            )
            sold = await client.create_order(PERP, "limit", "sell", 0.4995, ticker["bid"], limit)

            order = await client.fetch_order(bought["id"], SPOT, {"acknowledged": True})
            assert (order["status"], order["filled"], order["clientOrderId"]) == ("closed", 0.5, "buy-1")
            assert order["fee"] == {"cost": 0.0005, "currency": "BTC"}
            assert (await client.fetch_closed_order(sold["id"], PERP))["filled"] == 0.4995
            trades = await client.fetch_my_trades(SPOT)
            assert [(trade["order"], trade["amount"]) for trade in trades] == [(bought["id"], 0.5)]
            (position,) = await client.fetch_positions()
            assert (position["side"], position["contracts"], position["leverage"]) == ("short", 0.4995, 10)
            assert position["entryPrice"] == ticker["bid"]

            venue.advance(8 * 3_600)

            (paid,) = await client.fetch_funding_history(PERP)
            (settled,) = venue.exchange.market.settlements(
                venue.exchange.market.perps["BTCUSDT"], venue.clock.start_ms, venue.now_ms
            )
            assert paid["timestamp"] == settled[0] and paid["amount"] < 0 < settled[1]  # ccxt: below zero is received
            ledger = await client.fetch_ledger("USDT")
            kinds = sorted(row["info"]["type"] for row in ledger)
            assert kinds == ["SETTLEMENT", "TRADE", "TRADE", "TRANSFER_IN"]
            balance = await client.fetch_balance()
            assert balance["BTC"]["total"] == 0.4995
            assert balance["USDT"]["total"] == pytest.approx(float(venue.ledger.balance("USDT")), abs=1e-8)

    run(work())


def test_every_type_of_order_can_be_created_found_amended_and_cancelled() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            for symbol in (SPOT, PERP):
                bid = (await client.fetch_ticker(symbol))["bid"]
                rests = await client.create_order(symbol, "limit", "buy", 0.01, round(bid * 0.995, 1))
                (open_one,) = await client.fetch_open_orders(symbol)
                assert (open_one["id"], open_one["status"], open_one["symbol"]) == (rests["id"], "open", symbol)
                edited = await client.edit_order(rests["id"], symbol, "limit", "buy", 0.02, round(bid * 0.994, 1))
                assert (await client.fetch_open_order(edited["id"], symbol))["amount"] == 0.02
                await client.cancel_order(rests["id"], symbol)
                assert (await client.fetch_canceled_orders(symbol))[0]["id"] == rests["id"]

                maker = await client.create_order(symbol, "limit", "buy", 0.01, bid * 2 / 2, {"postOnly": True})
                await client.create_order(symbol, "limit", "buy", 0.01, round(bid * 0.996, 1))
                assert len(await client.cancel_all_orders(symbol)) == 2
                assert await client.fetch_open_orders(symbol) == []
                taken = await client.create_order(symbol, "market", "buy", 0.01)
                killed = await client.create_order(
                    symbol, "limit", "buy", 0.01, round(bid * 0.99, 1), {"timeInForce": "FOK"}
                )
                found = await client.fetch_order(killed["id"], symbol, {"acknowledged": True})
                assert (found["status"], found["filled"]) == ("canceled", 0)
                assert (await client.fetch_closed_orders(symbol))[0]["id"] == taken["id"] != maker["id"]
            reduced = await client.create_order(PERP, "market", "sell", 0.01, None, {"reduceOnly": True})
            assert (await client.fetch_closed_order(reduced["id"], PERP))["reduceOnly"] is True
            assert await client.fetch_positions() == []
            await client.set_leverage(5, PERP)
            assert (await client.fetch_position(PERP))["leverage"] == 5

    run(work())


def test_public_streams() -> None:
    async def work() -> None:
        async with serving(pairs=3) as venue, ccxt_of(venue) as client:
            first = await soon(client.watch_ticker(PERP))
            assert first["info"]["fundingIntervalHour"] == "8" and first["bid"] < first["ask"]
            watched = asyncio.ensure_future(client.watch_tickers([PERP, "ETH/USDT:USDT"]))
            await asyncio.sleep(0)
            venue.advance(60)
            changed = await soon(watched)
            assert set(changed) <= {PERP, "ETH/USDT:USDT"}
            assert (await soon(client.watch_ticker(SPOT)))["bid"] is None  # the venue's spot tickers have none
            quote = (await soon(client.watch_bids_asks([SPOT])))[SPOT]
            assert quote["bid"] == (await client.fetch_ticker(SPOT))["bid"]
            book = await soon(client.watch_order_book(PERP, 50))
            assert len(book["bids"]) == 50
            for _ in range(3):
                again = asyncio.ensure_future(client.watch_order_book(PERP, 50))
                await asyncio.sleep(0)
                venue.advance(7)
                book = await soon(again)
            truth = await client.fetch_order_book(PERP, 50)
            assert book["bids"] == truth["bids"] and book["asks"] == truth["asks"]
            candle = (await soon(client.watch_ohlcv(PERP, "1m")))[-1]
            assert candle[0] == venue.now_ms // 60_000 * 60_000
            trades = asyncio.ensure_future(client.watch_trades(SPOT))
            await asyncio.sleep(0.2)
            venue.advance(3)
            assert len(await soon(trades)) >= 1

    run(work())


def test_private_streams() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            client.options["watchMyTrades"] = {"execType": ["Trade", "Funding", "AdlTrade", "Delivery"]}
            bid = (await client.fetch_ticker(PERP))["bid"]
            assert await soon(client.watch_positions()) == []
            watching = [
                asyncio.ensure_future(one)
                for one in (
                    client.watch_orders(),
                    client.watch_my_trades(),
                    client.watch_balance(),
                    client.watch_positions(),
                )
            ]
            await asyncio.sleep(0.3)
            await client.create_order(PERP, "limit", "sell", 0.2, bid, {"timeInForce": "IOC", "clientOrderId": "leg-1"})
            orders, trades, balance, positions = await soon(asyncio.gather(*watching))

            assert (orders[-1]["clientOrderId"], orders[-1]["status"], orders[-1]["filled"]) == ("leg-1", "closed", 0.2)
            assert (trades[-1]["amount"], trades[-1]["fee"]["currency"]) == (0.2, "USDT")
            assert balance["USDT"]["total"] < 100_000
            assert (positions[-1]["side"], positions[-1]["contracts"]) == ("short", 0.2)

            watched = asyncio.ensure_future(client.watch_my_trades())
            await asyncio.sleep(0)
            venue.advance(8 * 3_600)
            funding = (await soon(watched))[-1]
            assert funding["info"]["execType"] == "Funding" and float(funding["info"]["execFee"]) < 0
            assert funding["timestamp"] % (8 * HOUR_MS) == 0

            watched = asyncio.ensure_future(client.watch_orders())
            await asyncio.sleep(0)
            spot = (await client.fetch_ticker(SPOT))["ask"]
            await client.create_order(SPOT, "limit", "buy", 0.1, spot, {"timeInForce": "IOC"})
            assert (await soon(watched))[-1]["symbol"] == SPOT

    run(work())


def test_orders_over_the_trade_websocket() -> None:
    async def work() -> None:
        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            bid = (await client.fetch_ticker(PERP))["bid"]
            created = await soon(client.create_order_ws(PERP, "limit", "buy", 0.01, round(bid * 0.99, 1)))
            assert [one["id"] for one in await client.fetch_open_orders(PERP)] == [created["id"]]
            await soon(client.cancel_order_ws(created["id"], PERP))
            assert await client.fetch_open_orders(PERP) == []

    run(work())


def test_a_disconnected_client_reconnects_and_gets_a_new_snapshot() -> None:
    async def work() -> None:
        import ccxt

        async with serving(pairs=2) as venue, ccxt_of(venue) as client:
            await soon(client.watch_ticker(PERP))
            watching = asyncio.ensure_future(client.watch_ticker(PERP))
            await asyncio.sleep(0)
            venue.disconnect()
            with pytest.raises(ccxt.NetworkError):
                await soon(watching)
            venue.advance(3_600)
            again = await soon(client.watch_ticker(PERP))
            assert again["info"]["markPrice"] == (await client.fetch_ticker(PERP))["info"]["markPrice"]

    run(work())


def test_a_clock_at_speed_one_is_real_time() -> None:
    async def work() -> None:
        settings = config(pairs=2, history_days=3, start_ms=0, speed=1.0, push_ms=20)
        async with await SimExchange.start(settings) as venue, ccxt_of(venue) as client:
            assert abs(await client.fetch_time() - client.milliseconds()) < 500
            await client.fetch_balance()
            first = await soon(client.watch_ticker(PERP))
            later = await soon(client.watch_ticker(PERP))
            assert later["timestamp"] > first["timestamp"]

    run(work())
