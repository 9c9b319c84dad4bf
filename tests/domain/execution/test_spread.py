"""A spread: perpetuals of two venues, each leg through its own port. No coins, no fees in coins, no dust."""

from decimal import Decimal
from random import Random

import msgspec
import pytest

from carryfold.domain.events import FundingPaid, HedgeEnded, OrderFilled, OrderIntended, ReconciliationCorrected
from carryfold.domain.execution import (
    ExecutionLimits,
    PairBooks,
    Reconciliation,
    RunBooks,
    VenueBooks,
    funding_paid,
    needs_repair,
    reconcile,
)  # fmt: skip
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    OrderReport,
    OrderRequest,
    PositionReport,
)  # fmt: skip
from carryfold.domain.instruments import Pair
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LOT, RUN, SECOND, SPREAD, START, spec, spread
from tests.domain.execution.venue import Behaviour, Venue, leg_of

D = Decimal
REFUSED = Behaviour("rejected")
NOW = START + 3600 * SECOND
HYPERLIQUID, BYBIT = "hyperliquid", "bybit"


def drive(kind: str = "entry", **changed: object) -> Driver:
    """A process between two venues; of an exit and a repair they have what it says it holds."""
    here, there = Venue(SPREAD), Venue(SPREAD)
    made = spec(kind, **({"pair": SPREAD} | changed))
    here.coins["short"], there.coins["long"] = -SPREAD.coins(made.short_units), SPREAD.coins(made.long_units)
    return Driver(made, here, long_venue=there)


def orders(driver: Driver) -> list[tuple[str, str, Decimal, bool]]:
    return [(leg_of(o), o.side, o.qty, o.reduce_only) for o in driver.orders]


@pytest.mark.parametrize("thin", ["long", "short"])
def test_each_leg_of_an_entry_goes_to_its_own_venue_under_its_own_name(thin: str) -> None:
    driver = drive(thin=thin).run()

    long, short = ("long", "buy", D(10), False), ("short", "sell", D(10), False)
    assert orders(driver) == ([long, short] if thin == "long" else [short, long])
    there, here = driver.ports[HYPERLIQUID], driver.ports[BYBIT]
    assert [(r.symbol, r.kind) for r in there.requests] == [("AAA", "perp")]
    assert [(r.symbol, r.kind) for r in here.requests] == [("AAAUSDT", "perp")]
    assert (there.coins, here.coins) == ({"long": D(10), "short": D(0)}, {"long": D(0), "short": D(-10)})
    assert driver.books() == (D(10), D(10))
    assert driver.process.summary().outcome == "opened"
    assert {fill.fee_coin for fill in driver.of(OrderFilled)} == {"USDT"}


def test_a_hedge_is_whole_lots_of_what_the_first_leg_filled() -> None:
    driver = drive(thin="long")
    driver.behave = lambda _: Behaviour(share=D("0.4015") if len(driver.orders) == 0 else D(1))
    driver.run()

    # 4.015 coins in steps of 0.005 are 401 lots; the half lot goes with the next slice.
    assert orders(driver)[:2] == [("long", "buy", D(10), False), ("short", "sell", D("4.01"), False)]
    assert driver.process.summary().outcome == "opened"
    assert abs(driver.process.state.gap) < LOT


@pytest.mark.parametrize(("thin", "other"), [("long", "short"), ("short", "long")])
def test_a_hedge_that_is_refused_every_time_is_followed_by_an_unwind_that_only_reduces(thin: str, other: str) -> None:
    driver = drive(thin=thin)
    driver.behave = lambda request: REFUSED if leg_of(request) == other else Behaviour()
    driver.run()

    limits = driver.spec.limits
    assert [leg for leg, *_ in orders(driver)] == [thin, *[other] * (1 + limits.retries), thin]
    assert orders(driver)[-1][2:] == (D(10), True)
    assert driver.books() == (D(0), D(0))
    (end,) = driver.of(HedgeEnded)
    assert (end.pair, end.work, end.outcome, end.caused_by) == (SPREAD.pair, "entry", "unwound", 7)
    assert end.orders == len(driver.orders)
    assert end.unhedged_s > 0
    assert end.longest_unhedged_s == end.unhedged_s
    assert end.peak_unhedged == (D("1000.1") if thin == "long" else D("999.9"))
    assert driver.of(ReconciliationCorrected) == []


def test_an_unwind_that_fails_every_time_ends_unhedged() -> None:
    driver = drive(thin="long")
    driver.behave = lambda request: Behaviour() if (leg_of(request), request.side) == ("long", "buy") else REFUSED
    driver.run()

    (end,) = driver.of(HedgeEnded)
    assert end.outcome == "unhedged"
    assert [alert.code for alert in driver.alerts] == ["unhedged"]
    assert "1000000 units long, 0 units short" in driver.alerts[0].text


