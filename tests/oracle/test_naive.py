"""The oracle's own tests: known answers, closed forms, and the recorded history of the majors."""

from math import nextafter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from carryfold.domain.instruments import Instrument, InstrumentKind, Listing, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .known import break_even, correlation_room, signals_of
from .majors import major_rows, majors_folder
from .market_rows import HOUR, SECOND, RowTuple, as_rows
from .markets import Case, cases, random_case
from .naive import Result, Simulation, SizeOutOfRange, instants, run
from .naive_pairs import pairs_among

BEGIN = 20_000 * 24 * HOUR
BP = 1e-4
NO_COSTS: dict[str, Any] = {"half_spread_bp": 0.0, "slippage_bp": 0.0, "impact": 0.0}
FREE: dict[str, Any] = {**NO_COSTS, "spot_taker_bp": 0.0, "perp_taker_bp": 0.0}
BARE: dict[str, Any] = {**FREE, "margin_fraction": 0.0, "borrow_apr": 0.0}
LOT = 2.0**-20

Rows = list[RowTuple]


def instrument(venue: str, kind: InstrumentKind, coin: str = "COIN") -> Listing:
    return Listing(Instrument(venue, coin, kind), coin, "USDT")


CARRY = [instrument("alpha", "spot"), instrument("alpha", "perp")]
"""Spot is subject 0, the perpetual subject 1."""
SPREAD = [instrument("alpha", "perp"), instrument("beta", "perp")]
"""The two perpetuals are subjects 0 and 1."""
ACROSS = [instrument("alpha", "spot"), instrument("beta", "perp")]
UP = Pair(SPREAD[0].instrument, SPREAD[1].instrument)
"""Long at alpha, short at beta."""


def row(known_at: int, event_at: int, kind: Kind, *values: float, subject: int = 0, slot: int = 0) -> RowTuple:
    a, b, c = (*values, 0.0, 0.0, 0.0)[:3]
    return (known_at, event_at, 0, subject, int(kind), slot, a, b, c)


def listed(subject: int, lot: float = LOT, multiplier: float = 1.0) -> RowTuple:
    return row(0, 0, Kind.INSTRUMENT_LISTED, lot, 5.0, multiplier, subject=subject)


def bar(hour: float, price: float, subject: int, minutes: int = 60) -> RowTuple:
    close = BEGIN + round(hour * HOUR)
    return row(close + SECOND, close, Kind.BAR_CLOSED, price, 0.0, -1.0, subject=subject, slot=minutes)


def bars(hour: float, first: float, second: float | None = None, subject: int = 0) -> Rows:
    """Bars of two instruments that follow each other."""
    return [bar(hour, first, subject), bar(hour, first if second is None else second, subject + 1)]


def quote(hour: float, price: float, subject: int, after_s: float = 0.0) -> RowTuple:
    at = BEGIN + round(hour * HOUR) + round(after_s * SECOND)
    return row(at, at, Kind.QUOTED, price, price, subject=subject)


def settled(hour: float, rate: float, subject: int = 1, interval_h: float = 8.0) -> RowTuple:
    at = BEGIN + round(hour * HOUR)
    return row(at + 60 * SECOND, at, Kind.FUNDING_SETTLED, rate, interval_h, subject=subject)


def ticked(hour: float) -> RowTuple:
    at = BEGIN + round(hour * HOUR)
    return row(at, at, Kind.CLOCK_TICKED, subject=-1)


def delisted(hour: float, subject: int) -> RowTuple:
    at = BEGIN + round(hour * HOUR)
    return row(at, at, Kind.INSTRUMENT_DELISTED, subject=subject)


def both_listed(count: int = 2) -> Rows:
    return [listed(subject) for subject in range(count)]


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda r: r[0])


def simulated(rows: Rows, listings: list[Listing] = CARRY, **settings: Any) -> Result:
    result = run(in_order(rows), listings, Parameters(**settings))
    assert_identity(result)
    return result


def simulation_after(rows: Rows, listings: list[Listing], **settings: Any) -> Simulation:
    """The state of a simulation after the rows."""
    params = Parameters(**settings)
    simulation = Simulation([one.instrument for one in listings], pairs_among(listings, params), params)
    for t, instant in instants(in_order(rows), set(range(len(listings))), None):
        simulation.step(t, instant, running=True)
    return simulation


