"""Settled rates are requested until they are published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.settlements import ATTEMPTS_MAX, FIRST_REQUEST_S, SettlementCollector
from carryfold.adapters.venues import LegRules, PairSpec, VenueError
from carryfold.adapters.venues.history import Page, Settlement
from carryfold.domain.events import (
    DataRejected,
    Event,
    FundingPredicted,
    FundingRevised,
    FundingSettled,
    InstrumentListed,
)
from carryfold.domain.instruments import Instrument
from tests.adapters.daemon.world import SECOND, run

HOUR = 3_600 * SECOND
LAUNCH = 1_000_000 * HOUR
ONE = Decimal(1)
PERP = Instrument("v", "AUSDT", "perp")


class ManualTime:
    """A clock that only sleeping advances."""

    def __init__(self, now: int) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)
        await asyncio.sleep(0)


class Story:
    """A venue that publishes settlements late or is down, and the collector that requests them."""

    def __init__(self, *settled_at: int, rates: dict[int, str] | None = None, known: int = 0) -> None:
        self.rows = {at: (rates or {}).get(at, "0.0001") for at in settled_at}
        self.published: dict[int, int] = {}
        self.down: list[tuple[int, int]] = []
        self.asked: list[tuple[int, int, int]] = []
        self.events: list[Event] = []
        self.clock = ManualTime(LAUNCH)
        rules = LegRules(ONE, ONE, ONE, ONE, ONE)
        spot = InstrumentListed("v", "AUSDT", "spot", 1, 0, "A", "USDT", 1.0, 5.0)
        perp = InstrumentListed(*PERP, LAUNCH, "A", "USDT", 1.0, 5.0)
        self.spec = PairSpec(spot, perp, rules, rules)
        self.collector = SettlementCollector(
            self, [self.spec], {PERP: known} if known else {}, self.clock, self.record, Notices(Metrics())  # type: ignore[arg-type]
        )  # fmt: skip

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        now = self.clock.now()
        self.asked.append((now, since_ms, until_ms))
        if any(begin <= now < end for begin, end in self.down):
            raise VenueError("down")
        rows = [
            Settlement(at // 10**6, rate)
            for at, rate in sorted(self.rows.items())
            if since_ms <= at // 10**6 < until_ms and self.published.get(at, at) <= now
        ]
        yield Page(since_ms, until_ms, rows)

    async def record(self, events: Sequence[Event]) -> None:
        self.events += events

    def observe(self, at: int, next_at: int, hours: float = 8.0) -> None:
        self.clock.time = max(self.clock.time, at)
        self.collector.observe(FundingPredicted("v", "AUSDT", 1, at, 1e-4, next_at, hours))

    def live_until(self, at: int) -> None:
        async def work() -> None:
            task = asyncio.ensure_future(self.collector.run())
            while self.clock.now() < at and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        run(work())

    @property
    def settled(self) -> list[int]:
        return [event.event_at for event in self.events if isinstance(event, FundingSettled)]


T1, T2, T3 = LAUNCH + 8 * HOUR, LAUNCH + 16 * HOUR, LAUNCH + 24 * HOUR


def test_a_settlement_is_asked_for_once_a_little_after_it_was_due() -> None:
    story = Story(T1)
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + 2 * SECOND, T2)
    story.live_until(T1 + HOUR)

    assert story.settled == [T1]
    assert len(story.asked) == 1
    assert 0 <= story.asked[0][0] - T1 - FIRST_REQUEST_S * SECOND <= 2 * SECOND


def test_a_settlement_is_recorded_at_its_nominal_time_whatever_the_stamp_says() -> None:
    story = Story(T1 + 3 * SECOND)
    story.observe(T1 - HOUR, T1 + SECOND)
    story.observe(T1 + 2 * SECOND, T2)
    story.live_until(T1 + HOUR)

    assert story.settled == [T1]
    assert len(story.asked) == 1
    told = [event for event in story.events if isinstance(event, FundingRevised)]
    assert [(event.event_at, event.interval_hours) for event in told] == [(T1, 8.0)]


def test_the_interval_that_was_shown_goes_into_the_log_when_it_is_news() -> None:
    """From 8 h to 1 h and back: the history has times and rates only."""
    short = T1 + HOUR
    story = Story(T1, short, short + 8 * HOUR)
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + 2 * SECOND, short, 1.0)
    story.live_until(T1 + 120 * SECOND)
    story.observe(short + 2 * SECOND, short + 8 * HOUR)
    story.live_until(short + 120 * SECOND)
    story.observe(short + 8 * HOUR + 2 * SECOND, short + 16 * HOUR)
    story.live_until(short + 8 * HOUR + 120 * SECOND)

    told = [event for event in story.events if isinstance(event, FundingRevised)]
    assert story.settled == [T1, short, short + 8 * HOUR]
    assert [(event.event_at, event.interval_hours) for event in told] == [
        (T1, 8.0), (short, 1.0), (short + 8 * HOUR, 8.0)
    ]  # fmt: skip
    assert all(event.rate == event.replaces for event in told)
    settled_before = [story.events[story.events.index(event) - 1] for event in told]
    assert [event.event_at for event in settled_before] == [event.event_at for event in told]


def test_the_next_interval_shown_early_is_not_taken_for_the_one_that_ends() -> None:
    story = Story(T1)
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + SECOND // 5, T1, 4.0)  # the interval has changed, the time of the next settlement not yet
    story.observe(T1 + SECOND, T1 + 4 * HOUR, 4.0)
    story.live_until(T1 + 120 * SECOND)

    told = [event for event in story.events if isinstance(event, FundingRevised)]
    assert [(event.event_at, event.interval_hours) for event in told] == [(T1, 8.0)]


def test_a_pair_that_was_just_launched_owes_nothing() -> None:
    story = Story()
    story.observe(LAUNCH + 3 * HOUR, T1)
    story.live_until(LAUNCH + 3 * HOUR + 120 * SECOND)

    assert not story.asked


def test_one_that_fell_due_just_before_the_start_is_asked_for() -> None:
    story = Story(T1)
    story.published[T1] = T1 + 30 * SECOND
    story.observe(T1 + 10 * SECOND, T2)
    story.live_until(T1 + 120 * SECOND)

    assert story.settled == [T1]


def test_one_that_is_published_late_is_asked_for_ever_less_often_until_it_is_there() -> None:
    story = Story(T1)
    story.published[T1] = T1 + 600 * SECOND
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + SECOND, T2)
    story.live_until(T1 + HOUR)

    times = [now for now, _, _ in story.asked]
    pauses = [(after - before) // SECOND for before, after in pairwise(times)]
    assert story.settled == [T1]
    assert pauses[:5] == [5, 10, 20, 40, 60]
    assert len(times) < 20
    assert times[-1] >= story.published[T1]


def test_a_stream_that_is_down_at_the_settlement_does_not_matter() -> None:
    story = Story(T1)
    story.observe(T1 - 2 * HOUR, T1)
    story.live_until(T1 + 60 * SECOND)

    assert story.settled == [T1]


def test_a_venue_that_is_down_across_several_settlements_tells_them_all_when_it_is_back() -> None:
    story = Story(T1, T2)
    story.down = [(T1 - HOUR, T2 + HOUR)]
    story.observe(T1 - 2 * HOUR, T1)
    story.live_until(T1 + 60 * SECOND)
    story.observe(T2 - 60 * SECOND, T2)
    story.live_until(T2 + HOUR + 120 * SECOND)

    assert story.settled == [T1, T2]


def test_what_the_log_has_is_not_asked_for_again_and_gaps_are_filled_at_the_start() -> None:
    story = Story(T1, T2, known=T1)
    story.clock.time = T2 + HOUR
    run(story.collector.fill_gaps())

    assert story.settled == [T2]
    assert story.asked[0][1] == T1 // 10**6 + 1


def test_gaps_that_cannot_be_filled_at_the_start_are_filled_later() -> None:
    story = Story(T1)
    story.clock.time = T1 + HOUR
    story.down = [(0, T1 + HOUR + 30 * SECOND)]
    run(story.collector.fill_gaps())
    assert not story.events
    story.live_until(T1 + HOUR + 120 * SECOND)

    assert story.settled == [T1]


def test_a_relisted_pair_is_not_given_the_settlements_of_the_old_listing() -> None:
    story = Story(LAUNCH - 8 * HOUR, T1)
    story.clock.time = T1 + HOUR
    run(story.collector.fill_gaps())

    assert story.settled == [T1]


def test_an_interval_that_is_switched_to_a_shorter_one_misses_no_settlement() -> None:
    sooner = T1 + HOUR
    story = Story(T1, sooner)
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + SECOND, T2)
    story.live_until(T1 + 60 * SECOND)
    story.observe(T1 + 120 * SECOND, sooner)
    story.live_until(sooner + 60 * SECOND)

    assert story.settled == [T1, sooner]


def test_an_estimate_that_arrives_late_changes_nothing() -> None:
    story = Story(T1, known=T1)
    story.observe(T1 + SECOND, T2)
    story.observe(T1 - HOUR, T1)
    story.live_until(T1 + 120 * SECOND)

    assert not story.asked


def test_a_pair_that_has_closed_is_forgotten() -> None:
    story = Story(T1)
    story.observe(T1 - HOUR, T1)
    story.collector.forget(PERP)
    story.observe(T1 + SECOND, T2)
    story.live_until(T1 + 120 * SECOND)

    assert not story.asked


def test_a_rate_that_cannot_be_is_refused_once() -> None:
    story = Story(T1, rates={T1: "0.9"})
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + SECOND, T2)
    story.live_until(T1 + HOUR)

    assert [type(event) for event in story.events] == [DataRejected]
    assert len(story.asked) == 1


@pytest.mark.parametrize("comes_next", [True, False])
def test_one_that_never_comes_is_given_up_and_the_next_is_not(comes_next: bool) -> None:
    story = Story(*([T2] if comes_next else []))
    story.observe(T1 - HOUR, T1)
    story.observe(T1 + SECOND, T2)
    story.live_until(T2 - 60 * SECOND)
    given_up = len(story.asked)
    story.live_until(T2 + 120 * SECOND)

    assert given_up == ATTEMPTS_MAX + 1
    assert len(story.asked) > given_up
    assert story.settled == ([T2] if comes_next else [])


def test_an_error_of_the_log_ends_the_collector() -> None:
    story = Story(T1)

    async def fail(events: Any) -> None:
        raise RuntimeError("no room")

    story.collector._record = fail
    story.observe(T1 - HOUR, T1)
    story.clock.time = T1 + 60 * SECOND
    with pytest.raises(RuntimeError, match="no room"):
        run(story.collector.run())
