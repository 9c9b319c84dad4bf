"""What the venue lists, while a run goes on: once an hour, and soon after a stream shows another settlement interval.

Announced delistings, new lots and minimums, switched intervals and closings reach the folds as the events they are,
known from now on; new ticks and steps, and books that have closed, reach the orders that begin from now on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from carryfold.adapters.backfill import listing_changes
from carryfold.adapters.backfill.registry import Lister
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.threads import in_thread
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.events import Event, FundingPredicted, InstrumentChanged, InstrumentDelisted

__all__ = ["ListingWatch"]

EVERY_S: Final = 3_600.0
SOONEST_S: Final = 60.0
"""Between two questions: the stream and the listings of a venue may disagree for a while."""

REFUSED_S: Final = 15.0
"""The same after a refused order: new rules may have left a leg alone."""

Record = Callable[[Sequence[Event]], Awaitable[object]]


class ListingWatch:
    """`see` estimates, `run` for ever."""

    def __init__(
        self,
        market: Lister,
        home: Path,
        pairs: Sequence[PairSpec],
        pace: Pace,
        record: Record,
        relisted: Callable[[Sequence[PairSpec]], None],
        notices: Notices,
    ) -> None:
        """`pairs`: those to watch, as listed now. `relisted` is told of them as they are listed, each time."""
        self._market = market
        self._home = home
        self._pairs = {spec.symbol: spec for spec in pairs}
        self._pace = pace
        self._record = record
        self._relisted = relisted
        self._notices = notices
        self._wake = asyncio.Event()
        self._is_refused = False

    def see(self, event: FundingPredicted) -> None:
        """A stream that shows another interval than the listing is a reason to ask."""
        spec = self._pairs.get(event.symbol)
        if spec is not None and event.interval_hours and event.interval_hours != spec.perp.interval_hours:
            self._wake.set()

    def refused(self) -> None:
        """The venue refused an order: its rules may have changed."""
        self._is_refused = True
        self._wake.set()

    async def run(self) -> None:
        """Ask each hour, or sooner."""
        asked_at = self._pace.now()
        while True:
            await self._until(asked_at + round(EVERY_S * 1e9))
            while self._pace.now() < asked_at + round((REFUSED_S if self._is_refused else SOONEST_S) * 1e9):
                await self._pace.sleep(1.0)
            self._wake.clear()
            self._is_refused = False
            asked_at = self._pace.now()
            await self._ask()

    async def _until(self, at: int) -> None:
        """Until it is time, or there is a reason."""
        seconds = max(at - self._pace.now(), 0) / 1e9 / self._pace.speed
        try:
            await asyncio.wait_for(self._wake.wait(), max(seconds, 0.001))
        except TimeoutError:
            return

    async def _ask(self) -> None:
        try:
            specs = [spec for spec in await self._market.pairs() if spec.symbol in self._pairs]
            now = min(await self._market.server_time(), self._pace.now())
        except VenueError as error:
            self._notices.say("listings not told", reason=str(error))
            return
        numbered, events = await in_thread(lambda: listing_changes(self._home, specs, now))
        ours = self._pairs
        same = [spec for spec in numbered if spec.pair == ours[spec.symbol].pair]  # a relisting is another pair
        ours.update({spec.symbol: spec for spec in same})
        self._relisted(same)  # before the folds hear of it: what they decide is carried out by the new rules
        if events:
            await self._record(events)
        for event in events:
            if isinstance(event, InstrumentChanged) and event.delist_at:
                label = event.instrument.label
                self._notices.alert("delisting", f"{label} will be delisted: its pairs are closed where they are held")
            elif isinstance(event, InstrumentDelisted):
                self._notices.alert("delisted", f"{event.instrument.label} has been delisted")
