"""Orders against the order book, and their effect on the account, without network."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.matching import OrderFault
from carryfold.simexchange.request_params import Refused
from tests.simexchange.venue import advance, order, quotes, still

D = Decimal


def create(exchange: Exchange, body: dict[str, Any]) -> Any:
    return exchange.matching.create(body)


def refusal(exchange: Exchange, body: dict[str, Any]) -> int:
    before = len(exchange.orders.all)
    with pytest.raises(Refused) as refused:
        exchange.matching.create(body)
    assert len(exchange.orders.all) == before, "a refused order must leave nothing behind"
    return refused.value.code


def test_a_spot_buy_pays_its_fee_in_the_coin_and_a_sell_in_quote() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT", spot=True)
    bought = create(exchange, order("BTCUSDT", "Buy", "0.1", ask, spot=True, timeInForce="IOC"))

    assert (bought.status, bought.filled, bought.value) == ("Filled", D("0.1"), D("0.1") * ask)
    assert bought.fees == {"BTC": D("0.0001")}
    assert exchange.ledger.balance("BTC") == D("0.0999")
    assert exchange.ledger.balance("USDT") == 100_000 - D("0.1") * ask

    sold = create(exchange, order("BTCUSDT", "Sell", "0.0999", bid, spot=True, timeInForce="IOC"))

    assert sold.status == "Filled" and exchange.ledger.balance("BTC") == 0
    fee = (D("0.0999") * bid * D("0.001")).quantize(D("0.00000001"))
    assert sold.fees == {"USDT": fee}
    assert exchange.ledger.balance("USDT") == 100_000 - D("0.1") * ask + D("0.0999") * bid - fee


def test_a_perpetual_opened_and_closed_realises_its_difference_less_fees() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    create(exchange, order("BTCUSDT", "Sell", "0.5", bid, timeInForce="IOC"))
    position = exchange.account.positions["BTCUSDT"]
    assert (position.size, position.entry_price) == (D("-0.5"), bid)

    advance(exchange, 600)
    _, ask = quotes(exchange, "BTCUSDT")
    closed = create(exchange, order("BTCUSDT", "Buy", "0.5", ask, timeInForce="IOC", reduceOnly=True))

    fees = (bid + ask) * D("0.5") * D("0.00055")
    assert closed.closed_pnl == (bid - ask) * D("0.5") - ask * D("0.5") * D("0.00055")
    assert exchange.ledger.balance("USDT") == 100_000 + (bid - ask) * D("0.5") - fees
    assert position.size == 0 and position.cost == 0


def test_a_trade_through_zero_reverses_the_position() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT")
    create(exchange, order("BTCUSDT", "Sell", "0.3", bid, timeInForce="IOC"))
    create(exchange, order("BTCUSDT", "Buy", "0.5", ask, timeInForce="IOC"))

    position = exchange.account.positions["BTCUSDT"]
    assert (position.size, position.cost) == (D("0.2"), D("0.2") * ask)


def test_an_order_larger_than_the_best_level_walks_the_book_and_stops_at_its_limit() -> None:
    exchange = still()
    one = exchange.market.perps["SYN02USDT"]
    bids, _ = exchange.depth(one, 3, spot=False)
    sizes = [D(str(level.size)) for level in bids]
    limit = D(f"{bids[1].price:.{one.decimals}f}")
    asked = sum(sizes, D(0))

    taken = create(exchange, order("SYN02USDT", "Sell", f"{asked:f}", limit, timeInForce="IOC"))

    assert taken.filled == sizes[0] + sizes[1] < asked
    assert (taken.status, taken.reject) == ("Cancelled", "EC_NoError")
    fills = exchange.fills.executions
    assert [one_fill.qty for one_fill in fills] == sizes[:2] and fills[0].price > fills[1].price == limit


def test_taken_liquidity_is_missing_until_the_next_second() -> None:
    exchange = still()
    one = exchange.market.perps["SYN02USDT"]
    bids, _ = exchange.depth(one, 2, spot=False)
    bid, _ = quotes(exchange, "SYN02USDT")
    size = f"{bids[0].size:.0f}"
    create(exchange, order("SYN02USDT", "Sell", size, bid, timeInForce="IOC"))

    again = create(exchange, order("SYN02USDT", "Sell", size, bid, timeInForce="IOC"))
    assert (again.status, again.filled, again.reject) == ("Cancelled", 0, "EC_NoImmediateQtyToFill")
    assert exchange.depth(one, 2, spot=False)[0][0].price == bids[1].price

    advance(exchange, 1)
    bid, _ = quotes(exchange, "SYN02USDT")
    assert create(exchange, order("SYN02USDT", "Sell", "4000", bid, timeInForce="IOC")).status == "Filled"


@pytest.mark.parametrize("spot", [True, False])
def test_a_partly_filled_order_that_ends_has_the_status_of_its_market(spot: bool) -> None:
    exchange = still(balances={"USDT": D(50_000_000)})
    one = exchange.market.pairs[2]
    symbol = one.spot_symbol if spot else one.symbol
    _, ask = quotes(exchange, symbol, spot=spot)
    best = exchange.market.best(one, exchange.now_ms, spot=spot)[1]
    too_much = f"{best.size * 2:.0f}"

    ended = create(exchange, order(symbol, "Buy", too_much, ask, spot=spot, timeInForce="IOC"))

    assert 0 < ended.filled < ended.qty
    assert ended.status == ("PartiallyFilledCanceled" if spot else "Cancelled")


def test_fill_or_kill_is_all_or_nothing() -> None:
    exchange = still()
    one = exchange.market.perps["SYN02USDT"]
    bid, _ = quotes(exchange, "SYN02USDT")
    best = exchange.market.best(one, exchange.now_ms, spot=False)[0]

    none = create(exchange, order("SYN02USDT", "Sell", f"{best.size + 1_000:.0f}", bid, timeInForce="FOK"))
    all_of_it = create(exchange, order("SYN02USDT", "Sell", f"{best.size:.0f}", bid, timeInForce="FOK"))

    assert (none.status, none.filled, none.reject) == ("Cancelled", 0, "EC_NoImmediateQtyToFill")
    assert all_of_it.status == "Filled"


def test_post_only_rests_or_is_cancelled() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT")
    goes = create(exchange, order("BTCUSDT", "Sell", "0.1", bid, timeInForce="PostOnly"))
    rests = create(exchange, order("BTCUSDT", "Sell", "0.1", ask, timeInForce="PostOnly"))

    assert (goes.status, goes.filled, goes.reject) == ("Cancelled", 0, "EC_PostOnlyWillTakeLiquidity")
    assert rests.status == "New" and exchange.orders.open == [rests]


def test_a_resting_order_fills_as_maker_at_its_own_price_when_the_market_reaches_it() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "SYN02USDT", spot=True)
    one = exchange.market.spots["SYN02USDT"]
    limit = (bid * D("0.99")).quantize(one.spot_tick)
    rests = create(exchange, order("SYN02USDT", "Buy", "100000", limit, spot=True))
    assert rests.status == "New"

    for _ in range(14 * 24):
        advance(exchange, 3_600)
        if not rests.open:
            break

    assert rests.status == "Filled" and rests.value == rests.qty * limit
    assert all(fill.maker and fill.price == limit for fill in exchange.fills.executions)
    minutes = np.arange(exchange.clock.start_ms // 60_000, exchange.now_ms // 60_000 + 1)
    lows = exchange.market.series.candles(2, "spot", minutes, exchange.now_ms).low
    assert 0.98 * float(limit) < lows.min() < float(limit)


def test_a_market_order_for_a_quote_amount_never_spends_more() -> None:
    exchange = still()
    body = order("SYN02USDT", "Buy", "40000", spot=True) | {"marketUnit": "quoteCoin"}
    spent = create(exchange, body)

    assert D(39_000) < spent.value <= D(40_000)
    assert len(exchange.fills.executions) > 1
    assert spent.row()["qty"] == "40000"


def test_a_reduce_only_order_is_cut_to_the_position_and_refused_without_one() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT")
    assert refusal(exchange, order("BTCUSDT", "Buy", "0.1", ask, reduceOnly=True)) == 110017
    create(exchange, order("BTCUSDT", "Sell", "0.2", bid, timeInForce="IOC"))
    assert refusal(exchange, order("BTCUSDT", "Sell", "0.1", bid, reduceOnly=True)) == 110017

    closed = create(exchange, order("BTCUSDT", "Buy", "0.9", ask, timeInForce="IOC", reduceOnly=True))

    assert (closed.qty, closed.filled) == (D("0.2"), D("0.2"))
    assert not exchange.account.held


def test_quantity_zero_with_close_on_trigger_closes_the_whole_position() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    create(exchange, order("BTCUSDT", "Sell", "0.2", bid, timeInForce="IOC"))

    create(exchange, order("BTCUSDT", "Buy", "0", reduceOnly=True, closeOnTrigger=True))

    assert not exchange.account.held


def test_a_resting_reduce_only_order_is_cancelled_with_its_position() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT")
    create(exchange, order("BTCUSDT", "Sell", "0.2", bid, timeInForce="IOC"))
    limit = (bid * D("0.985")).quantize(D("0.1"))
    rests = create(exchange, order("BTCUSDT", "Buy", "0.2", limit, reduceOnly=True))
    create(exchange, order("BTCUSDT", "Buy", "0.2", ask, timeInForce="IOC"))

    advance(exchange, 60)

    assert (rests.status, rests.cancel) == ("Cancelled", "CancelByReduceOnly")


@pytest.fixture(scope="module")
def untouched() -> Exchange:
    """One exchange for all refusals, since they change nothing."""
    return still(pairs=8, history_days=20)


REFUSED = [
    ("step of a perpetual", order("BTCUSDT", "Buy", "0.00001"), 10001),
    ("step of a spot pair", order("BTCUSDT", "Buy", "0.00000001", spot=True), 170137),
    ("nothing of a spot pair", order("BTCUSDT", "Buy", "0", spot=True), 170136),
    ("far too much of a spot pair", order("BTCUSDT", "Buy", "9" * 20, spot=True), 170135),
    ("far too much of a perpetual", order("BTCUSDT", "Buy", "9" * 20), 10001),
    ("far too much money", order("BTCUSDT", "Buy", "9" * 20, spot=True) | {"marketUnit": "quoteCoin"}, 170124),
    ("value of a perpetual", order("ETHUSDT", "Buy", "0.001"), 110094),
    ("value of a spot pair", order("ETHUSDT", "Buy", "0.00100", spot=True), 170140),
    ("a coin that is not held", order("BTCUSDT", "Sell", "0.1", spot=True), 170131),
    ("more than the money", order("BTCUSDT", "Buy", "30", spot=True), 170131),
    ("more than the margin", order("BTCUSDT", "Buy", "40"), 110007),
    ("an unknown symbol", order("NOUSDT", "Buy", "1"), 10001),
    ("a closed perpetual", order("SYN06USDT", "Buy", "1000"), 110074),
    ("a perpetual to come", order("SYN08USDT", "Buy", "1000"), 110074),
    ("a number in words", order("BTCUSDT", "Buy", "many"), 10001),
    ("not a number", order("BTCUSDT", "Buy", "nan"), 10001),
    ("below zero", order("BTCUSDT", "Buy", "-1"), 10001),
    ("hedge mode", order("BTCUSDT", "Buy", "0.1", positionIdx=1), 10001),
    ("a trigger", order("BTCUSDT", "Buy", "0.1", triggerPrice="1"), 10001),
    ("a link id that is too long", order("BTCUSDT", "Buy", "0.1", orderLinkId="x" * 37), 10001),
    ("a link id with a space", order("BTCUSDT", "Buy", "0.1", orderLinkId="a b"), 10001),
    ("a side", order("BTCUSDT", "buy", "0.1"), 10001),
    ("a category", order("BTCUSDT", "Buy", "0.1") | {"category": "option"}, 10001),
]


@pytest.mark.parametrize(("what", "body", "code"), REFUSED, ids=[one[0] for one in REFUSED])
def test_the_venue_refuses(untouched: Exchange, what: str, body: dict[str, Any], code: int) -> None:
    assert refusal(untouched, body) == code


@pytest.mark.parametrize(("spot", "codes"), [(True, (170193, 170194, 170134)), (False, (110003, 110003, 10001))])
def test_a_limit_beyond_the_band_or_off_the_tick_is_refused(spot: bool, codes: tuple[int, int, int]) -> None:
    exchange = still(balances={"USDT": D(100_000), "BTC": D(1)})
    bid, ask = quotes(exchange, "BTCUSDT", spot=spot)
    band = exchange.market.perps["BTCUSDT"].band[1 if spot else 0]
    high, low = (ask * (1 + band)).quantize(D("0.1")), (bid * (1 - band)).quantize(D("0.1"))

    assert refusal(exchange, order("BTCUSDT", "Buy", "0.01", high + 1, spot=spot)) == codes[0]
    assert refusal(exchange, order("BTCUSDT", "Sell", "0.01", low - 1, spot=spot)) == codes[1]
    assert refusal(exchange, order("BTCUSDT", "Sell", "0.01", bid + D("0.01"), spot=spot)) == codes[2]
    assert create(exchange, order("BTCUSDT", "Buy", "0.01", high - 1, spot=spot)).status == "Filled"


@pytest.mark.parametrize(("spot", "code"), [(True, 170141), (False, 110072)])
def test_a_link_id_can_never_be_used_again(spot: bool, code: int) -> None:
    exchange = still()
    _, ask = quotes(exchange, "BTCUSDT", spot=spot)
    body = order("BTCUSDT", "Buy", "0.01", ask, spot=spot, timeInForce="IOC", orderLinkId="a-1")
    create(exchange, body)

    assert refusal(exchange, body) == code
    advance(exchange, 10 * 86_400)
    assert refusal(exchange, body) == code
    other = order("BTCUSDT", "Buy", "0.01", spot=not spot, orderLinkId="a-1")
    assert create(exchange, other).status == "Filled"  # the other market has its own


def test_an_open_spot_order_locks_its_funds() -> None:
    exchange = still(balances={"USDT": D(1_500), "ETH": D(1)})
    bid, ask = quotes(exchange, "ETHUSDT", spot=True)
    low, high = (bid * D("0.995")).quantize(D("0.01")), (ask * D("1.005")).quantize(D("0.01"))
    buys = create(exchange, order("ETHUSDT", "Buy", "0.5", low, spot=True))
    create(exchange, order("ETHUSDT", "Sell", "0.9", high, spot=True))

    assert exchange.orders.locked() == {"USDT": low / 2, "ETH": D("0.9")}
    assert refusal(exchange, order("ETHUSDT", "Buy", "0.5", low, spot=True)) == 170131
    assert refusal(exchange, order("ETHUSDT", "Sell", "0.2", high, spot=True)) == 170131

    exchange.matching.cancel(buys)
    assert create(exchange, order("ETHUSDT", "Buy", "0.5", low, spot=True)).status == "New"


def test_an_open_order_can_be_amended_and_then_fills() -> None:
    exchange = still()
    bid, ask = quotes(exchange, "BTCUSDT")
    rests = create(exchange, order("BTCUSDT", "Sell", "0.1", ask))

    exchange.matching.amend(rests, {"qty": "0.2", "price": str(bid)})

    assert (rests.status, rests.filled, rests.value) == ("Filled", D("0.2"), D("0.2") * bid)
    with pytest.raises(Refused) as refused:
        exchange.orders.find_open({"orderId": rests.order_id}, spot=False)
    assert refused.value.code == 110001


def test_an_order_fault_limits_the_fill_or_rejects_after_accepting() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    body = order("BTCUSDT", "Sell", "0.1", bid, timeInForce="IOC")

    part = exchange.matching.create(body, OrderFault(share=D("0.5")))
    none = exchange.matching.create(body, OrderFault(share=D(0)))
    rejected = exchange.matching.create(body, OrderFault(reject="EC_Others"))

    assert (part.filled, part.status) == (D("0.05"), "Cancelled")
    assert (none.filled, none.status) == (D(0), "Cancelled")
    assert (rejected.filled, rejected.status, rejected.reject) == (D(0), "Rejected", "EC_Others")


def test_leverage_sets_the_margin_of_a_position() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    create(exchange, order("BTCUSDT", "Sell", "1", bid, timeInForce="IOC"))
    mark = exchange.state.marks()["BTCUSDT"]
    assert exchange.state.health().initial == (mark / 10).quantize(D("0.00000001"))

    exchange.account.positions["BTCUSDT"].leverage = D(4)

    assert exchange.state.health().initial == (mark / 4).quantize(D("0.00000001"))
    assert exchange.state.health().maintenance == (mark * D("0.005")).quantize(D("0.00000001"))


def test_coins_count_as_collateral_with_a_haircut() -> None:
    exchange = still(balances={"USDT": D(0), "BTC": D(1), "SYN02": D(1_000)})
    prices = exchange.state.spot_prices()
    health = exchange.state.health()

    assert health.equity == prices["BTC"][0] + (prices["SYN02"][0] * 1_000).quantize(D("0.00000001"))
    assert health.margin_balance == pytest.approx(
        prices["BTC"][0] * D("0.95") + prices["SYN02"][0] * 800, abs=D("0.0000001")
    )
    bid, _ = quotes(exchange, "BTCUSDT")
    assert create(exchange, order("BTCUSDT", "Sell", "1", bid, timeInForce="IOC")).filled == 1


def test_a_jump_is_processed_minute_by_minute() -> None:
    exchange = still()
    one = exchange.market.perps["BTCUSDT"]
    minutes = [(exchange.now_ms // 60_000 + k) * 60_000 for k in range(1, 301)]
    bids = [exchange.market.best(one, at_ms, spot=False)[0].price for at_ms in minutes]
    highest = max(bids)
    first = minutes[bids.index(highest)]
    assert highest > bids[-1] and first < minutes[-1], "in this market the highest price is in between"
    exchange.market.clear_caches()

    rests = create(exchange, order("BTCUSDT", "Sell", "0.01", D(str(highest))))
    assert rests.status == "New"
    advance(exchange, 5 * 3_600)

    assert (rests.status, rests.updated_ms) == ("Filled", first)