def assert_identity(r: Result) -> None:
    parts = r.funding_e8 + r.long_pnl_e8 + r.short_pnl_e8 - r.fees_e8 - r.borrow_e8
    assert r.equity_e8 == r.capital_e8 + parts
    assert r.equity_e8 == sum(venue.equity for venue in r.venues.values())


def run_case(case: Case, rows: Rows | None = None) -> Result:
    kept = case.rows if rows is None else rows
    return run(kept, case.listings, case.params, pairs=case.pairs, since=case.since, until=case.until)


# Known answers ------------------------------------------------------------------------------------------------


def test_the_signals_of_five_settlements_have_their_known_values() -> None:
    got = signals_of([x * BP for x in (1, 1, 2, 4, 6)], Parameters(), basis_z=1.0)

    assert got.ema_fast == pytest.approx(4.375 * BP, abs=1e-15)
    assert got.ema_slow == pytest.approx(2.608 * BP, abs=1e-12)
    assert got.dx == pytest.approx(0.306199859 * BP, abs=1e-13)
    assert got.scores["level"] == pytest.approx(1.0)
    assert got.scores["trend"] == 1.0
    assert got.scores["persistence"] == pytest.approx(1 / 3)
    assert got.scores["volume"] is None
    assert got.conviction == pytest.approx(0.7958333, abs=5e-8)
    assert got.mx == pytest.approx(2.8 * BP, abs=1e-15)
    assert got.v == pytest.approx(8.888888889e-9, abs=1e-17)
    assert got.c == pytest.approx(1.955555556e-8, abs=1e-17)
    assert got.phi == 0.98
    assert got.mu == pytest.approx(1.257142857 * BP, abs=1e-13)


def test_the_autoregression_of_four_buckets_is_what_the_fractions_say() -> None:
    """Rates 3, 1, 3, 1 bp by hand: v = 13/36, c = -17/36 square basis points, p = -26.5/13 after the bias term."""
    got = signals_of([x * BP for x in (3, 1, 3, 1)], Parameters())

    assert got.v == pytest.approx(13 / 36 * BP * BP)
    assert got.c == pytest.approx(-17 / 36 * BP * BP)
    assert got.phi == pytest.approx((4 * (-26.5 / 13) + 30 * 0.83) / 34)
    assert got.mu == pytest.approx((4 * 2 * BP + 30 * 1 * BP) / 34)


def test_a_cost_of_39_bp_is_earned_in_the_seventh_bucket() -> None:
    got = signals_of([x * BP for x in (1, 1, 2, 4, 6)], Parameters())

    earned = break_even(6 * BP, got.phi, got.mu, 39 * BP)

    assert earned is not None
    assert earned[0] == 7
    assert break_even(0.0, 0.5, -1 * BP, 1 * BP) is None


def test_fewer_than_nine_settlements_make_no_conviction() -> None:
    assert signals_of([3 * BP] * 8, Parameters(), enough=False).conviction is None
    assert signals_of([3 * BP] * 9, Parameters(), enough=False).conviction is not None


def test_a_flat_plateau_has_trend_one_half() -> None:
    assert signals_of([1 * BP] * 30, Parameters()).scores["trend"] == 0.5


def test_the_correlation_room_has_its_known_value_and_lets_five_of_1000_in() -> None:
    assert correlation_room([1000.0] * 3, 0.45, 3750.0) == pytest.approx(1841.394679, abs=5e-7)
    assert correlation_room([1000.0] * 4, 0.45, 3750.0) >= 1000.0
    assert correlation_room([1000.0] * 5, 0.45, 3750.0) < 1000.0


def prices(path: list[float], subject: int = 0) -> Rows:
    """Hourly bars of two instruments at the same prices."""
    return [each for hour, price in enumerate(path) for each in bars(hour, price, subject=subject)]


def actions(result: Result) -> list[str]:
    return [fill.action for fill in result.fills]


# Closed forms -------------------------------------------------------------------------------------------------


