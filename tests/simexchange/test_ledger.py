"""The ledger adds up to the last digit after any sequence of operations."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.request_params import Refused
from carryfold.simexchange.tickers import rate_text
from tests.simexchange.venue import advance, order, quotes, still

D = Decimal
SYMBOLS = (("BTCUSDT", "BTCUSDT"), ("1000SYN04USDT", "SYN04USDT"), ("SYN02USDT", "SYN02USDT"))


def check_the_books(exchange: Exchange, deposits: Decimal) -> None:
    """Check that balances are the sums of their entries and equal the cash flows computed from the executions."""
    ledger = exchange.ledger
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in ledger.entries:
        sums[entry.currency] += entry.change
        assert entry.balance == sums[entry.currency]
    assert dict(sums) == ledger.balances

    cash = deposits
    coins: dict[str, Decimal] = defaultdict(Decimal)
    cost: dict[str, Decimal] = defaultdict(Decimal)
    size: dict[str, Decimal] = defaultdict(Decimal)
    for fill in exchange.fills.executions:
        signed = fill.qty if fill.buy else -fill.qty
        if fill.kind == "Funding":
            cash -= fill.fee
        elif fill.spot:
            coins[fill.pair.spot_coin] += signed - (fill.fee if fill.buy else 0)
            cash -= (fill.value if fill.buy else -fill.value) + (0 if fill.buy else fill.fee)
        else:
            cost[fill.symbol] += fill.value if fill.buy else -fill.value
            size[fill.symbol] += signed
            cash -= fill.fee
    interest = ledger.total("USDT", "INTEREST")
    # All that was paid for perpetuals, less what the open part of them cost, is realised.
    for symbol, position in exchange.account.positions.items():
        assert position.size == size[symbol]
        cash += (position.cost if position.size > 0 else -position.cost) - cost[symbol]
    assert ledger.balance("USDT") == cash + interest
    for coin, amount in coins.items():
        assert ledger.balance(coin) == amount


def something(random_: random.Random, exchange: Exchange) -> None:
    """One random operation; refusals are allowed."""
    perp, spot = random_.choice(SYMBOLS)
    on_spot = random_.random() < 0.5
    symbol = spot if on_spot else perp
    one = (exchange.market.spots if on_spot else exchange.market.perps)[symbol]
    bid, ask = quotes(exchange, symbol, spot=on_spot)
    buy = random_.random() < 0.55
    step = one.spot_step if on_spot else one.qty_step
    qty = D(str(random_.uniform(10, 9_000))) / ask // step * step
    body: dict[str, Any] = order(symbol, "Buy" if buy else "Sell", f"{qty:f}", spot=on_spot)
    if random_.random() < 0.6:
        tick = one.spot_tick if on_spot else one.tick
        away = D(str(random_.uniform(-0.004, 0.004)))
        price = ((ask if buy else bid) * (1 + away) // tick) * tick
        in_force = random_.choice(["GTC", "IOC", "FOK", "PostOnly"])
        body = order(symbol, "Buy" if buy else "Sell", f"{qty:f}", price, spot=on_spot, timeInForce=in_force)
    if random_.random() < 0.2:
        body["reduceOnly"] = not on_spot
    try:
        exchange.matching.create(body)
    except Refused as refused:
        assert refused.code in (110007, 110017, 110094, 170131, 170137, 170140, 10001)
    if random_.random() < 0.1 and exchange.orders.open:
        exchange.matching.cancel(random_.choice(exchange.orders.open))
    if random_.random() < 0.05:
        exchange.adl(perp, D(str(round(random_.random(), 2))))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_ledger_adds_up_after_random_operations(seed: int) -> None:
    random_ = random.Random(seed)
    exchange = still(seed=seed, balances={"USDT": D(20_000)})
    for _ in range(160):
        something(random_, exchange)
        advance(exchange, random_.choice([0.2, 1, 30, 900, 2_500]))
    kinds = {fill.kind for fill in exchange.fills.executions}

    assert {"Trade", "Funding", "AdlTrade"} <= kinds
    assert len(exchange.fills.executions) > 90
    check_the_books(exchange, D(20_000))


def test_funding_is_the_settled_rate_times_the_mark_value() -> None:
    exchange = still()
    bid, _ = quotes(exchange, "BTCUSDT")
    exchange.matching.create(order("BTCUSDT", "Sell", "0.5", bid, timeInForce="IOC"))
    one = exchange.market.perps["BTCUSDT"]
    before = exchange.ledger.balance("USDT")

    advance(exchange, 3 * 8 * 3_600)

    entries = [entry for entry in exchange.ledger.entries if entry.kind == "SETTLEMENT"]
    settled = exchange.market.settlements(one, exchange.clock.start_ms, exchange.now_ms)
    assert [entry.time_ms for entry in entries] == [at_ms for at_ms, _ in settled] and len(entries) == 3
    for entry, (at_ms, rate) in zip(entries, settled, strict=True):
        mark = D(str(exchange.market.mark(one, at_ms)))
        assert entry.funding == (mark * D("0.5") * D(rate_text(rate))).quantize(D("0.00000001"))
        assert entry.fee_rate == -D(rate_text(rate))  # of a short, the log has the other sign
    assert exchange.ledger.balance("USDT") == before + sum(entry.funding for entry in entries)
    fills = [fill for fill in exchange.fills.executions if fill.kind == "Funding"]
    assert [fill.fee for fill in fills] == [-entry.funding for entry in entries]
    assert all(abs(fill.fee_rate.as_tuple().exponent) <= 6 for fill in fills)  # type: ignore[arg-type]
    check_the_books(exchange, D(100_000))


def test_a_settlement_within_a_jump_is_booked_once_at_its_own_time() -> None:
    one, many = still(pairs=8), still(pairs=8)
    for exchange in (one, many):
        bid, _ = quotes(exchange, "SYN07USDT")
        exchange.matching.create(order("SYN07USDT", "Sell", "1000", bid, timeInForce="IOC"))
    advance(one, 30 * 3_600)
    for _ in range(30 * 12):
        advance(many, 300)

    assert one.ledger.total("USDT", "SETTLEMENT") == many.ledger.total("USDT", "SETTLEMENT") != 0
    assert len([entry for entry in one.ledger.entries if entry.kind == "SETTLEMENT"]) == 30


def test_the_same_seed_and_requests_give_the_same_exchange() -> None:
    def after_a_day() -> tuple[list[Any], list[Any], list[Any]]:
        random_ = random.Random(5)
        exchange = still(balances={"USDT": D(20_000)})
        for _ in range(40):
            something(random_, exchange)
            advance(exchange, random_.choice([0.2, 1, 30]))
        fills = [fill.row(pushed=True) for fill in exchange.fills.executions]
        orders = [one.row(pushed=True) for one in exchange.orders.all]
        return fills, orders, [entry.row(1) for entry in exchange.ledger.entries]

    one, again = after_a_day(), after_a_day()

    assert one == again and all(len(rows) > 10 for rows in one)
