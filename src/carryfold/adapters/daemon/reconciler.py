"""Keeps the log in agreement with the venues: at the start, after each reconnection, after each process, when a report
belongs to no process, and once a minute.

While they disagree nothing is opened; what is open is still hedged and closed. A difference that no record explains is
booked when two reconciliations in a row have found it, because a single answer of a venue may be old or incomplete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.account import Account, AccountSnapshot
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.venues import VenueError
from carryfold.domain.events import Event, MarginObserved, ReconciliationCorrected, RunArmed
from carryfold.domain.execution import Reconciliation
from carryfold.domain.instruments import Pair

__all__ = ["Reconciler", "ReconcilerContext"]

EVERY_S: Final = 60.0
SOON_S: Final = 1.0
AGAIN_S: Final = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Pauses after a disagreement, and after each further one."""

READ_ONLY_AFTER: Final = 5
"""After so many attempts of a start to agree, a person is told."""

HEALTH_STEP: Final = 0.05
"""Margin health is recorded when it has changed by this fraction of the last recorded value."""

_Difference = tuple[Pair, int, int]


class ReconcilerContext(Protocol):
    """What the reconciler needs of the broker."""

    run: Run
    account: Account
    engine: Engine
    clock: DaemonClock
    notices: Notices
    lock: asyncio.Lock

    @property
    def workers(self) -> Mapping[str, object]:
        """The running processes by pair."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log and apply events; the caller holds the lock."""

    def repair(self, name: str) -> None:
        """Match the legs of a pair."""


class Reconciler:
    """`run` it for ever; `wake` it to reconcile soon."""

    def __init__(self, context: ReconcilerContext) -> None:
        self.agreed = False
        self._context = context
        self._wake = asyncio.Event()
        self._reasons: tuple[str, ...] = ()
        self._seen: frozenset[_Difference] = frozenset()
        self._armed = False
        self._attempts = 0
        self._failures = 0

    def wake(self) -> None:
        """Reconcile soon."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile again and again, for ever. Raises LogError."""
        while True:
            await self._pause()
            await self.check()

    async def check(self) -> None:
        """Reconcile, and arm the run at the first agreement. Raises LogError."""
        await self.reconcile()
        await self._arm()

    async def reconcile(self) -> None:
        """Fetch a snapshot, book the differences, decide whether the two agree, and repair pairs whose legs differ."""
        context = self._context
        self._wake.clear()
        try:
            snapshot = await context.account.fetch(context.workers.keys())
        except VenueError as error:
            context.notices.info("not reconciled", reason=str(error))
            self._conclude((f"the venue does not answer: {error}",))
            return
        async with context.lock:
            for name, books in context.account.books.pairs.items():
                if name not in context.workers and not (books.long_units or books.short_units):
                    # What is found from now on is counted in the lot of now.
                    context.account.recount(name, *context.run.unit_of(books.pair.pair))
            found = context.account.compare(snapshot, context.workers.keys())
            confirmed = self._is_confirmed(found)
            events = [*(found.events if confirmed else ()), *self._margin(snapshot)]
            if events:
                await context.commit(events)
        self._conclude(found.reasons)
        if not confirmed:
            self.wake()
            return
        if found.agreed:
            context.account.mark_agreed(snapshot)
        for note in found.notes:
            context.notices.info("reconciled", note=note)
        moved = {context.account.name_of(pair) for pair, _, _ in _differences(found.events)}
        for name in found.repairs:
            if name not in moved:
                context.repair(name)
        if found.events:
            self.wake()  # what was booked may lead to more differences

    def _is_confirmed(self, found: Reconciliation) -> bool:
        """False for an unexplained difference that is found for the first time."""
        seen, self._seen = self._seen, _differences(found.events)
        return self._seen <= seen

    def _margin(self, snapshot: AccountSnapshot) -> list[Event]:
        """The margin health of the account with the least, if it has changed. 0: nothing needs margin."""
        run, books = self._context.run, self._context.account.books
        needing = [(one.account.health, one.venue) for one in snapshot.venues if one.account.health > 0]
        health, venue = min(needing, default=(0.0, ""))
        before = run.status().health
        if abs(health - before) <= HEALTH_STEP * before:
            return []
        return [MarginObserved(run.info.run, self._context.clock.now(), health, venue and books.account_venue(venue))]

    def _conclude(self, reasons: tuple[str, ...]) -> None:
        """Note whether they agree, and tell a person when that changes."""
        if reasons and reasons != self._reasons:
            self._context.notices.alert("disagreement", "; ".join(reasons))
        if not reasons and self._reasons:
            self._context.notices.info("log and venue agree again")
        self._reasons = reasons
        self.agreed = not reasons

    async def _arm(self) -> None:
        """Record the first agreement, and tell a person when it does not come."""
        if self._armed:
            return
        context, run = self._context, self._context.run.info.run
        self._attempts += 1
        if self.agreed:
            self._armed = True
            await context.engine.append([RunArmed(run, context.clock.now())])
            context.notices.info("log and venue agree", run=run, pairs=len(context.account.pairs))
            context.notices.info(
                "armed", mode="live", runs=[run], pairs=len(context.account.pairs), seq=context.engine.last_seq
            )
        elif self._attempts == READ_ONLY_AFTER:
            context.notices.alert("read only", f"log and venue do not agree: {'; '.join(self._reasons)}")

    async def _pause(self) -> None:
        """Until the next reconciliation is due or requested."""
        clock = self._context.clock
        if not self.agreed:
            await clock.sleep(AGAIN_S[min(self._failures, len(AGAIN_S) - 1)])
            self._failures += 1
            return
        self._failures = 0
        try:
            async with asyncio.timeout(EVERY_S / clock.speed):
                await self._wake.wait()
        except TimeoutError:
            return
        await clock.sleep(SOON_S)


def _differences(events: Sequence[Event]) -> frozenset[_Difference]:
    """Changes of holdings that no record explains."""
    return frozenset(
        (event.pair, event.long_units, event.short_units)
        for event in events
        if isinstance(event, ReconciliationCorrected) and event.pair is not None
    )
