"""Books against the venue: what is booked, what is corrected, what is left alone; and a second time gives nothing."""

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.domain.events import (
    BorrowCharged,
    Event,
    FundingCorrected,
    FundingPaid,
    HoldingAdopted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
)
from carryfold.domain.execution import (
    PairBooks,
    Predecessor,
    Reconciliation,
    RunBooks,
    VenueBooks,
    funding_paid,
    reconcile,
)
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    NotFound,
    OrderReport,
    PositionReport,
    QueryOutcome,
    Unknown,
)
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LIVE, LOT, PAIR, RUN, SECOND, START, carry, pair, spec
from tests.domain.execution.live_fold import LiveFold
from tests.domain.execution.venue import Behaviour, Venue

D = Decimal
NOW = START + 3600 * SECOND
OWN = "t1-42-7e-p1"
COINS, SHORT = D("10.0000899"), D(10)


@dataclass
class Sides:
    """1000 lots on each leg, and a venue that agrees."""

    books: PairBooks = field(default_factory=lambda: PairBooks.of(PAIR, 1000 * LOT + 8, 1000 * LOT))
    coins: Decimal = COINS
    short: Decimal = SHORT
    fills: list[FillReport] = field(default_factory=list)
    funding: list[FundingReport] = field(default_factory=list)
    orders: list[OrderReport] = field(default_factory=list)
    answers: dict[str, QueryOutcome] = field(default_factory=dict)
    interest: list[InterestReport] = field(default_factory=list)
    predecessor: Predecessor | None = None

    def __post_init__(self) -> None:
        self.ours = RunBooks("t1", RUN, START, {"AAAUSDT": self.books}, self.predecessor)

    def theirs(self) -> VenueBooks:
        position = PositionReport("AAAUSDT", -self.short, D(100), D(100))
        return VenueBooks(
            "bybit", tuple(self.orders), tuple(self.fills), tuple(self.funding), (position,) if self.short else (),
            AccountReport({"AAA": self.coins, "USDT": D(5)}, D(5), 0.0), self.answers,
            tuple(self.interest),
        )  # fmt: skip

    def reconcile(self) -> Reconciliation:
        """Reconcile, log, and check that doing it again finds nothing more to log."""
        found = reconcile(self.ours, [self.theirs()], NOW)
        for event in found.events:
            self.ours.apply(event)
        again = reconcile(self.ours, [self.theirs()], NOW + SECOND)
        assert again.events == ()
        return found


def test_interest_is_booked_once_a_charge_and_not_from_before_the_run() -> None:
    sides = Sides()
    charge = InterestReport(START + SECOND, D("0.25"), "i1")
    sides.interest = [charge, charge, InterestReport(START - SECOND, D(9), "i0")]
    found = sides.reconcile()
    assert found.agreed
    assert found.events == (BorrowCharged(RUN, START + SECOND, D("0.25"), "i1"),)


def fill(side: str = "buy", **changed: Any) -> FillReport:
    facts: dict[str, Any] = {
        "fill_id": "f1", "client_id": "", "venue_id": "v", "symbol": "AAAUSDT", "kind": "perp", "side": side,
        "qty": D(4), "value": D("404.4"), "fee": D("0.22242"), "fee_coin": "USDT", "event_at": START + SECOND,
    }  # fmt: skip
    return FillReport(**(facts | changed))


def paid(amount: str, settled_at: int = START + 10 * SECOND, venue_id: str = "p1") -> FundingReport:
    return FundingReport("AAAUSDT", settled_at, D(amount), venue_id)


def intended(name: str = OWN, qty: str = "4") -> OrderIntended:
    return OrderIntended(RUN, START, PAIR.pair, "short", name, "sell", D(qty), D(100))


def test_books_that_agree_give_nothing() -> None:
    found = Sides().reconcile()

    assert found == Reconciliation((), (), (), ())
    assert found.agreed


def test_f16_a_missed_fill_of_ours_is_booked_once_with_the_venue_s_value_and_fee() -> None:
    sides = Sides(short=D(14), fills=[fill("sell", client_id=OWN)] * 2)

    found = sides.reconcile()

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert (event.client_id, event.fill_id, event.units) == (OWN, "f1", -400_000)
    assert (event.value, event.fee, event.caused_by) == (D("404.4"), D("0.22242"), 0)
    assert found.agreed
    assert found.repairs == ("AAAUSDT",)


