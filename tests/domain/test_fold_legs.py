"""Pairs of two legs anywhere: what a spread earns, which rates, prices and quantities a pair goes by, and the gates
that look at both legs. Every amount is worked out by hand from docs/semantics.md."""

import pytest

from carryfold.domain.fold import State
from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.instruments import Instrument, Pair, carry_pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8, Kind
from tests.domain.build import SECOND, Market, at, closed, delisting, known_at, listing, quoted, settlement
from tests.domain.legs import (
    ACROSS,
    BACK,
    BP,
    ENDING,
    FREE,
    LONG,
    PLAIN,
    SHORT,
    SPOT_A,
    SPOT_B,
    SPREAD,
    A,
    B,
    e8,
    held,
    legs,
    listings,
    run,
)

# --- known answers ----------------------------------------------------------------------------------------------------


def net_carry_market(hours: int) -> Market:
    """The short leg pays 1 bp every 8 hours, the long one costs a quarter of one every hour."""
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, hours + 1))]
    rows += [settlement(h, SHORT, 1 * BP) for h in range(8, hours + 1, 8)]
    rows += [settlement(h, LONG, 0.25 * BP, interval_h=1) for h in range(1, hours + 1)]
    return rows


def test_a_spread_whose_long_leg_costs_more_than_its_short_one_earns_is_never_entered() -> None:
    found = run(net_carry_market(40), Parameters(enter=0.0003, **PLAIN), SPREAD, BACK)

    assert found.decided == []
    assert found.state.pairs == [SPREAD, BACK]
    assert found.state.view["rate_8h"].tolist() == [-1 * BP, 1 * BP]


def test_the_other_direction_of_it_earns_one_bp_every_eight_hours() -> None:
    found = run(net_carry_market(40), Parameters(enter=1 * BP, exit=0.5 * BP, **PLAIN), SPREAD, BACK)

    assert [(pair, action) for _, pair, action in found.decided] == [(BACK, "enter")]
    held = [payment for payment in found.payments if at(16) < payment[0] <= at(24)]
    assert held == [*((at(h), "short", e8(0.025)) for h in range(17, 24)), *held[-2:]]
    assert sorted(held[-2:]) == [(at(24), "long", e8(-0.1)), (at(24), "short", e8(0.025))]
    assert sum(amount for *_, amount in held) == e8(0.1)


@pytest.mark.parametrize(("settlements", "net"), [(3, -0.4), (4, 0.2)])
def test_six_bp_break_even_against_four_fees_at_the_fourth_settlement(settlements: int, net: float) -> None:
    hours = 8 * (settlements + 3)
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, hours + 1))]
    rows += [
        settlement(8 * k, leg, rate) for k in range(1, settlements + 2) for leg, rate in ((LONG, 0.0), (SHORT, 6 * BP))
    ]
    rows.append(delisting(8 * (settlements + 1) + 0.5, LONG, hours + 100))

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert found.net == e8(net)
    assert found.venue("a")["equity"] == 5_000 * E8 - e8(1.1)
    assert found.venue("b")["equity"] == 5_000 * E8 - e8(1.1) + settlements * e8(0.6)
    assert found.figures["payments_count"] == 2 * settlements, "payments of nothing are payments"
    assert [fill[1:] for fill in found.fills] == [
        ("enter", 1000 * E8, 1000 * E8, e8(0.55), e8(0.55)), ("exit", 1000 * E8, 1000 * E8, e8(0.55), e8(0.55))
    ]  # fmt: skip


def test_the_rate_of_a_spread_moves_when_either_leg_settles() -> None:
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 13))]
    rows += [settlement(8, SHORT, 4 * BP)]
    rows += [settlement(h, LONG, (0.1 if h < 9 else 0.3) * BP, interval_h=1) for h in range(1, 13)]

    found = run(rows, Parameters(enter=3 * BP, exit=2 * BP, **PLAIN), SPREAD)

    minute = 60 * SECOND
    assert found.decided == [(at(8) + minute, SPREAD, "enter"), (at(9) + minute, SPREAD, "exit")]
    decisions = found.output.decisions
    q = [float(d["estimate_8h"]) for d in decisions if ACTIONS[d["action"]] != "refused"]
    assert q == [4 * BP - 0.1 * BP * 8, 4 * BP - 0.3 * BP * 8]
    assert q == pytest.approx([3.2 * BP, 1.6 * BP])
    assert found.state.view["rate_count"].tolist() == [5], "hours 8 to 12; both legs settled in hour 8"


