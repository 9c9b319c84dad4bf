"""One live run's side of its account: what its log says it owns, what the venue says, and bringing the two together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.venue import PairSpec, Trading
from carryfold.domain.codec import BATCH_DECODER
from carryfold.domain.events import Event
from carryfold.domain.execution import (
    OurBooks,
    PairBooks,
    Reconciliation,
    TradedPair,
    VenueBooks,
    reconcile,
    run_tag,
)
from carryfold.domain.execution.reports import FillReport, NotFound, QueryOutcome
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["Account"]

OVERLAP_NS: Final = 600 * 10**9
"""How far before the last known fill executions are asked for again: the venue may tell them late."""

ABSENT_ANSWERS: Final = 2
ABSENT_GRACE_S: Final = 6.0


class Account:
    """`books` are the fold of the run's own events; `reconcile` asks the venue for everything and compares."""

    def __init__(
        self, info: RunInfo, trading: Trading, specs: Sequence[PairSpec], fees: dict[str, Decimal], pace: Pace
    ) -> None:
        """`fees`: what the venue keeps of a spot purchase, by symbol, as a fraction."""
        self.info = info
        self.trading = trading
        self._pace = pace
        self.pairs: dict[str, TradedPair] = {
            spec.listed.symbol: TradedPair.of(
                spec.listed, spec.spot_coin, spec.spot, spec.perp, spot_fee=fees.get(spec.listed.symbol, Decimal(0))
            )
            for spec in specs
        }
        books = {symbol: PairBooks(pair) for symbol, pair in self.pairs.items()}
        self.books = OurBooks(run_tag(info.started_at), info.run, info.started_at, books)
        self._asked_since = info.started_at
        self._not_found: dict[str, int] = {}

    def load(self, reader: LogReader) -> list[tuple[int, int, Event]]:
        """Apply all that the log has of the run; gives its (seq, known_at, event)."""
        own: list[tuple[int, int, Event]] = []
        for batch in reader.read(self.info.run - 1):
            for seq, (known_at, event) in enumerate(BATCH_DECODER.decode(batch.payload), batch.first_seq):
                if getattr(event, "run", None) == self.info.run:
                    own.append((seq, known_at, event))
                    self.books.apply(event)
        return own

    def apply(self, events: Iterable[Event]) -> None:
        """Events of the run that are in the log now."""
        for event in events:
            self.books.apply(event)

    async def fills(self) -> Sequence[FillReport]:
        """Executions that may be news. Raises VenueError."""
        return await self.trading.fills_since(max(self._asked_since - OVERLAP_NS, self.info.started_at))

    async def reconcile(self, busy: Iterable[str]) -> Reconciliation:
        """Ask for everything and compare; pairs in `busy` have a process at work. Raises VenueError."""
        working = set(busy)
        asked_at = self._pace.now()
        since = max(self._asked_since - OVERLAP_NS, self.info.started_at)
        trading = self.trading
        orders, fills, funding, positions, account = await asyncio.gather(
            trading.open_orders(), trading.fills_since(since), trading.funding_since(since), trading.positions(),
            trading.account(),
        )  # fmt: skip
        answers = await self._answers(working)
        for symbol, books in self.books.pairs.items():
            books.busy = symbol in working
        theirs = VenueBooks(tuple(orders), tuple(fills), tuple(funding), tuple(positions), account, answers)
        found = reconcile(self.books, theirs, self._pace.now())
        if found.agreed:
            self._asked_since = asked_at
        return found

    async def _answers(self, working: set[str]) -> dict[str, QueryOutcome]:
        """What the venue says of orders without an end that no process watches. Not found counts when it was said
        twice, and long enough after the order can have been sent."""
        answers: dict[str, QueryOutcome] = {}
        for client_id, intent in list(self.books.intents.items()):
            if intent.symbol in working:
                continue
            leg = "spot" if intent.leg == "spot" else "perp"
            answer = await self.trading.query(client_id, intent.symbol, "spot" if leg == "spot" else "perp")
            if isinstance(answer, NotFound):
                self._not_found[client_id] = self._not_found.get(client_id, 0) + 1
                age_s = (self._pace.now() - intent.event_at) / 1e9
                if self._not_found[client_id] < ABSENT_ANSWERS or age_s < ABSENT_GRACE_S:
                    continue
            answers[client_id] = answer
        return answers