@pytest.mark.parametrize("cause", ["adl", "liquidation", "delisting", "trade"])
def test_f29_a_position_closed_by_somebody_else_is_booked_as_it_was_and_asks_for_a_repair(cause: str) -> None:
    found = Sides(short=D(6), fills=[fill(cause=cause, client_id="web-1" if cause == "trade" else "")]).reconcile()

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert (event.client_id, event.units, event.value, event.fee) == ("", 400_000, D("404.4"), D("0.22242"))
    assert found.agreed
    assert found.repairs == ("AAAUSDT",)
    assert len(found.notes) == 1


def test_fills_before_the_run_of_other_pairs_and_known_ones_are_left_alone() -> None:
    sides = Sides(fills=[fill(event_at=START - 1), fill(symbol="BBBUSDT"), fill(fill_id="known")])
    sides.ours.fill_ids.add("known")

    assert sides.reconcile() == Reconciliation((), (), (), ())


def test_a_fill_of_another_run_of_ours_is_not_this_run_s_own() -> None:
    found = Sides(short=D(14), fills=[fill("sell", client_id="t1-41-7e-p1")]).reconcile()

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert event.client_id == ""


def test_a_position_that_nothing_explains_is_adopted_and_a_person_has_to_look() -> None:
    sides = Sides(short=D("10.5"))

    found = sides.reconcile()

    (event,) = found.events
    assert isinstance(event, ReconciliationCorrected)
    assert (event.long_units, event.short_units, event.cash) == (0, 50_000, D(0))
    assert not found.agreed
    assert reconcile(sides.ours, [sides.theirs()], NOW).agreed


def test_a_position_that_is_gone_is_flat_and_one_that_is_long_is_refused() -> None:
    gone, long = Sides(short=D(0)).reconcile(), Sides(short=D(-1)).reconcile()

    assert [event.short_units for event in gone.events if isinstance(event, ReconciliationCorrected)] == [-1000 * LOT]
    assert "AAAUSDT: the perpetual is long" in long.reasons


def test_missing_coins_are_corrected_to_the_unit() -> None:
    sides = Sides(coins=D("9.123456"))

    found = sides.reconcile()

    (event,) = found.events
    assert isinstance(event, ReconciliationCorrected)
    assert sides.books.long_units == 912_345
    assert event.long_units == 912_345 - (1000 * LOT + 8)
    assert not found.agreed


@pytest.mark.parametrize("coins", ["10.0000899", "10.00008", "10.000071", "500"])
def test_a_unit_too_few_and_any_coins_too_many_are_no_difference(coins: str) -> None:
    assert Sides(coins=D(coins)).reconcile() == Reconciliation((), (), (), ())


def test_coins_sold_by_hand_are_booked_at_their_own_price() -> None:
    sold = fill("sell", kind="spot", qty=D(4), value=D("399"), fee=D("0.399"))
    found = Sides(coins=D("6.0000899"), fills=[sold]).reconcile()

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert (event.leg, event.units, event.value, event.fee) == ("long", -400_000, D(399), D("0.399"))
    assert found.agreed
    assert found.repairs == ("AAAUSDT",)


def test_coins_that_were_never_ours_may_come_and_go() -> None:
    bought = fill(kind="spot", qty=D(4), fill_id="f1")
    sold = fill("sell", kind="spot", qty=D(3), fill_id="f2")

    assert Sides(coins=D("11.5"), fills=[bought, sold]).reconcile() == Reconciliation((), (), (), ())


@pytest.mark.parametrize("qty", [4, 400])
def test_a_sale_by_hand_larger_than_what_is_missing_is_not_ours_to_book(qty: int) -> None:
    """Somebody sold many, and 1 of ours is missing: which of them was ours at which price nobody knows."""
    found = Sides(coins=D("9.0000899"), fills=[fill("sell", kind="spot", qty=D(qty), value=D(100 * qty))]).reconcile()

    (event,) = found.events
    assert isinstance(event, ReconciliationCorrected)
    assert event.long_units == -100_000
    assert not found.agreed


def test_pairs_that_share_a_coin_share_its_wallet() -> None:
    sides = Sides(coins=D(12))
    other = pair(name="AAAUSDC", pair=carry("AAAUSDC"))
    sides.ours.pairs["AAAUSDC"] = PairBooks.of(other, 300_000, 0)

    found = reconcile(sides.ours, [sides.theirs()], NOW)

    assert [(e.pair, e.long_units) for e in found.events if isinstance(e, ReconciliationCorrected)] == [
        (PAIR.pair, -100_008)
    ]
    assert found.repairs == ("AAAUSDT", "AAAUSDC")