def test_a_move_of_both_prices_moves_money_between_the_accounts_and_no_equity() -> None:
    coins = [f"C{n}" for n in range(5)]
    pairs = [Pair(Instrument("a", coin, "perp"), Instrument("b", coin, "perp")) for coin in coins]
    rows: Market = [listings(10)]
    for h in range(1, 13):
        rows += [closed(h, leg, 100.0 if h < 12 else 130.0) for leg in range(10)]
    rows += [settlement(8, leg, 6 * BP * (leg % 2)) for leg in range(10)]
    params = Parameters(**FREE)

    before = run(rows, params, *pairs, until=at(12))
    after = run(rows, params, *pairs)

    assert before.figures["open_positions"] == after.figures["open_positions"] == 5
    assert before.figures["equity_e8"] == after.figures["equity_e8"] == 10_000 * E8
    margin = 5 * e8(0.3333 * 1000)
    more = 5 * e8(0.3333 * 1300) - margin
    assert before.venue("a")["free"] == before.venue("b")["free"] == 5_000 * E8 - margin
    assert before.venue("b")["free"] - after.venue("b")["free"] == 1_500 * E8 + more
    assert after.venue("a")["free"] - before.venue("a")["free"] == 1_500 * E8 - more
    assert more == e8(0.3333 * 1500)


# --- prices and quantities --------------------------------------------------------------------------------------------


def test_a_pair_is_priced_per_coin_and_trades_what_both_legs_can() -> None:
    """1000PEPE at 0.01 in lots of 0.1, of 100 coins, against PEPE at 0.00001 in lots of 3: 300 coins."""
    pair = Pair(Instrument("b", "PEPEUSDT", "spot"), Instrument("b", "1000PEPEUSDT", "perp"))
    rows: Market = [listing(0, lot=3.0, min_notional=7.0), listing(1, lot=0.1, multiplier=1000.0)]
    rows += [row for h in range(1, 26) for row in (closed(h, 0, 0.00001), closed(h, 1, 0.01))]
    rows += [settlement(8 * k, 1, 10 * BP) for k in (1, 2)]

    found = run(rows, Parameters(**PLAIN), pair)

    view = found.state.view[0]
    assert (view["lot"], view["min_notional"], view["long_price"], view["short_price"]) == (300.0, 7.0, 1e-5, 1e-5)
    (_, _, _, lots) = found.figures["decisions"][0]
    assert lots == 333_333
    value = 999.999
    assert found.fills[0][1:] == ("enter", e8(value), e8(value), e8(value * 10 * BP), e8(value * 5.5 * BP))
    assert found.payments == [(at(16), "short", e8(value * 10 * BP))]
    assert found.figures["suspect"] == 0


@pytest.mark.parametrize(("apart_s", "fills"), [(5.0, 1), (5.000001, 0)])
@pytest.mark.parametrize("later", [0, 1])
def test_legs_make_a_row_when_their_prices_are_at_most_five_seconds_apart(
    apart_s: float, fills: int, later: int
) -> None:
    rows = [
        *held(*SPREAD, end=8),
        quoted(8.5, 1 - later, 99.9, 100.1),
        quoted(8.5 + apart_s / 3600, later, 99.9, 100.1),
    ]

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert len(found.fills) == fills
    assert found.state.view["view_at"].tolist() == [at(8.5) if fills else at(8)], "the older of the two"