def carry(settlements: int, rate: float, **settings: Any) -> Result:
    """One entry, `settlements` payments of `rate` at a constant price, one forced exit."""
    hours = 8 * (settlements + 1)
    rows = [*both_listed(), *(each for hour in range(hours + 3) for each in bars(hour, 64.0))]
    rows += [settled(8 * n, rate) for n in range(settlements + 1)]
    close_at = BEGIN + (hours - 2) * HOUR
    rows.append(row(close_at, close_at, Kind.INSTRUMENT_CHANGED, 0.0, -1.0, close_at / 1e6))
    # 1024 of notional is a whole number of lots at a price of 64.
    return simulated(rows, enter=0.0, exit=-1.0, notional=1024.0, **{**NO_COSTS, **settings})


def test_a_carry_of_1_bp_breaks_even_after_exactly_31_settlements() -> None:
    results = {n: carry(n, 1 * BP) for n in (30, 31, 32)}

    for n, result in results.items():
        assert (result.trades, result.open_positions, result.payments_count) == (1, 0, n)
        assert result.fees_e8 == round(1024 * 31 * BP * 1e8)
    assert results[31].equity_e8 == results[31].capital_e8
    assert results[30].equity_e8 < results[30].capital_e8 < results[32].equity_e8


def test_zero_rates_lose_exactly_the_costs() -> None:
    result = carry(10, 0.0, half_spread_bp=1.0, slippage_bp=1.0)

    assert result.funding_e8 == 0
    assert result.long_pnl_e8 + result.short_pnl_e8 == -result.slippage_e8
    assert result.slippage_e8 == pytest.approx(1024 * 8 * BP * 1e8, abs=4)
    assert result.equity_e8 == result.capital_e8 - result.fees_e8 - result.slippage_e8


@pytest.mark.parametrize("move", [1.3125, 0.6875])
def test_a_move_of_31_percent_leaves_a_hedged_book_where_it_was(move: float) -> None:
    rows = [*both_listed(), settled(0, 4 * BP)]
    rows += [each for hour in range(8) for each in bars(hour, 64.0 if hour < 4 else 64.0 * move)]

    result = simulated(rows, notional=1024.0, **FREE)

    assert result.open_positions == 1
    assert result.long_pnl_e8 == -result.short_pnl_e8 == round(1024 * (move - 1) * 1e8)
    assert result.equity_e8 == result.capital_e8
    assert result.max_drawdown == 0.0


def test_a_position_opened_just_before_a_settlement_pays_but_does_not_receive() -> None:
    """The bar at hour 1 is known one second after the settlement, so the entry is inside the five seconds."""
    for rate, paid in ((-2 * BP, 1), (2 * BP, 0)):
        rows = [*both_listed(), settled(0, 4 * BP, interval_h=1.0), settled(1, rate, interval_h=1.0)]
        rows += [each for hour in range(3) for each in bars(hour, 64.0)]
        result = simulated(rows, exit=-1.0, notional=1024.0, **FREE)
        assert [fill[0] for fill in result.fills] == [BEGIN + HOUR + SECOND]
        assert (result.payments_count, result.edge_payments) == (paid, paid)
        assert result.funding_e8 == round(paid * 1024 * rate * 1e8)


def test_a_short_on_a_split_account_is_liquidated_and_its_spot_sold_at_the_next_row() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), *prices([64.0, 64.0, 64.0, 128.0, 96.0])]

    result = simulated(rows, notional=1024.0, account="split", stale_s=1, **FREE)

    assert actions(result) == ["enter", "liquidated", "leg closed"]
    assert result.liquidation_e8 == result.short_pnl_e8 == -1024 * 10**8
    assert result.long_pnl_e8 == 512 * 10**8
    assert (result.trades, result.liquidations) == (1, 1)


def test_a_delisting_after_a_liquidation_has_only_the_spot_left_to_sell() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), *prices([64.0, 64.0, 64.0, 128.0]), delisted(3 + 1 / 30, 1)]

    result = simulated(rows, notional=1024.0, account="split", delist_haircut=0.25, **FREE)

    assert actions(result) == ["enter", "liquidated", "delisted"]
    assert result.short_pnl_e8 == -1024 * 10**8
    assert result.long_pnl_e8 == (1536 - 1024) * 10**8
    assert (result.trades, result.open_positions) == (1, 0)


