"""Keeps log and venue together: at the start, after each reconnection, after what nobody can explain, once a minute.

While they do not agree nothing is opened; what is open is still hedged and closed. A difference that no record explains
is believed when it was seen twice in a row: a single answer of a venue may be old or incomplete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from carryfold.adapters.daemon.account import Account, Asked
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.run import Run
from carryfold.adapters.venue import VenueError
from carryfold.domain.events import Event, MarginObserved, ReconciliationCorrected, RunArmed
from carryfold.domain.execution import Reconciliation

__all__ = ["Desk", "Reconciler"]

EVERY_S: Final = 60.0
SOON_S: Final = 1.0
AGAIN_S: Final = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""After a disagreement, and after each further one."""

READ_ONLY_AFTER: Final = 5
"""Attempts after which a person hears that a start has not come to an agreement."""

HEALTH_STEP: Final = 0.05
"""Margin health is recorded when it has moved by this share of what was recorded last."""

_Difference = tuple[str, int, int]


class Desk(Protocol):
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

    def repair(self, symbol: str) -> None:
        """Bring two legs together."""


class Reconciler:
    """`run` it for ever; `wake` it when something calls for a look."""

    def __init__(self, desk: Desk) -> None:
        self.agreed = False
        self._desk = desk
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
        desk = self._desk
        self._wake.clear()
        try:
            asked = await desk.account.ask(desk.workers.keys())
        except VenueError as error:
            desk.notices.say("not reconciled", reason=str(error))
            self._judge((f"the venue could not be asked: {error}",))
            return
        async with desk.turn:
            for symbol, books in desk.account.books.pairs.items():
                if symbol not in desk.workers and not (books.spot_units or books.perp_units):
                    desk.account.pair(symbol, *desk.run.unit_of(symbol))  # what is found now is counted by today's lot
            found = desk.account.compare(asked, desk.workers.keys())
            believed = self._believed(found)
            events = [*(found.events if believed else ()), *self._margin(asked)]
            if events:
                await desk.commit(events)
        self._judge(found.reasons)
        if not believed:
            self.wake()
            return
        if found.agreed:
            desk.account.agreed(asked)
        for note in found.notes:
            desk.notices.say("reconciled", note=note)
        moved = {symbol for symbol, _, _ in _differences(found.events)}
        for symbol in found.repairs:
            if symbol not in moved:
                desk.repair(symbol)
        if found.events:
            self.wake()  # what was booked may call for more, and agreement is stated only without news

    def _believed(self, found: Reconciliation) -> bool:
        """False for an unexplained difference that is seen for the first time."""
        seen, self._seen = self._seen, _differences(found.events)
        return self._seen <= seen

    def _margin(self, asked: Asked) -> list[Event]:
        """The account's margin health, if it is news to the fold. 0: nothing needs margin."""
        health, run = asked.theirs.account.health, self._desk.run
        before = run.standing().health
        if abs(health - before) <= HEALTH_STEP * before:
            return []
        return [MarginObserved(run.info.run, self._desk.pace.now(), health)]

    def _judge(self, reasons: tuple[str, ...]) -> None:
        """Agreed or not; a person hears of a change."""
        if reasons and reasons != self._reasons:
            self._desk.notices.alert("disagreement", "; ".join(reasons))
        if not reasons and self._reasons:
            self._desk.notices.say("log and venue agree again")
        self._reasons = reasons
        self.agreed = not reasons

    async def _arm(self) -> None:
        """The first agreement is recorded; a person hears when it does not come."""
        if self._armed:
            return
        desk, run = self._desk, self._desk.run.info.run
        self._attempts += 1
        if self.agreed:
            self._armed = True
            await desk.engine.note([RunArmed(run, desk.pace.now())])
            desk.notices.say("log and venue agree", run=run, pairs=len(desk.account.pairs))
            desk.notices.say("armed", mode="live", runs=[run], pairs=len(desk.account.pairs), seq=desk.engine.last_seq)
        elif self._attempts == READ_ONLY_AFTER:
            desk.notices.alert("read only", f"log and venue do not agree: {'; '.join(self._reasons)}")

    async def _pause(self) -> None:
        """Until something calls for a look, or it is time."""
        pace = self._desk.pace
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
        (event.symbol, event.spot_units, event.perp_units)
        for event in events
        if isinstance(event, ReconciliationCorrected) and (event.spot_units or event.perp_units)
    )
