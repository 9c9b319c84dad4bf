"""Follows the venue's listings: every hour, and soon after a stream shows another settlement interval.

Announced delistings, new lots and minimums, changed intervals and closings reach the folds as events known from now on.
New ticks and steps, and closed markets, reach the processes that begin from now on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.tasks import in_thread
from carryfold.adapters.marketdata.listings import listing_changes
from carryfold.adapters.venues import Market, PairSpec, VenueError
from carryfold.domain.events import Event, FundingPredicted, InstrumentChanged, InstrumentDelisted

__all__ = ["ListingWatch"]

EVERY_S: Final = 3_600.0
SOONEST_S: Final = 60.0
"""The least time between two requests, because the stream and the listings of a venue may disagree for a while."""

AFTER_REJECTION_S: Final = 15.0
"""The same after a rejected order, because new rules may have left a leg alone."""

Record = Callable[[Sequence[Event]], Awaitable[object]]


class ListingWatch:
    """`run` it for ever; `observe` the stream's predictions."""

    def __init__(
        self,
        market: Market,
        home: Path,
        pairs: Sequence[PairSpec],
        clock: DaemonClock,
        record: Record,
        relisted: Callable[[Sequence[PairSpec]], None],
        notices: Notices,
    ) -> None:
        """`pairs`: those to follow, as listed now. `relisted` is called with them as they are listed, each time."""
        self._market = market
        self._home = home
        self._pairs = {spec.symbol: spec for spec in pairs}
        self._clock = clock
        self._record = record
        self._relisted = relisted
        self._notices = notices
        self._wake = asyncio.Event()
        self._was_rejected = False

    def observe(self, event: FundingPredicted) -> None:
        """Request the listings if the stream shows another settlement interval."""
        spec = self._pairs.get(event.symbol)
        if spec is not None and event.interval_hours and event.interval_hours != spec.perp.interval_hours:
            self._wake.set()

    def order_rejected(self) -> None:
        """Request the listings, because the rules may have changed."""
        self._was_rejected = True
        self._wake.set()

    async def run(self) -> None:
        """Request the listings every hour, or sooner."""
        requested_at = self._clock.now()
        while True:
            await self._until(requested_at + round(EVERY_S * 1e9))
            while self._clock.now() < requested_at + round(
                (AFTER_REJECTION_S if self._was_rejected else SOONEST_S) * 1e9
            ):
                await self._clock.sleep(1.0)
            self._wake.clear()
            self._was_rejected = False
            requested_at = self._clock.now()
            await self._request()

    async def _until(self, at: int) -> None:
        """Until it is time, or a request is due sooner."""
        seconds = max(at - self._clock.now(), 0) / 1e9 / self._clock.speed
        try:
            await asyncio.wait_for(self._wake.wait(), max(seconds, 0.001))
        except TimeoutError:
            return

    async def _request(self) -> None:
        try:
            specs = [spec for spec in await self._market.pairs() if spec.symbol in self._pairs]
            now = min(await self._market.server_time(), self._clock.now())
        except VenueError as error:
            self._notices.info("listings not fetched", reason=str(error))
            return
        numbered, events = await in_thread(lambda: listing_changes(self._home, specs, now))
        ours = self._pairs
        same = [spec for spec in numbered if spec.pair == ours[spec.symbol].pair]  # a relisting makes another pair
        ours.update({spec.symbol: spec for spec in same})
        self._relisted(same)  # before the folds see it: their decisions are carried out by the new rules
        if events:
            await self._record(events)
        for event in events:
            if isinstance(event, InstrumentChanged) and event.delist_at:
                label = event.instrument.label
                self._notices.alert("delisting", f"{label} will be delisted: its pairs are closed where they are held")
            elif isinstance(event, InstrumentDelisted):
                self._notices.alert("delisted", f"{event.instrument.label} has been delisted")