def test_a_position_whose_data_ended_is_closed_at_its_last_prices() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), *prices([64.0] * 3), *(ticked(hour) for hour in (5, 20, 30))]

    result = simulated(rows, notional=1024.0, dead_s=86400, delist_haircut=0.25, **FREE)

    assert [(fill[0], fill[2]) for fill in result.fills][1:] == [(BEGIN + 30 * HOUR, "data ended")]
    assert (result.long_pnl_e8, result.short_pnl_e8) == (-256 * 10**8, 0)


def test_a_pair_without_prices_earns_its_rate_and_pays_its_modelled_costs() -> None:
    rows = [listed(0), *(settled(8 * n, 4 * BP, 0) for n in range(4)), settled(32, 0.0, 0)]

    result = simulated(rows, CARRY[1:], notional=1024.0, impact=0.0)

    assert result.fills[0].pair == Pair(Instrument("alpha", "COIN", "spot", 0), CARRY[1].instrument)
    assert [(fill[0], fill[2]) for fill in result.fills] == [
        (BEGIN + 60 * SECOND, "enter"),
        (BEGIN + 32 * HOUR + 60 * SECOND, "exit"),
    ]
    assert result.funding_e8 == 3 * round(1024 * 4 * BP * 1e8)
    assert result.long_pnl_e8 == result.short_pnl_e8 == -2 * round(1024 * 2 * BP * 1e8)
    assert result.fees_e8 == 2 * round(1024 * 15.5 * BP * 1e8)


def test_a_quantity_beyond_exact_floats_is_refused() -> None:
    rows = [*(listed(subject, lot=2.0**-60) for subject in (0, 1)), settled(0, 4 * BP), *prices([64.0, 64.0])]

    with pytest.raises(SizeOutOfRange, match="size out of range"):
        simulated(rows)


def test_ties_go_by_symbol_and_not_by_the_number_of_the_instrument() -> None:
    rows = both_listed(6)
    listings = []
    for number, coin in enumerate(("C", "B", "AA")):
        listings += [instrument("alpha", "spot", coin), instrument("alpha", "perp", coin)]
        rows += [settled(0, 4 * BP, 2 * number + 1), *prices([64.0] * 3, subject=2 * number)]

    result = simulated(rows, listings, max_positions=2)

    assert [decision[1].short.symbol for decision in result.decisions] == ["AA", "B"]


def test_a_short_leg_ties_before_its_venue_and_that_before_the_long_leg() -> None:
    listings = [instrument(venue, "perp", coin) for coin in ("B", "A") for venue in ("beta", "alpha", "gamma")]

    pairs = pairs_among(listings, Parameters(legs="both"))

    named = [(pair.short.symbol, pair.short.venue, pair.long.venue, pair.long.kind) for pair in pairs]
    assert named == sorted(named)
    assert [pair.long.venue for pair in pairs[:3]] == ["alpha", "beta", "gamma"]
    assert len(pairs) == 2 * (3 + 6)


def test_pairs_need_one_coin_and_one_unit_of_account() -> None:
    spot = Listing(Instrument("alpha", "COIN-EUR", "spot"), "COIN", "EUR")
    perps = [instrument("alpha", "perp"), Listing(Instrument("beta", "COIN", "perp"), "COIN", "USD")]

    found = pairs_among([spot, *perps, instrument("alpha", "perp", "OTHER")], Parameters(legs="both"))

    assert all(pair.long.listing == 0 for pair in found if pair.is_carry)
    assert sum(not pair.is_carry for pair in found) == 2


# Pairs over two venues ----------------------------------------------------------------------------------------


def spread(*prices_of: float, high: float = 4 * BP, **settings: Any) -> Result:
    """The short leg's rate is `high`, the long one's 0; hourly bars at these prices of both."""
    rows = [*both_listed(), settled(0, high), settled(0, 0.0, 0), *prices(list(prices_of))]
    return simulated(rows, SPREAD, **{"legs": "spread", "notional": 1024.0, **FREE, **settings})


