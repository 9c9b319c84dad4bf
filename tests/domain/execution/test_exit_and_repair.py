"""Exits and repairs: both only reduce."""

from decimal import Decimal

import msgspec
import pytest

from carryfold.domain.events import HedgeEnded, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution import ExecutionLimits, needs_repair
from carryfold.domain.execution.reports import OrderRequest
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LOT, PAIR, pair, quotes, spec
from tests.domain.execution.venue import Behaviour, Venue, leg_of

D = Decimal
REFUSED = Behaviour("rejected")


def holding(spot: int, perp: int) -> Venue:
    """A venue where so many units are held."""
    venue = Venue(PAIR)
    venue.coins = {"long": PAIR.coins(spot), "short": -PAIR.coins(perp)}
    return venue


def leave(spot: int, perp: int, **changed: object) -> Driver:
    return Driver(spec("exit", long_units=spot, short_units=perp, **changed), holding(spot, perp))


def repair(spot: int, perp: int, **changed: object) -> Driver:
    return Driver(spec("repair", long_units=spot, short_units=perp, **changed), holding(spot, perp))


def legs(driver: Driver) -> list[tuple[str, str, Decimal, bool]]:
    return [(leg_of(order), order.side, order.qty, order.reduce_only) for order in driver.orders]


@pytest.mark.parametrize("thin", ["long", "short"])
def test_an_exit_buys_the_short_back_reducing_and_sells_the_coins_in_whole_steps(thin: str) -> None:
    driver = leave(1000 * LOT + 12, 1000 * LOT, thin=thin).run()

    bought, sold = ("short", "buy", D(10), True), ("long", "sell", D("10.0001"), False)
    if thin == "short":
        assert legs(driver) == [bought, sold]
    else:
        assert legs(driver) == [sold, bought]
    assert driver.process.summary().outcome == "closed"


def test_what_an_exit_cannot_sell_is_written_off_so_that_the_holding_can_close() -> None:
    driver = leave(1000 * LOT + 12, 1000 * LOT).run()

    correction, end = (event for _, _, event in driver.log[-2:])
    assert isinstance(correction, ReconciliationCorrected)
    assert isinstance(end, HedgeEnded)
    assert correction.long_units == -2  # 0.00012 coins were held, 0.0001 is a step
    assert end.caused_by == driver.spec.decision_seq
    assert driver.process.state.booked("long")[1] == 0


def test_an_exit_that_stops_half_way_leaves_matched_legs() -> None:
    driver = leave(1000 * LOT, 1000 * LOT, limits=ExecutionLimits(max_unhedged_notional=300.0))
    driver.behave = lambda request: REFUSED if len(driver.orders) >= 2 and leg_of(request) == "short" else Behaviour()
    driver.run()

    assert driver.process.summary().outcome == "partial"
    assert abs(driver.process.state.gap) < LOT
    assert 0 < driver.process.state.short_units < 1000 * LOT
    assert driver.of(HedgeEnded)[-1].caused_by == driver.spec.decision_seq


def test_an_exit_never_opens_the_first_leg_again_but_takes_the_wide_cap() -> None:
    driver = leave(1000 * LOT, 1000 * LOT)
    driver.behave = lambda request: REFUSED if leg_of(request) == "long" and len(driver.orders) < 6 else Behaviour()
    driver.run()

    assert {(leg_of(order), order.side) for order in driver.orders} == {("short", "buy"), ("long", "sell")}
    purposes = [intent.purpose for intent in driver.of(OrderIntended)]
    assert purposes == ["close", "hedge", "hedge", "hedge", "hedge", "unwind", "unwind"]
    assert driver.of(OrderIntended)[-1].limit_price == D("98.00")  # 200 bp below the bid
    assert driver.process.summary().outcome == "closed"


def test_f29_an_exit_of_a_liquidated_short_sells_the_coins() -> None:
    driver = leave(1000 * LOT, 0).run()

    assert legs(driver) == [("long", "sell", D(10), False)]
    assert driver.process.summary().outcome == "closed"


def test_a_holding_below_the_minimum_is_left_by_its_short_and_the_coins_are_written_off() -> None:
    driver = leave(4 * LOT, 4 * LOT, thin="long").run()

    assert legs(driver) == [("short", "buy", D("0.04"), True)]
    assert driver.process.summary().long_units == driver.process.summary().short_units == 0
    assert driver.process.state.booked("long")[1] == 0


