"""Settled rates, asked for when they fall due: the stream tells the estimate, only the history tells what was settled.

Each pair is asked soon after its settlement and then ever less often until the row is there, which may take a while: it
is published late, and a venue may be down across a settlement.
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
from carryfold.domain.events import DataRejected, Event, FundingPredicted, FundingSettled

__all__ = ["SettlementDesk"]

FIRST_ASK_S: Final = 20.0
PAUSES_S: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
ASKED_AT_ONCE: Final = 8
REACH_BACK_NS: Final = 30 * 86_400 * 10**9
_NS_PER_MS: Final = 1_000_000

Record = Callable[[Sequence[Event]], Awaitable[object]]


class _Due:
    """One pair's next settlement and the last one that is in the log. Times in ns, 0: not known."""

    __slots__ = ("attempts", "next_at", "not_before", "settled_at", "spec")

    def __init__(self, spec: PairSpec, settled_at: int) -> None:
        self.spec = spec
        self.settled_at = settled_at
        self.next_at = 0
        self.not_before = 0
        self.attempts = 0


class SettlementDesk:
    """`see` estimates, `run` for ever."""

    def __init__(
        self,
        history: History,
        pairs: Sequence[PairSpec],
        settled_at: Mapping[str, int],
        pace: Pace,
        record: Record,
        notices: Notices,
    ) -> None:
        """`settled_at`: the last settlement that the log has, by symbol."""
        self._history = history
        self._pace = pace
        self._record = record
        self._notices = notices
        self._due = {spec.listed.symbol: _Due(spec, settled_at.get(spec.listed.symbol, 0)) for spec in pairs}
        self._room = asyncio.Semaphore(ASKED_AT_ONCE)

    def see(self, event: FundingPredicted) -> None:
        """The venue says when the pair settles next; once that is later than before, a settlement has fallen due."""
        due = self._due.get(event.symbol)
        if due is None or event.next_at <= due.next_at:
            return
        if due.next_at:
            due.not_before = due.next_at + round(FIRST_ASK_S * 1e9)
            due.attempts = 0
        due.next_at = event.next_at

    async def fill_gaps(self) -> None:
        """Ask for everything settled since the log heard last, of every pair, once. What cannot be had now is asked for
        again later."""
        await asyncio.gather(*(self._ask(due) for due in self._due.values()))

    async def run(self) -> None:
        """Ask whenever something is due."""
        while True:
            now = self._pace.now()
            waiting = [due for due in self._due.values() if due.not_before and due.not_before <= now]
            await asyncio.gather(*(self._ask(due) for due in waiting))
            await self._pace.sleep(1.0)

    async def _ask(self, due: _Due) -> None:
        now = self._pace.now()
        since = max(due.settled_at + 1, now - REACH_BACK_NS)
        async with self._room:
            try:
                found = await self._fetch(due.spec, since, now)
            except VenueError as error:
                self._notices.say("settlements not told", pair=due.spec.listed.symbol, reason=str(error))
                found = []
        if found:
            await self._record(found)
            due.settled_at = max(due.settled_at, *(event.event_at for event in found))
        awaited = (due.not_before and due.not_before - round(FIRST_ASK_S * 1e9)) or 0
        if not due.not_before or due.settled_at >= min(awaited, now):
            due.not_before = 0
            return
        pause = PAUSES_S[min(due.attempts, len(PAUSES_S) - 1)]
        due.attempts += 1
        due.not_before = self._pace.now() + round(pause * 1e9)

    async def _fetch(self, spec: PairSpec, since: int, until: int) -> list[Event]:
        pair = spec.listed
        found: list[Event] = []
        pages = self._history.settlements(pair.symbol, -(-since // _NS_PER_MS), until // _NS_PER_MS)
        async for page in pages:
            for row in page.rows:
                at = row.at_ms * _NS_PER_MS
                try:
                    rate = checks.rate(row.rate, "fundingRate", pair.rate_cap)
                except RowRefused as refused:
                    found.append(DataRejected(at, f"funding history of {pair.symbol}", 0, str(refused)))
                    continue
                found.append(FundingSettled(pair.venue, pair.symbol, pair.listing, at, rate))
        return sorted(found, key=lambda event: event.event_at)
