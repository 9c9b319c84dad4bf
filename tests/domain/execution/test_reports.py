"""The same reports in any order, any number of times, and too late: the same books."""

from decimal import Decimal
from itertools import permutations

import pytest

from carryfold.domain.events import OrderCancelled, OrderFilled, OrderIntended
from carryfold.domain.execution import Execution, needs_repair
from carryfold.domain.execution.reports import Accepted, FillReport, NotFound, OrderReport, PlaceOutcome
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import PAIR, SECOND, START, carry, quotes, spec
from tests.domain.execution.venue import Venue

D = Decimal
NAME = "t1-42-7e-p1"


def fill(number: int, qty: str, name: str = NAME) -> FillReport:
    coins = D(qty)
    return FillReport(
        f"f{number}", name, "v", "AAAUSDT", "perp", "sell", coins, coins * 100, coins * D("0.055"), "USDT", START
    )


CLOSED = OrderReport(NAME, "v", "AAAUSDT", "perp", "sell", D(10), D(7), open=False, reason="EC_NoImmediateQtyToFill")
MESSAGES = (Accepted("v"), fill(1, "3"), fill(2, "4"), CLOSED)


def told(messages: tuple[object, ...]) -> Execution:
    """A process with one order, told these messages in this order."""
    process = Execution.start(spec())
    (intent,) = process.step(START, quotes(START)).log
    process.apply(intent, START)
    process.step(START, quotes(START))
    now = START
    for message in messages:
        now += 1
        if isinstance(message, Accepted):
            events = process.placed(NAME, message, now)
        else:
            assert isinstance(message, FillReport | OrderReport)
            events = process.reported(message, now)
        for event in events:
            process.apply(event, now)
    return process


def books(process: Execution) -> tuple[object, ...]:
    order = process.state.orders[NAME]
    return process.state.short_coins, process.state.booked("short")[1], process.state.fees, order.filled, order.done


@pytest.mark.parametrize(
    "messages", list(permutations(MESSAGES)), ids=lambda m: "-".join(type(x).__name__[0] for x in m)
)
def test_f19_any_order_of_ack_fills_and_end_gives_the_same_books(messages: tuple[object, ...]) -> None:
    assert books(told(messages)) == (D(-7), -700_000, D("0.385"), D(7), True)


@pytest.mark.parametrize("times", [2, 3])
def test_f18_repeated_messages_change_nothing(times: int) -> None:
    repeated = tuple(message for message in MESSAGES for _ in range(times))

    assert books(told(repeated)) == books(told(MESSAGES))
    assert books(told(MESSAGES * times)) == books(told(MESSAGES))


def test_an_end_is_not_believed_before_every_fill_it_speaks_of_is_here() -> None:
    process = told((Accepted("v"), CLOSED, fill(1, "3")))
    assert not process.state.orders[NAME].done
    actions = process.step(START + SECOND, quotes(START))
    assert actions.fetch_fills_since == START - 60 * SECOND

    events = process.reported(fill(2, "4"), START + SECOND)
    assert [type(event) for event in events] == [OrderFilled, OrderCancelled]


def test_a_logged_fill_that_is_logged_again_counts_once() -> None:
    process = told(MESSAGES)
    (event,) = told((Accepted("v"),)).reported(fill(1, "3"), START)

    process.apply(event, START + 5)

    assert books(process) == books(told(MESSAGES))


def test_reports_of_other_orders_and_pairs_give_nothing() -> None:
    process = told(())

    assert process.reported(fill(1, "3", "somebody-else"), START) == ()
    assert process.placed("somebody-else", Accepted(""), START) == ()
    assert process.answered("somebody-else", NotFound(), START) == ()
    stranger = OrderIntended(42, START, carry("BBBUSDT"), "short", "t1-42-7e-p9", "sell", D(1), D(1))
    process.apply(stranger, START)
    process.apply(OrderFilled(41, START, PAIR.pair, "short", NAME, "x", -5, D(1), D(0)), START)
    assert list(process.state.orders) == [NAME]
    assert process.state.short_coins == 0


def test_f20_a_fill_after_the_end_is_booked_reported_and_asks_for_a_repair() -> None:
    driver = Driver(spec(), Venue(PAIR)).run()
    process, later = driver.process, driver.now + 600 * SECOND
    late = fill(9, "2")

    (event,) = process.reported(late, later)

    assert isinstance(event, OrderFilled)
    assert (event.units, event.value, event.caused_by > 0) == (-200_000, D(200), True)
    process.apply(event, later)
    assert process.reported(late, later) == ()
    assert [alert.code for alert in process.step(later, quotes(later)).alerts] == ["late_fill", "overfilled"]
    ledger = process.state
    assert needs_repair(PAIR, ledger.long_units, ledger.short_units, price=D(100))


def test_f20_a_fill_of_an_order_believed_absent_is_booked_and_its_excess_hedged() -> None:
    driver = Driver(spec(), Venue(PAIR))
    driver.run(until=START + SECOND // 100)
    driver._inbox.clear()
    process, now = driver.process, START
    for at in (11, 12):
        now = START + at * SECOND
        for event in process.answered(NAME, NotFound(), now):
            driver.now = now
            driver._log((event,))
    assert process.state.orders[NAME].reason == "absent"

    driver.deliver(driver.venue.orders[NAME].fills[0], now + SECOND // 50)
    driver.run()

    assert driver.books()[1] == -driver.venue.coins["short"]
    assert abs(process.state.gap) < PAIR.lot_units
    assert "late_fill" in {alert.code for alert in driver.alerts}


def test_an_outcome_of_any_kind_for_an_order_that_is_over_gives_nothing() -> None:
    process = told(MESSAGES)
    outcomes: list[PlaceOutcome] = [Accepted("v")]
    for outcome in outcomes:
        assert process.placed(NAME, outcome, START + 9) == ()
    assert process.answered(NAME, NotFound(), START + 99 * SECOND) == ()
