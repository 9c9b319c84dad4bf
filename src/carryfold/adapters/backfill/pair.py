"""The history of one pair into the log: settlements, bars and, on request, estimates of the rate.

Newest first, page by page: a page is appended, then its span is noted as fetched (coverage.py). Nothing is asked for
that the availability rule has not made known by now, so no known_at is clamped to the commit. What a backfill writes
therefore depends on the venue's data and the spans requested, never on when it ran or in how many parts.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from carryfold.adapters.backfill.coverage import Coverage, Span
from carryfold.adapters.backfill.entries import bar_entries, predicted_entries, settled_entries
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE, NS_PER_MS, LogEntry, log_entry
from carryfold.adapters.marketdata.listings import assumed_spot, spot_leg
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.adapters.marketdata.writer import Writer
from carryfold.adapters.venues import Candle, History, NotServed, Page, PairSpec, Settlement, VenueFacts
from carryfold.domain.availability import Availability
from carryfold.domain.codec import event_key
from carryfold.domain.events import FundingSettled
from carryfold.domain.instruments import Instrument
from carryfold.eventlog import EventLog, LogReader

__all__ = ["BackfillRequest", "PairBackfill"]

SETTLED: Final = "settled"


class BackfillRequest(NamedTuple):
    """Which history to fetch. Times in ms; `bar_minutes` 0: no bars; `predicted_minutes` 0: no estimates."""

    since_ms: int
    until_ms: int
    bar_minutes: int = 60
    predicted_minutes: int = 0


class PairBackfill:
    """The backfill of one pair. `advance` is called with the milliseconds of history that a page covered."""

    def __init__(
        self,
        log: EventLog,
        history: History,
        facts: VenueFacts,
        writer: Writer,
        spec: PairSpec,
        request: BackfillRequest,
        rule: Availability,
        advance: Callable[[int], None],
    ) -> None:
        self.spec = spec
        self.builders: dict[str, ReportBuilder] = {}
        self.coverage = Coverage(log, spec.perp.instrument)
        self._log = log
        self._history = history
        self._facts = facts
        self._writer = writer
        self._request = request
        self._rule = rule
        self._advance = advance
        self._has_spot = not spec.spot.instrument.is_assumed

    @property
    def missing_ms(self) -> int:
        """How much history has not been fetched yet, in ms over all kinds."""
        found = [span for kind in self._spans() for span in self._missing(kind)]
        if self._request.predicted_minutes:  # their bounds are settlements, which are not known yet
            found += self.coverage.missing(self._predicted_name, self._spans()[SETTLED])
        return sum(until - since for since, until in found)

    async def run(self) -> None:
        """Fetch and append what is missing. Raises VenueError; pages that were appended are kept."""
        await self._fill(SETTLED, self._settlements)
        if self._request.bar_minutes:
            await self._fill(self.bars_name, self._bars)
        if self._request.predicted_minutes:
            await self._fill_predicted()

    @property
    def bars_name(self) -> str:
        """The name under which bars are counted."""
        return f"bars:{self._request.bar_minutes}"

    def settled_ms(self) -> list[int]:
        """Times of the perpetual's settlements in the log, ascending."""
        perp = self.spec.perp
        key = event_key(FundingSettled(perp.venue, perp.symbol, perp.listing, 0, 0.0))
        assert key is not None
        with LogReader.open(self._log.home) as reader:
            return [int.from_bytes(found[-8:], "big") // NS_PER_MS for found, _ in reader.iter_keys(key[:-8])]

    @property
    def _predicted_name(self) -> str:
        return f"predicted:{self._request.predicted_minutes}"

    def _spans(self) -> dict[str, Span]:
        """The span of each kind, cut to the perpetual's life."""
        since = max(self._request.since_ms, self.spec.perp.event_at // NS_PER_MS)
        until = self._request.until_ms
        if self.spec.status == "Closed":
            until = min(until, self.spec.delist_at // NS_PER_MS + 1)
        spans = {SETTLED: (since, until)}
        step = self._request.bar_minutes * MS_PER_MINUTE
        if step:  # bars that began before the listing or last beyond the end are left out
            spans[self.bars_name] = (-(-since // step) * step, until // step * step)
        return spans

    def _missing(self, kind: str) -> list[Span]:
        return self.coverage.missing(kind, self._spans()[kind])

    def _builder(self, kind: str) -> ReportBuilder:
        name = f"{self.spec.perp.venue} {self.spec.symbol}"
        return self.builders.setdefault(kind, ReportBuilder(f"{name} {kind}", kind))

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
        builder = self._builder(SETTLED)
        async for page in self._history.settlements(self.spec.perp.instrument, *span):
            self._writer.write(settled_entries(self.spec, page.rows, self._rule, builder), builder)
            newest_ms = page.rows[-1].at_ms + 1 if page.rows else page.since_ms
            self.coverage.add(SETTLED, self._fetched(SETTLED, page, newest_ms), len(page.rows))
            yield page.since_ms, page.until_ms

    async def _bars(self, span: Span) -> AsyncIterator[Span]:
        builder = self._builder(self.bars_name)
        perp, minutes = self.spec.perp.instrument, self._request.bar_minutes
        columns = (
            self._history.candles(perp, "trade", minutes, *span),
            self._or_nothing(spot_leg(self.spec), span),
            self._history.candles(perp, "mark", minutes, *span),
        )
        while True:
            perp_page, spot_page, mark_page = await _next_of_each(columns)
            if perp_page is None:
                return
            spots = spot_page.rows if spot_page is not None else []
            marks = mark_page.rows if mark_page is not None else []
            if not self._has_spot and spots:
                self._has_spot = True
                self._log.append([log_entry(assumed_spot(self.spec), 0)])
            entries = bar_entries(self.spec, minutes, perp_page.rows, spots, marks, self._rule, builder)
            self._writer.write(entries, builder)
            rows = perp_page.rows
            newest_ms = rows[-1].open_ms + minutes * MS_PER_MINUTE if rows else perp_page.since_ms
            self.coverage.add(self.bars_name, self._fetched(self.bars_name, perp_page, newest_ms), len(rows))
            yield perp_page.since_ms, perp_page.until_ms

    def _fetched(self, kind: str, page: Page[Settlement] | Page[Candle], newest_ms: int) -> Span:
        """The span of a page that need not be fetched again. The newest page counts only up to its newest row, because
        no venue documents how soon it publishes one."""
        is_newest = page.until_ms == self._spans()[kind][1] and self.spec.status != "Closed"
        return page.since_ms, newest_ms if is_newest else page.until_ms

    async def _or_nothing(self, spot: Instrument, span: Span) -> AsyncIterator[Page[Candle]]:
        """The spot leg's candles; none where the venue no longer knows the instrument."""
        try:
            async for page in self._history.candles(spot, "trade", self._request.bar_minutes, *span):
                yield page
        except NotServed as refused:
            self.coverage.refuse(f"spot {self.bars_name}", str(refused))

    async def _fill_predicted(self) -> None:
        """Between settlements that are in the log: their spacing is the interval."""
        settled = self.settled_ms()
        if len(settled) < 2:
            return
        kind = self._predicted_name
        whole = max(settled[0], self._request.since_ms), min(settled[-1], self._request.until_ms)
        for since, until in self.coverage.missing(kind, whole):
            # From settlement to settlement: an interval is computed as a whole.
            first = settled[max(bisect_left(settled, since + 1) - 1, 0)]
            last = settled[bisect_left(settled, until)]
            try:
                await self._predict(settled, (first, last))
            except NotServed as refused:
                self.coverage.refuse(kind, str(refused))

    async def _predict(self, settled: Sequence[int], span: Span) -> None:
        builder, kind = self._builder(self._predicted_name), self._predicted_name
        pending: list[Candle] = []  # minutes of an interval whose beginning is on an older page
        done = span[1]
        async for page in self._history.candles(self.spec.perp.instrument, "premium", 1, *_whole_minutes(span)):
            pending = [*page.rows, *pending]
            known, rows = done, 0
            entries: list[LogEntry] = []
            while done > span[0] and (start := settled[bisect_left(settled, done) - 1]) >= page.since_ms:
                cut = bisect_left(pending, start, key=lambda candle: candle.open_ms)
                inside, pending = pending[cut:], pending[:cut]
                if (done - start) in self._facts.intervals_ms:
                    every, formula = self._request.predicted_minutes, self._facts.funding
                    entries += predicted_entries(self.spec, formula, start, done, inside, every, self._rule, builder)
                rows += len(inside)
                done = start
            if done < known:
                self._writer.write(entries, builder)
                self.coverage.add(kind, (done, known), rows)
                self._advance(known - done)


async def _next_of_each(columns: Sequence[AsyncIterator[Page[Candle]]]) -> list[Page[Candle] | None]:
    """The next page of each, None of one that has ended. All requests end before an error is raised: an iterator must
    not be abandoned while its request is under way."""
    pages = await asyncio.gather(*(anext(column, None) for column in columns), return_exceptions=True)
    found: list[Page[Candle] | None] = []
    for page in pages:
        if isinstance(page, BaseException):
            raise page
        found.append(page)
    return found


def _whole_minutes(span: Span) -> Span:
    return span[0] // MS_PER_MINUTE * MS_PER_MINUTE, -(-span[1] // MS_PER_MINUTE) * MS_PER_MINUTE