def test_the_price_of_one_leg_moves_no_equity_and_counts_for_its_mark_turnover_and_volatility() -> None:
    rows = held(*SPREAD)
    before = run(rows, ENDING, SPREAD)
    rows += [closed(13, SHORT, 130.0, turnover=7.0), settlement(16, SHORT, 10 * BP), settlement(16, LONG, 0.0)]
    after = run(rows, ENDING, SPREAD)

    assert before.figures["venues"]["a"] == after.figures["venues"]["a"]
    assert after.figures["equity_e8"] - before.figures["equity_e8"] == after.figures["funding_e8"] == e8(1.3)
    market = after.state.market[SHORT]
    assert market["vol_count"] == before.state.market[SHORT]["vol_count"] + 1
    assert market["turnover"].sum() == 7.0


def test_a_bar_with_a_mark_alone_is_no_price_but_makes_older_rows_late() -> None:
    rows = [*held(*SPREAD, end=8), legs(8.5, 100.0), closed(9, LONG, 0.0, mark=101.0)]
    rows += known_at(9.5, legs(8.7, 105.0))

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert found.figures["late"] == 1
    long, short = found.state.market
    assert (long["price"], long["price_at"], long["newest_at"]) == (100.0, at(8.5), at(9))
    assert (short["price"], short["price_at"]) == (105.0, at(8.7))
    assert found.state.view["view_at"].tolist() == [at(8.5)], "their last prices are 12 minutes apart"


@pytest.mark.parametrize(
    ("long", "short", "entered_at"),
    [(480, 480, at(19)), (60, 480, at(19)), (480, 60, at(19)), (60, 60, at(24) + SECOND)],
)
def test_a_price_may_be_as_old_as_the_longer_bar_that_it_closed(long: int, short: int, entered_at: int) -> None:
    """A bar every eight hours, and a rate three hours after one; stale_s is two hours."""
    rows: Market = [listings()]
    rows += [closed(8 * k, leg, 100.0, minutes=m) for k in range(1, 4) for leg, m in ((LONG, long), (SHORT, short))]
    rows += [settlement(19, leg, 6 * BP * leg, known_after_s=0) for leg in (0, 1)]

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert [t for t, *_ in found.decided] == [entered_at]
    assert (found.refused("stale_price") > 0) == (entered_at != at(19))
    assert [fill[0] for fill in found.fills] == [at(24) + SECOND] * (entered_at == at(19)), "and an order waits as long"
    assert found.figures["dropped"] == 0


def test_an_entry_without_a_price_frees_its_slot_and_its_instruments_in_the_decision_that_drops_it() -> None:
    """One leg of the spread fell silent after it was ordered; the carry pair of the other leg is busy for two hours."""
    carry = Pair(SPOT_B, B)
    rows: Market = [listings(3), *(closed(h, leg, 100.0) for h in range(1, 9) for leg in range(3))]
    rows += [settlement(8, SHORT, 6 * BP), settlement(8, LONG, -1 * BP)]
    rows += [closed(h, leg, 100.0) for h in range(9, 14) for leg in (1, 2)]

    params = Parameters(max_positions=1, **PLAIN)
    found = run(rows, params, SPREAD, carry, instruments=[A, B, SPOT_B], until=at(11.5))

    assert found.decided == [(at(8) + 60 * SECOND, SPREAD, "enter"), (at(11) + SECOND, carry, "enter")]
    assert found.refused("busy") == found.refused("slots") == 3, "at 8:01, 9:00 and 10:00"
    assert found.figures["dropped"] == 1


def test_at_the_edge_of_a_settlement_only_the_paying_leg_is_booked() -> None:
    """Both fill at the bar that closes with the settlement, one second after it."""
    rows = held(*SPREAD, end=8)
    rows += [settlement(8.5, leg, 3 * BP, interval_h=0.5) for leg in (0, 1)]
    rows += [legs(8.5, 100.0), legs(9, 100.0)]

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert found.payments == [(at(8.5), "long", e8(-0.3))]
    assert (found.figures["payments_count"], found.figures["edge_payments"]) == (1, 1)


