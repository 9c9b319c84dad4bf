"""Legs at two venues: their accounts, and how one leg ends before the other, by a delisting, the end of data or a
liquidation. Every amount is worked out by hand from docs/semantics.md."""

import pytest

from carryfold.domain.instruments import Pair, carry_pair
from carryfold.domain.params import ParameterError, Parameters
from carryfold.domain.rows import E8
from tests.domain.build import SECOND, Market, at, closed, delisted, delisting, listing, quoted, settlement
from tests.domain.legs import (
    ACROSS,
    BACK,
    BOUGHT,
    BP,
    ENDING,
    FREE,
    LONG,
    PLAIN,
    SHORT,
    SOLD,
    SPOT_B,
    SPREAD,
    A,
    B,
    e8,
    entered,
    held,
    legs,
    listings,
    run,
)

# --- accounts ---------------------------------------------------------------------------------------------------------


def test_capital_is_split_by_share_or_in_halves_and_the_first_venue_gets_the_remainder() -> None:
    rows: Market = [listings(), legs(1, 100.0)]
    by_share = run(rows, Parameters(split="b=0.75,a=0.25"), SPREAD)
    halves = run(rows, Parameters(capital=100.00000001), SPREAD)

    assert [by_share.venue(name)["capital"] for name in "ab"] == [2_500 * E8, 7_500 * E8]
    assert [halves.venue(name)["capital"] for name in "ab"] == [50 * E8 + 1, 50 * E8]
    with pytest.raises(ParameterError, match="each venue of the run: a, b"):
        run(rows, Parameters(split="a=0.5,c=0.5"), SPREAD)
    with pytest.raises(ParameterError, match="add up to 1"):
        run(rows, Parameters(split="a=0.5,b=0.4"), SPREAD)


def test_fees_of_a_venue_and_kind_replace_the_defaults() -> None:
    params = Parameters(fees="a:perp=2,b:perp=3,b:spot=50", **PLAIN)

    found = run(held(*SPREAD), params, SPREAD)
    across = run(held(*ACROSS), params, ACROSS)

    assert found.fills[0][4:] == (e8(0.2), e8(0.3))
    assert across.fills[0][4:] == (e8(1.0), e8(0.3)), "spot at a has no fee of its own"


@pytest.mark.parametrize(
    ("pair", "capital", "split", "enough"),
    [
        (SPREAD, 668.1, "", True),  # 333.3 of margin and 7.5 bp at each venue
        (SPREAD, 668.09999998, "", False),
        (SPREAD, 1000.0, "a=0.33405,b=0.66595", True),
        (SPREAD, 1000.0, "a=0.33404,b=0.66596", False),
        (SPREAD, 1000.0, "a=0.66596,b=0.33404", False),
        (ACROSS, 2000.0, "a=0.5006,b=0.4994", True),  # 1000 of coins and 12 bp at a
        (ACROSS, 2000.0, "a=0.5005,b=0.4995", False),
    ],
)
def test_an_entry_needs_free_capital_at_each_of_its_venues(
    pair: Pair, capital: float, split: str, enough: bool
) -> None:
    found = run(held(*pair), Parameters(capital=capital, split=split, impact=0.0), pair)

    assert [action for *_, action in found.decided] == ["enter"] * enough
    assert (found.refused("capital") > 0) == (not enough)


def test_a_pending_entry_blocks_capital_at_each_venue() -> None:
    rows = held(*ACROSS, end=8)
    spread = run(held(*SPREAD, end=8), Parameters(), SPREAD)
    across = run(rows, Parameters(), ACROSS)

    assert [spread.venue(name)["free"] for name in "ab"] == [5_000 * E8 - e8(333.3)] * 2
    assert [across.venue(name)["free"] for name in "ab"] == [4_000 * E8, 5_000 * E8 - e8(333.3)]


