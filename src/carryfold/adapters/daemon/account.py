"""One live run's side of its accounts: what its log says it owns, what the venues say, and bringing them together.

A venue is asked for many things one after the other, while processes trade and people do. So what was asked counts only
for pairs on which nothing was booked and nobody worked in the meantime; the others are left for the next time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.adapters.daemon.pace import Pace
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.recovery import Logged, run_events
from carryfold.adapters.venue import PairSpec, Trading
from carryfold.domain.events import Event, OrderFilled, RunStarted
from carryfold.domain.execution import (
    OurBooks,
    PairBooks,
    Predecessor,
    Reconciliation,
    TradedPair,
    VenueBooks,
    reconcile,
    run_tag,
)
from carryfold.domain.execution.pair import decimal_of
from carryfold.domain.execution.reports import FillReport, NotFound, PositionReport, QueryOutcome
from carryfold.domain.instruments import Pair, common_lot
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["Account", "Answers"]

OVERLAP_NS: Final = 600 * 10**9
"""How far before the last agreement executions are asked for again: the venue may tell them late."""

RESTART_OVERLAP_NS: Final = 86_400 * 10**9
"""The same after a start, before the last fill that is in the log."""

ABSENT_ANSWERS: Final = 2
ABSENT_GRACE_S: Final = 6.0


class Answers(NamedTuple):
    """What the venues said, the pairs at work when they were asked, and what had been booked on each by then."""

    at: int
    theirs: tuple[VenueBooks, ...]
    busy: frozenset[str]
    booked: Counter[str]


class Account:
    """`books` are the fold of the run's own events. `ask` the venues for everything, then `compare`. Pairs go by their
    names in the run."""

    def __init__(
        self,
        info: RunInfo,
        ports: Mapping[str, Trading],
        specs: Sequence[PairSpec],
        fees: Mapping[Pair, Decimal],
        pace: Pace,
        quotes: QuoteCache,
    ) -> None:
        """`ports` by venue; `fees`: what a venue keeps of a spot purchase, as a fraction."""
        self.info = info
        self.names = info.labels
        self.ports = ports
        self._pace = pace
        self._quotes = quotes
        self._fees = fees
        self._listed: dict[str, TradedPair] = {}
        self.relist(specs)
        self.pairs = dict(self._listed)
        books = {name: PairBooks(pair) for name, pair in self.pairs.items()}
        self.books = OurBooks(run_tag(info.started_at), info.run, info.started_at, books)
        self._since = info.started_at
        self._booked: Counter[str] = Counter()
        self._not_found: dict[str, int] = {}

    def relist(self, specs: Iterable[PairSpec]) -> None:
        """What the books of the venue take from now on; orders under way keep the rules they began with."""
        for spec in specs:
            if spec.pair not in self.names:
                continue
            lot = common_lot(spec.spot.lot, spec.spot.multiplier, spec.perp.lot, spec.perp.multiplier)
            name, rules = self.names[spec.pair], (spec.spot_rules, spec.perp_rules)
            self._listed[name] = TradedPair.of(
                spec.pair,
                name,
                spec.spot_coin,
                lot,
                *rules,
                long_fee=self._fees.get(spec.pair, Decimal(0)),
                quote_coin=spec.perp.quote,
            )

    def name_of(self, pair: Pair) -> str:
        """How the run calls a pair of its own."""
        return self.names[pair]

    def listed(self, name: str) -> TradedPair:
        """A pair as its venues list it now, counted in units of its lot of now."""
        return self._listed[name]

    def pair(self, name: str, unit: Decimal, lot_units: int) -> TradedPair:
        """A pair by the rules of now, its holding counted in units of so many coins, so many of them a lot."""
        pair = msgspec.structs.replace(self._listed[name], unit=unit, lot_units=lot_units)
        self.pairs[name] = self.books.pairs[name].pair = pair
        return pair

    def load(self, reader: LogReader) -> list[Logged]:
        """Apply all that the log has of the run, and what its predecessor has booked; gives the run's own events."""
        own: list[Logged] = []
        adopted = self.info.adopts
        filled = 0
        for seq, known_at, event in run_events(reader, (adopted or self.info.run) - 1):
            if isinstance(event, RunStarted) and seq == adopted:
                self.books.predecessor = Predecessor(run_tag(known_at), adopted)
                self.books.started_at = self._since = known_at
            run = getattr(event, "run", None)
            if run not in (self.info.run, adopted or None):
                continue
            self.books.apply(event, seq)
            if run == self.info.run:
                own.append(Logged(seq, known_at, event))
            if isinstance(event, OrderFilled):
                filled = max(filled, event.event_at)
        self._since = max(self._since, filled - RESTART_OVERLAP_NS)
        return own

    def apply(self, events: Iterable[tuple[int, Event]]) -> None:
        """Events of the run that are in the log now, with their seqs."""
        for seq, event in events:
            self.books.apply(event, seq)
            pair = getattr(event, "pair", None)
            if pair is not None:
                self._booked[self.name_of(pair)] += 1

    async def fills(self) -> Sequence[FillReport]:
        """Executions that may be news, of every venue. Raises VenueError."""
        since = self._from()
        found = await asyncio.gather(*(port.fills_since(since) for port in self.ports.values()))
        return [fill for fills in found for fill in fills]

    async def ask(self, busy: Collection[str]) -> Answers:
        """Ask for everything; pairs in `busy` have a process at work. Raises VenueError."""
        at, booked, working = self._pace.now(), Counter(self._booked), frozenset(busy)
        theirs = await asyncio.gather(*(self._ask(venue, port, working) for venue, port in self.ports.items()))
        return Answers(at, tuple(theirs), working, booked)

    def compare(self, answers: Answers, busy: Collection[str]) -> Reconciliation:
        """What has to be booked; `busy` are the pairs at work now. Nothing may be booked between this and that."""
        for name, books in self.books.pairs.items():
            moved = self._booked[name] != answers.booked[name]
            books.busy = moved or name in answers.busy or name in busy
        return reconcile(self.books, answers.theirs, self._pace.now())

    def agreed(self, answers: Answers) -> None:
        """What was asked has been booked, and nothing was left unexplained: it need not be asked for again."""
        self._since = max(self._since, answers.at)

    async def _ask(self, venue: str, port: Trading, working: Collection[str]) -> VenueBooks:
        """Everything about one account. Positions first: what has moved one is then among the executions."""
        positions, account, orders = await asyncio.gather(port.positions(), port.account(), port.open_orders())
        since = self._from()
        fills, funding, interest = await asyncio.gather(
            port.fills_since(since), port.funding_since(since), port.interest_since(since)
        )
        return VenueBooks(
            venue,
            tuple(orders),
            tuple(fills),
            tuple(funding),
            self._with_flat(venue, positions),
            account,
            await self._answers(venue, port, working),
            tuple(interest),
        )

    def _from(self) -> int:
        return max(self._since - OVERLAP_NS, self.books.started_at)

    def _with_flat(self, venue: str, positions: Sequence[PositionReport]) -> tuple[PositionReport, ...]:
        """A venue tells nothing of flat ones; what the other leg beside them is worth is seen from our own quotes."""
        shown = {position.symbol for position in positions}
        zero = Decimal(0)
        flat = [
            PositionReport(pair.pair.short.symbol, zero, zero, decimal_of(self._quotes.mid(pair.pair.long)))
            for pair in self.pairs.values()
            if pair.pair.short.venue == venue and pair.pair.short.symbol not in shown
        ]
        return (*positions, *flat)

    async def _answers(self, venue: str, port: Trading, working: Collection[str]) -> dict[str, QueryOutcome]:
        """What a venue says of orders without an end that no process watches. Not found counts when it was said twice,
        and long enough after the order can have been sent."""
        answers: dict[str, QueryOutcome] = {}
        for client_id, intent in list(self.books.intents.items()):
            instrument = intent.instrument
            if instrument.venue != venue or self.names.get(intent.pair) in (None, *working):
                continue
            answer = await port.query(client_id, instrument.symbol, instrument.kind)
            if isinstance(answer, NotFound):
                self._not_found[client_id] = self._not_found.get(client_id, 0) + 1
                age_s = (self._pace.now() - intent.event_at) / 1e9
                if self._not_found[client_id] < ABSENT_ANSWERS or age_s < ABSENT_GRACE_S:
                    continue
            answers[client_id] = answer
        return answers
