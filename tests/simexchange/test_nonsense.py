"""Any request gets a result or a refusal, and the state stays consistent."""

from __future__ import annotations

import random
from typing import Any

import pytest

from carryfold.simexchange.endpoints import PRIVATE, PUBLIC, Handler
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.request_params import Refused
from tests.simexchange.venue import START_MS, advance, calling, run, serving, still

NAMES = (
    "category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "orderLinkId", "orderId",
    "marketUnit", "reduceOnly", "closeOnTrigger", "positionIdx", "limit", "cursor", "startTime", "endTime",
    "start", "end", "interval", "intervalTime", "status", "baseCoin", "settleCoin", "indexName",
    "accountType", "coin", "currency", "type", "buyLeverage", "sellLeverage", "mode", "openOnly",
    "orderStatus", "execType",
)  # fmt: skip
SENSIBLE = (
    "linear", "spot", "BTCUSDT", "SYN04USDT", "1000SYN04USDT", "Buy", "Sell", "Limit", "Market", "0.01", "100", "IOC",
    "FOK", "PostOnly", "GTC", "60", "D", "1h", "USDT", "UNIFIED", "Trade", "1", "5",
)  # fmt: skip
NONSENSE = (
    "", "0", "-1", "nan", "inf", "1e400", "1e5", "9" * 40, "0." + "1" * 30, "\x00", "ß", "1" * 10_000, "[]", "null",
    str(START_MS), str(10**18), -1, 0, 1, 10**18, 1.5, True, False,
)  # fmt: skip


def random_params(random_: random.Random) -> dict[str, Any]:
    """Random parameters, some of them valid."""
    right = {
        "category": random_.choice(("linear", "spot")),
        "symbol": "BTCUSDT",
        "interval": "60",
        "intervalTime": "1h",
    }
    right |= {"side": "Buy", "orderType": random_.choice(("Market", "Limit")), "qty": "0.01", "price": "40000"}
    right |= {"accountType": "UNIFIED", "indexName": "BTCUSDT", "buyLeverage": "5", "sellLeverage": "5"}
    given: dict[str, Any] = {name: value for name, value in right.items() if random_.random() < 0.8}
    for _ in range(random_.randrange(4)):
        given[random_.choice(NAMES)] = random_.choice(SENSIBLE if random_.random() < 0.5 else NONSENSE)
    return given


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return still(pairs=5, history_days=12)


@pytest.mark.parametrize(
    ("route", "handler"),
    [*PUBLIC.items(), *PRIVATE.items()],
    ids=lambda item: item.__name__ if callable(item) else " ".join(item),
)
def test_an_endpoint_answers_or_refuses_any_parameters(
    exchange: Exchange, route: tuple[str, str], handler: Handler
) -> None:
    random_ = random.Random(str(route))
    answered = 0
    for _ in range(120):
        given = random_params(random_)
        sent = given if route[0] == "POST" else {name: str(value) for name, value in given.items()}
        try:
            answered += isinstance(handler(exchange, sent), dict)
        except Refused as refused:
            assert refused.code > 0 and refused.message
    advance(exchange, 7)
    assert sum(one.change for one in exchange.ledger.entries if one.currency == "USDT") == exchange.ledger.balance(
        "USDT"
    )
    if route not in {("POST", "/v5/order/cancel"), ("POST", "/v5/order/amend"), ("POST", "/v5/position/switch-mode")}:
        assert answered > 0


def test_malformed_bodies_and_frames_do_no_harm() -> None:
    async def work() -> None:
        async with serving(pairs=1, history_days=3) as venue, calling(venue) as caller:
            for body in ({"symbol": ["BTCUSDT"], "category": {"a": 1}}, {"category": None}, {}):
                assert (await caller.signed("POST", "/v5/order/create", body))["retCode"] == 10001
            socket = await caller.socket(venue.endpoints.ws_public_linear)
            frames = (
                "[]",
                "1",
                '{"op": 1}',
                '{"op": "subscribe", "args": [[], {}, null, 5]}',
                '{"op":"subscribe","args":"x"}',
            )
            for frame in frames:
                await socket.send_str(frame)
                assert (await socket.receive_json(timeout=10))["success"] in (True, False)
            trade = await caller.socket(venue.endpoints.ws_trade, known=False)
            for frame in (
                '{"op":"auth","args":[1,2,3]}',
                '{"op":"order.create","args":[[]]}',
                '{"op":"auth","args":{}}',
            ):
                await trade.send_str(frame)
                assert (await trade.receive_json(timeout=10))["success"] is False
            assert (await caller.get("/v5/market/time"))["retCode"] == 0

    run(work())
