"""What a fill is worth in our books: every unit once, every 1e-8 of cash once."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.domain.execution.books import Booking, book_fill, filled_event
from carryfold.domain.execution.reports import FillReport
from tests.domain.execution.facts import PAIR, RUN, START, pair

D = Decimal
COARSE = pair(unit=D("0.01"), lot_units=1)


def fill(side: str = "buy", **changed: Any) -> FillReport:
    facts: dict[str, Any] = {
        "fill_id": "f", "client_id": "c", "venue_id": "v", "symbol": "AAAUSDT", "kind": "spot", "side": side,
        "qty": D("10"), "value": D("1000"), "fee": D("0.01"), "fee_coin": "AAA", "event_at": START,
    }  # fmt: skip
    return FillReport(**(facts | changed))


def book(report: FillReport, coins: str = "0", units: int = 0) -> Booking:
    return book_fill(PAIR, "long" if report.kind == "spot" else "short", report, D(coins), units)


def test_a_fee_in_coins_takes_units_and_its_worth_is_the_fee() -> None:
    """q * (1 - f): 10 coins for 1000 with 0.01 kept are 9.99 coins at 999 and a fee of 1."""
    assert book(fill()) == Booking(D("9.99"), 999_000, D(999), D(1), foreign_fee=False)


def test_a_fee_in_quote_takes_no_units() -> None:
    report = fill(fee=D("1.1"), fee_coin="USDT")
    assert book(report) == Booking(D(10), 1_000_000, D(1000), D("1.1"), foreign_fee=False)


def test_a_rebate_in_coins_adds_units() -> None:
    assert book(fill(fee=D("-0.01"))) == Booking(D("10.01"), 1_001_000, D(1001), D(-1), foreign_fee=False)


def test_a_sale_takes_units_away_and_brings_its_value_less_the_fee() -> None:
    report = fill("sell", fee=D("1"), fee_coin="USDT")
    assert book(report, "10", 1_000_000) == Booking(D(-10), -1_000_000, D(1000), D(1), foreign_fee=False)


def test_a_fee_in_a_third_coin_is_worth_nothing_here() -> None:
    assert book(fill(fee_coin="MNT")) == Booking(D(10), 1_000_000, D(1000), D(0), foreign_fee=True)


def test_a_short_is_counted_in_units_sold() -> None:
    report = fill("sell", kind="perp", fee=D("0.55"), fee_coin="USDT")
    assert book(report) == Booking(D(-10), -1_000_000, D(1000), D("0.55"), foreign_fee=False)


def test_a_fill_below_a_unit_moves_its_cash_as_a_fee_and_its_coins_count_with_the_next() -> None:
    """Units of 0.01 coins: 0.006 coins are none, and another 0.006 make one."""
    small = fill(qty=D("0.006"), value=D("0.6"), fee=D(0))

    one = book_fill(COARSE, "long", small, D(0), 0)
    two = book_fill(COARSE, "long", small, one.coins, one.units)

    assert (one.units, one.value, one.fee) == (0, D(0), D("0.6"))
    assert (two.units, two.value, two.fee) == (1, D("0.6"), D(0))


def test_the_event_keeps_the_venue_s_own_figures() -> None:
    event = filled_event(RUN, PAIR, "long", fill(), book(fill()), 17)

    assert (event.qty, event.fee_qty, event.fee_coin) == (D(10), D("0.01"), "AAA")
    assert (event.units, event.value, event.fee, event.caused_by) == (999_000, D(999), D(1), 17)
    assert filled_event(RUN, PAIR, "long", fill("sell"), book(fill("sell"))).qty == D(-10)


quantities = st.integers(1, 10**6).map(lambda n: D(n) / 10_000)


@given(
    fills=st.lists(st.tuples(quantities, st.integers(1, 10**9), st.integers(0, 50)), min_size=1, max_size=20),
    traded=st.sampled_from([PAIR, COARSE]),
)
def test_sums_of_units_and_cash_are_the_venue_s_whatever_the_fills(
    fills: list[tuple[Decimal, int, int]], traded: Any
) -> None:
    coins, units, cash, truth = D(0), 0, D(0), D(0)
    for qty, price, fee_bp in fills:
        value = qty * D(price) / 10_000
        fee = (qty * fee_bp / 10_000).quantize(D("1e-8"))
        booking = book_fill(traded, "long", fill(qty=qty, value=value, fee=fee), coins, units)
        coins, units, cash, truth = (
            coins + booking.coins,
            units + booking.units,
            cash + booking.value + booking.fee,
            truth + value,
        )

    assert units == traded.units(coins)
    assert cash == truth


@pytest.mark.parametrize("behind", [-1, 1])
def test_a_total_that_is_one_unit_off_is_made_good_by_the_next_fill(behind: int) -> None:
    booking = book(fill(), "5", 500_000 + behind)

    assert 500_000 + behind + booking.units == 1_499_000
