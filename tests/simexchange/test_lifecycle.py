"""Events of time and venue on an account: delisting, auto-deleveraging, liquidation, interest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from carryfold.simexchange.request_params import Refused
from carryfold.simexchange.rest_public import instruments, tickers_of
from tests.simexchange.venue import advance, order, quotes, still

D = Decimal


def published_by(exchange: Any) -> list[tuple[str, dict[str, Any]]]:
    published: list[tuple[str, dict[str, Any]]] = []
    exchange.state.listeners.append(lambda topic, row: published.append((topic, row)))
    return published


def test_a_delisting_is_announced_refuses_new_positions_and_closes_open_ones() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "ETHUSDT")
    exchange.matching.create(order("ETHUSDT", "Sell", "2", bid, timeInForce="IOC"))
    rests = exchange.matching.create(order("ETHUSDT", "Sell", "1", (ask * D("1.01")).quantize(D("0.01"))))
    published = published_by(exchange)

    exchange.delist("ETHUSDT", in_s=3_600)
    one = exchange.market.perps["ETHUSDT"]
    row = instruments(exchange, {"category": "linear", "symbol": "ETHUSDT"})["list"][0]
    assert (row["status"], row["deliveryTime"]) == ("Trading", str(one.delivery_ms))
    advance(exchange, 2_000)
    bid, _ = quotes(exchange, "ETHUSDT")
    with pytest.raises(Refused) as refused:
        exchange.matching.create(order("ETHUSDT", "Sell", "1", bid))
    assert refused.value.code == 30228

    advance(exchange, 1_600)

    price = D(str(exchange.market.delivery_price(one)))
    assert (rests.status, rests.cancel) == ("Cancelled", "CancelBySettle")
    assert not exchange.account.held
    last = exchange.fills.executions[-1]
    assert (last.kind, last.link_id, last.create_type) == ("Delivery", "", "CreateBySettle")
    assert last.price == price and last.fee == 0
    assert last.order_id not in {one_order.order_id for one_order in exchange.orders.all}
    assert [row["execType"] for topic, row in published if topic == "execution"] == ["Delivery"]
    listed = instruments(exchange, {"category": "linear"})["list"]
    closed = instruments(exchange, {"category": "linear", "status": "Closed"})["list"]
    assert "ETHUSDT" not in {row["symbol"] for row in listed} and "ETHUSDT" in {row["symbol"] for row in closed}
    assert "ETHUSDT" not in {row["symbol"] for row in tickers_of(exchange, {"category": "linear"})["list"]}
    assert "ETHUSDT" in {row["symbol"] for row in tickers_of(exchange, {"category": "spot"})["list"]}


def test_the_delivery_price_is_the_mean_index_of_the_last_half_hour() -> None:
    exchange = still()
    one = exchange.market.perps["ETHUSDT"]
    exchange.delist("ETHUSDT", in_s=3_600)
    minutes = range(one.delivery_ms // 60_000 - 29, one.delivery_ms // 60_000 + 1)
    prices = [float(exchange.market.frame(minute * 60_000).indices[1]) for minute in minutes]

    assert exchange.market.delivery_price(one) == pytest.approx(sum(prices) / 30, abs=0.01)


def test_auto_deleveraging_takes_a_share_at_the_mark_price_without_fee_and_without_link() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    exchange.matching.create(order("BTCUSDT", "Sell", "0.4", bid, timeInForce="IOC", orderLinkId="mine"))
    published = published_by(exchange)

    exchange.adl("BTCUSDT", D("0.25"))

    last = exchange.fills.executions[-1]
    assert (last.kind, last.qty, last.buy, last.fee, last.link_id) == ("AdlTrade", D("0.1"), True, D(0), "")
    assert last.price == exchange.state.marks()["BTCUSDT"]
    assert exchange.account.positions["BTCUSDT"].size == D("-0.3")
    assert [topic for topic, _ in published] == ["execution", "position", "wallet"]


def test_auto_deleveraging_without_a_position_does_nothing() -> None:
    exchange = still()
    exchange.adl("BTCUSDT")
    assert exchange.fills.executions == []


def test_an_account_without_margin_is_liquidated_and_its_orders_are_cancelled() -> None:
    exchange = still(balances={"USDT": D(1_100)})
    exchange.account.position(exchange.market.perps["BTCUSDT"], exchange.now_ms).leverage = D(100)
    exchange.matching.create(order("BTCUSDT", "Buy", "1.5"))
    assert exchange.account.held
    spot_bid, _ = quotes(exchange, "BTCUSDT", spot=True)
    rests = exchange.matching.create(
        order("BTCUSDT", "Buy", "0.001", (spot_bid * D("0.991")).quantize(D("0.1")), spot=True)
    )

    for _ in range(100):
        advance(exchange, 7 * 3_600)
        if not exchange.account.held:
            break

    assert exchange.fills.executions[-1].kind == "BustTrade"
    assert exchange.fills.executions[-1].fee > 0
    assert not exchange.account.held
    assert rests.status in ("Cancelled", "Filled", "PartiallyFilledCanceled")
    taken_over = [entry for entry in exchange.ledger.entries if entry.kind == "LIQUIDATION"]
    assert len(taken_over) == 1 and taken_over[0].change == taken_over[0].cash_flow - taken_over[0].fee < 0


def test_a_debt_costs_interest_each_full_hour() -> None:
    exchange = still(balances={"USDT": D(-1_000), "BTC": D(1)})
    advance(exchange, 3 * 3_600)

    charged = [entry for entry in exchange.ledger.entries if entry.kind == "INTEREST"]
    assert [entry.time_ms % 3_600_000 for entry in charged] == [0, 0, 0]
    assert charged[0].fee == D(1_000) * D("0.0000114155")
    assert charged[2].fee > charged[0].fee


def test_a_pair_starts_to_trade_at_its_launch() -> None:
    exchange = still(pairs=8)
    symbol = "SYN08USDT"
    rows = instruments(exchange, {"category": "linear", "status": "PreLaunch"})["list"]
    assert [row["symbol"] for row in rows] == [symbol] and rows[0]["isPreListing"] is True

    advance(exchange, 3 * 86_400)

    assert instruments(exchange, {"category": "linear", "status": "PreLaunch"})["list"] == []
    assert symbol in {row["symbol"] for row in tickers_of(exchange, {"category": "linear"})["list"]}
    _, ask = quotes(exchange, symbol)
    one = exchange.market.perps[symbol]
    qty = (D(20) / ask // one.qty_step + 1) * one.qty_step
    assert exchange.matching.create(order(symbol, "Buy", f"{qty:f}", ask, timeInForce="IOC")).filled > 0
