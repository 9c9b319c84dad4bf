"""A backfill: which pairs, several of them at once, into one log, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final

import msgspec

from carryfold.adapters.backfill.pair import HOUR_MS, SETTLED, PairBackfill, Wanted
from carryfold.adapters.backfill.registry import record_listings
from carryfold.adapters.backfill.source import History
from carryfold.adapters.importing.availability import META_NAME, Availability
from carryfold.adapters.importing.call import NS_PER_MS, Instruments
from carryfold.adapters.importing.writer import Writer
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.eventlog import EventLog
from carryfold.projections.cursor import format_time

__all__ = ["BackfillReport", "PairReport", "choose_pairs", "run_backfill"]

PAIRS_AT_ONCE: Final = 8
CLOCK_MARGIN_MS: Final = 2_000
"""What has only just become known is left for the next time: the clocks of venue and log may differ a little."""

Progress = Callable[[int, int], None]
"""Told (done, of how much)."""


class PairReport(msgspec.Struct, frozen=True):
    """What the log has of one pair after a backfill, and what this one added. `settlements` and `bars` count rows that
    the venue ever gave for the spans asked for; `odd_spacings` are neighbouring settlements with another spacing than
    1, 2, 4 or 8 hours, which the venue confirmed when it was asked again; `refused` is what it would not tell."""

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


def choose_pairs(
    text: str, pairs: Sequence[PairSpec], turnover: Mapping[str, float], why_not: Callable[[str], str] = lambda _: ""
) -> list[PairSpec]:
    """The pairs of `top:N` (by the perpetual's turnover of the last day), `all` (closed ones too) or `A,B,...`.
    `why_not` knows why a perpetual is no pair. Raises VenueError for a symbol that is none."""
    if text == "all":
        return list(pairs)
    if text.startswith("top:"):
        number = text.removeprefix("top:")
        if not number.isdecimal() or int(number) == 0:
            raise VenueError(f"--pairs {text}: write top:20, all, or symbols with commas between them")
        alive = [pair for pair in pairs if pair.status == "Trading"]
        alive.sort(key=lambda pair: (-turnover.get(pair.symbol, 0.0), pair.symbol))
        return alive[: int(number)]
    wanted = list(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))
    known = {pair.symbol for pair in pairs}
    for name in wanted:
        if name not in known:
            if reason := why_not(name):
                raise VenueError(f"{name} is not traded here: it {reason}")
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise VenueError(f"bybit has no pair {name} with a spot and a perpetual leg{hint}")
    if not wanted:
        raise VenueError("--pairs names no symbol: write top:20, all, or symbols with commas between them")
    return [pair for pair in pairs if pair.symbol in wanted]


async def run_backfill(
    log: EventLog,
    history: History,
    pairs: Sequence[PairSpec],
    wanted: Wanted,
    now_ns: int,
    *,
    progress: Progress | None = None,
    availability: Availability | None = None,
) -> BackfillReport:
    """Bring the history of `pairs` into `log`; `now_ns` is the venue's clock. Raises VenueError when the venue cannot
    be asked any more; what came until then is kept, and the next run goes on from there."""
    rule = _rule_of(log, availability or Availability())
    wanted = _knowable(wanted, rule, min(now_ns, log.clock.now()))
    listings = record_listings(log, pairs, now_ns, as_history=True)
    writer = Writer(log, rule, Instruments(), None)
    meter = _Meter(progress)
    parts = [PairBackfill(log, history, writer, spec, wanted, rule, meter.advance) for spec in listings.pairs]
    meter.begin(sum(part.todo_ms for part in parts))
    try:
        await _all_of([part.run for part in parts], PAIRS_AT_ONCE)
        tallies = [tally for part in parts for tally in part.tallies.values()]
        writer.write_rejections(tallies, log.clock.now())
    finally:
        writer.close()
    since, until = (format_time(at * NS_PER_MS) for at in (wanted.since_ms, wanted.until_ms))
    return BackfillReport(since, until, listings.appended, [_report(part) for part in parts])


def _rule_of(log: EventLog, usual: Availability) -> Availability:
    """The log's rule; a log without one gets the usual one with the first page."""
    stored = log.get_meta(META_NAME)
    return usual if stored is None else msgspec.json.decode(stored, type=Availability)


def _knowable(wanted: Wanted, rule: Availability, now_ns: int) -> Wanted:
    """Cut to what every kind of history had made known a moment ago. Raises VenueError where nothing is left."""
    delay = max(rule.bar_delay_ns, rule.settlement_delay_ns)
    until = min(wanted.until_ms, (now_ns - delay) // NS_PER_MS - CLOCK_MARGIN_MS)
    if until <= wanted.since_ms:
        raise VenueError(f"--since {format_time(wanted.since_ms * NS_PER_MS)} is not before the end of what is known")
    return wanted._replace(until_ms=until)


async def _all_of(jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]], at_once: int) -> None:
    """Run all jobs, so many at a time; the first error ends them all and is raised."""
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


class _Meter:
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


def _report(part: PairBackfill) -> PairReport:
    spec, coverage = part.spec, part.coverage
    found = [tally.report for tally in part.tallies.values()]
    settled = part.settled_ms()
    hours = [(later - earlier) / HOUR_MS for earlier, later in pairwise(settled)]
    usual = [spacing for spacing in hours if spacing in (1, 2, 4, 8)]
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