@pytest.mark.parametrize("thin", ["long", "short"])
def test_an_exit_reduces_both_positions_to_nothing(thin: str) -> None:
    driver = drive("exit", long_units=1000 * LOT + 500, short_units=1000 * LOT, thin=thin).run()

    long, short = ("long", "sell", D("10.005"), True), ("short", "buy", D(10), True)
    assert orders(driver) == ([long, short] if thin == "long" else [short, long])
    assert driver.process.summary().outcome == "closed"
    assert driver.books() == (D(0), D(0))
    assert driver.of(ReconciliationCorrected) == [], "a position is closed to the last step: nothing is written off"


def test_an_exit_below_the_least_notional_closes_both_legs_since_it_only_reduces() -> None:
    driver = drive("exit", long_units=4 * LOT, short_units=4 * LOT, thin="long").run()

    assert orders(driver) == [("long", "sell", D("0.04"), True), ("short", "buy", D("0.04"), True)]
    assert driver.process.summary().outcome == "closed"


@pytest.mark.parametrize(
    ("long", "short", "expected"),
    [
        (1000, 400, ("long", "sell", D(6), True)),
        (400, 1000, ("short", "buy", D(6), True)),
        (0, -100, ("short", "sell", D(1), True)),
        (-100, 0, ("long", "buy", D(1), True)),
    ],
)
def test_a_repair_takes_the_excess_away(long: int, short: int, expected: tuple[object, ...]) -> None:
    driver = drive("repair", long_units=long * LOT, short_units=short * LOT).run()

    assert orders(driver) == [expected]
    assert driver.process.summary().outcome == "repaired"


def test_a_large_entry_goes_in_slices_between_the_venues() -> None:
    driver = drive(limits=ExecutionLimits(max_unhedged_notional=200.0)).run()

    assert [leg for leg, *_ in orders(driver)] == ["short", "long"] * 5
    assert driver.process.summary().outcome == "opened"
    assert driver.process.summary().peak_unhedged <= 210


@pytest.mark.parametrize("crash", range(1, 8))
def test_dying_after_the_nth_event_ends_like_an_undisturbed_run(crash: int) -> None:
    calm, driver = drive().run(), drive()
    driver.crash_at = frozenset({crash})
    driver.run()

    assert driver.process.summary().outcome == calm.process.summary().outcome == "opened"
    assert driver.books() == calm.books()


@pytest.mark.parametrize("kind", ["entry", "exit", "repair"])
@pytest.mark.parametrize("seed", range(60))
def test_whatever_goes_wrong_the_books_are_the_venues_and_there_is_one_end(kind: str, seed: int) -> None:
    rng = Random(seed)
    held = {"entry": (0, 0), "exit": (1000 * LOT, 1000 * LOT), "repair": (700 * LOT, 200 * LOT)}[kind]
    driver = drive(kind, thin=rng.choice(("long", "short")), long_units=held[0], short_units=held[1])
    driver.crash_at = frozenset(rng.sample(range(1, 20), rng.choice((0, 1, 3))))
    driver.copies = lambda _: rng.randint(0, 2)

    def behave(_: OrderRequest) -> Behaviour:
        answer = rng.choice(("accepted", "accepted", "rejected", "unknown", "retry"))
        share = D(str(rng.choice((0, 0.3, 1))))
        return Behaviour(answer, rng.random() < 0.5, share, rng.randint(1, 3))  # type: ignore[arg-type]

    driver.behave = behave
    driver.run()

    there, here = driver.ports[HYPERLIQUID], driver.ports[BYBIT]
    assert driver.books() == (there.coins["long"], -here.coins["short"])
    assert (there.coins["short"], here.coins["long"]) == (D(0), D(0))
    assert len(driver.of(HedgeEnded)) == 1
    assert driver.process.summary().orders == len(driver.of(OrderIntended))
    moved = sum(((-1 if f.qty > 0 else 1) * f.value - f.fee for f in driver.of(OrderFilled)), D(0))
    assert abs(moved - (there.cash + here.cash)) <= D("1e-8") * len(driver.of(OrderFilled))


# --- reconciliation ---------------------------------------------------------------------------------------------------


def run_books(pair: Pair = SPREAD.pair, long: int = 1000 * LOT, short: int = 1000 * LOT) -> RunBooks:
    books = PairBooks.of(msgspec.structs.replace(SPREAD, pair=pair), long, short)
    return RunBooks("t1", RUN, START, {SPREAD.name: books})


def says(venue: str, symbol: str, qty: str, **more: object) -> VenueBooks:
    """One venue's side: a position, and whatever else."""
    position = PositionReport(symbol, D(qty), D(100), D(100))
    facts: dict[str, object] = {
        "orders": (), "fills": (), "funding": (), "positions": (position,) if position.qty else (),
        "account": AccountReport({}, D(5), 0.0),
    }  # fmt: skip
    return VenueBooks(venue, **(facts | more))  # type: ignore[arg-type]


