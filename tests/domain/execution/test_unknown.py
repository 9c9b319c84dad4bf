"""Orders whose state is not known, restarts in the middle, and venues that ask to retry later. Numbers: fault cards."""

from decimal import Decimal

import pytest

from carryfold.domain.events import (
    HedgeEnded,
    OrderAccepted,
    OrderCancelled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
)
from carryfold.domain.execution import Alert, Execution, ExecutionLimits
from carryfold.domain.execution.reports import (
    Accepted,
    FillReport,
    NotFound,
    OrderReport,
    OrderRequest,
    Rejected,
    Retry,
    StreamReport,
    Unknown,
)
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import PAIR, SECOND, START, quotes, spec
from tests.domain.execution.venue import Behaviour, Venue, leg_of

D = Decimal
LIMITS = spec().limits


def first(behaviour: Behaviour) -> Driver:
    """A driver whose first request gets `behaviour`."""
    venue = Venue(PAIR)
    return Driver(spec(), venue, behave=lambda _: behaviour if not venue.requests else Behaviour())


def begun() -> tuple[Execution, str]:
    """A process with its first order placed at START."""
    process = Execution.start(spec())
    (intent,) = process.step(START, quotes(START)).log
    process.apply(intent, START)
    (request,) = process.step(START, quotes(START)).place
    return process, request.client_id


def test_an_order_is_placed_only_after_its_intent_was_logged_and_applied() -> None:
    process = Execution.start(spec())

    proposed = process.step(START, quotes(START))
    again = process.step(START, quotes(START))
    assert (proposed.place, again.place, again.log) == ((), (), proposed.log)

    process.apply(proposed.log[0], START)
    placed = process.step(START, quotes(START))
    assert [request.client_id for request in placed.place] == ["t1-42-7e-p1"]
    assert process.step(START, quotes(START)).place == ()


def test_f02_f03_an_intent_found_in_the_log_is_asked_for_and_never_sent() -> None:
    process, name = begun()
    log = [(8, START, process.state.orders[name].intent)]

    restored = Execution.recover(spec(), log)

    actions = restored.step(START + SECOND, quotes(START))
    assert actions.place == ()
    assert [request.client_id for request in actions.query] == [name]


def test_f02_a_crash_before_sending_costs_one_attempt_and_no_order() -> None:
    driver = Driver(spec(), Venue(PAIR), crash_at=frozenset({1})).run()

    assert [order.client_id for order in driver.orders] == ["t1-42-7e-p2", "t1-42-7e-s1"]
    absent = driver.of(OrderRejected)[0]
    assert (absent.client_id, absent.reason) == ("t1-42-7e-p1", "absent")
    assert driver.process.summary().outcome == "opened"