def test_interest_is_charged_where_the_cash_is_negative() -> None:
    """The carry pair at b has lost 1300 on its perpetual, and its coins are worth that: u = 2000 - 1000 - 1300."""
    pairs = carry_pair("a", "X", spot_symbol="X/USDC"), carry_pair("b", "X", spot_symbol="X/USDC")
    rows: Market = [listings(4)]
    rows += [closed(h, leg, 100.0 if h < 12 else 230.0) for h in range(1, 14) for leg in range(4)]
    rows += [settlement(8, 3, 6 * BP)]
    params = Parameters(capital=4000.0, borrow_apr=0.876, exit=-1.0, daily_loss_limit=1.0, **FREE)

    found = run(rows, params, *pairs)

    assert found.venue("a")["borrow"] == 0
    assert found.venue("b")["borrow"] == found.figures["borrow_e8"] == e8(300 * BP) + e8(300.03 * BP)


# --- the end of a leg -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [0, 1])
def test_both_legs_of_a_carry_pair_of_one_venue_end_with_either(gone: int) -> None:
    pair = Pair(SPOT_B, B)
    rows = held(*pair)
    rows += [closed(13, 0, 110.0), closed(13, 1, 111.0, mark=112.0), delisted(13.5, gone)]

    found = run(rows, ENDING, pair)

    long, short = 10 * 110 * 0.95, 10 * 112.0
    assert [fill[1:] for fill in found.fills] == [
        entered(10.0),
        ("delisted", e8(long), e8(short), e8(long * 10 * BP), e8(short * 5.5 * BP)),
    ]
    assert found.figures["trades"] == 1
    assert found.figures["long_pnl_e8"] == e8(long - BOUGHT)
    assert found.figures["short_pnl_e8"] == e8(SOLD - short)


@pytest.mark.parametrize(
    ("pair", "gone", "long", "short"),
    [
        (SPREAD, 0, 110.5, 111 * 1.0002),  # the leg that is gone at its mark, the other one at its price, and worse
        (SPREAD, 1, 110 * 0.9998, 112.0),
        (ACROSS, 0, 110 * 0.95, 111 * 1.0002),
        (ACROSS, 1, 110 * 0.9998, 112.0),
    ],
)
def test_over_two_venues_the_leg_that_is_delisted_ends_and_the_other_one_is_traded(
    pair: Pair, gone: int, long: float, short: float
) -> None:
    fee_bp = 5.5 if pair == SPREAD else 10.0
    rows = held(*pair)
    rows += [closed(13, 0, 110.0, mark=110.5), closed(13, 1, 111.0, mark=112.0), delisted(13.5, gone)]
    rows += [legs(14, 500.0), settlement(16, SHORT, 1 * BP)]

    found = run(rows, ENDING, pair)

    assert [fill[1:] for fill in found.fills] == [
        entered(fee_bp),
        ("delisted", e8(10 * long), e8(10 * short), e8(10 * long * fee_bp * BP), e8(10 * short * 5.5 * BP)),
    ]
    assert found.fills[-1][0] == at(13.5)
    assert found.figures["long_pnl_e8"] == e8(10 * long) - e8(BOUGHT)
    assert found.figures["short_pnl_e8"] == e8(SOLD) - e8(10 * short)
    assert found.figures["open_positions"] == 0
    assert found.refused("listed") > 0, "the rate is still wanted, the pair is not"


def test_the_leg_that_still_trades_closes_at_the_middle_of_its_last_quote_less_the_costs() -> None:
    """However old the quote is. An exit would use its bid or ask."""
    rows = [*held(*SPREAD), quoted(13, LONG, 108.0, 112.0), closed(20, SHORT, 110.0, mark=111.0), delisted(20.5, SHORT)]

    found = run(rows, ENDING, SPREAD)

    assert found.fills[-1][1:4] == ("delisted", e8(1100 * 0.9998), e8(1110))


