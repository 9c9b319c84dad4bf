"""A process against a venue that refuses, forgets, repeats, delays and moves: what must hold in every case.

The venue answers queries truthfully; everything else may go wrong, and the process may die after any event. Every run
is checked against the venue's truth; the driver checks after each event that the log alone gives the same state, the
venue that no order is sent twice.
"""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.domain.events import (
    HedgeEnded,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    ReconciliationCorrected,
)
from carryfold.domain.execution import Execution, ExecutionLimits, LegQuote, Quotes, TradedPair
from carryfold.domain.execution.reports import OrderRequest
from tests.domain.execution.driver import Driver
from tests.domain.execution.facts import LIVE, LOT, PAIR, SECOND, START, spec
from tests.domain.execution.live_fold import LiveFold
from tests.domain.execution.venue import Behaviour, Venue

DELAYS_S = (0.0, 0.01, 0.05, 0.05, 0.5, 3.0)
LIMITS = ExecutionLimits(max_unhedged_notional=40_000.0)
LOTS = 100_000
DAY = 86_400 * SECOND

# What docs/execution.md states. An order that the venue answers for is settled after its grace, two more queries and a
# fetch, each as slow as messages get; the sum is over every unwind there may be, plus the hedge under way at the
# deadline.
ORDER_S = LIMITS.absent_grace_s + 2 * LIMITS.query_waits_s[0] + LIMITS.retry_wait_s + 5 * max(DELAYS_S)
BOUND_S = LIMITS.deadline_s + (LIMITS.unwind_retries + 2) * (ORDER_S + LIMITS.retry_wait_s)

seeds = st.integers(0, 2**32).map(Random)


class World:
    """One seeded scenario: how often requests fail, how much fills, how prices move, how often quotes are missing."""

    def __init__(self, rng: Random, pair: TradedPair = PAIR) -> None:
        self.rng, self.pair = rng, pair
        self.badness = rng.choice((0.0, 0.1, 0.3, 0.7, 1.0))
        self.shares = rng.choice(((1,), (0, 1, 1), (0, 0.1, 0.5, 1), (0, 0.00003, 0.5), (0,)))
        self.moves = rng.choice((0.0, 0.002, 0.02))
        self.quotes_fail = rng.choice((0.0, 0.0, 0.3))
        self.mid = 100.0
        self.venue = Venue(pair)

    def behave(self, request: OrderRequest) -> Behaviour:
        self.mid *= 1 + self.rng.uniform(-self.moves, self.moves)
        price = Decimal(str(round(self.mid, 2)))
        for leg in ("long", "short"):
            self.venue.bid[leg], self.venue.ask[leg] = price - Decimal("0.01"), price + Decimal("0.01")
        share, parts = Decimal(str(self.rng.choice(self.shares))), self.rng.randint(1, 3)
        if self.rng.random() >= self.badness:
            return Behaviour(share=share, parts=parts)
        answer = self.rng.choice(("accepted", "rejected", "unknown", "unknown", "retry"))
        return Behaviour(answer, self.rng.random() < 0.5, share, parts)  # type: ignore[arg-type]

    def delay(self, what: str) -> int:
        return round(self.rng.choice(DELAYS_S) * SECOND)

    def copies(self, what: str) -> int:
        return self.rng.choice((0, 1, 2, 3)) if self.rng.random() < self.badness else 1

    def quoted(self, now: int) -> Quotes:
        age = 60 * SECOND if self.rng.random() < self.quotes_fail else 0
        quote = LegQuote(self.mid - 0.01, self.mid + 0.01, now - age)
        return Quotes(quote, None if self.rng.random() < self.quotes_fail / 3 else quote)

    def crashes(self) -> frozenset[int]:
        return frozenset(self.rng.sample(range(1, 30), self.rng.choice((0, 1, 2, 6))))

    def driver(self, kind: str, *, crashes: bool = False, **changed: Any) -> Driver:
        facts = {"pair": self.pair, "thin": self.rng.choice(("long", "short")), "limits": LIMITS} | changed
        return Driver(
            spec(kind, **facts), self.venue, behave=self.behave, delay=self.delay, copies=self.copies,
            quoted=self.quoted, crash_at=self.crashes() if crashes else frozenset(),
        )  # fmt: skip


def started(rng: Random, kind: str, *, crashes: bool = False) -> Driver:
    """A process with something to do."""
    world = World(rng)
    if kind == "entry":
        return world.driver(kind, lots=LOTS, crashes=crashes)
    legs = {"exit": [(LOTS * LOT + 12, LOTS * LOT)], "repair": [(7000, 0), (0, 90_000), (50, 5000)]}
    spot, perp = rng.choice(legs[kind])
    world.venue.coins = {"long": PAIR.coins(spot), "short": -PAIR.coins(perp)}
    return world.driver(kind, long_units=spot, short_units=perp, crashes=crashes)