def test_each_leg_is_compared_with_the_position_of_its_own_venue() -> None:
    ours = run_books()

    assert reconcile(ours, [says(HYPERLIQUID, "AAA", "10"), says(BYBIT, "AAAUSDT", "-10")], NOW) == Reconciliation(
        (), (), (), ()
    )
    found = reconcile(ours, [says(HYPERLIQUID, "AAA", "7"), says(BYBIT, "AAAUSDT", "-10.5")], NOW)
    corrected = [(e.pair, e.long_units, e.short_units) for e in found.events if isinstance(e, ReconciliationCorrected)]
    assert corrected == [(SPREAD.pair, -300 * LOT, 0), (SPREAD.pair, 0, 50 * LOT)]
    assert found.repairs == (SPREAD.name,)
    assert not found.agreed


def test_a_wallet_says_nothing_about_a_leg_that_is_a_perpetual() -> None:
    found = reconcile(run_books(), [says(HYPERLIQUID, "AAA", "10"), says(BYBIT, "AAAUSDT", "-10")], NOW)

    assert found.agreed


def test_a_long_leg_that_is_short_is_refused() -> None:
    found = reconcile(run_books(), [says(HYPERLIQUID, "AAA", "-1"), says(BYBIT, "AAAUSDT", "-10")], NOW)

    assert f"{SPREAD.name}: the perpetual is short" in found.reasons


def test_a_liquidated_long_leg_is_booked_and_asks_for_a_repair() -> None:
    fill = FillReport("f", "", "v", "AAA", "perp", "sell", D(10), D(900), D(1), "USDT", START + 1, "liquidation")
    venues = [says(HYPERLIQUID, "AAA", "0", fills=(fill,)), says(BYBIT, "AAAUSDT", "-10")]

    found = reconcile(run_books(), venues, NOW)

    (event,) = found.events
    assert isinstance(event, OrderFilled)
    assert (event.leg, event.units, event.value, event.fee) == ("long", -1000 * LOT, D(900), D(1))
    assert found.agreed
    assert found.repairs == (SPREAD.name,)


def test_funding_is_booked_to_the_leg_that_was_paid() -> None:
    at = START + 8 * 3600 * SECOND
    ours = run_books()
    there = says(HYPERLIQUID, "AAA", "10", funding=(FundingReport("AAA", at, D("-0.25"), "a"),))
    here = says(BYBIT, "AAAUSDT", "-10", funding=(FundingReport("AAAUSDT", at, D("0.5"), "b"),))

    booked = reconcile(ours, [there, here], NOW).events

    assert [(e.leg, e.amount) for e in booked if isinstance(e, FundingPaid)] == [
        ("long", D("-0.25")),
        ("short", D("0.5")),
    ]
    for event in booked:
        ours.apply(event)
    assert funding_paid(ours, HYPERLIQUID, there.funding[0], NOW) is None
    assert funding_paid(ours, HYPERLIQUID, FundingReport("AAAUSDT", at, D(1), "c"), NOW) is None


def test_interest_and_open_orders_belong_to_the_venue_that_tells_of_them() -> None:
    charge = InterestReport(START + SECOND, D("0.25"), "i1")
    stranger = OrderReport("web-1", "v", "AAA", "perp", "sell", D(4), D(0), open=True)
    there = says(HYPERLIQUID, "AAA", "10", interest=(charge,), orders=(stranger,))
    here = says(BYBIT, "AAAUSDT", "-10", interest=(charge,), orders=(stranger,))

    found = reconcile(run_books(), [there, here], NOW)

    assert [(e.venue, e.amount) for e in found.events] == [(HYPERLIQUID, D("0.25")), (BYBIT, D("0.25"))]  # type: ignore[union-attr]
    assert found.reasons == (f"{SPREAD.name}: an open order of 4 (sell perp) is not of this run",)


def test_one_instrument_in_two_pairs_is_compared_by_their_sum() -> None:
    """The same perpetuals in both directions: the one that holds them has the difference."""
    there, here = SPREAD.pair.long, SPREAD.pair.short
    other = spread(pair=Pair(here, there), name="other")
    ours = run_books()
    ours.pairs["other"] = PairBooks.of(other)

    assert reconcile(ours, [says(HYPERLIQUID, "AAA", "10"), says(BYBIT, "AAAUSDT", "-10")], NOW).agreed
    found = reconcile(ours, [says(HYPERLIQUID, "AAA", "9"), says(BYBIT, "AAAUSDT", "-10")], NOW)
    assert [(e.pair, e.long_units) for e in found.events if isinstance(e, ReconciliationCorrected)] == [
        (SPREAD.pair, -100 * LOT)
    ]


def test_legs_of_a_spread_need_a_repair_however_little_they_are_apart_by() -> None:
    assert needs_repair(SPREAD, 11 * LOT, 10 * LOT, price=D(100)), "worth 1, but an order that reduces is taken"
    assert not needs_repair(SPREAD, 10 * LOT + 999, 10 * LOT, price=D(100))
