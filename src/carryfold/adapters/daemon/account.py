"""One live run's side of its account: what its log says it owns, what the venue says, and bringing the two together.

The venue is asked for many things one after the other, while processes trade and people do. So what was asked counts
only for pairs on which nothing was booked and nobody worked in the meantime; the others are left for the next time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteBoard
from carryfold.adapters.venue import PairSpec, Trading
from carryfold.domain.codec import BATCH_DECODER
from carryfold.domain.events import Event, OrderFilled
from carryfold.domain.execution import (
    OurBooks,
    PairBooks,
    Reconciliation,
    TradedPair,
    VenueBooks,
    reconcile,
    run_tag,
)
from carryfold.domain.execution.pair import decimal_of
from carryfold.domain.execution.reports import FillReport, Leg, NotFound, PositionReport, QueryOutcome
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["Account", "Asked"]

OVERLAP_NS: Final = 600 * 10**9
"""How far before the last agreement executions are asked for again: the venue may tell them late."""

RESTART_OVERLAP_NS: Final = 86_400 * 10**9
"""The same after a start, before the last fill that is in the log."""

ABSENT_ANSWERS: Final = 2
ABSENT_GRACE_S: Final = 6.0


class Asked(NamedTuple):
    """What the venue said, the pairs at work when it was asked, and what had been booked on each by then."""

    at: int
    theirs: VenueBooks
    busy: frozenset[str]
    booked: Counter[str]


class Account:
    """`books` are the fold of the run's own events. `ask` the venue for everything, then `compare`."""

    def __init__(
        self,
        info: RunInfo,
        trading: Trading,
        specs: Sequence[PairSpec],
        fees: dict[str, Decimal],
        pace: Pace,
        board: QuoteBoard,
    ) -> None:
        """`fees`: what the venue keeps of a spot purchase, by symbol, as a fraction."""
        self.info = info
        self.trading = trading
        self._pace = pace
        self._board = board
        self._fees = fees
        self._listed: dict[str, TradedPair] = {}
        self.relist(specs)
        self.pairs = dict(self._listed)
        books = {symbol: PairBooks(pair) for symbol, pair in self.pairs.items()}
        self.books = OurBooks(run_tag(info.started_at), info.run, info.started_at, books)
        self._since = info.started_at
        self._booked: Counter[str] = Counter()
        self._not_found: dict[str, int] = {}

    def relist(self, specs: Iterable[PairSpec]) -> None:
        """What the books of the venue take from now on; orders under way keep the rules they began with."""
        for spec in specs:
            fee = self._fees.get(spec.listed.symbol, Decimal(0))
            self._listed[spec.listed.symbol] = TradedPair.of(
                spec.listed, spec.spot_coin, spec.spot, spec.perp, spot_fee=fee
            )

    def pair(self, symbol: str, unit: Decimal, lot_units: int) -> TradedPair:
        """A pair by the rules of now, its holding counted in units of so many coins, so many of them a lot."""
        pair = msgspec.structs.replace(self._listed[symbol], unit=unit, lot_units=lot_units)
        self.pairs[symbol] = self.books.pairs[symbol].pair = pair
        return pair

    def load(self, reader: LogReader) -> list[tuple[int, int, Event]]:
        """Apply all that the log has of the run; gives its (seq, known_at, event)."""
        own: list[tuple[int, int, Event]] = []
        for batch in reader.read(self.info.run - 1):
            for seq, (known_at, event) in enumerate(BATCH_DECODER.decode(batch.payload), batch.first_seq):
                if getattr(event, "run", None) == self.info.run:
                    own.append((seq, known_at, event))
                    self.books.apply(event)
        filled = [event.event_at for _, _, event in own if isinstance(event, OrderFilled)]
        self._since = max(self._since, max(filled, default=0) - RESTART_OVERLAP_NS)
        return own

    def apply(self, events: Iterable[Event]) -> None:
        """Events of the run that are in the log now."""
        for event in events:
            self.books.apply(event)
            self._booked[getattr(event, "symbol", "")] += 1

    async def fills(self) -> Sequence[FillReport]:
        """Executions that may be news. Raises VenueError."""
        return await self.trading.fills_since(self._from())

    async def ask(self, busy: Collection[str]) -> Asked:
        """Ask for everything; pairs in `busy` have a process at work. Positions first: what has moved one is then among
        the executions. Raises VenueError."""
        at, booked, trading = self._pace.now(), Counter(self._booked), self.trading
        working = frozenset(busy)
        positions, account, orders = await asyncio.gather(
            trading.positions(), trading.account(), trading.open_orders()
        )  # fmt: skip
        since = self._from()
        fills, funding, interest = await asyncio.gather(
            trading.fills_since(since), trading.funding_since(since), trading.interest_since(since)
        )
        answers = await self._answers(working)
        theirs = VenueBooks(
            tuple(orders), tuple(fills), tuple(funding), self._with_flat(positions), account, answers, tuple(interest)
        )
        return Asked(at, theirs, working, booked)

    def compare(self, asked: Asked, busy: Collection[str]) -> Reconciliation:
        """What has to be booked; `busy` are the pairs at work now. Nothing may be booked between this and that."""
        for symbol, books in self.books.pairs.items():
            moved = self._booked[symbol] != asked.booked[symbol]
            books.busy = moved or symbol in asked.busy or symbol in busy
        return reconcile(self.books, asked.theirs, self._pace.now())

    def agreed(self, asked: Asked) -> None:
        """What was asked has been booked, and nothing was left unexplained: it need not be asked for again."""
        self._since = max(self._since, asked.at)

    def _from(self) -> int:
        return max(self._since - OVERLAP_NS, self.info.started_at)

    def _with_flat(self, positions: Sequence[PositionReport]) -> tuple[PositionReport, ...]:
        """The venue tells nothing of flat ones; what coins beside them are worth is seen from our own quotes."""
        told = {position.symbol for position in positions}
        zero = Decimal(0)
        flat = [
            PositionReport(symbol, zero, zero, decimal_of(self._board.mid(symbol, "spot")))
            for symbol in self.pairs
            if symbol not in told
        ]
        return (*positions, *flat)

    async def _answers(self, working: Collection[str]) -> dict[str, QueryOutcome]:
        """What the venue says of orders without an end that no process watches. Not found counts when it was said
        twice, and long enough after the order can have been sent."""
        answers: dict[str, QueryOutcome] = {}
        for client_id, intent in list(self.books.intents.items()):
            if intent.symbol in working or intent.symbol not in self.pairs:
                continue
            leg: Leg = "spot" if intent.leg == "spot" else "perp"
            answer = await self.trading.query(client_id, intent.symbol, leg)
            if isinstance(answer, NotFound):
                self._not_found[client_id] = self._not_found.get(client_id, 0) + 1
                age_s = (self._pace.now() - intent.event_at) / 1e9
                if self._not_found[client_id] < ABSENT_ANSWERS or age_s < ABSENT_GRACE_S:
                    continue
            answers[client_id] = answer
        return answers