@pytest.mark.parametrize("silent", [0, 1])
def test_a_spread_ends_with_the_data_of_either_leg_and_closes_each_at_its_last_price(silent: int) -> None:
    """One leg has no more data. The other one has data for another day, with its price at the end."""
    rows = held(*SPREAD)
    rows += [closed(13, 0, 110.0, mark=110.5), closed(13, 1, 111.0, mark=112.0)]
    rows += [closed(h, 1 - silent, 120.0) for h in range(14, 40)]
    params = ENDING.changed({"dead_s": 86_400, "exit": -1.0})

    found = run(rows, params, SPREAD)

    long, short = (110.5, 120 * 1.0002) if silent == 0 else (120 * 0.9998, 112.0)
    assert found.fills[-1][:4] == (at(38) + SECOND, "data ended", e8(10 * long), e8(10 * short))
    assert found.fills[-1][4:] == (e8(10 * long * 5.5 * BP), e8(10 * short * 5.5 * BP))
    assert [action for *_, action in found.decided] == ["enter"], "it is a booking and no decision"


def test_the_data_of_a_carry_pair_of_one_venue_ends_with_the_newer_of_its_legs() -> None:
    pair = Pair(SPOT_B, B)
    rows = [*held(*pair), *(closed(h, 0, 100.0) for h in range(13, 60)), settlement(16, 1, 6 * BP)]

    found = run(rows, ENDING.changed({"dead_s": 86_400}), pair)

    assert found.figures["open_positions"] == 1


@pytest.mark.parametrize("leg", [0, 1])
@pytest.mark.parametrize("pair", [SPREAD, ACROSS])
def test_an_announced_delisting_of_either_leg_closes_the_pair_at_its_next_row_and_opens_none(
    pair: Pair, leg: int
) -> None:
    rows = [*held(*pair), delisting(12.5, leg, 500), closed(13, 1 - leg, 100.0), legs(14, 100.0), legs(15, 100.0)]

    found = run(rows, ENDING, pair)

    assert [(t, action) for t, _, action in found.decided] == [(at(8) + 60 * SECOND, "enter"), (at(12.5), "exit")]
    assert [(fill[0], fill[1]) for fill in found.fills][1:] == [(at(14) + SECOND, "exit")]
    assert found.refused("delisting") >= 1


def test_a_pending_entry_of_a_pair_that_ends_is_dropped() -> None:
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 9))]
    rows += [settlement(8, leg, 6 * BP * leg) for leg in (0, 1)]
    rows.append(delisted(8.5, 0))

    found = run([*rows, legs(9, 100.0)], ENDING, SPREAD)

    assert ([action for *_, action in found.decided], found.fills) == (["enter"], [])
    assert (found.figures["dropped"], found.venue("b")["free"]) == (1, 5_000 * E8)


# --- liquidations -----------------------------------------------------------------------------------------------------


def rising(last: float) -> Market:
    """A spread held from hour 9 on in accounts of 500; in hour 12 the price has risen."""
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 12)), legs(12, last)]
    return [*rows, *(settlement(8, leg, 6 * BP * leg) for leg in (0, 1))]


TIGHT = Parameters(capital=1000.0, daily_loss_limit=1.0, exit=-1.0, borrow_apr=0.0, **PLAIN)


@pytest.mark.parametrize(("price", "gone"), [(149.0, False), (149.3, True)])
def test_an_account_is_liquidated_where_it_no_longer_covers_its_maintenance_margin(price: float, gone: bool) -> None:
    """500 - 0.55 - 10 (p - 100) < 0.005 * 10 p from p = 149.198... on."""
    found = run(rising(price), TIGHT, SPREAD)

    assert ("liquidated" in [fill[1] for fill in found.fills]) == gone


def test_after_a_liquidation_the_other_leg_closes_at_the_next_price_of_its_own_instrument() -> None:
    rows = rising(150.0)
    rows += [closed(13, SHORT, 151.0), settlement(13, LONG, 2 * BP), settlement(13, SHORT, 3 * BP)]
    rows += [quoted(13.5, LONG, 151.0, 151.5), legs(14, 200.0)]

    found = run(rows, TIGHT.changed({"half_spread_bp": 1.0, "slippage_bp": 1.0}), SPREAD)

    last = 1510 * 0.9999  # a quote's own side, worse by the slippage
    assert [(fill[0], *fill[1:]) for fill in found.fills] == [
        (at(9) + SECOND, *entered(5.5)),
        (at(12) + SECOND, "liquidated", 0, 1500 * E8, 0, e8(1500 * 5.5 * BP)),
        (at(13.5), "leg closed", e8(last), 0, e8(last * 5.5 * BP), 0),
    ]
    assert found.payments == [(at(13), "long", e8(-1500 * 2 * BP))], "the leg that was held pays, at the mark of then"
    assert (found.figures["liquidations"], found.figures["trades"], found.figures["open_positions"]) == (1, 1, 0)
    assert found.figures["liquidation_e8"] == e8(SOLD - 1500) - e8(1500 * 5.5 * BP)
    assert found.venue("b")["equity"] == 500 * E8 + e8(SOLD - 1500) - e8(SOLD * 5.5 * BP) - e8(1500 * 5.5 * BP)