def test_a_spread_whose_long_leg_costs_more_is_never_entered_and_its_opposite_earns_1_bp() -> None:
    rows = [*both_listed(), *prices([100.0] * 26), *(settled(8 * n, 1 * BP) for n in range(4))]
    rows += [settled(hour, 0.25 * BP, 0, 1.0) for hour in range(26)]

    inside = simulation_after(rows, SPREAD, legs="spread")
    q = {market.pair: market.estimate(BEGIN + 26 * HOUR) for market in inside.markets}

    assert q[UP] == pytest.approx(-1 * BP)
    assert q[Pair(UP.short, UP.long)] == pytest.approx(1 * BP)
    assert simulated(rows, SPREAD, legs="spread").decisions == []
    low = simulated(rows, SPREAD, legs="spread", enter=0.9 * BP, exit=0.0)
    assert {decision[1] for decision in low.decisions} == {Pair(UP.short, UP.long)}


def test_a_spread_of_6_bp_breaks_even_at_the_4th_settlement_held() -> None:
    def after(settlements: int) -> Result:
        hours = 8 * (settlements + 1)
        rows = [listed(0, 1e-6), listed(1, 1e-6), *prices([100.0] * (hours + 3))]
        for n in range(settlements + 1):
            rows += [settled(8 * n, 6 * BP), settled(8 * n, 0.0, 0)]
        close_at = BEGIN + (hours - 2) * HOUR
        rows.append(row(close_at, close_at, Kind.INSTRUMENT_CHANGED, 0.0, -1.0, close_at / 1e6))
        return simulated(rows, SPREAD, legs="spread", **NO_COSTS)

    results = {n: after(n) for n in (3, 4)}

    for n, result in results.items():
        assert (result.trades, result.open_positions, result.payments_count) == (1, 0, 2 * n)
        assert result.funding_e8 == n * 60_000_000
        assert result.fees_e8 == 4 * 55_000_000
    assert results[3].equity_e8 < results[3].capital_e8 < results[4].equity_e8


def test_q_moves_when_the_long_leg_settles_before_the_short_one_does_again() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.1 * BP, 0, 1.0)]

    before = simulation_after(rows, SPREAD, legs="spread")
    after = simulation_after([*rows, settled(1, 0.3 * BP, 0, 1.0)], SPREAD, legs="spread")

    (market,) = (one for one in before.markets if one.pair == UP)
    assert market.estimate(BEGIN + HOUR) == pytest.approx(3.2 * BP)
    assert (market.rates.x_count, market.rates.run) == (1, 1 / 8)
    (market,) = (one for one in after.markets if one.pair == UP)
    assert market.estimate(BEGIN + HOUR) == pytest.approx(1.6 * BP)
    assert (market.rates.x_count, market.rates.run) == (2, 0.0)


def test_a_move_of_30_percent_leaves_equity_and_moves_money_between_the_venues() -> None:
    listings = [instrument(venue, "perp", coin) for coin in "ABCDE" for venue in ("alpha", "beta")]
    rows = [listed(subject, 1e-6) for subject in range(10)]
    for coin in range(5):
        rows += [settled(0, 4 * BP, 2 * coin + 1), settled(0, 0.0, 2 * coin)]
        rows += prices([100.0, 100.0], subject=2 * coin)
    moved = [each for coin in range(5) for each in bars(2, 130.0, subject=2 * coin)]

    before = simulated(rows, listings, legs="spread", **FREE)
    after = simulated([*rows, *moved], listings, legs="spread", **FREE)

    assert before.open_positions == after.open_positions == 5
    assert before.equity_e8 == after.equity_e8 == before.capital_e8
    assert before.venues["alpha"].capital == before.venues["beta"].capital == 5000 * 10**8
    margin = round(0.3333 * 1500 * 1e8)
    assert after.venues["beta"].free - before.venues["beta"].free == -1500 * 10**8 - margin
    assert after.venues["alpha"].free - before.venues["alpha"].free == 1500 * 10**8 - margin
    assert after.venues["beta"].min_free == after.venues["beta"].free


