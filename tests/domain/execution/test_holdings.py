"""The one fold of trading events to holdings, against the compiled fold of a run and against money by hand."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FundingCorrected,
    FundingPaid,
    HoldingAdopted,
    OrderFilled,
    ReconciliationCorrected,
)
from carryfold.domain.execution import Holdings, PairHolding
from carryfold.domain.execution.holdings import coins_filled
from carryfold.domain.fold import SizeOutOfRange, State, fold
from carryfold.domain.instruments import LOT_UNITS, Instrument, Leg, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.records import fills_recorded
from carryfold.domain.rows import ROW, row_values
from tests.domain.compiled import fold_rows, ordered
from tests.domain.execution.facts import LIVE, RUN, SPREAD, START
from tests.oracle.markets import random_case

D = Decimal
E8 = 100_000_000
PAIR = LIVE.pair
LEGS: tuple[Leg, Leg] = ("long", "short")


def fill(leg: Leg, units: int, value: str = "100", fee: str = "0", number: int = 1, **more: object) -> OrderFilled:
    return OrderFilled(RUN, START, PAIR, leg, f"o{number}", f"f{number}", units, D(value), D(fee), **more)  # type: ignore[arg-type]


def held(*events: Event) -> PairHolding:
    holdings = Holdings(RUN)
    for event in events:
        holdings.apply(event)
    return holdings.of(PAIR)


moves = st.tuples(
    st.sampled_from(["fill", "fill", "fill", "adopt", "pay", "repay"]),
    st.sampled_from(LEGS),
    st.integers(-3, 3).filter(bool).map(lambda n: n * LOT_UNITS // 4),
    st.decimals("0.00000001", "9999.99999999", places=8),
    st.decimals("-1", "1", places=8),
)


def logged(number: int, move: tuple[str, Leg, int, Decimal, Decimal]) -> Event:
    what, leg, units, value, money = move
    if what == "fill":
        return fill(leg, units, str(value), str(money), number)
    if what == "adopt":
        return HoldingAdopted(RUN, START, PAIR, leg, 1, abs(units), 0.00000001, value)
    if what == "pay":
        return FundingPaid(RUN, START, PAIR, leg, START, money)
    return FundingCorrected(RUN, START, PAIR, leg, START, money, D(0))


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=25))
def test_holdings_are_those_that_the_fold_of_the_run_comes_to(given_moves: list[tuple[str, Leg, int, D, D]]) -> None:
    state = State(Parameters(), [PAIR.long, PAIR.short], [PAIR], start=START, simulated=False)
    holdings = Holdings(RUN)
    for number, move in enumerate(given_moves, 1):
        event = logged(number, move)
        values = row_values(event)
        assert values is not None
        kind, _, a, b, c = values
        fold(state, np.array([(START + number, START, number, 0, int(kind), 1, a, b, c)], ROW))
        assert holdings.apply(event)

    holding, pair, book = holdings.of(PAIR), state.pair[0], state.book[0]
    tolerance = D(len(given_moves) + 1) / E8  # the fold divides in floats
    assert (holding.long.units, holding.short.units) == (pair["long_units"], pair["short_units"])
    for mine, theirs in (
        (holding.long.cost, pair["long_cost"]),
        (holding.short.cost, pair["short_entry"]),
        (holding.long.realised, book["long_realised"]),
        (holding.short.realised, book["short_realised"]),
        (holding.long.fees + holding.short.fees, book["fees"]),
        (holding.long.funding + holding.short.funding, book["funding"]),
    ):
        assert abs(mine - D(int(theirs)) / E8) <= tolerance


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=25))
def test_every_fill_moves_cash_by_its_value_exactly(given_moves: list[tuple[str, Leg, int, D, D]]) -> None:
    events = [logged(number, move) for number, move in enumerate(given_moves, 1) if move[0] == "fill"]
    holding = held(*events)

    def paid(leg: Leg) -> Decimal:
        fills = [event for event in events if isinstance(event, OrderFilled) and event.leg == leg]
        return sum((event.value if event.units > 0 else -event.value for event in fills), D(0))

    assert paid("long") == holding.long.cost - holding.long.realised
    assert -paid("short") == holding.short.cost + holding.short.realised


@pytest.mark.parametrize("seed", range(40))
def test_a_simulated_run_holds_what_its_fold_holds(seed: int) -> None:
    case = random_case(seed)
    pairs = case.pairs or []
    try:
        state, output = fold_rows(
            ordered(case.rows), [one.instrument for one in case.listings], pairs, case.params,
            since=case.since, until=case.until,
        )  # fmt: skip
    except SizeOutOfRange:
        return
    holdings = Holdings(RUN)
    for event in fills_recorded(RUN, state, output.fills):
        assert holdings.apply(event)

    for index, pair in enumerate(state.pairs):
        one, mine = state.pair[index], holdings.of(pair)
        assert (mine.long.units, mine.short.units) == (int(one["long_units"]), int(one["short_units"]))
        assert mine.long.cost * E8 == int(one["long_cost"])
        assert mine.short.cost * E8 == int(one["short_entry"])
        if not mine.is_flat:
            assert float(mine.unit) == one["unit"]
    book, every = state.book[0], holdings.pairs.values()
    assert sum(one.long.realised for one in every) * E8 == int(book["long_realised"])
    assert sum(one.short.realised for one in every) * E8 == int(book["short_realised"])
    assert sum(one.long.fees + one.short.fees for one in every) * E8 == int(book["fees"])
    assert sum(one.long.funding + one.short.funding for one in every) * E8 == int(book["funding"])


def test_a_fill_that_comes_twice_counts_once() -> None:
    holdings = Holdings(RUN)
    assert holdings.apply(fill("long", 500))
    assert not holdings.apply(fill("long", 500))
    assert holdings.of(PAIR).long.units == 500


def test_events_of_another_run_change_nothing() -> None:
    holdings = Holdings(RUN + 1)
    assert not holdings.apply(fill("long", 500))
    assert not holdings.apply(BorrowCharged(RUN, START, D(1)))
    assert holdings == Holdings(RUN + 1)


def test_coins_without_a_record_come_and_go_at_the_average_cost_as_a_gain_or_a_loss() -> None:
    found = ReconciliationCorrected(RUN, START, PAIR, 100, 0, D("1.5"))
    more = held(fill("long", 300, "90"), found, fill("long", -400, "120", number=2))
    assert more.long.realised == D(30), "the cash that came in beyond what was paid"
    assert more.cash_corrected == D("1.5")

    less = held(fill("long", 300, "90"), ReconciliationCorrected(RUN, START, PAIR, -100, 0, D(0)))
    assert (less.long.units, less.long.cost, less.long.realised) == (200, D(60), D(-30))


def test_units_of_a_perpetual_without_a_record_realise_nothing() -> None:
    less = held(fill("short", -300, "90"), ReconciliationCorrected(RUN, START, PAIR, 0, -100, D(0)))
    assert (less.short.units, less.short.cost, less.short.realised) == (200, D(60), D(0))


def test_coins_are_those_that_the_venue_did_not_keep_as_its_fee() -> None:
    kept = fill("long", 999, qty=D("0.00001"), fee_qty=D("0.00000001"), fee_coin="AAA")
    other = fill("long", 1000, qty=D("0.00001"), fee_qty=D("0.001"), fee_coin="BNB")
    assert coins_filled(kept, D(0), "AAA") == coins_filled(kept, D(0)) == D("0.00000999")
    assert coins_filled(other, D(0), "AAA") == coins_filled(other, D(0)) == D("0.00001")
    assert coins_filled(fill("short", -7), D("0.5")) == D("-3.5")


def test_the_unit_of_a_holding_is_inferred_from_its_largest_fill_of_a_perpetual_until_it_is_flat() -> None:
    first = fill("long", 999_000, qty=D("0.01"), fee_qty=D("0.00001"), fee_coin="AAA")
    second = fill("short", -1_000_000, qty=D("-0.01"), number=2)
    assert held(first, second).unit == D("0.00000001")

    flat = fill("long", -999_000, qty=D("-0.00999"), number=3), fill("short", 1_000_000, qty=D("0.01"), number=4)
    again = fill("short", -1_000_000, qty=D("-0.1"), number=5)
    assert held(first, second, *flat, again).unit == D("0.0000001")


def test_a_leg_is_adopted_at_its_cost_also_on_the_other_side_of_zero() -> None:
    holding = held(HoldingAdopted(RUN, START, PAIR, "long", 1, -300, 0.001, D(-3)))
    assert (holding.long.units, holding.long.cost, holding.long.realised) == (-300, D(-3), D(0))


def test_an_adopted_unit_is_kept_until_the_holding_is_flat() -> None:
    adopted = HoldingAdopted(RUN, START, PAIR, "short", 1, 1_000_000, 0.00000002, D(5))
    more = fill("short", -2_000_000, qty=D("-0.02"))
    assert held(adopted, more).unit == D("0.00000002")
    assert held(adopted).short.coins == D("0.02")


def test_money_of_pairs_that_are_flat_again_is_kept() -> None:
    holdings = Holdings(RUN)
    for event in (fill("long", 10, "5", "0.1"), fill("long", -10, "6", "0.1", number=2)):
        holdings.apply(event)
    assert holdings.held() == {}
    assert holdings.of(PAIR).long.realised == 1
    assert holdings.of(PAIR).long.fees == D("0.2")


def test_interest_is_kept_by_the_venue_that_its_event_names() -> None:
    holdings = Holdings(RUN)
    for venue, amount in (("", "1"), ("", "2"), ("v", "4")):
        holdings.apply(BorrowCharged(RUN, START, D(amount), f"{venue}{amount}", venue))
    holdings.apply(ReconciliationCorrected(RUN, START, None, 0, 0, D(7)))
    assert holdings.borrowed == {"": D(3), "v": D(4)}
    assert holdings.cash_corrected == 7


def test_a_spread_counts_both_perpetuals_on_their_own_sides() -> None:
    pair = SPREAD.pair
    assert pair == Pair(Instrument("hyperliquid", "AAA", "perp"), Instrument("bybit", "AAAUSDT", "perp"))
    holdings = Holdings(RUN)
    for number, leg in enumerate(LEGS):
        units = 10 if leg == "long" else -10
        holdings.apply(OrderFilled(RUN, START, pair, leg, "o", f"f{number}", units, D(3), D(0), qty=D(units)))
    assert [holdings.of(pair).leg(leg).units for leg in LEGS] == [10, 10]
    assert [holdings.of(pair).leg(leg).coins for leg in LEGS] == [10, 10]