def test_f24_funding_missed_in_an_outage_is_booked_once() -> None:
    sides = Sides(funding=[paid("0.5"), paid("0.5"), paid("-0.2", START + 20 * SECOND), paid("9", START - SECOND)])

    found = sides.reconcile()

    booked = [(e.settled_at, e.amount) for e in found.events if isinstance(e, FundingPaid)]
    assert booked == [(START + 10 * SECOND, D("0.5")), (START + 20 * SECOND, D("-0.2"))]
    assert found.agreed


def test_f30_a_payment_in_two_records_is_their_sum_and_one_that_changes_is_corrected_by_the_difference() -> None:
    sides = Sides(funding=[paid("0.5"), paid("0.25", venue_id="p2")])
    (event,) = sides.reconcile().events
    assert isinstance(event, FundingPaid)
    assert event.amount == D("0.75")

    sides.funding = [paid("0.5"), paid("0.35", venue_id="p2")]
    found = sides.reconcile()
    (corrected,) = found.events
    assert isinstance(corrected, FundingCorrected)
    assert (corrected.amount, corrected.booked, corrected.settled_at) == (D("0.10"), D("0.75"), START + 10 * SECOND)
    assert (corrected.pair, corrected.leg) == (PAIR.pair, "short")
    assert found.agreed
    assert len(found.notes) == 1


def test_f30_the_stream_s_payment_and_the_history_s_are_one() -> None:
    sides = Sides(funding=[paid("0.5")])
    event = funding_paid(sides.ours, "bybit", paid("0.5"), NOW)
    assert event is not None
    sides.ours.apply(event)
    assert funding_paid(sides.ours, "bybit", paid("0.5"), NOW) is None

    assert sides.reconcile() == Reconciliation((), (), (), ())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (NotFound(), OrderRejected),
        (OrderReport(OWN, "v", "AAAUSDT", "perp", "sell", D(4), D(0), open=False), OrderCancelled),
        (OrderReport(OWN, "v", "AAAUSDT", "perp", "sell", D(4), D(0), open=True), None),
        (OrderReport(OWN, "v", "AAAUSDT", "perp", "sell", D(4), D(1), open=False), None),
        (Unknown("timeout"), None),
        (None, None),
    ],
)
def test_f03_an_order_without_an_end_gets_it_or_keeps_the_run_from_trading(answer: Any, expected: Any) -> None:
    sides = Sides(answers={OWN: answer} if answer is not None else {})
    sides.ours.apply(intended())

    found = sides.reconcile()

    assert [type(event) for event in found.events] == ([expected] if expected else [])
    assert found.agreed == (expected is not None)


def test_an_order_that_filled_is_over_without_an_end_of_its_own() -> None:
    sides = Sides(short=D(14), fills=[fill("sell", client_id=OWN)])
    sides.ours.apply(intended())

    found = sides.reconcile()

    assert [type(event) for event in found.events] == [OrderFilled]
    assert found.agreed
    assert sides.ours.intents == {}


def test_an_absent_order_that_had_filled_is_cancelled_and_not_refused() -> None:
    sides = Sides(short=D(14), fills=[fill("sell", client_id=OWN)], answers={OWN: NotFound()})
    sides.ours.apply(intended(qty="9"))

    assert [type(event) for event in sides.reconcile().events] == [OrderFilled, OrderCancelled]


def test_an_open_order_of_nobody_keeps_the_run_from_trading() -> None:
    stranger = OrderReport("web-1", "v", "AAAUSDT", "perp", "sell", D(4), D(0), open=True)
    found = Sides(orders=[stranger]).reconcile()

    assert found.events == ()
    assert found.reasons == ("AAAUSDT: an open order of 4 (sell perp) is not of this run",)


def test_a_pair_at_work_is_not_judged_and_its_own_fills_are_left_to_its_process() -> None:
    open_order = OrderReport(OWN, "v", "AAAUSDT", "perp", "sell", D(4), D(0), open=True)
    sides = Sides(short=D(14), coins=D(3), fills=[fill("sell", client_id=OWN)], orders=[open_order])
    sides.books.busy = True
    sides.ours.apply(intended())

    found = sides.reconcile()

    assert (found.events, found.reasons, found.repairs) == ((), (), ())
    assert len(found.notes) == 1


def test_events_of_other_runs_are_not_in_our_books() -> None:
    sides = Sides()
    sides.ours.apply(OrderFilled(RUN + 1, START, PAIR.pair, "short", OWN, "f", -5, D(1), D(0)))

    assert sides.books.short_units == 1000 * LOT
    assert sides.ours.fill_ids == set()


