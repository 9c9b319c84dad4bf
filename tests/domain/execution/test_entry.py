"""An entry, rule by rule: thin leg first, the hedge sized by what is really there, and what happens when it is not."""

from decimal import Decimal

import pytest

from carryfold.domain.events import HedgeEnded, OrderFilled, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution import ExecutionLimits, LegQuote, LegRules, Quotes
from carryfold.domain.execution.reports import OrderRequest
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LOT, PAIR, SECOND, START, pair, quotes, spec
from tests.domain.execution.venue import Behaviour, Venue, leg_of

D = Decimal


def answers(*each: Behaviour, then: Behaviour = Behaviour()) -> object:  # noqa: B008
    """The requests get these in order, later ones `then`."""
    left = list(each)
    return lambda _: left.pop(0) if left else then


def by_leg(**behaviours: Behaviour) -> object:
    """The same for every order of a leg."""
    return lambda request: behaviours.get(leg_of(request), Behaviour())


REFUSED = Behaviour("rejected")


def run(behave: object = None, venue: Venue | None = None, **changed: object) -> Driver:
    options = {} if behave is None else {"behave": behave}
    return Driver(spec(**changed), venue or Venue(PAIR), **options).run()  # type: ignore[arg-type]


def legs(driver: Driver) -> list[tuple[str, str, Decimal]]:
    return [(leg_of(order), order.side, order.qty) for order in driver.orders]


def test_the_thin_perpetual_goes_first_and_the_purchase_is_grossed_up_for_the_fee_in_coins() -> None:
    driver = run(thin="short")

    # 10 coins short; 10 / (1 - 0.001) = 10.01001 coins are bought, in steps of 0.0001.
    assert legs(driver) == [("short", "sell", D("10.00")), ("long", "buy", D("10.0101"))]
    assert driver.books() == (D("10.0101") * D("0.999"), D(10))
    assert driver.process.summary().outcome == "opened"


def test_the_thin_spot_goes_first_and_the_short_is_whole_lots_of_the_net_coins() -> None:
    """A tenth of a percent less than was bought arrives: 10.0101 coins are 10.0000899, and 1000 lots are sold."""
    driver = run(thin="long")

    assert legs(driver) == [("long", "buy", D("10.0101")), ("short", "sell", D("10.00"))]
    assert driver.books()[0] == D("10.0000899")


def test_a_partial_purchase_is_hedged_in_whole_lots_rounded_down_and_the_rest_is_tried_again() -> None:
    driver = run(answers(Behaviour(share=D("0.5"))), thin="long")

    # Half of 10.0101 is 5.0050, net 4.999995 coins: 499 lots.
    assert legs(driver)[:2] == [("long", "buy", D("10.0101")), ("short", "sell", D("4.99"))]
    assert driver.process.summary().outcome == "opened"
    assert abs(driver.process.state.gap) < LOT


def test_what_cannot_be_had_of_the_first_leg_shrinks_the_target() -> None:
    driver = run(answers(Behaviour(share=D("0.3")), Behaviour(), then=Behaviour(share=D(0))), thin="short")

    assert driver.books()[1] == D(3)
    assert driver.process.summary().outcome == "partial"
    assert sum(leg_of(order) == "short" for order in driver.orders) == 1 + driver.spec.limits.retries


def test_nothing_happens_when_the_first_leg_is_refused_every_time() -> None:
    driver = run(by_leg(short=REFUSED))

    assert len(driver.orders) == 1 + driver.spec.limits.retries
    assert driver.process.summary().outcome == "nothing"
    assert driver.log[-1][2] == driver.of(HedgeEnded)[-1]
    assert driver.of(HedgeEnded)[-1].caused_by == driver.spec.decision_seq
    assert not driver.alerts


def test_f17_a_hedge_refused_every_time_is_followed_by_an_unwind_and_its_exposure_is_measured() -> None:
    driver = run(by_leg(long=REFUSED))

    assert driver.books() == (D(0), D(0))
    summary = driver.process.summary()
    assert summary.outcome == "unwound"
    last = driver.orders[-1]
    assert (leg_of(last), last.side, last.qty, last.reduce_only) == ("short", "buy", D(10), True)
    # Four hedges, each answered after 50 ms and followed by half a second, then the unwind.
    assert summary.unhedged_s == pytest.approx(4 * 0.55 + 0.05, abs=1e-6)
    assert summary.longest_unhedged_s == summary.unhedged_s
    assert summary.peak_unhedged == D("999.9")
    assert float(summary.unhedged_notional_s) == pytest.approx(999.9 * summary.unhedged_s)
    assert summary.fees == D("999.9") * D("0.00055") + D("1000.1") * D("0.00055")