@pytest.mark.parametrize(("after_s", "trades"), [(5.0, True), (5.000001, False)])
def test_two_prices_make_a_pair_row_if_they_are_not_more_than_5_seconds_apart(after_s: float, trades: bool) -> None:
    rows = [*both_listed(), settled(0, 4 * BP)]
    for n in range(4):
        rows += [quote(1 + n / 10, 64.0, 0), quote(1 + n / 10, 64.0, 1, after_s)]

    assert bool(simulated(rows).fills) == trades


def test_a_price_of_one_leg_moves_no_equity() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.0, 0), *prices([64.0] * 3), bar(2.5, 96.0, 1)]

    result = simulated(rows, SPREAD, legs="spread", notional=1024.0, **FREE)

    assert result.open_positions == 1
    assert result.equity_e8 == result.capital_e8


def test_a_suspect_price_counts_once_for_each_direction_of_a_spread() -> None:
    rows = [*both_listed(), *prices([64.0] * 3), *bars(3, 64.0, 80.0), *bars(4, 64.0)]

    assert simulated(rows, SPREAD, legs="spread").suspect == 2


def test_prices_and_lots_are_of_coins_whatever_a_unit_of_a_leg_is() -> None:
    rows = [listed(0, 0.25), listed(1, 1.0, 1000.0), settled(0, 4 * BP)]
    rows += [each for hour in range(3) for each in bars(hour, 0.0625, 62.5)]

    result = simulated(rows, notional=1024.0, **FREE)

    assert [decision[3] for decision in result.decisions] == [16]  # lots of 1000 coins
    assert (result.fills[0].long_value, result.fills[0].short_value) == (1000 * 10**8, 1000 * 10**8)


def test_a_lot_of_a_pair_is_a_whole_number_of_both_lots() -> None:
    rows = [listed(0, 0.04), listed(1, 0.1), settled(0, 4 * BP), *prices([10.0] * 3)]

    assert [decision[3] for decision in simulated(rows, notional=100.0).decisions] == [50]  # of 0.2 coins


def test_an_instrument_is_a_leg_of_one_held_pair_at_a_time() -> None:
    rows = [*both_listed(3), *prices([64.0] * 4), *(bar(hour, 64.0, 2) for hour in range(4))]
    rows += [settled(0, 4 * BP, 1), settled(0, 0.0, 2)]

    result = simulated(rows, [*CARRY, SPREAD[1]], legs="both", notional=1024.0, **FREE)

    assert [(decision[1].long.venue, decision[1].is_carry) for decision in result.decisions] == [("alpha", True)]
    assert result.refused["busy"] > 0


def test_a_fee_can_be_one_of_a_venue_and_a_kind() -> None:
    result = spread(64.0, 64.0, 64.0, fees="beta:perp=4.5,alpha:spot=3")

    assert (result.fills[0].long_fee, result.fills[0].short_fee) == (0, round(1024 * 4.5 * BP * 1e8))
    assert result.venues["beta"].fees == result.fees_e8


def test_the_capital_can_be_split_by_share_and_each_venue_has_to_afford_its_leg() -> None:
    enough = spread(64.0, 64.0, 64.0, margin_fraction=0.5, split="alpha=0.9,beta=0.1")
    short = spread(64.0, 64.0, 64.0, margin_fraction=0.5, split="alpha=0.95,beta=0.05")

    assert [venue.capital for venue in enough.venues.values()] == [9000 * 10**8, 1000 * 10**8]
    assert enough.open_positions == 1
    assert short.open_positions == 0
    assert short.refused["capital"] > 0


def test_three_venues_share_a_capital_equally_but_for_the_rest() -> None:
    listings = [*SPREAD, instrument("gamma", "perp")]

    result = simulated([listed(0)], listings, legs="spread", capital=100.0)

    assert [venue.capital for venue in result.venues.values()] == [3_333_333_334, 3_333_333_333, 3_333_333_333]


def test_a_venue_that_is_not_covered_closes_its_leg_and_the_other_one_closes_at_its_next_price() -> None:
    """Beta has 600, and at 112 its short has lost 768."""
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.0, 0), *prices([64.0, 64.0, 64.0, 112.0])]
    rows += [bar(4, 128.0, 0), bar(5, 160.0, 0)]

    result = simulated(rows, SPREAD, legs="spread", notional=1024.0, capital=1200.0, **BARE)

    assert actions(result) == ["enter", "liquidated", "leg closed"]
    assert [fill.t for fill in result.fills][1:] == [BEGIN + hour * HOUR + SECOND for hour in (3, 4)]
    assert (result.short_pnl_e8, result.long_pnl_e8) == (-768 * 10**8, 1024 * 10**8)
    assert (result.liquidation_e8, result.liquidations) == (-768 * 10**8, 1)
    assert (result.trades, result.open_positions) == (1, 0)
    assert result.venues["beta"].equity == (600 - 768) * 10**8