def test_the_money_of_adopted_fills_is_the_venue_s_to_the_last_digit() -> None:
    """A liquidation of the short and a sale by hand, through the real fold: the cash is what the venue moved."""
    fold, venue = LiveFold(LIVE, notional=1000.0), Venue(LIVE)
    entry = Driver(spec(pair=LIVE, lots=fold.lots), venue).run()
    for _, known_at, event in entry.log:
        fold.apply(event, known_at)
    sides = Sides(
        books=PairBooks.of(LIVE, *fold.holding),
        coins=venue.coins["long"] - D(4),
        short=D(6),
        fills=[
            fill(cause="liquidation", value=D("404.40000001"), fee=D("0.22242003")),
            fill("sell", kind="spot", fill_id="f2", value=D("399.12345678"), fee=D("0.00000001")),
        ],
    )

    for event in sides.reconcile().events:
        fold.apply(event, NOW)

    moved = -D("404.40000001") - D("0.22242003") + D("399.12345678") - D("0.00000001")
    assert abs(fold.cash - (venue.cash + moved)) <= D("2e-8")
    assert fold.holding == (sides.books.long_units, sides.books.short_units)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_was_missed_the_books_come_to_the_venue_s_holdings_and_stay(seed: int) -> None:
    """A process dies at a random event for good; its venue and its log are reconciled without it."""
    rng, venue = Random(seed), Venue(PAIR)
    driver = Driver(
        spec(), venue, behave=lambda _: Behaviour(share=D(str(rng.choice((0, 0.3, 1)))), parts=rng.randint(1, 3)),
        copies=lambda _: rng.randint(0, 2),
    )  # fmt: skip
    driver.run(until=START + rng.randint(0, 3 * SECOND))
    sides = Sides(
        books=PairBooks.of(PAIR), coins=venue.coins["long"], short=-venue.coins["short"], fills=venue.fills(),
        answers={name: venue.query(name) for name in (r.client_id for r in driver.orders)},
    )  # fmt: skip
    for _, _, event in driver.log:
        sides.ours.apply(event)
    for name in sides.ours.intents:
        sides.answers.setdefault(name, NotFound())

    found = sides.reconcile()

    assert found.agreed, found.reasons
    assert sides.books.short_units == PAIR.units(-venue.coins["short"])
    assert 0 <= PAIR.units(venue.coins["long"]) - sides.books.long_units <= len(venue.fills())
    assert sides.ours.intents == {}
    assert not any(isinstance(event, ReconciliationCorrected) for event in found.events)


def test_what_is_booked_of_an_order_answers_its_intent() -> None:
    sides = Sides(short=D(14), fills=[fill("sell", client_id=OWN)], answers={OWN: NotFound()})
    sides.ours.apply(intended(qty="9"), 77)

    assert [event.caused_by for event in sides.reconcile().events] == [77, 77]  # type: ignore[union-attr]


def adopted(leg: Any, units: int) -> HoldingAdopted:
    return HoldingAdopted(RUN, START, PAIR.pair, leg, RUN - 1, units, 0.00001, D(1000))


def test_a_run_that_takes_over_another_one_s_holdings_knows_what_that_one_has_booked() -> None:
    """Its fills and payments are not booked again, its orders are ours, and holdings come with HoldingAdopted alone."""
    before, name = RUN - 1, f"t0-{RUN - 1}-7e-p1"
    known = OrderFilled(before, START, PAIR.pair, "short", name, "f1", -1_000_000, D(1000), D(0), qty=D(-10))
    sides = Sides(books=PairBooks.of(PAIR), predecessor=Predecessor("t0", before))
    log: tuple[Event, ...] = (
        OrderIntended(before, START, PAIR.pair, "short", name, "sell", D(14), D(100)),
        known,
        FundingPaid(before, START, PAIR.pair, "short", START + 10 * SECOND, D("0.5")),
        adopted("long", 1000 * LOT + 8),
        adopted("short", 1000 * LOT),
    )
    for one in log:
        sides.ours.apply(one, 5)
    assert (sides.books.long_units, sides.books.short_units) == (1000 * LOT + 8, 1000 * LOT)

    missed = fill("sell", fill_id="f2", client_id=name, qty=D(4), value=D(404))
    sides.fills, sides.short, sides.funding = [fill("sell", fill_id="f1", client_id=name), missed], D(14), [paid("0.5")]
    found = sides.reconcile()

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert (event.run, event.client_id, event.fill_id, event.units) == (RUN, name, "f2", -400_000)
    assert sides.ours.intents == {}
    assert found.agreed
    assert found.repairs == ("AAAUSDT",)