def test_f17_the_hedge_is_given_up_at_the_deadline_even_with_attempts_left() -> None:
    limits = ExecutionLimits(max_unhedged_notional=2000.0, deadline_s=1.0, retries=50)
    driver = run(by_leg(long=REFUSED), limits=limits)

    assert driver.process.summary().outcome == "unwound"
    assert driver.process.summary().unhedged_s <= 1.0 + limits.retry_wait_s + 0.2


def test_f17_an_unwind_that_fails_every_time_ends_unhedged_and_says_what_is_left() -> None:
    def behave(request: OrderRequest) -> Behaviour:
        return Behaviour() if (leg_of(request), request.side) == ("short", "sell") else REFUSED

    driver = run(behave)

    limits = driver.spec.limits
    assert len(driver.orders) == 1 + (1 + limits.retries) + (1 + limits.unwind_retries)
    assert driver.process.summary().outcome == "unhedged"
    assert driver.process.summary().residual == D("999.9")
    assert [alert.code for alert in driver.alerts] == ["unhedged"]
    assert "1000000 units short" in driver.alerts[0].text
    assert driver.of(HedgeEnded)[-1].outcome == "unhedged"


def test_hedges_keep_the_cap_and_unwinds_take_the_wide_one() -> None:
    driver = run(by_leg(long=REFUSED))

    prices = {intent.purpose: intent.limit_price for intent in driver.of(OrderIntended)}
    assert prices == {"open": D("99.80"), "hedge": D("100.21"), "unwind": D("102.01")}  # 20 bp, 20 bp, 200 bp


def test_a_price_beyond_the_cap_fills_nothing_and_the_next_attempt_is_priced_anew() -> None:
    venue = Venue(PAIR)
    venue.bid["short"] = D("99.00")  # 1% below the quote that the process saw
    venue.ask["long"] = D("99.02")
    mids = iter([100.0])
    driver = Driver(spec(), venue, quoted=lambda now: quotes(now, next(mids, 99.01))).run()

    assert driver.of(OrderIntended)[0].limit_price == D("99.80")
    assert driver.of(OrderIntended)[1].limit_price < D(99)
    assert driver.process.summary().outcome == "opened"


def test_a_large_entry_goes_in_slices_that_never_leave_more_than_the_limit_unhedged() -> None:
    driver = run(limits=ExecutionLimits(max_unhedged_notional=200.0))

    # 199 lots a slice; the five that would be left are below the venue's minimum and go with the fifth.
    assert [o.qty for o in driver.orders if leg_of(o) == "short"] == [D("1.99")] * 4 + [D("2.04")]
    assert driver.process.summary().peak_unhedged <= 204
    assert driver.process.summary().outcome == "opened"


def test_a_slice_is_never_smaller_than_what_both_legs_take() -> None:
    driver = run(limits=ExecutionLimits(max_unhedged_notional=1.0), lots=20)

    assert [order.qty for order in driver.orders] == [
        D("0.06"),
        D("0.0601"),
        D("0.06"),
        D("0.0601"),
        D("0.08"),
        D("0.0801"),
    ]


def test_below_the_venue_s_minimum_nothing_is_placed() -> None:
    driver = run(lots=4)

    assert driver.orders == []
    assert [type(event) for _, _, event in driver.log] == [HedgeEnded]
    assert driver.process.summary().outcome == "nothing"


def test_a_first_fill_too_small_to_hedge_is_added_to_before_it_is_hedged() -> None:
    driver = run(answers(Behaviour(share=D("0.003"))), thin="short")

    assert legs(driver)[:3] == [
        ("short", "sell", D("10.00")),
        ("short", "sell", D("9.97")),
        ("long", "buy", D("10.0101")),
    ]
    assert driver.process.summary().outcome == "opened"


def test_a_first_fill_too_small_to_hedge_or_to_add_to_is_taken_back() -> None:
    behave = answers(Behaviour(share=D("0.003")), *[Behaviour(share=D(0))] * 3)
    driver = run(behave, thin="short")

    assert driver.books() == (D(0), D(0))
    assert driver.process.summary().outcome == "unwound"


