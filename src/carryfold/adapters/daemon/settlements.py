"""Settled rates, asked for when they fall due: the stream tells the estimate, only the history tells what was settled.

Each perpetual is asked for soon after its settlement and then ever less often until the row is there, which may take a
while: it is published late, and a venue may be down across a settlement. A question reaches back to the last settlement
that is in the log, so that whatever was missed comes with the next answer.

The history does not say which interval a rate was for, and a first longer spacing may be a missing row. The estimates
before it do say; what they said goes into the log beside the settlement, as a FundingRevised of the same rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from carryfold.adapters.backfill.source import History
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.report import RowRefused
from carryfold.adapters.venue import PairSpec, VenueError
from carryfold.domain.events import DataRejected, Event, FundingPredicted, FundingRevised, FundingSettled
from carryfold.domain.instruments import Instrument, nominal_settlement

__all__ = ["SettlementCollector"]

FIRST_ASK_S: Final = 20.0
PAUSES_S: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
ATTEMPTS_MAX: Final = 360
"""Six hours: a perpetual that says nothing for so long has closed, or its next settlement brings this one along."""

ASKED_AT_ONCE: Final = 8
REACH_BACK_NS: Final = 30 * 86_400 * 10**9
_HOURS_KEPT: Final = 48
_NS: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000

Record = Callable[[Sequence[Event]], Awaitable[object]]


class _Due:
    """What is known of one perpetual's settlements. Times in ns, 0: none. `ask_at`: when the next question is due;
    `hours`: the interval that was shown before each of the last settlements, by its time; `logged_hours`: what the log
    has."""

    __slots__ = ("ask_at", "attempts", "hours", "logged_hours", "next_at", "owed_at", "seen_at", "settled_at", "spec")

    def __init__(self, spec: PairSpec, settled_at: int) -> None:
        self.spec = spec
        self.settled_at = settled_at
        self.seen_at = 0
        self.next_at = 0
        self.owed_at = 0
        self.ask_at = 0
        self.attempts = 0
        self.hours: dict[int, float] = {}
        self.logged_hours = 0.0

    def owe(self, at: int) -> None:
        """A settlement at this time has fallen due."""
        if at > max(self.owed_at, self.settled_at):
            self.owed_at, self.attempts = at, 0
            self.ask_at = at + round(FIRST_ASK_S * _NS)

    def asked(self, now: int, *, answered: bool) -> None:
        """A question was put: is another one needed, and when?"""
        self.attempts += 1
        if (answered and self.settled_at >= self.owed_at) or self.attempts > ATTEMPTS_MAX:
            self.ask_at = 0
            return
        self.ask_at = now + round(PAUSES_S[min(self.attempts, len(PAUSES_S)) - 1] * _NS)


class SettlementCollector:
    """`see` estimates, `run` for ever."""

    def __init__(
        self,
        history: History,
        pairs: Sequence[PairSpec],
        settled_at: Mapping[Instrument, int],
        pace: Pace,
        record: Record,
        notices: Notices,
    ) -> None:
        """`settled_at`: the last settlement that the log has, by perpetual."""
        self._history = history
        self._pace = pace
        self._record = record
        self._notices = notices
        perps = {spec.perp.instrument: spec for spec in pairs}
        self._due = {name: _Due(spec, settled_at.get(name, 0)) for name, spec in perps.items()}
        self._room = asyncio.Semaphore(ASKED_AT_ONCE)

    def see(self, event: FundingPredicted) -> None:
        """The venue says when the perpetual settles next. That may be sooner than it said before: intervals are
        switched."""
        due, next_at = self._due.get(event.instrument), nominal_settlement(event.next_at)
        if due is None or event.event_at < due.seen_at:
            return
        due.seen_at = event.event_at
        if due.next_at and event.event_at >= due.next_at:
            due.owe(due.next_at)
        if not due.next_at and event.interval_hours:  # one may have fallen due just before the start
            before = next_at - round(event.interval_hours * 3_600 * _NS)
            if before > due.spec.perp.event_at:
                due.owe(before)
        due.next_at = next_at
        if event.event_at < next_at and event.interval_hours:  # after it, the next interval may be shown already
            due.hours[due.next_at] = event.interval_hours
        while len(due.hours) > _HOURS_KEPT:
            del due.hours[min(due.hours)]

    def forget(self, instrument: Instrument) -> None:
        """It has closed and settles no more."""
        self._due.pop(instrument, None)

    async def fill_gaps(self) -> None:
        """Ask for everything settled since the log heard last, of every perpetual, once. What cannot be had now is
        asked for again later."""
        await asyncio.gather(*(self._ask(due) for due in self._due.values()))

    async def run(self) -> None:
        """Ask whenever something is due."""
        while True:
            now = self._pace.now()
            for due in self._due.values():
                if due.next_at and now >= due.next_at:  # the stream may be down
                    due.owe(due.next_at)
            waiting = [due for due in self._due.values() if due.ask_at and due.ask_at <= now]
            await asyncio.gather(*(self._ask(due) for due in waiting))
            await self._pace.sleep(1.0)

    async def _ask(self, due: _Due) -> None:
        now = self._pace.now()
        since = max(due.settled_at + 1, due.spec.perp.event_at, now - REACH_BACK_NS)
        found: list[Event] = []
        answered = True
        async with self._room:
            try:
                found = await self._fetch(due.spec, since, now)
            except VenueError as error:
                answered = False
                self._notices.say("settlements not told", pair=due.spec.symbol, reason=str(error))
        if found:
            await self._record(_with_intervals(due, found))
            due.settled_at = max(due.settled_at, *(event.event_at for event in found))
        due.asked(self._pace.now(), answered=answered)
        if not due.ask_at and due.settled_at < due.owed_at:
            self._notices.alert("settlement", f"{due.spec.symbol}: a settlement is not told, it is given up")

    async def _fetch(self, spec: PairSpec, since: int, until: int) -> list[Event]:
        perp = spec.perp
        found: list[Event] = []
        pages = self._history.settlements(perp.symbol, -(-since // _NS_PER_MS), until // _NS_PER_MS)
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


def _with_intervals(due: _Due, events: Sequence[Event]) -> list[Event]:
    """Each settlement whose interval is news is followed by that interval."""
    found: list[Event] = []
    for event in events:
        found.append(event)
        hours = due.hours.get(event.event_at, 0.0)
        if isinstance(event, FundingSettled) and hours and hours != due.logged_hours:
            due.logged_hours = hours
            name = event.venue, event.symbol, event.listing, event.event_at
            found.append(FundingRevised(*name, event.rate, event.rate, hours))
    return found
