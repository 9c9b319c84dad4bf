"""A backfill of several pairs at once into one log, and its report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from carryfold.adapters.backfill.pair import SETTLED, BackfillRequest, PairBackfill
from carryfold.adapters.marketdata.entries import NS_PER_MS, AssumedListings
from carryfold.adapters.marketdata.listings import record_listings
from carryfold.adapters.marketdata.writer import Writer
from carryfold.adapters.venues import History, PairSpec, VenueError, VenueFacts
from carryfold.domain.availability import Availability, stored_availability
from carryfold.eventlog import EventLog
from carryfold.projections.cursor import format_time
from carryfold.projections.pair_choices import record_pair_choice

__all__ = ["BackfillReport", "PairReport", "Progress", "run_backfill"]

PAIRS_AT_ONCE: Final = 8
CLOCK_MARGIN_MS: Final = 2_000
"""The latest history is left for the next backfill: the clocks of venue and log may differ a little."""

HOUR_MS: Final = 3_600_000

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class PairReport(msgspec.Struct, frozen=True):
    """What the log has of one pair after a backfill, and what this one added. `settlements` and `bars` count all rows
    that the venue has given. `odd_spacings` counts neighbouring settlements whose distance is none of the venue's
    intervals, although the venue was asked again. `refused`: the kinds that the venue refused, in its own words."""

    symbol: str
    listing: int
    status: str
    settlements: int
    bars: int
    appended: int
    duplicates: int
    conflicts: int
    rejected: int
    first_settled_at: str | None
    last_settled_at: str | None
    intervals: dict[str, int]
    odd_spacings: int
    refused: list[str]


class BackfillReport(msgspec.Struct, frozen=True):
    """What became of a backfill."""

    since: str
    until: str
    listings_appended: int
    pairs: list[PairReport]

    @property
    def appended(self) -> int:
        """Events that are new in the log."""
        return self.listings_appended + sum(pair.appended for pair in self.pairs)


async def run_backfill(
    log: EventLog,
    history: History,
    facts: VenueFacts,
    pairs: Sequence[PairSpec],
    request: BackfillRequest,
    now_ns: int,
    *,
    choice: str = "",
    progress: Progress | None = None,
    availability: Availability | None = None,
) -> BackfillReport:
    """Bring the history of `pairs` into `log`; `now_ns` is the venue's clock. `choice` says how the pairs were chosen
    (`top:20`) and is recorded in the log's metadata; empty: they were not chosen from what the venue lists today.
    Raises VenueError when the venue cannot be asked any more; what was appended is kept, and the next backfill goes on
    from there."""
    rule = stored_availability(log) or availability or Availability()
    request = _knowable(request, rule, min(now_ns, log.clock.now()))
    if choice:
        for venue in sorted({spec.perp.venue for spec in pairs}):
            record_pair_choice(log, venue, choice, now_ns)
    listings = record_listings(log, pairs, now_ns, as_history=True)
    writer = Writer(log, rule, AssumedListings(), None)
    meter = _ProgressMeter(progress)
    parts = [PairBackfill(log, history, facts, writer, spec, request, rule, meter.advance) for spec in listings.pairs]
    meter.begin(sum(part.missing_ms for part in parts))
    try:
        await _all_of([part.run for part in parts], PAIRS_AT_ONCE)
        builders = [builder for part in parts for builder in part.builders.values()]
        writer.write_rejections(builders, log.clock.now())
    finally:
        writer.close()
    since, until = (format_time(at * NS_PER_MS) for at in (request.since_ms, request.until_ms))
    return BackfillReport(since, until, listings.appended, [_report(part, facts) for part in parts])


def _knowable(request: BackfillRequest, rule: Availability, now_ns: int) -> BackfillRequest:
    """The request cut to history of which every kind is known by now. Raises VenueError where nothing is left."""
    delay = max(rule.bar_delay_ns, rule.settlement_delay_ns)
    until = min(request.until_ms, (now_ns - delay) // NS_PER_MS - CLOCK_MARGIN_MS)
    if until <= request.since_ms:
        raise VenueError(f"--since {format_time(request.since_ms * NS_PER_MS)} is not before the end of what is known")
    return request._replace(until_ms=until)


async def _all_of(jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]], at_once: int) -> None:
    """Run all jobs, at most `at_once` at a time. The first error cancels the others and is raised."""
    room = asyncio.Semaphore(at_once)

    async def one(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with room:
            await job()

    tasks = [asyncio.ensure_future(one(job)) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _ProgressMeter:
    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        self._total = 0

    def begin(self, total: int) -> None:
        self._total = max(total, 1)
        self.advance(0)

    def advance(self, done: int) -> None:
        self._done += done
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _report(part: PairBackfill, facts: VenueFacts) -> PairReport:
    spec, coverage = part.spec, part.coverage
    found = [builder.report for builder in part.builders.values()]
    settled = part.settled_ms()
    hours = [(later - earlier) / HOUR_MS for earlier, later in pairwise(settled)]
    usual = [spacing for spacing in hours if spacing in facts.intervals_hours]
    return PairReport(
        symbol=spec.symbol,
        listing=spec.perp.listing,
        status=spec.status,
        settlements=coverage.of(SETTLED).rows,
        bars=coverage.of(part.bars_name).rows,
        appended=sum(one.appended for one in found),
        duplicates=sum(one.duplicates for one in found),
        conflicts=sum(one.conflicts for one in found),
        rejected=sum(one.rejected for one in found),
        first_settled_at=format_time(settled[0] * NS_PER_MS) if settled else None,
        last_settled_at=format_time(settled[-1] * NS_PER_MS) if settled else None,
        intervals={f"{length:g}": usual.count(length) for length in sorted(set(usual))},
        odd_spacings=len(hours) - len(usual),
        refused=coverage.refusals(),
    )