def test_coins_too_few_to_be_sold_are_written_off_before_the_end() -> None:
    """0.03 coins for 3 quote: the venue takes no sale below 5, and a holding that nobody can close must not stay."""
    behave = answers(Behaviour(share=D("0.003")), *[Behaviour(share=D(0))] * 3)
    driver = run(behave, thin="long")

    *_, correction, end = (event for _, _, event in driver.log)
    assert isinstance(correction, ReconciliationCorrected)
    assert (correction.long_units, correction.short_units, correction.cash) == (-2997, 0, D(0))
    assert isinstance(end, HedgeEnded)
    assert driver.process.state.long_units == 0
    assert end.caused_by == driver.spec.decision_seq


def test_nothing_is_opened_on_an_old_or_missing_quote_and_the_process_does_not_wait_for_ever() -> None:
    old = LegQuote(99.99, 100.01, START - 60 * SECOND)
    for seen in (Quotes(), Quotes(old, old), Quotes(LegQuote(99.99, 100.01, START + 10**15), None)):
        driver = Driver(spec(), Venue(PAIR), quoted=lambda _, seen=seen: seen).run()  # type: ignore[misc]
        assert driver.orders == []
        assert driver.now - START <= (driver.spec.limits.work_s + 1) * SECOND


def test_a_crossed_quote_is_no_quote() -> None:
    crossed = LegQuote(100.01, 99.99, START + 10**15)
    assert Driver(spec(), Venue(PAIR), quoted=lambda _: Quotes(crossed, crossed)).run().orders == []


def test_a_hedge_trades_at_the_last_quote_with_the_wide_cap_when_that_is_old() -> None:
    driver = Driver(spec(), Venue(PAIR), quoted=lambda _: quotes(START - 5 * SECOND)).run()

    opened, hedged = driver.of(OrderIntended)[:2]
    assert opened.limit_price == D("99.80")  # at START the quote is just young enough
    assert hedged.limit_price == D("102.01")
    assert driver.process.summary().outcome == "opened"


def test_a_halt_opens_no_further_slice_and_leaves_what_is_on_hedged() -> None:
    driver = Driver(spec(limits=ExecutionLimits(max_unhedged_notional=200.0)), Venue(PAIR))
    step = driver.process.step
    driver.process.step = lambda now, seen: step(now, seen, may_open=not driver.of(OrderFilled))  # type: ignore[method-assign, misc, assignment]
    driver.run()

    assert [leg_of(order) for order in driver.orders] == ["short", "long"]
    assert driver.process.summary().outcome == "partial"
    assert abs(driver.process.state.gap) < LOT


def test_a_fee_that_is_not_taken_in_coins_leaves_more_spot_which_is_said() -> None:
    driver = run(venue=Venue(PAIR, fee_coin="USDT"), thin="long")

    assert legs(driver) == [("long", "buy", D("10.0101")), ("short", "sell", D("10.00"))]
    assert driver.process.summary().outcome == "opened"
    assert [alert.code for alert in driver.alerts] == ["dust"]  # a lot and a bit, worth 1, and nobody trades 1


def test_a_fee_in_a_third_coin_is_noted_and_booked_as_nothing() -> None:
    driver = run(venue=Venue(PAIR, fee_coin="MNT"))

    bought = next(fill for fill in driver.of(OrderFilled) if fill.leg == "long")
    assert (bought.fee, bought.fee_coin, bought.fee_qty) == (0, "MNT", D("0.5"))
    assert driver.alerts[0].code == "foreign_fee"


def test_quantities_are_cut_to_what_the_book_takes_at_once() -> None:
    small = LegRules(D("0.01"), D("0.01"), D("4"), D(5), D("0.01"))
    driver = run(venue=Venue(pair(short=small)), pair=pair(short=small))

    assert driver.orders[0].qty == D(4)
    assert driver.process.summary().outcome == "opened"


def test_every_order_is_named_by_run_decision_leg_and_attempt() -> None:
    names = [intent.client_id for intent in run(answers(Behaviour(share=D("0.5")))).of(OrderIntended)]

    assert names == ["t1-42-7e-p1", "t1-42-7e-s1", "t1-42-7e-p2", "t1-42-7e-s2"]
