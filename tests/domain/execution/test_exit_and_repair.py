"""Leaving a pair and bringing its legs together again: both only ever take away."""

from decimal import Decimal

import pytest

from carryfold.domain.events import OrderCancelled, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution import ExecutionLimits, needs_repair
from carryfold.domain.execution.reports import OrderRequest
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LOT, PAIR, quotes, spec
from tests.domain.execution.venue import Behaviour, Venue

D = Decimal
REFUSED = Behaviour("rejected")


def holding(spot: int, perp: int) -> Venue:
    """A venue where so many units are held."""
    venue = Venue(PAIR)
    venue.coins = {"spot": PAIR.coins(spot), "perp": -PAIR.coins(perp)}
    return venue


def leave(spot: int, perp: int, **changed: object) -> Driver:
    return Driver(spec("exit", spot_units=spot, perp_units=perp, **changed), holding(spot, perp))


def repair(spot: int, perp: int, **changed: object) -> Driver:
    return Driver(spec("repair", spot_units=spot, perp_units=perp, **changed), holding(spot, perp))


def legs(driver: Driver) -> list[tuple[str, str, Decimal, bool]]:
    return [(order.leg, order.side, order.qty, order.reduce_only) for order in driver.orders]


@pytest.mark.parametrize("thin", ["spot", "perp"])
def test_an_exit_buys_the_short_back_reducing_and_sells_the_coins_in_whole_steps(thin: str) -> None:
    driver = leave(1000 * LOT + 12, 1000 * LOT, thin=thin).run()

    bought, sold = ("perp", "buy", D(10), True), ("spot", "sell", D("10.0001"), False)
    if thin == "perp":
        assert legs(driver) == [bought, sold]
    else:
        assert legs(driver) == [sold, bought]
    assert driver.process.summary().outcome == "closed"


def test_what_an_exit_cannot_sell_is_written_off_so_that_the_holding_can_close() -> None:
    driver = leave(1000 * LOT + 12, 1000 * LOT).run()

    correction, end = (event for _, event in driver.log[-2:])
    assert isinstance(correction, ReconciliationCorrected)
    assert isinstance(end, OrderCancelled)
    assert correction.spot_units == -2  # 0.00012 coins were held, 0.0001 is a step
    assert end.ended
    assert driver.process.ledger.booked_spot == 0


def test_an_exit_that_stops_half_way_leaves_matched_legs() -> None:
    driver = leave(1000 * LOT, 1000 * LOT, limits=ExecutionLimits(max_unhedged_notional=300.0))
    driver.behave = lambda request: REFUSED if len(driver.orders) >= 2 and request.leg == "perp" else Behaviour()
    driver.run()

    assert driver.process.summary().outcome == "partial"
    assert abs(driver.process.ledger.gap) < LOT
    assert 0 < driver.process.ledger.perp_units < 1000 * LOT
    assert driver.of(OrderCancelled)[-1].ended


def test_an_exit_never_opens_the_first_leg_again_but_takes_the_wide_cap() -> None:
    driver = leave(1000 * LOT, 1000 * LOT)
    driver.behave = lambda request: REFUSED if request.leg == "spot" and len(driver.orders) < 6 else Behaviour()
    driver.run()

    assert {(order.leg, order.side) for order in driver.orders} == {("perp", "buy"), ("spot", "sell")}
    purposes = [intent.purpose for intent in driver.of(OrderIntended)]
    assert purposes == ["close", "hedge", "hedge", "hedge", "hedge", "unwind", "unwind"]
    assert driver.of(OrderIntended)[-1].limit_price == D("98.00")  # 200 bp below the bid
    assert driver.process.summary().outcome == "closed"


def test_f29_an_exit_of_a_liquidated_short_sells_the_coins() -> None:
    driver = leave(1000 * LOT, 0).run()

    assert legs(driver) == [("spot", "sell", D(10), False)]
    assert driver.process.summary().outcome == "closed"