def test_a_liquidation_is_shown_with_its_fee() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.0, 0), *prices([64.0, 64.0, 64.0, 112.0])]
    params: dict[str, Any] = {**BARE, "perp_taker_bp": 10.0, "capital": 1200.0}

    result = simulated(rows, SPREAD, legs="spread", notional=1024.0, **params)

    assert result.liquidation_e8 == -768 * 10**8 - round(1792 * 10 * BP * 1e8)


def test_a_venue_that_is_covered_is_left_alone_whatever_is_lost_there() -> None:
    result = spread(64.0, 64.0, 64.0, 100.0, capital=1200.0, margin_fraction=0.0)

    assert actions(result) == ["enter"]
    assert result.equity_e8 == result.capital_e8


def test_the_legs_of_a_spread_on_split_accounts_are_liquidated_by_their_own_entries() -> None:
    up = spread(64.0, 64.0, 64.0, 96.0, 96.0, account="split")
    down = spread(64.0, 64.0, 64.0, 32.0, 32.0, account="split")

    for result, gone in ((up, "short"), (down, "long")):
        assert actions(result) == ["enter", "liquidated", "leg closed"]
        assert (result.fills[1].long_value > 0) == (gone == "long")
        assert (result.fills[1].short_value > 0) == (gone == "short")
        assert (result.equity_e8, result.trades) == (result.capital_e8, 1)


def test_the_spot_leg_of_a_carry_over_two_venues_is_collateral_at_its_own_venue_only() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), *prices([64.0, 64.0, 64.0, 112.0, 112.0])]
    shared: dict[str, Any] = {"carry_across": True, "notional": 1024.0, **BARE}

    result = simulated(rows, ACROSS, capital=2400.0, split="alpha=0.75,beta=0.25", **shared)

    assert actions(result) == ["enter", "liquidated", "leg closed"]
    assert result.equity_e8 == result.capital_e8
    own = simulated(rows, ACROSS, **{**shared, "carry_across": False})
    assert all(fill.pair.is_one_venue for fill in own.fills)


def test_one_delisted_leg_closes_at_its_mark_and_the_other_one_at_its_last_price() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.0, 0), *prices([64.0] * 3)]
    rows += [bar(3, 80.0, 0), delisted(3.5, 1)]
    costs: dict[str, Any] = {**FREE, "half_spread_bp": 50.0, "slippage_bp": 50.0, "delist_haircut": 0.5}

    result = simulated(rows, SPREAD, legs="spread", notional=1024.0, **costs)

    assert actions(result) == ["enter", "delisted"]
    entered, ended = result.fills
    assert ended.short_value == 1024 * 10**8
    quantity = entered.lots * LOT
    assert ended.long_value == round(quantity * 80.0 * 0.99 * 1e8)
    assert (result.trades, result.open_positions) == (1, 0)


def test_data_that_ends_for_one_leg_of_a_spread_ends_the_pair() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(0, 0.0, 0), *prices([64.0] * 3)]
    rows += [bar(hour, 64.0, 1) for hour in range(3, 30)]

    result = simulated(rows, SPREAD, legs="spread", notional=1024.0, dead_s=86400, **FREE)

    assert [(fill.t, fill.action) for fill in result.fills][1:] == [(BEGIN + 27 * HOUR + SECOND, "data ended")]


def test_a_carry_pair_lives_as_long_as_one_of_its_legs() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), *prices([64.0] * 3), *(bar(hour, 64.0, 1) for hour in range(3, 60))]

    result = simulated(rows, notional=1024.0, dead_s=86400, **FREE)

    assert actions(result) == ["enter"]


