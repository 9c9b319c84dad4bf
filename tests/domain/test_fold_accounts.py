"""The books balance: at every instant of any market over two venues, the accounts add up to the book, the book to its
attribution, and both to what is held of the pairs."""

from collections import Counter
from random import Random
from typing import Any

import numpy as np

from carryfold.domain.fold import State, simulate
from carryfold.domain.fold.codes import BOOKINGS, ENTRY, NOTHING
from carryfold.domain.fold.money import account_equity, equity, long_pnl, short_pnl, spot_pnl
from carryfold.domain.instruments import Instrument, Listing, pairs_of
from carryfold.domain.params import Parameters
from tests.domain.build import Market, at, closed, delisted, delisting, listing, quoted, settlement
from tests.domain.compiled import ordered

HOURS = 72
LISTINGS = [
    *(Listing(Instrument("a", f"{coin}USDT", kind), coin, "USDT") for coin in "XYZ" for kind in ("spot", "perp")),
    *(Listing(Instrument("b", coin, "perp"), coin, "USDC") for coin in "XYZ"),
    Listing(Instrument("b", "X/USDC", "spot"), "X", "USDC"),
]
INSTRUMENTS = [one.instrument for one in LISTINGS]
PAIRS = pairs_of(LISTINGS, "both", carry_across=True)


def market(draw: Random) -> Market:
    """Coins that walk and jump at both venues; settlements each hour or each eight, gaps, quotes and delistings."""
    rows: Market = [listing(i, lot=draw.choice([1e-6, 0.001, 0.03])) for i in range(len(LISTINGS))]
    price = dict.fromkeys("XYZ", 100.0)
    interval = {i: draw.choice([1, 8]) for i in range(len(LISTINGS))}
    for hour in range(1, HOURS):
        for coin in price:
            price[coin] *= draw.choice([0.7, 1.4]) if draw.random() < 0.03 else 1 + draw.gauss(0, 0.01)
        for i, one in enumerate(LISTINGS):
            here = price[one.base] * (1 + draw.gauss(0, 0.001))
            if draw.random() < 0.9:
                rows.append(closed(hour, i, here, turnover=draw.choice([-1.0, 1e6])))
            if draw.random() < 0.2:
                rows.append(quoted(hour + draw.choice([0.25, 0.5]), i, here * 0.999, here * 1.001))
            if one.instrument.kind == "perp" and hour % interval[i] == 0:
                rate = draw.choice([0.0, 0.0003, 0.001, -0.0005]) * interval[i] / 8
                rows.append(settlement(hour, i, rate, interval_h=interval[i]))
    if draw.random() < 0.5:
        gone = draw.randrange(len(LISTINGS))
        rows += [delisting(HOURS - 30, gone, HOURS - 10)] * draw.randrange(2)
        rows.append(delisted(HOURS - 10, gone))
    return rows


def parameters(draw: Random) -> Parameters:
    settings: dict[str, Any] = {
        "strategy": draw.choice(["simple", "simple", "composite", "hold"]),
        "enter": 0.0002,
        "exit": draw.choice([0.0001, -1.0]),
        "capital": draw.choice([2_000.0, 10_000.0, 50_000.0]),
        "account": draw.choice(["uta", "uta", "split"]),
        "margin_fraction": draw.choice([0.05, 0.3333]),
        "mmr": draw.choice([0.005, 0.1]),
        "borrow_apr": draw.choice([0.1, 5.0]),
        "split": draw.choice(["", "a=0.7,b=0.3"]),
        "fees": draw.choice(["", "a:perp=2,b:perp=-1"]),
        "fill": draw.choice(["next", "same"]),
        "dead_s": draw.choice([7_200, 604_800]),
        "min_age_d": 0.0,
        "daily_loss_limit": 1.0,
    }
    return Parameters(**settings)