def test_f03_a_crash_after_sending_finds_the_order_and_sends_no_second_one() -> None:
    driver = Driver(spec(), Venue(PAIR))
    driver.run(until=START + SECOND // 100)  # sent, nothing heard
    assert len(driver.orders) == 1
    driver.crash()
    driver.run()

    assert [order.client_id for order in driver.orders] == ["t1-42-7e-p1", "t1-42-7e-s1"]
    assert driver.process.summary().outcome == "opened"


def test_f13_a_timeout_of_an_order_that_got_through_is_unknown_then_found() -> None:
    driver = first(Behaviour("unknown", arrives=True))
    driver.copies = lambda _: 0 if len(driver.orders) == 1 else 1  # nothing is streamed of it either
    driver.run()

    assert len(driver.of(OrderUnknown)) == 1
    assert [order.client_id for order in driver.orders] == ["t1-42-7e-p1", "t1-42-7e-s1"]
    assert driver.process.summary().outcome == "opened"


def test_f14_a_timeout_of_an_order_that_never_arrived_waits_for_the_grace_and_two_answers() -> None:
    driver = first(Behaviour("unknown", arrives=False)).run()

    assert [order.client_id for order in driver.orders] == ["t1-42-7e-p1", "t1-42-7e-p2", "t1-42-7e-s1"]
    when = next(at for _, at, event in driver.log if isinstance(event, OrderRejected))
    after_s = (when - START) / SECOND
    assert LIMITS.absent_grace_s + LIMITS.query_waits_s[0] <= after_s <= LIMITS.absent_grace_s + 1.5


def test_f14_answers_inside_the_grace_prove_nothing_and_one_after_it_is_not_enough() -> None:
    process, name = begun()
    grace = round(LIMITS.absent_grace_s * SECOND)

    for at in (1, 2, 3, 4, 5):
        assert process.answered(name, NotFound(), START + at * SECOND) == ()
    assert process.answered(name, NotFound(), START + grace) == ()
    (gone,) = process.answered(name, NotFound(), START + grace + SECOND)
    assert isinstance(gone, OrderRejected)


def test_f14_an_order_that_shows_up_once_is_not_absent() -> None:
    process, name = begun()
    late = START + 60 * SECOND
    process.answered(name, NotFound(), late)
    shown = OrderReport(name, "v", "AAAUSDT", "perp", "sell", D(10), D(0), open=True)
    for event in process.answered(name, shown, late):
        process.apply(event, late)

    assert process.answered(name, NotFound(), late) == ()


def test_queries_come_at_widening_intervals_and_never_stop() -> None:
    process, _ = begun()
    now, asked = START, []
    for _ in range(200):
        actions = process.step(now, quotes(now))
        if actions.query:
            asked.append((now - START) / SECOND)
        now = actions.wake_at
        if now > START + 100 * SECOND:
            break

    assert asked == [1, 3, 6, 14, 29, 44, 59, 74, 89]  # 6: the grace ends


def test_f24_an_order_without_an_answer_is_never_guessed_and_a_person_is_told_once() -> None:
    process, name = begun()
    alerts: list[Alert] = []
    now = START
    while now < START + 1800 * SECOND:
        actions = process.step(now, quotes(now))
        for request in actions.query:
            assert process.answered(request.client_id, Unknown("down"), now) == ()
        alerts += actions.alerts
        assert actions.log == ()
        now = max(actions.wake_at, now + SECOND)

    assert [alert.code for alert in alerts] == ["unresolved"]
    assert name in alerts[0].text


def test_f15_a_duplicate_id_is_an_order_that_is_there() -> None:
    process, name = begun()

    (event,) = process.placed(name, Accepted(""), START)
    assert isinstance(event, OrderAccepted)
    process.apply(event, START)
    assert process.placed(name, Accepted("v"), START) == ()


def test_f23_the_venue_s_wait_is_kept_and_the_same_order_is_sent_again() -> None:
    process, name = begun()
    assert process.placed(name, Retry("too many visits", 2.0), START) == ()

    assert process.step(START + SECOND, quotes(START)).place == ()
    assert process.step(START + SECOND, quotes(START)).wake_at == START + 2 * SECOND
    later = START + 2 * SECOND
    assert [request.client_id for request in process.step(later, quotes(later)).place] == [name]


def test_f23_an_order_kept_waiting_beyond_the_deadline_is_given_up_as_never_placed() -> None:
    driver = Driver(spec(), Venue(PAIR), behave=lambda _: Behaviour("retry")).run()

    given_up = driver.of(OrderRejected)
    assert len(given_up) == 1 + LIMITS.retries
    assert {event.reason for event in given_up} == {"not placed: too many visits"}
    assert driver.process.summary().outcome == "nothing"
    assert len(driver.orders) < 4 * 10 / 0.2 + 10, "no storm of requests"


def test_f23_a_hedge_that_is_kept_waiting_has_not_failed() -> None:
    """Rate limits eat no hedge attempt, but the deadline holds: then the short is bought back."""
    driver = Driver(
        spec(), Venue(PAIR), behave=lambda r: Behaviour("retry" if leg_of(r) == "long" else "accepted")
    ).run()

    assert driver.process.summary().outcome == "unwound"
    assert LIMITS.deadline_s <= driver.process.summary().unhedged_s <= LIMITS.deadline_s + 2


def test_f23_an_unwind_that_is_kept_waiting_goes_on_until_the_venue_lets_it() -> None:
    """Half a minute of rate limits outlasts three orders' time, which is more than the failures an unwind may have."""
    driver = Driver(spec(limits=ExecutionLimits(max_unhedged_notional=2000.0, unwind_retries=1)), Venue(PAIR))

    def behave(request: OrderRequest) -> Behaviour:
        if leg_of(request) == "long":
            return Behaviour("rejected")
        return Behaviour("retry" if request.side == "buy" and driver.now < START + 35 * SECOND else "accepted")

    driver.behave = behave
    driver.run()

    assert driver.process.summary().outcome == "unwound"
    assert driver.process.summary().unhedged_s > 30


def test_a_hedge_of_unknown_fate_is_not_undone_before_its_fate_is_known() -> None:
    """At the deadline nobody knows whether the coins were bought. Buying the short back could leave them uncovered."""
    driver = Driver(spec(), Venue(PAIR))
    driver.behave = lambda r: Behaviour("unknown" if leg_of(r) == "long" else "accepted")
    driver.delay = lambda _: 20 * SECOND if any(leg_of(r) == "long" for r in driver.orders) else SECOND // 20
    driver.run()

    assert [(leg_of(order), order.side) for order in driver.orders] == [("short", "sell"), ("long", "buy")]
    assert driver.process.summary().outcome == "opened"
    assert driver.process.summary().unhedged_s > LIMITS.deadline_s


def test_f31_an_intent_that_could_not_be_sent_for_a_minute_is_not_sent_any_more() -> None:
    process = Execution.start(spec())
    (intent,) = process.step(START, quotes(START)).log
    process.apply(intent, START)
    later = START + 60 * SECOND  # stopped and continued

    actions = process.step(later, quotes(later))

    assert actions.place == ()
    (event,) = actions.log
    assert isinstance(event, OrderRejected)
    assert event.reason == "not placed: too late"


def test_f16_a_stream_that_was_down_makes_the_process_ask_at_once() -> None:
    process, name = begun()
    assert process.step(START + 1000, quotes(START)).query == ()

    assert process.reported(StreamReport(up=True), START + 2000) == ()
    assert [request.client_id for request in process.step(START + 2000, quotes(START)).query] == [name]


def test_f16_fills_the_venue_speaks_of_and_never_streamed_are_fetched_before_the_order_counts_as_over() -> None:
    driver = Driver(spec(), Venue(PAIR), copies=lambda what: 0 if what == "fill" else 1)
    driver.behave = lambda r: Behaviour(share=D("0.5") if len(driver.orders) == 0 else D(1), parts=3)
    driver.run()

    assert driver.process.summary().outcome == "opened"
    assert driver.books()[1] == D(10)
    assert "t1-42-7e-p1" in {event.client_id for event in driver.of(OrderCancelled)}
    assert driver.of(HedgeEnded) == [driver.log[-1][2]], "the end of an order is not that of the process"


def test_an_order_that_stays_open_is_cancelled() -> None:
    process, name = begun()
    shown = OrderReport(name, "v", "AAAUSDT", "perp", "sell", D(10), D(0), open=True)
    cancelled: list[OrderRequest] = []
    now = START
    while now < START + 30 * SECOND:
        actions = process.step(now, quotes(now))
        cancelled += actions.cancel
        for request in actions.query:
            for event in process.answered(request.client_id, shown, now):
                process.apply(event, now)
        now = actions.wake_at

    assert [request.client_id for request in cancelled] == [name] * len(cancelled) != []


def test_an_order_believed_absent_that_turns_up_open_is_cancelled_and_reported() -> None:
    process, name = begun()
    for at in (11, 12):
        for event in process.answered(name, NotFound(), START + at * SECOND):
            process.apply(event, START + at * SECOND)
    shown = OrderReport(name, "v", "AAAUSDT", "perp", "sell", D(10), D(0), open=True)

    assert process.reported(shown, START + 13 * SECOND) == ()
    actions = process.step(START + 40 * SECOND, quotes(START))
    assert [request.client_id for request in actions.cancel] == [name]
    assert [alert.code for alert in actions.alerts] == ["contradiction", "unresolved"]


def test_a_refusal_after_a_fill_is_not_believed() -> None:
    process, name = begun()
    fill = FillReport("f", name, "v", "AAAUSDT", "perp", "sell", D(4), D(400), D(0), "USDT", START)
    for event in process.reported(fill, START):
        process.apply(event, START)

    assert process.placed(name, Rejected("timeout"), START) == ()
    assert [alert.code for alert in process.step(START, quotes(START)).alerts] == ["contradiction"]


def test_f28_a_refusal_is_retried_a_few_times_only() -> None:
    driver = Driver(spec(), Venue(PAIR), behave=lambda _: Behaviour("rejected")).run()

    assert len(driver.orders) == 1 + LIMITS.retries


@pytest.mark.parametrize("crash", range(1, 8))
def test_f33_dying_after_the_nth_event_ends_like_an_undisturbed_run(crash: int) -> None:
    calm = Driver(spec(), Venue(PAIR)).run()
    driver = Driver(spec(), Venue(PAIR), crash_at=frozenset({crash})).run()

    assert driver.process.summary().outcome == calm.process.summary().outcome == "opened"
    assert driver.books() == calm.books()
    assert len(driver.of(OrderIntended)) <= len(calm.of(OrderIntended)) + 1


def test_orders_are_bounded_whatever_happens() -> None:
    limits = ExecutionLimits(
        max_unhedged_notional=2000.0, retries=10**6, unwind_retries=10**6, orders_max=30, work_s=1e6
    )
    driver = Driver(
        spec(limits=limits), Venue(PAIR), behave=lambda r: Behaviour(share=D(leg_of(r) == "short" and r.side == "sell"))
    )
    driver.run()

    assert len(driver.orders) <= 30
    assert driver.process.summary().outcome == "unhedged"