def test_hold_shares_its_money_among_the_carry_pairs_that_are_known() -> None:
    """Of three carry pairs two are known at first, one of them by its spot alone. A spread neither counts nor is
    entered."""
    x, y, z = carries = [carry_pair("b", symbol, spot_symbol=symbol) for symbol in "XYZ"]
    spread = Pair(A, x.short)
    rows: Market = [listings(7), settlement(1, 1, 1 * BP), settlement(1, 6, 0.0)]
    rows += [closed(1, leg, 100.0) for leg in (0, 1, 2, 6)]
    rows += [closed(2, leg, 100.0) for leg in (2, 3)] + [settlement(2, 3, 1 * BP)]
    rows += [closed(3, leg, 100.0) for leg in (4, 5)] + [settlement(3, 5, 1 * BP)]
    params = Parameters(strategy="hold", legs="both", capital=100_000.0, **PLAIN)

    found = run(rows, params, *carries, spread)

    decisions = [d for d in found.output.decisions if ACTIONS[d["action"]] == "enter"]
    assert [(found.state.pairs[d["pair"]], float(d["size"]), int(d["known_pairs"])) for d in decisions] == [
        (x, 2500.0, 2), (y, 2500.0, 2), (z, 5000.0 / 3, 3)
    ]  # fmt: skip


# --- gates ------------------------------------------------------------------------------------------------------------


def test_an_instrument_is_a_leg_of_one_held_or_ordered_pair_at_a_time() -> None:
    """Three pairs share a perpetual; the one with the highest rate is entered, the others are busy in that decision."""
    carry = Pair(SPOT_B, B)
    rows: Market = [listings(4), *(closed(h, leg, 100.0) for h in range(1, 10) for leg in range(4))]
    rows += [settlement(8, SHORT, 6 * BP), settlement(8, LONG, -1 * BP)]

    found = run(rows, Parameters(**PLAIN), SPREAD, carry, ACROSS, instruments=[A, B, SPOT_A, SPOT_B])

    assert [pair for _, pair, _ in found.decided] == [SPREAD], "7 bp against 6"
    assert found.refused("busy") == 4, "two pairs as it was ordered, and two as it was held"
    assert sum(found.figures["refused"].values()) == 4


def test_entries_ordered_a_moment_before_count_for_slots_and_capital() -> None:
    pairs = [Pair(Instrument("a", coin, "perp"), Instrument("b", coin, "perp")) for coin in "XYZ"]
    rows: Market = [listings(6), *(closed(h, leg, 100.0) for h in range(1, 9) for leg in range(6))]
    rows += [settlement(8, leg, 6 * BP * (leg % 2)) for leg in range(6)]

    slots = run(rows, Parameters(max_positions=2, **PLAIN), *pairs)
    capital = run(rows, Parameters(capital=1400.0, **PLAIN), *pairs)

    assert [pair for _, pair, _ in slots.decided] == [pair for _, pair, _ in capital.decided] == pairs[:2]
    assert (slots.refused("slots"), capital.refused("capital")) == (1, 1)


def test_an_entry_needs_a_healthy_margin_at_every_venue_of_its_pair() -> None:
    """After the first entry: 500 / (0.2 * 1000) = 2.5 at each venue, of which 3 are asked for."""
    pairs = [Pair(Instrument("a", coin, "perp"), Instrument(venue, coin, "perp")) for coin, venue in ("Xb", "Yb", "Zc")]
    rows: Market = [listings(6), *(closed(h, leg, 100.0) for h in range(1, 10) for leg in range(6))]
    rows += [settlement(8, 1, 6 * BP), settlement(8, 0, 0.0)]
    rows += [settlement(8.5, leg, 6 * BP * (leg % 2)) for leg in (2, 3, 4, 5)]
    rows += [closed(8.2, leg, 100.0) for leg in range(2)]
    params = Parameters(capital=1500.0, margin_fraction=0.1, mmr=0.2, **FREE)

    found = run(rows, params, *pairs)

    assert [pair for _, pair, _ in found.decided] == pairs[:1]
    assert found.refused("margin") == sum(found.figures["refused"].values()) == 4, "two pairs, two decisions"