def check(driver: Driver, cash_before: Decimal = Decimal(0)) -> None:
    """What holds at the end of every run."""
    venue, ledger, summary = driver.venue, driver.process.state, driver.process.summary()
    fills, mine = driver.of(OrderFilled), driver.process.owns
    assert sorted(f.fill_id for f in fills) == sorted(f.fill_id for f in venue.fills() if mine(f.client_id))
    written_off = sum((driver.spec.pair.coins(e.long_units) for e in driver.of(ReconciliationCorrected)), Decimal(0))
    assert ledger.long_coins == venue.coins["long"] + written_off
    assert ledger.short_coins == venue.coins["short"]
    moved = sum(((-1 if f.qty > 0 else 1) * f.value - f.fee for f in fills), Decimal(0))
    assert abs(moved - (venue.cash - cash_before)) <= Decimal("1e-8") * len(fills)
    assert summary.orders == len(driver.of(OrderIntended)) <= LIMITS.orders_max
    (end,) = driver.of(HedgeEnded)
    assert end.caused_by == (0 if driver.spec.kind == "repair" else driver.spec.decision_seq)
    assert (end.process, end.work, end.outcome) == (driver.spec.process, driver.spec.kind, summary.outcome)
    assert (end.reason, end.orders, end.fees) == (summary.why, summary.orders, ledger.fees)
    assert end.unhedged_s == pytest.approx(summary.unhedged_s, abs=1e-6)
    check_causes(driver)
    if abs(ledger.gap) >= driver.spec.pair.lot_units:
        said = {alert.code for alert in driver.alerts}
        assert "unhedged" in said if summary.outcome == "unhedged" else "dust" in said


def check_causes(driver: Driver) -> None:
    """Every event names its cause: an OrderIntended its decision, other events of an order their OrderIntended."""
    intents = {event.client_id: seq for seq, _, event in driver.log if isinstance(event, OrderIntended)}
    for _, _, event in driver.log:
        if isinstance(event, OrderIntended):
            assert event.caused_by == (0 if driver.spec.kind == "repair" else driver.spec.decision_seq)
        elif isinstance(event, OrderAccepted | OrderRejected | OrderUnknown | OrderCancelled | OrderFilled):
            assert event.caused_by == intents[event.client_id] > 0


@pytest.mark.parametrize("kind", ["entry", "exit", "repair"])
@settings(max_examples=100, deadline=None)
@given(rng=seeds)
def test_every_misfortune_ends_with_true_books_and_one_end(kind: str, rng: Random) -> None:
    driver = started(rng, kind).run()

    check(driver)
    assert driver.log[-1][2] == driver.of(HedgeEnded)[-1]
    if "dust" not in {alert.code for alert in driver.alerts}:
        assert driver.process.summary().longest_unhedged_s <= BOUND_S
    assert driver.queries <= 8 * len(driver.orders)


@pytest.mark.parametrize("kind", ["entry", "exit", "repair"])
@settings(max_examples=100, deadline=None)
@given(rng=seeds)
def test_dying_after_any_event_changes_none_of_it(kind: str, rng: Random) -> None:
    driver = started(rng, kind, crashes=True).run()

    check(driver)
    assert Execution.recover(driver.spec, driver.log).state == driver.process.state


@settings(max_examples=60, deadline=None)
@given(rng=seeds)
def test_the_run_s_own_fold_holds_what_the_process_says_and_is_free_to_decide_again(rng: Random) -> None:
    world, fold = World(rng, LIVE), LiveFold(LIVE)
    entry = world.driver("entry", lots=fold.lots, crashes=True).run()
    check(entry)
    compare(fold, entry)
    if not fold.held:
        return

    now = START + DAY
    fold.settle(now, 0.0)
    assert fold.pending != 0
    spot, perp = fold.holding
    leave = world.driver("exit", long_units=spot, short_units=perp, started_at=now + SECOND, decision_seq=9).run()
    compare(fold, leave)
    if leave.process.summary().outcome == "closed":
        assert fold.holding == (0, 0)
        assert fold.state.pair[0]["held"] == 0
    assert abs(fold.cash - world.venue.cash) <= Decimal("1e-8") * len(world.venue.fills())


def compare(fold: LiveFold, driver: Driver) -> None:
    """The log as the fold sees it."""
    assert fold.pending != 0
    for _, known_at, event in driver.log:
        fold.apply(event, known_at)
    ledger = driver.process.state
    assert fold.holding == (ledger.booked("long")[1], -ledger.booked("short")[1])
    assert fold.pending == 0


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["entry", "exit", "repair"])
@pytest.mark.parametrize("thousand", range(5))
def test_thousands_of_misfortunes(kind: str, thousand: int) -> None:
    for seed in range(1000 * thousand, 1000 * (thousand + 1)):
        driver = started(Random(seed), kind, crashes=seed % 2 == 1)
        try:
            check(driver.run())
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