def test_until_its_second_leg_is_closed_a_liquidated_pair_is_held_and_keeps_its_instruments_busy() -> None:
    rows = [*rising(150.0), settlement(12, LONG, 50 * BP), closed(13, SHORT, 150.0), legs(14, 150.0)]

    before = run(rows, TIGHT, SPREAD, BACK, until=at(14))
    after = run(rows, TIGHT, SPREAD, BACK)

    assert (before.figures["open_positions"], before.figures["trades"]) == (1, 0)
    assert before.refused("busy") >= 1
    assert (after.figures["open_positions"], after.figures["trades"]) == (0, 1)
    assert after.refused("busy") == before.refused("busy")


def test_the_exit_of_the_remaining_leg_replaces_an_exit_that_was_ordered() -> None:
    rows = [*rising(100.0), delisting(12.2, LONG, 500)]
    rows += [legs(13, 150.0), legs(14, 150.0)]
    found = run(rows, TIGHT.changed({"latency_ms": 3_000_000}), SPREAD)

    assert [action for *_, action in found.decided] == ["enter", "exit"]
    assert [(fill[0], fill[1]) for fill in found.fills][1:] == [
        (at(13) + SECOND, "liquidated"), (at(14) + SECOND, "leg closed")
    ]  # fmt: skip


# At b are the short leg of a spread, 3 coins at 100, and a carry pair of 6 coins at 50: where X costs p,
# 600 - 300 - 3 (p - 100) + 0.9 * 300 < 0.005 (3 p + 300) from p = 288.06 on.
SHAKY = Parameters(notional=300.0, capital=1200.0, margin_fraction=0.0001, daily_loss_limit=1.0, exit=-1.0)


def shaky(last: float) -> Market:
    """Instruments 2 and 3 are the legs of the carry pair."""
    rows = rising(last)
    rows += [listing(2), listing(3), *(closed(h, leg, 50.0) for h in range(1, 13) for leg in (2, 3))]
    return [*rows, settlement(8, 3, 7 * BP)]


@pytest.mark.parametrize(("price", "gone"), [(288.0, 0), (288.1, 2)])
def test_a_venue_in_trouble_closes_every_perpetual_there_also_of_its_carry_pairs(price: float, gone: int) -> None:
    carry = carry_pair("b", "Y", spot_symbol="Y/USDC")
    rows = [*shaky(price), closed(12.5, 2, 51.0), closed(13, LONG, 289.0)]

    found = run(rows, SHAKY.changed(FREE), SPREAD, carry)

    fills = [fill for fill in found.figures["fills"] if fill[2] != "enter"]
    assert [(t, pair, *amounts[:3]) for t, pair, _, _, *amounts in fills] == [
        (at(12) + SECOND, SPREAD, 0, 3 * e8(price), 0), (at(12) + SECOND, carry, 0, 300 * E8, 0),
        (at(12.5) + SECOND, carry, 306 * E8, 0, 0), (at(13) + SECOND, SPREAD, 867 * E8, 0, 0),
    ][: 2 * gone]  # fmt: skip
    assert found.figures["liquidations"] == gone
    assert found.figures["liquidation_e8"] == (e8(300 - 3 * price) if gone else 0)


