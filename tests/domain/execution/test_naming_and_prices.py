"""Names of orders, limit prices, quantities."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.domain.execution import (
    ExecutionLimits,
    LegQuote,
    LegRules,
    Quotes,
    TradedPair,
    parse_client_id,
    process_id,
    run_tag,
)
from carryfold.domain.execution.client_ids import CLIENT_ID_MAX, Kind, OrderName, client_id
from carryfold.domain.execution.pricing import limit_price
from carryfold.domain.instruments import LOT_UNITS, Leg
from tests.domain.execution.facts import PAIR, SECOND, START, quotes

D = Decimal
RULES = LegRules(D("0.01"), D("0.03"), D("5"), D(5), D("0.5"))


@given(
    started=st.integers(10**18, 4 * 10**18),
    run=st.integers(1, 10**9),
    seq=st.integers(1, 10**9),
    kind=st.sampled_from(["entry", "exit", "repair"]),
    leg=st.sampled_from(["long", "short"]),
    attempt=st.integers(1, 99),
)
def test_a_client_id_is_short_plain_and_says_what_it_names(
    started: int, run: int, seq: int, kind: Kind, leg: Leg, attempt: int
) -> None:
    tag = run_tag(started)
    process = process_id(tag, run, seq, kind)
    name = client_id(process, leg, attempt)

    assert len(name) <= CLIENT_ID_MAX
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert parse_client_id(name) == OrderName(process, tag, run, seq, kind, leg, attempt)


@pytest.mark.parametrize("name", ["", "x", "t1-42-7e", "t1-42-7q-s1", "web-1-2e-s", "t1-42-7e-s1x", "T1-42-7e-s1"])
def test_other_ids_are_not_ours(name: str) -> None:
    assert parse_client_id(name) is None


def test_two_logs_do_not_share_names_though_their_numbers_begin_anew() -> None:
    assert run_tag(START) != run_tag(START + SECOND)
    assert run_tag(START) == run_tag(START)


def test_prices_are_on_a_tick_within_the_cap_and_never_better_than_the_touch() -> None:
    quote = LegQuote(99.5, 100.5, START)

    assert limit_price(RULES, quote, "buy", 100.0) == D("101.5")  # 101.505 rounded down
    assert limit_price(RULES, quote, "sell", 100.0) == D("99.0")  # 98.505 rounded up
    assert limit_price(RULES, quote, "buy", 1.0) == D("100.5")
    assert limit_price(RULES, quote, "sell", 1.0) == D("99.5")


def test_no_price_is_beyond_the_venue_s_band_however_wide_the_cap() -> None:
    rules = msgspec.structs.replace(RULES, band=D("0.01"))
    quote = LegQuote(1000.0, 1001.0, START)
    assert limit_price(rules, quote, "sell", 200.0) == D("991")  # 0.9 % below the touch instead of 2 %
    assert limit_price(rules, quote, "buy", 200.0) == D("1010")
    assert limit_price(rules, quote, "sell", 20.0) == D("998")


def test_a_sale_is_never_priced_at_nothing() -> None:
    assert limit_price(RULES, LegQuote(0.5, 1.0, START), "sell", 9_999.0) == D("0.5")


@given(price=st.floats(1e-6, 1e6), cap=st.floats(0, 500))
def test_the_cap_holds_for_any_price_that_is_worth_many_ticks(price: float, cap: float) -> None:
    tick = D(repr(price)) / 10_000
    rules = LegRules(D(1), D(1), D(1), D(1), tick)
    quote = LegQuote(price, price, START)

    buy, sell = (limit_price(rules, quote, side, cap) for side in ("buy", "sell"))

    touch, slack = D(repr(price)), D("1e-12")
    assert touch * (1 - slack) <= buy <= touch * (1 + D(repr(cap)) / 10_000) * (1 + slack)
    assert touch * (1 + slack) >= sell >= touch * (1 - D(repr(cap)) / 10_000) * (1 - slack)


def test_quantities_are_whole_steps_within_what_the_book_takes() -> None:
    assert (RULES.floor(D("1.2399")), RULES.ceil(D("1.2301")), RULES.floor(D(9))) == (D("1.23"), D("1.24"), D(5))
    assert [RULES.takes(D(q), D(100)) for q in ("0", "0.02", "0.04", "0.05")] == [False, False, False, True]


def test_buying_gross_leaves_the_net_after_the_fee() -> None:
    for lots in range(1, 400):
        net = PAIR.coins(lots * PAIR.lot_units)
        left = PAIR.gross(net) * (1 - PAIR.long_fee)
        assert net <= left < net + PAIR.long.qty_step


def test_the_letters_of_the_legs_are_those_of_release_0_1() -> None:
    assert client_id("t1-42-7e", "long", 1) == "t1-42-7e-s1"
    assert client_id("t1-42-7e", "short", 2) == "t1-42-7e-p2"


def test_a_pair_is_made_from_its_lot_or_from_the_unit_of_what_is_held() -> None:
    name = PAIR.pair, "AAAUSDT", "AAA"

    made = TradedPair.of(*name, D("0.01"), PAIR.long, PAIR.short, long_fee=D("0.001"))
    assert (made.unit, made.lot_units, made.long_fee) == (D("0.00000001"), LOT_UNITS, D("0.001"))
    held = TradedPair.of(*name, D("0.01"), PAIR.long, PAIR.short, unit=D("0.005"))
    assert (held.unit, held.lot_units) == (D("0.005"), 2)
    for unit in ("0.003", "0.02"):
        with pytest.raises(ValueError, match="not a whole number of units"):
            TradedPair.of(*name, D("0.01"), PAIR.long, PAIR.short, unit=D(unit))


def test_a_closed_book_takes_nothing_and_an_order_that_reduces_needs_no_least_notional() -> None:
    assert RULES.takes(D("0.04"), D(1), reduces=True)
    assert not RULES.takes(D("0.04"), D(1))
    assert not RULES.takes(D("0.02"), D(100), reduces=True)
    closed = msgspec.structs.replace(RULES, trading=False)
    assert not closed.takes(D(1), D(100))
    assert not closed.takes(D(1), D(100), reduces=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline_s": 0.0},
        {"slippage_cap_bp": 300.0},
        {"wide_cap_bp": 10_000.0},
        {"query_waits_s": ()},
        {"query_waits_s": (0.0,)},
        {"absent_answers": 0},
        {"retries": -1},
        {"orders_max": 100},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_limits_that_nobody_could_keep_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must"):
        ExecutionLimits(**wrong)


def test_a_quote_ages_and_a_missing_leg_borrows_the_other_s_price() -> None:
    seen = quotes(START, long=False)

    assert seen.fresh("short", START + SECOND, SECOND)
    assert not seen.fresh("short", START + SECOND + 1, SECOND)
    assert not seen.fresh("long", START, SECOND)
    assert seen.reference("long") == seen.short
    assert Quotes().reference("long") is None
