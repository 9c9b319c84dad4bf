"""Cases with results that are known without a simulator."""

from typing import Any

import pytest

from carryfold.domain.fold import State, simulate
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8
from tests.domain.build import Market, announced, bar, delisted, known_at, listed, quote, settled
from tests.domain.compiled import carry, figures, fold_rows, ordered

FREE_OF_SPREAD: dict[str, Any] = {"half_spread_bp": 0.0, "slippage_bp": 0.0, "impact": 0.0}


def net_e8(rows: Market, params: Parameters) -> int:
    """Equity at the end less the capital."""
    f = figures(*fold_rows(ordered(rows), *carry("XUSDT"), params))
    net = f["funding_e8"] + f["long_pnl_e8"] + f["short_pnl_e8"] - f["fees_e8"] - f["borrow_e8"]
    assert f["equity_e8"] == f["capital_e8"] + net
    return int(net)


def carry_market(settlements: int, rate: float, prices: list[float] | None = None) -> Market:
    """Entered on one settlement, held through `settlements` more, then announced for delisting and closed."""
    hours = 8 * (settlements + 3)
    price = prices or [100.0] * (hours + 1)
    rows: Market = [listed(), *(bar(h, price[min(h, len(price) - 1)]) for h in range(1, hours + 1))]
    rows += [settled(8 * k, rate) for k in range(1, settlements + 2)]
    rows.append(announced(8 * (settlements + 1) + 0.5, hours + 100))
    return rows


@pytest.mark.parametrize(("settlements", "sign"), [(30, -1), (31, 0), (32, 1)])
def test_a_constant_one_bp_carry_breaks_even_at_exactly_31_settlements(settlements: int, sign: int) -> None:
    params = Parameters(enter=0.0001, exit=0.0001, **FREE_OF_SPREAD)

    net = net_e8(carry_market(settlements, 0.0001), params)

    assert net == sign * 10_000_000  # one settlement of 1 bp on 1000


def test_zero_rates_lose_exactly_the_costs() -> None:
    params = Parameters(enter=0.0, exit=0.0, **FREE_OF_SPREAD)

    assert net_e8(carry_market(20, 0.0), params) == -310_000_000  # 31 bp of 1000


def test_spread_and_slippage_are_lost_four_times() -> None:
    params = Parameters(
        enter=0.0, exit=0.0, spot_taker_bp=0, perp_taker_bp=0, half_spread_bp=2, slippage_bp=3, impact=0
    )

    assert net_e8(carry_market(5, 0.0), params) == -200_000_000  # 4 x 5 bp of 1000


@pytest.mark.parametrize("move", [0.7, 1.3])
def test_a_price_move_costs_a_hedged_book_only_the_fees_on_its_exit(move: float) -> None:
    """Spot and perpetual move together: only fees on the exit's own notional differ."""
    hours = 8 * 23
    prices = [100.0 * (1 + (move - 1) * h / hours) for h in range(hours + 1)]
    params = Parameters(enter=0.0, exit=0.0, spot_taker_bp=0, perp_taker_bp=0, **FREE_OF_SPREAD)

    assert abs(net_e8(carry_market(20, 0.0, prices), params)) <= 4  # rounding of four fills


def test_a_settlement_is_priced_by_the_mark_at_its_time_however_late_it_is_known() -> None:
    rows = [listed(), settled(8, 0.001), settled(16, 0.001), *(bar(h, 100.0) for h in range(1, 25))]
    late = settled(24, 0.001, known_after_s=7 * 3600)
    after = [bar(h, 200.0) for h in range(25, 35)]

    f = figures(*fold_rows(ordered([*rows, late, *after]), *carry("XUSDT"), Parameters(enter=0.001)))

    assert [amount for _, settled_at, _, _, amount in f["payments"] if settled_at == late[1]] == [E8]  # 10 coins at 100