def test_an_unpriced_pair_at_a_venue_in_trouble_closes_whole_with_its_costs() -> None:
    assumed = carry_pair("b", "Y")
    params = SHAKY.changed(PLAIN | {"half_spread_bp": 2.0})

    found = run(shaky(300.0), params, SPREAD, assumed, instruments=[A, B, SPOT_B, assumed.short])

    fees = e8(300 * 10 * BP), e8(300 * 5.5 * BP)
    unpriced = [tuple(fill) for fill in found.figures["fills"] if fill[1] == assumed]
    assert [fill[2:] for fill in unpriced] == [
        ("enter", 300_000_000, 300 * E8, 300 * E8, *fees), ("liquidated", 300_000_000, 300 * E8, 300 * E8, *fees),
    ]  # fmt: skip
    sold = e8(300 * (1 - 2 * BP))
    of_spread = sold - 900 * E8 - e8(900 * 5.5 * BP)
    assert found.figures["liquidation_e8"] == of_spread - e8(300 * 2 * BP) - fees[1]
    assert found.figures["liquidations"] == 2


def test_no_venue_is_liquidated_where_no_pair_has_its_legs_at_two() -> None:
    """Only its health counts, as in a log of one venue."""
    pairs = carry_pair("b", "X", spot_symbol="X/USDC"), carry_pair("c", "X", spot_symbol="X/USDC")
    rows: Market = [listings(4)]
    for h in range(1, 15):
        rows += [closed(h, leg, 300.0 if h >= 12 and leg % 2 else 100.0) for leg in range(4)]
    rows += [settlement(8, leg, 6 * BP) for leg in (1, 3)]

    found = run(rows, TIGHT.changed({"notional": 300.0}), *pairs)

    assert found.figures["liquidations"] == 0
    assert found.figures["open_positions"] == 2
    assert found.figures["min_health"] < 0


SPLIT = TIGHT.changed({"account": "split", "margin_fraction": 0.05})


@pytest.mark.parametrize(
    ("price", "leg"),
    [(104.4, ""), (104.5, "short"), (95.6, ""), (95.5, "long")],  # 105 / 1.00555 = 104.4205, 95 / 0.99445 = 95.5302
)
def test_in_split_accounts_each_leg_of_a_spread_stands_on_its_own_margin(price: float, leg: str) -> None:
    found = run([*rising(price), closed(12.5, LONG if leg == "short" else SHORT, 100.0)], SPLIT, SPREAD)

    value, fee = e8(10 * price), e8(10 * price * 5.5 * BP)
    last, last_fee = e8(1000), e8(0.55)
    expected = {
        "": [],
        "short": [("liquidated", 0, value, 0, fee), ("leg closed", last, 0, last_fee, 0)],
        "long": [("liquidated", value, 0, fee, 0), ("leg closed", 0, last, 0, last_fee)],
    }
    assert [fill[1:] for fill in found.fills][1:] == expected[leg]
    assert found.figures["trades"] == found.figures["liquidations"] == int(leg != "")


@pytest.mark.parametrize("pair", [ACROSS, Pair(SPOT_B, B)])
def test_in_split_accounts_the_coins_of_a_liquidated_carry_pair_are_sold_at_the_next_row_of_the_pair(
    pair: Pair,
) -> None:
    rows = [*held(*pair, end=11), legs(12, 104.5), closed(12.5, 0, 100.0), legs(13, 102.0)]

    found = run(rows, SPLIT.changed({"capital": 4000.0}), pair, until=at(13) + 2 * SECOND)

    assert [fill[:4] for fill in found.fills][1:] == [
        (at(12) + SECOND, "liquidated", 0, 1045 * E8), (at(13) + SECOND, "leg closed", 1020 * E8, 0)
    ]  # fmt: skip


def test_a_leg_that_waits_for_its_price_closes_at_its_mark_when_it_is_delisted() -> None:
    found = run([*rising(150.0), delisted(12.5, LONG), legs(13, 200.0)], TIGHT, SPREAD)

    assert [fill[:4] for fill in found.fills][1:] == [
        (at(12) + SECOND, "liquidated", 0, 1500 * E8), (at(12.5), "delisted", 1500 * E8, 0)
    ]  # fmt: skip
    assert (found.figures["trades"], found.figures["open_positions"]) == (1, 0)
