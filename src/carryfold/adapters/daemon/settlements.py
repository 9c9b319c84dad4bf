"""Fetches settled rates from the venue's history; its stream has the predictions only.

Each perpetual is requested soon after its settlement, then ever less often until the row is published, which may be
late. A request reaches back to the last settlement in the log, so that the next answer includes whatever was missed.

The history does not have the interval of a rate, and a longer spacing may be a missing row. The predictions before the
settlement have it. It goes into the log beside the settlement, as a FundingRevised of the same rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.venues import History, PairSpec, VenueError
from carryfold.domain.events import DataRejected, Event, FundingPredicted, FundingRevised, FundingSettled
from carryfold.domain.instruments import Instrument, nominal_settlement

__all__ = ["SettlementCollector"]

FIRST_REQUEST_S: Final = 20.0
PAUSES_S: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
ATTEMPTS_MAX: Final = 360
"""About six hours. After that the perpetual has closed, or the next settlement's request includes this one."""

REQUESTS_AT_ONCE: Final = 8
REACH_BACK_NS: Final = 30 * 86_400 * 10**9
_HOURS_KEPT: Final = 48
_NS: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000

Record = Callable[[Sequence[Event]], Awaitable[object]]


class _Schedule:
    """The settlements of one perpetual. Times in UTC ns, 0: none. `next_at`: the next settlement; `owed_at`: the last
    one that fell due; `request_at`: when the next request is due; `hours`: the predicted interval of each of the last
    settlements, by time; `logged_hours`: the interval in the log."""

    __slots__ = (
        "attempts",
        "hours",
        "logged_hours",
        "next_at",
        "observed_at",
        "owed_at",
        "request_at",
        "settled_at",
        "spec",
    )

    def __init__(self, spec: PairSpec, settled_at: int) -> None:
        self.spec = spec
        self.settled_at = settled_at
        self.observed_at = 0
        self.next_at = 0
        self.owed_at = 0
        self.request_at = 0
        self.attempts = 0
        self.hours: dict[int, float] = {}
        self.logged_hours = 0.0

    def owe(self, at: int) -> None:
        """A settlement at this time has fallen due."""
        if at > max(self.owed_at, self.settled_at):
            self.owed_at, self.attempts = at, 0
            self.request_at = at + round(FIRST_REQUEST_S * _NS)

    def requested(self, now: int, *, answered: bool) -> None:
        """A request was made: find out when another one is due."""
        self.attempts += 1
        if (answered and self.settled_at >= self.owed_at) or self.attempts > ATTEMPTS_MAX:
            self.request_at = 0
            return
        self.request_at = now + round(PAUSES_S[min(self.attempts, len(PAUSES_S)) - 1] * _NS)


class SettlementCollector:
    """`run` it for ever; `observe` the stream's predictions."""

    def __init__(
        self,
        history: History,
        pairs: Sequence[PairSpec],
        settled_at: Mapping[Instrument, int],
        clock: DaemonClock,
        record: Record,
        notices: Notices,
    ) -> None:
        """`settled_at`: the last settlement in the log, by perpetual."""
        self._history = history
        self._clock = clock
        self._record = record
        self._notices = notices
        perps = {spec.perp.instrument: spec for spec in pairs}
        self._schedules = {name: _Schedule(spec, settled_at.get(name, 0)) for name, spec in perps.items()}
        self._room = asyncio.Semaphore(REQUESTS_AT_ONCE)

    def observe(self, event: FundingPredicted) -> None:
        """Note the time of the next settlement. It may be sooner than predicted before, because intervals change."""
        schedule, next_at = self._schedules.get(event.instrument), nominal_settlement(event.next_at)
        if schedule is None or event.event_at < schedule.observed_at:
            return
        schedule.observed_at = event.event_at
        if schedule.next_at and event.event_at >= schedule.next_at:
            schedule.owe(schedule.next_at)
        if not schedule.next_at and event.interval_hours:  # one may have fallen due just before the start
            before = next_at - round(event.interval_hours * 3_600 * _NS)
            if before > schedule.spec.perp.event_at:
                schedule.owe(before)
        schedule.next_at = next_at
        if event.event_at < next_at and event.interval_hours:  # after it, the stream may show the next interval
            schedule.hours[schedule.next_at] = event.interval_hours
        while len(schedule.hours) > _HOURS_KEPT:
            del schedule.hours[min(schedule.hours)]

    def forget(self, instrument: Instrument) -> None:
        """Stop requesting a perpetual that has closed."""
        self._schedules.pop(instrument, None)

    async def fill_gaps(self) -> None:
        """Request every settlement since the last one in the log, once for each perpetual. `run` repeats requests that
        fail."""
        await asyncio.gather(*(self._request(schedule) for schedule in self._schedules.values()))

    async def run(self) -> None:
        """Request what falls due."""
        while True:
            now = self._clock.now()
            for schedule in self._schedules.values():
                if schedule.next_at and now >= schedule.next_at:  # the stream may be down
                    schedule.owe(schedule.next_at)
            waiting = [
                schedule for schedule in self._schedules.values() if schedule.request_at and schedule.request_at <= now
            ]
            await asyncio.gather(*(self._request(schedule) for schedule in waiting))
            await self._clock.sleep(1.0)

    async def _request(self, schedule: _Schedule) -> None:
        now = self._clock.now()
        since = max(schedule.settled_at + 1, schedule.spec.perp.event_at, now - REACH_BACK_NS)
        found: list[Event] = []
        answered = True
        async with self._room:
            try:
                found = await self._fetch(schedule.spec, since, now)
            except VenueError as error:
                answered = False
                self._notices.info("settlements not fetched", pair=schedule.spec.symbol, reason=str(error))
        if found:
            await self._record(_with_intervals(schedule, found))
            schedule.settled_at = max(schedule.settled_at, *(event.event_at for event in found))
        schedule.requested(self._clock.now(), answered=answered)
        if not schedule.request_at and schedule.settled_at < schedule.owed_at:
            self._notices.alert("settlement", f"{schedule.spec.symbol}: a settlement was not published and is given up")

    async def _fetch(self, spec: PairSpec, since: int, until: int) -> list[Event]:
        perp = spec.perp
        found: list[Event] = []
        pages = self._history.settlements(perp.instrument, -(-since // _NS_PER_MS), until // _NS_PER_MS)
        async for page in pages:
            for row in page.rows:
                at = nominal_settlement(row.at_ms * _NS_PER_MS)
                try:
                    rate = checks.rate(row.rate, "fundingRate", perp.rate_cap)
                except RowRefused as refused:
                    found.append(DataRejected(at, f"funding history of {perp.symbol}", 0, str(refused)))
                    continue
                found.append(FundingSettled(perp.venue, perp.symbol, perp.listing, at, rate))
        return sorted(found, key=lambda event: event.event_at)


def _with_intervals(schedule: _Schedule, events: Sequence[Event]) -> list[Event]:
    """The events, each settlement followed by its interval if that is not in the log."""
    found: list[Event] = []
    for event in events:
        found.append(event)
        hours = schedule.hours.get(event.event_at, 0.0)
        if isinstance(event, FundingSettled) and hours and hours != schedule.logged_hours:
            schedule.logged_hours = hours
            name = event.venue, event.symbol, event.listing, event.event_at
            found.append(FundingRevised(*name, event.rate, event.rate, hours))
    return found