def test_f20_a_repair_sells_coins_that_no_short_covers() -> None:
    driver = repair(1000 * LOT, 400 * LOT).run()

    assert legs(driver) == [("long", "sell", D(6), False)]
    assert driver.process.summary().outcome == "repaired"
    assert driver.process.summary().unhedged_s > 0


def test_a_repair_buys_back_a_short_down_to_whole_lots_of_the_coins() -> None:
    driver = repair(400 * LOT + 999, 1000 * LOT).run()

    assert legs(driver) == [("short", "buy", D(6), True)]
    assert driver.process.summary().outcome == "repaired"


def test_a_perpetual_that_is_long_is_sold() -> None:
    driver = repair(0, -100 * LOT).run()

    assert legs(driver) == [("short", "sell", D(1), True)]


def test_the_end_of_a_repair_frees_no_decision() -> None:
    """The fold may be waiting for another process; a repair answers none of its decisions."""
    (end,) = repair(1000 * LOT, 0).run().of(HedgeEnded)

    assert (end.work, end.caused_by) == ("repair", 0)


def test_a_repair_with_nothing_to_do_does_nothing() -> None:
    driver = repair(1000 * LOT, 1000 * LOT).run()

    assert driver.orders == []
    assert driver.process.summary().outcome == "nothing"


def test_a_repair_prices_at_the_other_leg_where_its_own_was_never_quoted() -> None:
    driver = repair(1000 * LOT, 0)
    driver.quoted = lambda now: quotes(now, long=False)
    driver.run()

    assert driver.process.summary().outcome == "repaired"
    assert driver.books()[0] == 0


def test_without_any_quote_a_repair_ends_unhedged_after_a_while() -> None:
    driver = repair(1000 * LOT, 0)
    driver.quoted = lambda now: quotes(now, long=False, short=False)
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
        if leg_of(request) == "short":
            driver.venue.coins["short"] = D(0)
            return Behaviour("rejected")
        return Behaviour()

    driver = leave(1000 * LOT, 1000 * LOT)
    driver.behave = behave
    correction = ReconciliationCorrected(42, 0, PAIR.pair, 0, -1000 * LOT, D(0), "liquidated")
    driver.run(until=driver.now + 30_000_000)
    driver._log((correction,))
    driver.run()

    assert legs(driver)[-1] == ("long", "sell", D(10), False)
    assert driver.process.summary().outcome == "closed"


def test_an_exit_closes_what_trades_when_the_spot_market_has_closed_and_says_what_is_left() -> None:
    """The coins cannot be sold: the short is bought back in child orders, and the coins stay on the books."""
    closed = pair(long=msgspec.structs.replace(PAIR.long, trading=False))
    limits = ExecutionLimits(max_unhedged_notional=300.0)
    driver = leave(1000 * LOT, 1000 * LOT, pair=closed, limits=limits).run()

    assert {(order[0], order[1]) for order in legs(driver)} == {("short", "buy")}
    assert len(driver.orders) > 1
    assert driver.books() == (D(10), D(0))
    (end,) = driver.of(HedgeEnded)
    assert (end.outcome, end.reason) == ("unhedged", "bybit:spot:AAAUSDT does not trade any more")
    assert driver.of(ReconciliationCorrected) == []
    assert not needs_repair(closed, 1000 * LOT, 0, price=D(100)), "nobody can repair it"


def test_a_few_coins_of_a_spot_market_that_has_closed_are_dust_and_stay_on_the_books() -> None:
    closed = pair(long=msgspec.structs.replace(PAIR.long, trading=False))
    driver = leave(7 * LOT, 7 * LOT, pair=closed).run()

    (end,) = driver.of(HedgeEnded)
    assert (end.outcome, end.reason) == ("dust", "bybit:spot:AAAUSDT does not trade any more")
    assert driver.process.summary().long_units == 7 * LOT


def test_a_perpetual_that_has_closed_keeps_its_hedge_until_the_venue_settles_it() -> None:
    closed = pair(short=msgspec.structs.replace(PAIR.short, trading=False))
    waiting = leave(1000 * LOT, 1000 * LOT, pair=closed, thin="long").run()
    assert waiting.orders == []
    assert waiting.process.summary().outcome == "nothing"

    settled = leave(1000 * LOT, 0, pair=closed).run()
    assert legs(settled) == [("long", "sell", D(10), False)]
    assert settled.process.summary().outcome == "closed"
