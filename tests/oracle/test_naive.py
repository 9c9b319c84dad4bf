"""The oracle's own tests: known answers, closed forms, and the recorded history of the majors."""

from math import nextafter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .known import break_even, correlation_room, signals_of
from .majors import major_rows, majors_folder
from .market_rows import HOUR, SECOND, RowTuple, as_rows
from .markets import Case, cases, random_case
from .naive import Result, SizeOutOfRange, run

BEGIN = 20_000 * 24 * HOUR
BP = 1e-4
NO_COSTS: dict[str, Any] = {"half_spread_bp": 0.0, "slippage_bp": 0.0, "impact": 0.0}
FREE: dict[str, Any] = {**NO_COSTS, "spot_taker_bp": 0.0, "perp_taker_bp": 0.0}


def row(known_at: int, event_at: int, kind: Kind, *values: float, pair: int = 0, slot: int = 0) -> RowTuple:
    a, b, c, d = (*values, 0.0, 0.0, 0.0, 0.0)[:4]
    return (known_at, event_at, 0, pair, int(kind), slot, a, b, c, d)


def listed(lot: float = 2.0**-20, pair: int = 0, priced: bool = True) -> RowTuple:
    return row(0, 0, Kind.PAIR_LISTED, lot, 5.0, 1.0, float(priced), pair=pair)


def bar(hour: float, spot: float, perp: float | None = None, pair: int = 0) -> RowTuple:
    close = BEGIN + round(hour * HOUR)
    perp = spot if perp is None else perp
    return row(close + SECOND, close, Kind.BAR_CLOSED, spot, perp, perp, -1.0, pair=pair, slot=60)


def settled(hour: float, rate: float, interval_h: float = 8.0, pair: int = 0) -> RowTuple:
    at = BEGIN + round(hour * HOUR)
    return row(at + 60 * SECOND, at, Kind.FUNDING_SETTLED, rate, interval_h, pair=pair)


def simulated(rows: list[RowTuple], symbols: tuple[bytes, ...] = (b"PAIR",), **settings: Any) -> Result:
    result = run(sorted(rows, key=lambda r: r[0]), list(symbols), Parameters(**settings))
    assert_identity(result)
    return result


def assert_identity(r: Result) -> None:
    parts = r.funding_e8 + r.spot_pnl_e8 + r.perp_pnl_e8 - r.fees_e8 - r.borrow_e8
    assert r.equity_e8 == r.capital_e8 + parts


def run_case(case: Case, rows: list[RowTuple] | None = None) -> Result:
    return run(
        case.rows if rows is None else rows,
        case.symbols,
        case.params,
        since=case.since,
        until=case.until,
        selected=case.selected,
        universe=case.universe,
    )


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


# Closed forms -------------------------------------------------------------------------------------------------


def carry(settlements: int, rate: float, **settings: Any) -> Result:
    """One entry, `settlements` payments of `rate` at a constant price, one forced exit."""
    hours = 8 * (settlements + 1)
    rows = [listed(), *(bar(hour, 64.0) for hour in range(hours + 3))]
    rows += [settled(8 * n, rate) for n in range(settlements + 1)]
    close_at = BEGIN + (hours - 2) * HOUR
    rows.append(row(close_at, close_at, Kind.PAIR_CHANGED, 0.0, -1.0, close_at / 1e6, -1.0))
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
    assert result.spot_pnl_e8 + result.perp_pnl_e8 == -result.slippage_e8
    assert result.slippage_e8 == pytest.approx(1024 * 8 * BP * 1e8, abs=4)
    assert result.equity_e8 == result.capital_e8 - result.fees_e8 - result.slippage_e8


@pytest.mark.parametrize("move", [1.3125, 0.6875])
def test_a_move_of_31_percent_leaves_a_hedged_book_where_it_was(move: float) -> None:
    rows = [listed(), settled(0, 4 * BP), *(bar(hour, 64.0) for hour in range(4))]
    rows += [bar(hour, 64.0 * move, 64.0 * move) for hour in range(4, 8)]

    result = simulated(rows, notional=1024.0, **FREE)

    assert result.open_positions == 1
    assert result.spot_pnl_e8 == -result.perp_pnl_e8 == round(1024 * (move - 1) * 1e8)
    assert result.equity_e8 == result.capital_e8
    assert result.max_drawdown == 0.0


def test_a_position_opened_just_before_a_settlement_pays_but_does_not_receive() -> None:
    """The bar at hour 1 is known one second after the settlement, so the entry is inside the five seconds."""
    for rate, paid in ((-2 * BP, 1), (2 * BP, 0)):
        rows = [listed(), settled(0, 4 * BP, 1.0), *(bar(hour, 64.0) for hour in range(3)), settled(1, rate, 1.0)]
        result = simulated(rows, exit=-1.0, notional=1024.0, **FREE)
        assert [fill[0] for fill in result.fills] == [BEGIN + HOUR + SECOND]
        assert result.payments_count == paid
        assert result.funding_e8 == round(paid * 1024 * rate * 1e8)