def test_a_holding_below_the_minimum_is_left_by_its_short_and_the_coins_are_written_off() -> None:
    driver = leave(4 * LOT, 4 * LOT, thin="spot").run()

    assert legs(driver) == [("perp", "buy", D("0.04"), True)]
    assert driver.process.summary().spot_units == driver.process.summary().perp_units == 0
    assert driver.process.ledger.booked_spot == 0


def test_f20_a_repair_sells_coins_that_no_short_covers() -> None:
    driver = repair(1000 * LOT, 400 * LOT).run()

    assert legs(driver) == [("spot", "sell", D(6), False)]
    assert driver.process.summary().outcome == "repaired"
    assert driver.process.summary().unhedged_s > 0


def test_a_repair_buys_back_a_short_down_to_whole_lots_of_the_coins() -> None:
    driver = repair(400 * LOT + 999, 1000 * LOT).run()

    assert legs(driver) == [("perp", "buy", D(6), True)]
    assert driver.process.summary().outcome == "repaired"


def test_a_perpetual_that_is_long_is_sold() -> None:
    driver = repair(0, -100 * LOT).run()

    assert legs(driver) == [("perp", "sell", D(1), True)]


def test_the_end_of_a_repair_frees_no_decision() -> None:
    """The fold may be waiting for another process; a repair answers none of its decisions."""
    assert not repair(1000 * LOT, 0).run().of(OrderCancelled)[-1].ended


def test_a_repair_with_nothing_to_do_does_nothing() -> None:
    driver = repair(1000 * LOT, 1000 * LOT).run()

    assert driver.orders == []
    assert driver.process.summary().outcome == "nothing"


def test_a_repair_prices_at_the_other_leg_where_its_own_was_never_quoted() -> None:
    driver = repair(1000 * LOT, 0)
    driver.quoted = lambda now: quotes(now, spot=False)
    driver.run()

    assert driver.process.summary().outcome == "repaired"
    assert driver.books()[0] == 0


def test_without_any_quote_a_repair_ends_unhedged_after_a_while() -> None:
    driver = repair(1000 * LOT, 0)
    driver.quoted = lambda now: quotes(now, spot=False, perp=False)
    driver.run()

    assert driver.process.summary().outcome == "unhedged"
    assert [alert.code for alert in driver.alerts] == ["unhedged"]
    assert driver.process.summary().longest_unhedged_s == pytest.approx(driver.spec.limits.give_up_s, abs=1)


def test_legs_apart_by_less_than_a_lot_or_by_less_than_anybody_trades_need_no_repair() -> None:
    assert not needs_repair(PAIR, 10 * LOT + 999, 10 * LOT)
    assert not needs_repair(PAIR, 10 * LOT, 10 * LOT + 999)
    assert needs_repair(PAIR, 11 * LOT, 10 * LOT)
    assert needs_repair(PAIR, 10 * LOT, 11 * LOT)
    assert not needs_repair(PAIR, 11 * LOT, 10 * LOT, price=D(100))  # worth 1
    assert needs_repair(PAIR, 16 * LOT, 10 * LOT, price=D(100))
    assert needs_repair(PAIR, 0, -LOT, price=D(100))


def test_fills_of_others_count_for_a_process_under_way() -> None:
    """The short is liquidated while the exit waits for its first answer: the coins are sold all the same."""

    def behave(request: OrderRequest) -> Behaviour:
        if request.leg == "perp":
            driver.venue.coins["perp"] = D(0)
            return Behaviour("rejected")
        return Behaviour()

    driver = leave(1000 * LOT, 1000 * LOT)
    driver.behave = behave
    correction = ReconciliationCorrected(42, 0, "bybit", "AAAUSDT", 1, 0, -1000 * LOT, D(0), "liquidated")
    driver.run(until=driver.now + 30_000_000)
    driver._log((correction,))
    driver.run()

    assert legs(driver)[-1] == ("spot", "sell", D(10), False)
    assert driver.process.summary().outcome == "closed"