def check(state: State) -> None:
    """Compare all figures that the state keeps in two places."""
    b, p, accounts = state.book[0], state.pair, state.account
    total = equity(b)
    assert total == b["capital"] + b["funding"] + long_pnl(b) + short_pnl(b) - b["fees"] - b["borrow"]
    assert sum(account_equity(account) for account in accounts) == total
    assert accounts["capital"].sum() == b["capital"]
    assert accounts["borrow"].sum() == b["borrow"]
    for name in ("long_cost", "long_value", "short_entry", "short_value", "held"):
        assert b[name] == p[name].sum(), name
    carry = state.view["carry"] != 0
    assert b["spot_cost"] == p["long_cost"][carry].sum()
    assert b["spot_value"] == p["long_value"][carry].sum()
    assert b["deployed"] == b["spot_cost"] + p["long_margin"].sum() + p["short_margin"].sum()
    assert b["pending_entries"] == (p["pending"] == ENTRY).sum()
    assert b["ordered"] == (p["pending"] != NOTHING).sum()
    assert b["entries"] - b["trades"] == b["held"]
    for number, account in enumerate(accounts):
        long, short = state.view["long_venue"] == number, state.view["short_venue"] == number
        spot, perp = long & carry, long & ~carry
        assert account["spot_cost"] == p["long_cost"][spot].sum()
        assert account["spot_value"] == p["long_value"][spot].sum()
        assert account["perp_notional"] == p["long_value"][perp].sum() + p["short_value"][short].sum()
        assert account["margin"] == p["long_margin"][perp].sum() + p["short_margin"][short].sum()
        assert account["pending_e8"] == p["pending_long_e8"][long].sum() + p["pending_short_e8"][short].sum()
        gained = (p["long_value"] - p["long_cost"])[perp].sum() + (p["short_entry"] - p["short_value"])[short].sum()
        assert account["perp_pnl"] == gained
    over = p[p["held"] == 0]
    for name in ("long_units", "short_units", "long_cost", "short_entry", "long_value", "short_value", "short_margin"):
        assert (over[name] == 0).all(), f"{name} is left of what is over"


def test_accounts_book_and_holdings_agree_at_every_instant() -> None:
    seen: Counter[str] = Counter()
    for seed in range(48):
        draw = Random(f"accounts {seed}")
        rows, params = ordered(market(draw)), parameters(draw)
        state = State(params, INSTRUMENTS, PAIRS, start=at(2))
        bounds = [*np.flatnonzero(np.diff(rows["known_at"])) + 1, len(rows)]
        for first, end in zip([0, *bounds], bounds, strict=False):
            output = simulate(state, rows[first:end])
            check(state)
            seen.update(BOOKINGS[f["action"]] for f in output.fills)
            for d in output.days:
                parts = d["funding"] + d["long_pnl"] + d["short_pnl"] - d["fees"] - d["borrow"]
                assert d["equity"] - state.book[0]["capital"] == parts
        for array in (state.market, state.view, state.pair, state.account, state.book):
            for name in array.dtype.names or ():
                assert array.dtype[name].base.kind == "i" or np.isfinite(array[name]).all(), name
    assert all(seen[action] > 5 for action in BOOKINGS[1:]), f"too little happened: {seen}"


def test_spot_pnl_is_that_of_coins_alone() -> None:
    """In a run of both kinds of pairs the long legs' P&L is coins' and perpetuals'."""
    draw = Random("kinds")
    state = State(Parameters(enter=0.0002, capital=50_000.0, daily_loss_limit=1.0), INSTRUMENTS, PAIRS)

    fills = simulate(state, ordered(market(draw))).fills

    realised = fills["long_pnl"][state.view["carry"][fills["pair"]] != 0].sum()
    b = state.book[0]
    assert b["spot_pnl_e8"] == realised != b["long_realised"] == fills["long_pnl"].sum()
    assert spot_pnl(b) == realised + b["spot_value"] - b["spot_cost"]
