"""The fields of every message, compared with the examples in the venue's documentation."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from carryfold.simexchange.topics import open_topic
from tests.simexchange.venue import calling, fixture_of, order, quotes, run, serving, still

D = Decimal
NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def compare(ours: dict[str, Any], theirs: dict[str, Any], *, without: frozenset[str] = frozenset()) -> None:
    """Check that every field of the example is present with the same type. Additional fields are allowed."""
    missing = set(theirs) - set(ours) - without
    assert not missing, f"fields that are missing: {sorted(missing)}"
    for name, value in theirs.items():
        if name in ours and value is not None and ours[name] is not None:
            assert type(ours[name]) is type(value), f"{name} is {ours[name]!r} here and {value!r} at the venue"
            if isinstance(value, dict) and name not in ("cumFeeDetail", "permissions"):
                compare(ours[name], value)


def first_of(message: dict[str, Any]) -> dict[str, Any]:
    row = message["result"]["list"][0]
    return dict(row)


PUBLIC = [
    ("market-time__0", "/v5/market/time", {}),
    ("market-instrument__0_0", "/v5/market/instruments-info", {"category": "linear"}),
    ("market-instrument__0_1", "/v5/market/instruments-info", {"category": "linear", "status": "PreLaunch"}),
    ("market-instrument__2", "/v5/market/instruments-info", {"category": "spot"}),
    ("market-tickers__0", "/v5/market/tickers", {"category": "linear"}),
    ("market-tickers__2", "/v5/market/tickers", {"category": "spot"}),
    ("market-history-fund-rate__0", "/v5/market/funding/history", {"category": "linear", "symbol": "BTCUSDT"}),
    ("market-kline__0", "/v5/market/kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}),
    (
        "market-mark-kline__0",
        "/v5/market/mark-price-kline",
        {"category": "linear", "symbol": "BTCUSDT", "interval": "60"},
    ),
    (
        "market-index-kline__0",
        "/v5/market/index-price-kline",
        {"category": "linear", "symbol": "BTCUSDT", "interval": "1"},
    ),
    (
        "market-premium-index-kline__0",
        "/v5/market/premium-index-price-kline",
        {"category": "linear", "symbol": "BTCUSDT", "interval": "D"},
    ),
    (
        "market-open-interest__0",
        "/v5/market/open-interest",
        {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1d", "limit": 5},
    ),
    ("market-orderbook__0", "/v5/market/orderbook", {"category": "spot", "symbol": "BTCUSDT"}),
    ("market-recent-trade__0", "/v5/market/recent-trade", {"category": "spot", "symbol": "BTCUSDT"}),
    ("market-index-components__0", "/v5/market/index-price-components", {"indexName": "BTCUSDT"}),
    ("market-order-price-limit__0", "/v5/market/price-limit", {"category": "linear", "symbol": "BTCUSDT"}),
    ("spot-margin-uta-vip-margin__0", "/v5/spot-margin-trade/data", {}),
]


@pytest.mark.parametrize(("name", "path", "params"), PUBLIC, ids=[one[0] for one in PUBLIC])
def test_public_answers_have_the_fields_of_the_documentation(name: str, path: str, params: dict[str, Any]) -> None:
    theirs = fixture_of(name)

    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            ours = await caller.get(path, **params)
            compare(ours, theirs, without=frozenset({"retExtInfo"}))
            compare(ours["result"], theirs["result"], without=frozenset({"nextPageCursor"}))
            ours_list = (
                ours["result"].get("list") or ours["result"].get("components") or ours["result"].get("vipCoinList")
            )
            theirs_list = theirs["result"].get("list") or theirs["result"].get("components")
            if theirs_list and isinstance(theirs_list[0], dict):
                compare(ours_list[0], theirs_list[0])
            elif theirs_list:
                assert len(ours_list[0]) == len(theirs_list[0])
                assert all(NUMBER.fullmatch(text) for text in ours_list[0])

    run(work())


PRIVATE = [
    ("order-open-order__0", "/v5/order/realtime", {"category": "linear", "symbol": "BTCUSDT"}),
    ("order-order-list__0", "/v5/order/history", {"category": "linear"}),
    ("order-execution__0", "/v5/execution/list", {"category": "linear"}),
    ("position-position__0", "/v5/position/list", {"category": "linear", "settleCoin": "USDT"}),
    ("account-wallet-balance__0", "/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
    ("account-fee-rate__0", "/v5/account/fee-rate", {"category": "linear"}),
    ("account-transaction-log__0", "/v5/account/transaction-log", {}),
]


@pytest.mark.parametrize(("name", "path", "params"), PRIVATE, ids=[one[0] for one in PRIVATE])
def test_private_answers_have_the_fields_of_the_documentation(name: str, path: str, params: dict[str, Any]) -> None:
    theirs = fixture_of(name)

    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            venue.external_trade("BTCUSDT", D("-0.1"))
            _, ask = quotes(venue.exchange, "BTCUSDT")
            venue.exchange.matching.create(order("BTCUSDT", "Sell", "0.1", ask))
            ours = await caller.signed("GET", path, params)
            assert ours["retCode"] == 0, ours
            compare(ours, theirs)
            compare(ours["result"], theirs["result"])
            compare(first_of(ours), first_of(theirs))
            if "coin" in first_of(theirs):
                compare(first_of(ours)["coin"][0], first_of(theirs)["coin"][0])

    run(work())


def test_account_info_has_the_fields_of_the_documentation() -> None:
    theirs = fixture_of("account-account-info__0")

    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            compare((await caller.signed("GET", "/v5/account/info"))["result"], theirs["result"])

    run(work())


STREAMS = [
    ("websocket-public-ticker__0_0", "tickers.BTCUSDT", False),
    ("websocket-public-ticker__2", "tickers.BTCUSDT", True),
    ("websocket-public-orderbook__1", "orderbook.50.BTCUSDT", False),
    ("websocket-public-kline__0", "kline.5.BTCUSDT", False),
    ("websocket-public-trade__0", "publicTrade.BTCUSDT", False),
]


@pytest.mark.parametrize(("name", "topic", "spot"), STREAMS, ids=[one[0] for one in STREAMS])
def test_public_pushes_have_the_fields_of_the_documentation(name: str, topic: str, spot: bool) -> None:
    theirs = fixture_of(name)
    exchange = still(pairs=1, history_days=3)
    opened = open_topic(exchange, topic, spot=spot)
    assert opened is not None
    messages = opened.snapshot(exchange)
    exchange.clock.advance(5)
    exchange.step()
    ours = (opened.changes(exchange) or messages)[0]
    if theirs["type"] == "snapshot" and messages:
        ours = messages[0]

    compare(ours, theirs)
    first, second = (one["data"][0] if isinstance(one["data"], list) else one["data"] for one in (ours, theirs))
    compare(first, second)
    assert set(ours) == set(theirs)


PUSHED = [
    ("websocket-private-execution__1", "execution"),
    ("websocket-private-order__1", "order"),
    ("websocket-private-position__1", "position"),
    ("websocket-private-wallet__1", "wallet"),
]


@pytest.mark.parametrize(("name", "topic"), PUSHED, ids=[one[0] for one in PUSHED])
def test_private_pushes_have_the_fields_of_the_documentation(name: str, topic: str) -> None:
    theirs = fixture_of(name)

    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            socket = await caller.socket(venue.endpoints.ws_private, topic, known=True)
            venue.external_trade("BTCUSDT", D("0.1"))
            ours = await socket.receive_json(timeout=10)
            compare(ours, theirs)
            compare(ours["data"][0], theirs["data"][0])
            if topic == "wallet":
                compare(ours["data"][0]["coin"][0], theirs["data"][0]["coin"][0])

    run(work())


def test_spot_orders_have_no_take_profit_mode_and_unknown_values_are_empty() -> None:
    exchange = still()
    _, ask = quotes(exchange, "BTCUSDT", spot=True)
    rows = [
        exchange.matching.create(order("BTCUSDT", "Buy", "0.01", ask, spot=spot)).row(pushed=True)
        for spot in (True, False)
    ]

    assert "tpslMode" not in rows[0] and rows[1]["tpslMode"] == ""
    for row in rows:
        assert all(value is not None for value in row.values())
        assert all(isinstance(row[name], str) for name in ("price", "qty", "cumExecQty", "avgPrice", "createdTime"))
        assert "E" not in "".join(value for value in row.values() if isinstance(value, str) and NUMBER.match(value))
