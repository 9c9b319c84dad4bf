"""The history of one pair into the log: settlements, bars, and estimates of the rate on request.

Newest first, page by page: a page is appended, then its span is noted as asked for (coverage.py). Only what its
availability rule makes known by now is asked for, so that no known_at is ever clamped to the commit: what a backfill
writes depends on the venue's data and the spans asked for, never on when or in how many goes it ran.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from carryfold.adapters.backfill.coverage import Coverage, Span
from carryfold.adapters.backfill.entries import (
    MS_PER_MINUTE,
    bar_entries,
    predicted_entries,
    settled_entries,
    spot_entry,
    spot_leg,
)
from carryfold.adapters.backfill.source import Candle, CandleKind, History, NotServed, Page, Settlement
from carryfold.adapters.importing.availability import Availability
from carryfold.adapters.importing.call import NS_PER_MS, LogEntry
from carryfold.adapters.importing.report import Tally
from carryfold.adapters.importing.writer import Writer
from carryfold.adapters.venue import PairSpec
from carryfold.domain.codec import event_key
from carryfold.domain.events import FundingSettled
from carryfold.eventlog import EventLog, LogReader

__all__ = ["PairBackfill", "Wanted"]

HOUR_MS: Final = 3_600_000
INTERVALS_MS: Final = frozenset(hours * HOUR_MS for hours in (1, 2, 4, 8))
SETTLED: Final = "settled"


class Wanted(NamedTuple):
    """What a backfill is about. Times in ms; `bar_minutes` 0: no bars; `predicted_minutes` 0: no estimates."""

    since_ms: int
    until_ms: int
    bar_minutes: int = 60
    predicted_minutes: int = 0


class PairBackfill:
    """One pair's backfill. `advance` is told the milliseconds of history that a page covered."""

    def __init__(
        self,
        log: EventLog,
        history: History,
        writer: Writer,
        spec: PairSpec,
        wanted: Wanted,
        rule: Availability,
        advance: Callable[[int], None],
    ) -> None:
        self.spec = spec
        self.tallies: dict[str, Tally] = {}
        self.coverage = Coverage(log, spec.perp.venue, spec.symbol, spec.perp.listing)
        self._log = log
        self._history = history
        self._writer = writer
        self._wanted = wanted
        self._rule = rule
        self._advance = advance
        self._has_spot = not spec.spot.instrument.is_assumed

    @property
    def todo_ms(self) -> int:
        """How much history has not been asked for, in ms over all kinds."""
        found = [span for kind in self._spans() for span in self._missing(kind)]
        if self._wanted.predicted_minutes:  # settlements bound them more narrowly, but are not known yet
            found += self.coverage.missing(self._predicted_name, self._spans()[SETTLED])
        return sum(until - since for since, until in found)

    async def run(self) -> None:
        """Fetch and append what is missing. Raises VenueError; what came until then is kept."""
        await self._fill(SETTLED, self._settlements)
        if self._wanted.bar_minutes:
            await self._fill(self.bars_name, self._bars)
        if self._wanted.predicted_minutes:
            await self._fill_predicted()

    @property
    def bars_name(self) -> str:
        return f"bars:{self._wanted.bar_minutes}"

    @property
    def _predicted_name(self) -> str:
        return f"predicted:{self._wanted.predicted_minutes}"

    def _spans(self) -> dict[str, Span]:
        """What is wanted of each kind, cut to the perpetual's life and to what is known by now."""
        since = max(self._wanted.since_ms, self.spec.perp.event_at // NS_PER_MS)
        until = self._wanted.until_ms
        if self.spec.status == "Closed":
            until = min(until, self.spec.delist_at // NS_PER_MS + 1)
        spans = {SETTLED: (since, until)}
        step = self._wanted.bar_minutes * MS_PER_MINUTE
        if step:  # a bar that began before the listing or lasts beyond the end is none of ours
            spans[self.bars_name] = (-(-since // step) * step, until // step * step)
        return spans

    def _missing(self, kind: str) -> list[Span]:
        return self.coverage.missing(kind, self._spans()[kind])

    def _tally(self, kind: str) -> Tally:
        name = f"{self.spec.perp.venue} {self.spec.symbol}"
        return self.tallies.setdefault(kind, Tally(f"{name} {kind}", kind))

    async def _fill(self, kind: str, fetch: Callable[[Span], AsyncIterator[Span]]) -> None:
        for span in self._missing(kind):
            try:
                async with aclosing(fetch(span)) as pages:  # type: ignore[type-var]
                    async for since, until in pages:
                        self._advance(until - since)
            except NotServed as refused:
                self.coverage.refuse(kind, str(refused))
                self._advance(span[1] - span[0])

    async def _settlements(self, span: Span) -> AsyncIterator[Span]:
        tally = self._tally(SETTLED)
        async for page in self._history.settlements(self.spec.symbol, *span):
            self._writer.write(settled_entries(self.spec, page.rows, self._rule, tally), tally)
            seen = page.rows[-1].at_ms + 1 if page.rows else page.since_ms
            self.coverage.add(SETTLED, self._asked(SETTLED, page, seen), len(page.rows))
            yield page.since_ms, page.until_ms

    async def _bars(self, span: Span) -> AsyncIterator[Span]:
        tally = self._tally(self.bars_name)
        symbol, minutes = self.spec.symbol, self._wanted.bar_minutes
        legs = (
            self._history.candles("perp", symbol, minutes, *span),
            self._or_nothing("spot", spot_leg(self.spec).symbol, span),
            self._history.candles("mark", symbol, minutes, *span),
        )
        while True:
            perp, spot, mark = await _next_of_each(legs)
            if perp is None:
                return
            spots = spot.rows if spot is not None else []
            marks = mark.rows if mark is not None else []
            if not self._has_spot and spots:
                self._has_spot = True
                self._log.append([spot_entry(self.spec)])
            entries = bar_entries(self.spec, minutes, perp.rows, spots, marks, self._rule, tally)
            self._writer.write(entries, tally)
            seen = perp.rows[-1].open_ms + minutes * MS_PER_MINUTE if perp.rows else perp.since_ms
            self.coverage.add(self.bars_name, self._asked(self.bars_name, perp, seen), len(perp.rows))
            yield perp.since_ms, perp.until_ms

    def _asked(self, kind: str, page: Page[Settlement] | Page[Candle], seen: int) -> Span:
        """The span of a page that need not be asked for again. At the end of what is wanted that is only up to the
        newest row, because nobody says how long the venue takes to publish one."""
        newest = page.until_ms == self._spans()[kind][1] and self.spec.status != "Closed"
        return page.since_ms, seen if newest else page.until_ms

    async def _or_nothing(self, kind: CandleKind, symbol: str, span: Span) -> AsyncIterator[Page[Candle]]:
        """The spot leg's candles; none where the venue no longer knows the instrument."""
        try:
            async for page in self._history.candles(kind, symbol, self._wanted.bar_minutes, *span):
                yield page
        except NotServed as refused:
            self.coverage.refuse(f"{kind} {self.bars_name}", str(refused))

    async def _fill_predicted(self) -> None:
        """Between settlements that are in the log: their spacing is the interval."""
        settled = self.settled_ms()
        if len(settled) < 2:
            return
        kind = self._predicted_name
        whole = max(settled[0], self._wanted.since_ms), min(settled[-1], self._wanted.until_ms)
        for since, until in self.coverage.missing(kind, whole):
            # From settlement to settlement: an interval is computed as a whole.
            first = settled[max(bisect_left(settled, since + 1) - 1, 0)]
            last = settled[bisect_left(settled, until)]
            try:
                await self._predict(settled, (first, last))
            except NotServed as refused:
                self.coverage.refuse(kind, str(refused))

    async def _predict(self, settled: Sequence[int], span: Span) -> None:
        tally, kind = self._tally(self._predicted_name), self._predicted_name
        waiting: list[Candle] = []  # minutes of an interval whose beginning is on an older page
        done = span[1]
        async for page in self._history.candles("premium", self.spec.symbol, 1, *_whole_minutes(span)):
            waiting = [*page.rows, *waiting]
            known, rows = done, 0
            entries: list[LogEntry] = []
            while done > span[0] and (start := settled[bisect_left(settled, done) - 1]) >= page.since_ms:
                cut = bisect_left(waiting, start, key=lambda candle: candle.open_ms)
                inside, waiting = waiting[cut:], waiting[:cut]
                if (done - start) in INTERVALS_MS:
                    every = self._wanted.predicted_minutes
                    entries += predicted_entries(self.spec, start, done, inside, every, self._rule, tally)
                rows += len(inside)
                done = start
            if done < known:
                self._writer.write(entries, tally)
                self.coverage.add(kind, (done, known), rows)
                self._advance(known - done)

    def settled_ms(self) -> list[int]:
        """Times of the perpetual's settlements in the log."""
        perp = self.spec.perp
        key = event_key(FundingSettled(perp.venue, perp.symbol, perp.listing, 0, 0.0))
        assert key is not None
        with LogReader.open(self._log.home) as reader:
            return [int.from_bytes(found[-8:], "big") // NS_PER_MS for found, _ in reader.iter_keys(key[:-8])]


async def _next_of_each(legs: Sequence[AsyncIterator[Page[Candle]]]) -> list[Page[Candle] | None]:
    """The next page of each, None of one that has ended. Waits for all of them before it raises: an iterator may not be
    given up while it is asking."""
    pages = await asyncio.gather(*(anext(leg, None) for leg in legs), return_exceptions=True)
    found: list[Page[Candle] | None] = []
    for page in pages:
        if isinstance(page, BaseException):
            raise page
        found.append(page)
    return found


def _whole_minutes(span: Span) -> Span:
    return span[0] // MS_PER_MINUTE * MS_PER_MINUTE, -(-span[1] // MS_PER_MINUTE) * MS_PER_MINUTE
