"""Keeps log and venue together: at the start, after each reconnection, after what nobody can explain, once a minute.

While they do not agree nothing is opened; what is open is still hedged and closed. A difference that no record explains
is believed when it was seen twice in a row: a single answer of a venue may be old or incomplete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.account import Account, Answers
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.venue import VenueError
from carryfold.domain.events import Event, MarginObserved, ReconciliationCorrected, RunArmed
from carryfold.domain.execution import Reconciliation
from carryfold.domain.instruments import Pair

__all__ = ["Reconciler", "ReconcilerContext"]

EVERY_S: Final = 60.0
SOON_S: Final = 1.0
AGAIN_S: Final = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""After a disagreement, and after each further one."""

READ_ONLY_AFTER: Final = 5
"""Attempts after which a person hears that a start has not come to an agreement."""

HEALTH_STEP: Final = 0.05
"""Margin health is recorded when it has moved by this share of what was recorded last."""

_Difference = tuple[Pair, int, int]


class ReconcilerContext(Protocol):
    """What the reconciler needs of the broker."""

    run: Run
    account: Account
    engine: Engine
    pace: Pace
    notices: Notices
    turn: asyncio.Lock

    @property
    def workers(self) -> Mapping[str, object]:
        """The processes at work, by pair."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Log and apply; the caller holds the turn."""

    def repair(self, name: str) -> None:
        """Bring two legs together."""


class Reconciler:
    """`run` it for ever; `wake` it when something calls for a look."""

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
        """Look soon."""
        self._wake.set()

    async def run(self) -> None:
        """From the second look on, for ever. Raises LogError."""
        while True:
            await self._pause()
            await self.look()

    async def look(self) -> None:
        """Reconcile; the first time that nothing is left unexplained, the run is armed. Raises LogError."""
        await self.reconcile()
        await self._arm()

    async def reconcile(self) -> None:
        """Ask the venue, book what is found, judge, repair what stands apart."""
        context = self._context
        self._wake.clear()
        try:
            answers = await context.account.ask(context.workers.keys())
        except VenueError as error:
            context.notices.say("not reconciled", reason=str(error))
            self._judge((f"the venue could not be asked: {error}",))
            return
        async with context.turn:
            for name, books in context.account.books.pairs.items():
                if name not in context.workers and not (books.long_units or books.short_units):
                    # What is found now is counted by today's lot.
                    context.account.pair(name, *context.run.unit_of(books.pair.pair))
            found = context.account.compare(answers, context.workers.keys())
            believed = self._believed(found)
            events = [*(found.events if believed else ()), *self._margin(answers)]
            if events:
                await context.commit(events)
        self._judge(found.reasons)
        if not believed:
            self.wake()
            return
        if found.agreed:
            context.account.agreed(answers)
        for note in found.notes:
            context.notices.say("reconciled", note=note)
        moved = {context.account.name_of(pair) for pair, _, _ in _differences(found.events)}
        for name in found.repairs:
            if name not in moved:
                context.repair(name)
        if found.events:
            self.wake()  # what was booked may call for more, and agreement is stated only without news

    def _believed(self, found: Reconciliation) -> bool:
        """False for an unexplained difference that is seen for the first time."""
        seen, self._seen = self._seen, _differences(found.events)
        return self._seen <= seen

    def _margin(self, answers: Answers) -> list[Event]:
        """The margin health of the account that has least, if it is news to the fold. 0: nothing needs margin."""
        run, books = self._context.run, self._context.account.books
        needing = [(one.account.health, one.venue) for one in answers.theirs if one.account.health > 0]
        health, venue = min(needing, default=(0.0, ""))
        before = run.standing().health
        if abs(health - before) <= HEALTH_STEP * before:
            return []
        return [MarginObserved(run.info.run, self._context.pace.now(), health, venue and books.venue_named(venue))]

    def _judge(self, reasons: tuple[str, ...]) -> None:
        """Agreed or not; a person hears of a change."""
        if reasons and reasons != self._reasons:
            self._context.notices.alert("disagreement", "; ".join(reasons))
        if not reasons and self._reasons:
            self._context.notices.say("log and venue agree again")
        self._reasons = reasons
        self.agreed = not reasons

    async def _arm(self) -> None:
        """The first agreement is recorded; a person hears when it does not come."""
        if self._armed:
            return
        context, run = self._context, self._context.run.info.run
        self._attempts += 1
        if self.agreed:
            self._armed = True
            await context.engine.note([RunArmed(run, context.pace.now())])
            context.notices.say("log and venue agree", run=run, pairs=len(context.account.pairs))
            context.notices.say(
                "armed", mode="live", runs=[run], pairs=len(context.account.pairs), seq=context.engine.last_seq
            )
        elif self._attempts == READ_ONLY_AFTER:
            context.notices.alert("read only", f"log and venue do not agree: {'; '.join(self._reasons)}")

    async def _pause(self) -> None:
        """Until something calls for a look, or it is time."""
        pace = self._context.pace
        if not self.agreed:
            await pace.sleep(AGAIN_S[min(self._failures, len(AGAIN_S) - 1)])
            self._failures += 1
            return
        self._failures = 0
        try:
            async with asyncio.timeout(EVERY_S / pace.speed):
                await self._wake.wait()
        except TimeoutError:
            return
        await pace.sleep(SOON_S)


def _differences(events: Sequence[Event]) -> frozenset[_Difference]:
    """Changes of holdings that no record explains."""
    return frozenset(
        (event.pair, event.long_units, event.short_units)
        for event in events
        if isinstance(event, ReconciliationCorrected) and event.pair is not None
    )