def test_a_settlement_is_priced_by_the_mark_at_its_time_however_many_quotes_come_until_it_is_known() -> None:
    """A held pair has a quote every second, and its settlement is known half a minute after its time."""
    rows = [listed(), settled(8, 0.001), *(bar(h, 100.0) for h in range(1, 24))]
    before = [quote(24 - s / 3600, 100.0) for s in range(60, 0, -1)]
    after = [quote(24 + s / 3600, 101.0) for s in range(1, 3_600)]
    last = settled(24, 0.001, known_after_s=1_800)
    rows += [*before, quote(24, 102.0), *after, last]

    f = figures(*fold_rows(ordered(rows), *carry("XUSDT"), Parameters(enter=0.001)))

    assert [(at, leg, amount) for _, at, _, leg, amount in f["payments"]] == [(last[1], "short", 102 * E8 // 100)]


def test_a_mark_that_comes_late_prices_what_is_known_after_it() -> None:
    rows = [listed(), settled(8, 0.001), *(bar(h, 100.0) for h in range(1, 24))]
    late = [known_at(27, bar(24, 103.0)), *(bar(h, 99.0) for h in (25, 26))]
    last = settled(24, 0.001, known_after_s=4 * 3600)

    f = figures(*fold_rows(ordered([*rows, *late, last]), *carry("XUSDT"), Parameters(enter=0.001)))

    assert [(at, leg, amount) for _, at, _, leg, amount in f["payments"]] == [(last[1], "short", 103 * E8 // 100)]


def test_a_bar_is_invisible_before_its_close() -> None:
    """An order decided within the bar fills on the bar's close and not before that is known."""
    last = bar(9, 150.0)
    rows = [listed(), *(bar(h, 100.0) for h in range(1, 9)), settled(8, 0.001), settled(8.25, 0.001), last]

    f = figures(*fold_rows(ordered(rows), *carry("XUSDT"), Parameters(enter=0.001, **FREE_OF_SPREAD)))

    assert [(fill[0], fill[4]) for fill in f["fills"]] == [(last[0][0], 1_500 * E8)]  # 10 lots' worth decided at 100


@pytest.mark.parametrize(("silent_s", "exits"), [(3_600, 0), (8 * 86_400, 1)])
def test_a_stop_of_all_data_ends_no_pair_and_a_pair_without_data_of_its_own_ends(silent_s: int, exits: int) -> None:
    """Two pairs are held. There is no data at all for more than dead_s, then data of one of them, later of the
    other."""
    start: Market = [listed(0), listed(1)]
    start += [bar(h, 100.0, pair=i) for h in range(1, 13) for i in (0, 1)]
    start += [settled(8, 0.001, pair=0), settled(8, 0.001, pair=1)]
    later = 12 + 7 * 24 + 3
    first = [quote(later + s / 3600, 100.0, pair=0) for s in range(0, silent_s, max(silent_s // 1_000, 1))]
    rows = ordered([*start, *first, quote(later + silent_s / 3600, 100.0, pair=1)])

    f = figures(*fold_rows(rows, *carry("XUSDT", "YUSDT"), Parameters(enter=0.001, exit=-1, dead_s=7 * 86_400)))

    assert len(f["fills"]) == 2 + exits
    assert f["open_positions"] == 2 - exits


def test_nothing_is_paid_after_a_delisting() -> None:
    rows: Market = [listed(), *(bar(h, 100.0) for h in range(1, 18)), settled(8, 0.001), delisted(17.5)]
    alive: Market = [*rows, settled(16, 0.001)]
    after = [*alive, settled(24, 0.001), settled(32, 0.001)]
    params = Parameters(enter=0.001)

    assert net_e8(after, params) == net_e8(alive, params)


def test_the_attribution_is_exact_at_every_day_close() -> None:
    state = State(Parameters(enter=0.0001, exit=0.0001), *carry("XUSDT"))

    days = simulate(state, ordered(carry_market(31, 0.0001))).days

    assert len(days) > 5
    parts = days["funding"] + days["long_pnl"] + days["short_pnl"] - days["fees"] - days["borrow"]
    assert (days["equity"] - 10_000 * E8 == parts).all()
    assert (days["spot_pnl"] == days["long_pnl"]).all()