def test_a_short_on_a_split_account_is_liquidated_and_its_spot_sold_at_the_next_row() -> None:
    rows = [listed(), settled(0, 4 * BP), *(bar(hour, 64.0) for hour in range(3)), bar(3, 128.0), bar(4, 96.0)]

    result = simulated(rows, notional=1024.0, account="split", stale_s=1, **FREE)

    assert [fill[2] for fill in result.fills] == ["enter", "liquidated", "spot sold"]
    assert result.liquidation_e8 == result.perp_pnl_e8 == -1024 * 10**8
    assert result.spot_pnl_e8 == 512 * 10**8
    assert result.trades == 1


def test_a_delisting_after_a_liquidation_has_only_the_spot_left_to_sell() -> None:
    rows = [listed(), settled(0, 4 * BP), *(bar(hour, 64.0) for hour in range(3)), bar(3, 128.0)]
    at = BEGIN + 3 * HOUR + 120 * SECOND
    rows.append(row(at, at, Kind.PAIR_DELISTED))

    result = simulated(rows, notional=1024.0, account="split", delist_haircut=0.25, **FREE)

    assert [fill[2] for fill in result.fills] == ["enter", "liquidated", "delisted"]
    assert result.perp_pnl_e8 == -1024 * 10**8
    assert result.spot_pnl_e8 == (1536 - 1024) * 10**8
    assert (result.trades, result.open_positions) == (1, 0)


def test_a_position_whose_data_ended_is_closed_at_its_last_prices() -> None:
    rows = [listed(), settled(0, 4 * BP), *(bar(hour, 64.0) for hour in range(3))]
    rows += [row(BEGIN + hour * HOUR, BEGIN + hour * HOUR, Kind.CLOCK_TICKED, pair=-1) for hour in (5, 20, 30)]

    result = simulated(rows, notional=1024.0, dead_s=86400, delist_haircut=0.25, **FREE)

    assert [(fill[0], fill[2]) for fill in result.fills][1:] == [(BEGIN + 30 * HOUR, "data ended")]
    assert (result.spot_pnl_e8, result.perp_pnl_e8) == (-256 * 10**8, 0)


def test_a_pair_without_prices_earns_its_rate_and_pays_its_modelled_costs() -> None:
    rows = [listed(priced=False), *(settled(8 * n, 4 * BP) for n in range(4)), settled(32, 0.0)]

    result = simulated(rows, notional=1024.0, impact=0.0)

    assert [(fill[0], fill[2]) for fill in result.fills] == [
        (BEGIN + 60 * SECOND, "enter"),
        (BEGIN + 32 * HOUR + 60 * SECOND, "exit"),
    ]
    assert result.funding_e8 == 3 * round(1024 * 4 * BP * 1e8)
    assert result.spot_pnl_e8 == result.perp_pnl_e8 == -2 * round(1024 * 2 * BP * 1e8)
    assert result.fees_e8 == 2 * round(1024 * 15.5 * BP * 1e8)


def test_a_quantity_beyond_exact_floats_is_refused() -> None:
    rows = [listed(lot=2.0**-60), settled(0, 4 * BP), bar(0, 64.0), bar(1, 64.0)]

    with pytest.raises(SizeOutOfRange, match="size out of range"):
        simulated(rows)


def test_ties_go_by_symbol_and_not_by_pair_id() -> None:
    rows = []
    for pair in range(3):
        rows += [listed(pair=pair), settled(0, 4 * BP, pair=pair), *(bar(hour, 64.0, pair=pair) for hour in range(3))]

    result = simulated(rows, (b"C", b"B", b"AA"), max_positions=2)

    assert [decision[1] for decision in result.decisions] == ["AA", "B"]


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
    assert run(image, case.symbols, case.params) == run(case.rows, case.symbols, case.params)


# The majors ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def majors() -> tuple[list[RowTuple], list[bytes]]:
    folder = majors_folder()
    if folder is None:
        pytest.skip("the recorded history of the majors is not on this machine")
    return major_rows(folder)


@pytest.mark.soak
def test_simple_makes_59_round_trips_on_the_majors(majors: tuple[list[RowTuple], list[bytes]]) -> None:
    result = run(*majors, Parameters(impact=0.0))

    assert_identity(result)
    assert (result.trades, result.open_positions) == (59, 0)
    assert result.settlements == 33_191
    assert (result.late, result.no_mark, result.gaps) == (0, 0, 0)


@pytest.mark.soak
def test_an_exit_one_ulp_higher_makes_224(majors: tuple[list[RowTuple], list[bytes]]) -> None:
    result = run(*majors, Parameters(impact=0.0, exit=nextafter(0.0001, 1.0)))

    assert_identity(result)
    assert result.trades == 224


@pytest.mark.soak
def test_a_capital_of_2000_is_too_little_for_five_pairs(majors: tuple[list[RowTuple], list[bytes]]) -> None:
    result = run(*majors, Parameters(impact=0.0, capital=2000.0))

    assert_identity(result)
    assert result.trades < 59
    assert result.refused["capital"] > 0