def test_inside_the_edge_of_a_settlement_one_leg_pays_and_the_other_one_does_not_receive() -> None:
    rows = [*both_listed(), settled(0, 4 * BP, 1, 1.0), settled(0, 0.0, 0, 1.0), *prices([64.0] * 3)]
    rows += [settled(1, 2 * BP, 1, 1.0), settled(1, 1 * BP, 0, 1.0)]

    result = simulated(rows, SPREAD, legs="spread", exit=-1.0, notional=1024.0, **FREE)

    assert [(p.leg, p.amount) for p in result.payments] == [("long", -round(1024 * BP * 1e8))]
    assert result.edge_payments == 1


def test_bars_of_8_hours_are_not_stale_before_the_next_one() -> None:
    rows = [*both_listed(), settled(0, 4 * BP), settled(7, 4 * BP)]
    rows += [bar(hour, 64.0, subject, 480) for hour in (0, 8, 16) for subject in (0, 1)]

    assert simulated(rows, notional=1024.0).open_positions == 1


def test_hold_divides_by_the_carry_pairs_that_are_known_then() -> None:
    listings = [*CARRY, instrument("alpha", "spot", "LATER"), instrument("alpha", "perp", "LATER")]
    rows = [*both_listed(4), settled(0, 0.0), *prices([64.0] * 6), settled(4, 0.0, 3)]
    rows += [each for hour in range(4, 6) for each in bars(hour, 64.0, subject=2)]

    result = simulated(rows, listings, strategy="hold", notional=1024.0, max_positions=1)

    assert [decision[3] for decision in result.decisions] == [2**24, 2**23]


# Properties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_rows_inside_an_instant_does_not_matter(seed: int) -> None:
    case = random_case(seed)
    mixed = list(case.rows)
    Random(seed).shuffle(mixed)
    mixed.sort(key=lambda r: r[0])

    assert run_case(case, mixed) == run_case(case)


@pytest.mark.parametrize("seed", range(100, 140))
def test_equity_is_the_sum_of_its_parts(seed: int) -> None:
    assert_identity(run_case(random_case(seed)))


@given(cases())
@settings(max_examples=30, deadline=None)
def test_what_comes_later_changes_nothing_before(case: Case) -> None:
    """Cutting the rows at the middle instant leaves the decisions and the money up to there as they were."""
    whole = run_case(case)
    middle = case.rows[len(case.rows) // 2][0]
    start = run_case(case, [r for r in case.rows if r[0] < middle])

    assert_identity(whole)
    assert start.decisions == whole.decisions[: len(start.decisions)]
    assert all(decision[0] >= middle for decision in whole.decisions[len(start.decisions) :])
    assert start.fills == whole.fills[: len(start.fills)]
    assert start.payments == whole.payments[: len(start.payments)]


def test_an_array_of_rows_gives_what_the_list_gives() -> None:
    case = random_case(3)
    image = as_rows(case.rows)
    assert run(image, case.listings, case.params) == run(case.rows, case.listings, case.params)


# The majors ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def majors() -> tuple[list[RowTuple], list[Listing]]:
    folder = majors_folder()
    if folder is None:
        pytest.skip("the recorded history of the majors is not on this machine")
    return major_rows(folder)


@pytest.mark.soak
def test_simple_makes_59_round_trips_on_the_majors(majors: tuple[list[RowTuple], list[Listing]]) -> None:
    result = run(*majors, Parameters(impact=0.0))

    assert_identity(result)
    assert (result.trades, result.open_positions) == (59, 0)
    assert result.settlements == 33_191
    assert (result.late, result.no_mark, result.gaps) == (0, 0, 0)


@pytest.mark.soak
def test_an_exit_one_ulp_higher_makes_224(majors: tuple[list[RowTuple], list[Listing]]) -> None:
    result = run(*majors, Parameters(impact=0.0, exit=nextafter(0.0001, 1.0)))

    assert_identity(result)
    assert result.trades == 224


@pytest.mark.soak
def test_a_capital_of_2000_is_too_little_for_five_pairs(majors: tuple[list[RowTuple], list[Listing]]) -> None:
    result = run(*majors, Parameters(impact=0.0, capital=2000.0))

    assert_identity(result)
    assert result.trades < 59
    assert result.refused["capital"] > 0
