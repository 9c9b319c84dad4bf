"""Records a venue's market streams: events wait in the conflator, and what is due is committed a few times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.conflation import Conflator, RecordingPolicy
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.watch import FutureGuard
from carryfold.adapters.venues import Market, PairSpec, VenueError
from carryfold.domain.events import ClockTicked, FeedConnected, FeedLost, FundingPredicted, Quoted

__all__ = ["MarketRecorder"]

FULL_WAIT_S: Final = 0.01
"""How long the stream waits before it looks again whether the conflator has room."""

_NS: Final = 1_000_000_000


class MarketRecorder:
    """`follow` pairs, then `listen` and `record` at the same time, for ever."""

    def __init__(
        self,
        market: Market,
        policy: RecordingPolicy,
        clock: DaemonClock,
        metrics: Metrics,
        notices: Notices,
        quotes: QuoteCache,
    ) -> None:
        """`quotes` is updated with every quote, recorded or not."""
        self.conflator = Conflator(policy)
        self._market = market
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._notices = notices
        self._quotes = quotes
        self._recorded_at = 0

    def follow(self, specs: Sequence[PairSpec]) -> None:
        """Record both legs of these pairs together, and keep their quotes per coin."""
        self.conflator.follow(spec.pair for spec in specs)
        self._quotes.follow(listed for spec in specs for listed in (spec.spot, spec.perp))

    async def listen(self, pairs: Sequence[PairSpec], observers: Sequence[Callable[[FundingPredicted], None]]) -> None:
        """Take in the market's stream of these pairs, for ever. `observers` get every prediction. Raises VenueError."""
        async for event in self._market.stream(pairs):
            self._metrics.observed()
            if isinstance(event, Quoted):
                self._quotes.update(event)
            elif isinstance(event, FundingPredicted):
                for observe in observers:
                    observe(event)
            elif isinstance(event, FeedConnected | FeedLost):
                self._on_feed(event)
            self.conflator.offer(event)
            while self.conflator.is_full:
                await asyncio.sleep(FULL_WAIT_S)
        raise VenueError("the market's stream has ended")

    async def record(self, engine: Engine, runs: Sequence[Run]) -> None:
        """Commit what is due, for ever, and a ClockTicked where nothing else shows the runs that time passes. Raises
        LogError."""
        guard = FutureGuard(self._clock, self._notices)
        while True:
            await self._clock.sleep(1.0 / self._policy.commits_a_second)
            hot = set().union(*(run.busy_legs() for run in runs))
            now = self._clock.now()
            events = guard.filter(self.conflator.take(now, hot))
            if not events and now - self._recorded_at >= _tick_after_ns(runs):
                events = [ClockTicked(now)]
            if events:
                await engine.record(events)
                self._recorded_at = now

    def _on_feed(self, event: FeedConnected | FeedLost) -> None:
        self._metrics.feed(event.feed, up=isinstance(event, FeedConnected))
        if isinstance(event, FeedLost):
            self._notices.alert("feed", f"the stream {event.feed} is down: {event.reason}")
        else:
            self._notices.info("feed connected", feed=event.feed)


def _tick_after_ns(runs: Sequence[Run]) -> int:
    """After how long without a commit a ClockTicked is due."""
    if any(run.status().is_waiting for run in runs):
        return _NS
    return min((run.info.parameters.cadence_s for run in runs), default=60) * _NS