def test_composites_cap_by_capital_is_that_of_the_venue_with_less_room() -> None:
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 82))]
    rows += [settlement(8 * k, leg, 20 * BP * leg) for k in range(1, 11) for leg in (0, 1)]
    params = Parameters(strategy="composite", split="a=0.02,b=0.98", min_age_d=0.0, impact=0.0)

    found = run(rows, params, SPREAD)

    (d,) = (d for d in found.output.decisions if ACTIONS[d["action"]] == "enter")
    capital = 200 / (0.3333 + 7.5 * BP)
    assert d["caps"][4] == d["capital_room"] == d["size"] == pytest.approx(capital, rel=1e-12)
    assert d["need"] == d["free"] == 200 * E8, "it takes all that is there"


@pytest.mark.parametrize(
    ("source", "q"), [("settled", 4 - 1), ("predicted", 9 - 1), ("blend", (9 * 9 + 7 * 4) / 16 - 1)]
)
def test_a_prediction_counts_for_its_own_leg_only(source: str, q: float) -> None:
    """At 14:00, three quarters of an interval, only the short leg has one."""
    predicted = (at(14), at(14), 0, SHORT, int(Kind.FUNDING_PREDICTED), 480, 9 * BP, 0.0, float(at(16) // 10**6))
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 14)), predicted]
    rows += [settlement(8, SHORT, 4 * BP), settlement(8, LONG, 1 * BP)]

    found = run(rows, Parameters(enter=2.5 * BP, rate_source=source, **PLAIN), SPREAD, since=at(14))  # type: ignore[arg-type]

    (d,) = found.output.decisions
    assert d["estimate_8h"] == pytest.approx(q * BP, rel=1e-12)


def test_an_unpriced_pair_makes_its_perpetual_busy() -> None:
    assumed = carry_pair("b", "X")
    rows: Market = [listings(2), *(legs(h, 100.0) for h in range(1, 10))]
    rows += [settlement(8, SHORT, 6 * BP), settlement(8, LONG, 1 * BP)]

    found = run(rows, Parameters(**PLAIN), SPREAD, assumed)

    assert [pair for _, pair, _ in found.decided] == [assumed], "6 bp against 5"
    assert found.refused("busy") >= 1


def test_an_instrument_is_free_in_the_decision_in_which_its_pair_has_closed() -> None:
    rows: Market = [listings(2), *(legs(h, 100.0) for h in range(1, 20))]
    rows += [settlement(8, SHORT, 6 * BP), settlement(8, LONG, 0.0)]
    rows += [settlement(16, SHORT, 0.0), settlement(16, LONG, 6 * BP)]

    found = run(rows, Parameters(**PLAIN), SPREAD, BACK)

    minute = 60 * SECOND
    assert found.decided == [
        (at(8) + minute, SPREAD, "enter"), (at(16) + minute, SPREAD, "exit"), (at(17) + SECOND, BACK, "enter"),
    ]  # fmt: skip
    assert found.fills[1][0] == at(17) + SECOND


@pytest.mark.parametrize("latest", [0, 1])
def test_both_rates_must_be_fresh(latest: int) -> None:
    """One leg settled five hours before the decision, with an interval of two."""
    rows: Market = [listings(), *(legs(h, 100.0) for h in range(1, 10))]
    rows += [settlement(3, 1 - latest, 6 * BP * (1 - latest), interval_h=2)]
    rows += [settlement(8, latest, 6 * BP * latest, interval_h=2)]

    found = run(rows, Parameters(**PLAIN), SPREAD)

    assert found.decided == []
    assert found.refused("stale_rate") > 0


def test_ties_go_by_the_short_leg_and_then_by_the_venues() -> None:
    names = [("c", "M", "b", "M"), ("b", "M", "c", "M"), ("b", "A", "c", "A"), ("a", "M", "c", "M")]
    pairs = [Pair(Instrument(lv, ls, "perp"), Instrument(sv, ss, "perp")) for lv, ls, sv, ss in names]
    state = State(Parameters(), list({leg for pair in pairs for leg in pair}), pairs)

    assert [(p.short.symbol, p.short.venue, p.long.venue) for p in state.pairs] == [
        ("A", "c", "b"), ("M", "b", "c"), ("M", "c", "a"), ("M", "c", "b")
    ]  # fmt: skip
