"""One live run's books, and snapshots of its accounts at the venues to compare them with.

A snapshot takes several requests, while processes and people trade. So it counts only for pairs on which no process ran
and nothing was booked in the meantime; the other pairs are left for the next snapshot.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.quotes import QuoteCache
from carryfold.adapters.daemon.recovery import Logged, run_events
from carryfold.adapters.venues import PairSpec, Trading
from carryfold.domain.events import Event, OrderFilled, RunStarted
from carryfold.domain.execution import (
    ExecutionLimits,
    PairBooks,
    Predecessor,
    Reconciliation,
    RunBooks,
    TradedPair,
    VenueBooks,
    reconcile,
    run_tag,
)
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.reports import FillReport, NotFound, PositionReport, QueryOutcome
from carryfold.domain.execution.traded_pair import decimal_of
from carryfold.domain.instruments import Pair, common_lot
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo

__all__ = ["Account", "AccountSnapshot"]

OVERLAP_NS: Final = 600 * 10**9
"""How far before the last agreement executions are fetched again, because a venue may report them late."""

RESTART_OVERLAP_NS: Final = 86_400 * 10**9
"""The same after a start: how far before the last fill in the log."""


class AccountSnapshot(NamedTuple):
    """The state of the accounts as the venues report it. `at`: when it was begun (UTC ns); `busy`: the pairs on which a
    process ran then; `booked`: how many events each pair had by then."""

    at: int
    venues: tuple[VenueBooks, ...]
    busy: frozenset[str]
    booked: Counter[str]


class Account:
    """`books` are the fold of the run's events. `fetch` a snapshot, then `compare` it. Pairs go by their names in the
    run."""

    def __init__(
        self,
        info: RunInfo,
        ports: Mapping[str, Trading],
        specs: Sequence[PairSpec],
        fees: Mapping[Pair, Decimal],
        clock: DaemonClock,
        quotes: QuoteCache,
        limits: ExecutionLimits,
    ) -> None:
        """`ports` by venue; `fees`: the fraction of a spot purchase that the venue keeps, by pair; `limits`: after how
        long and how many answers an order is absent."""
        self.info = info
        self.names = info.labels
        self.ports = ports
        self._clock = clock
        self._quotes = quotes
        self._fees = fees
        self._limits = limits
        self._listed: dict[str, TradedPair] = {}
        self.relist(specs)
        self.pairs = dict(self._listed)
        books = {name: PairBooks(pair) for name, pair in self.pairs.items()}
        self.books = RunBooks(run_tag(info.started_at), info.run, info.started_at, books)
        self._since = info.started_at
        self._booked: Counter[str] = Counter()
        self._not_found: Counter[str] = Counter()

    def relist(self, specs: Iterable[PairSpec]) -> None:
        """New trading rules of the venue, for processes that begin from now on."""
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
        """The run's name of a pair."""
        return self.names[pair]

    def listed(self, name: str) -> TradedPair:
        """A pair with the rules and the lot that its venues list now."""
        return self._listed[name]

    def recount(self, name: str, unit: Decimal, lot_units: int) -> TradedPair:
        """Give a pair the rules of now, and count its holding in units of `unit` coins, `lot_units` to a lot."""
        pair = msgspec.structs.replace(self._listed[name], unit=unit, lot_units=lot_units)
        self.pairs[name] = self.books.pairs[name].pair = pair
        return pair

    def load(self, reader: LogReader) -> list[Logged]:
        """Apply every event of the run and of its predecessor; gives the run's own events."""
        own: list[Logged] = []
        adopted = self.info.adopts
        filled = 0
        for seq, known_at, event in run_events(reader, {self.info.run, adopted or self.info.run}):
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
        """Apply events of the run that were just logged, with their seqs."""
        for seq, event in events:
            self.books.apply(event, seq)
            pair = getattr(event, "pair", None)
            if pair is not None:
                self._booked[self.name_of(pair)] += 1

    async def fills(self) -> Sequence[FillReport]:
        """Executions of every venue that may not be booked yet. Raises VenueError."""
        since = self._from()
        found = await asyncio.gather(*(port.fills_since(since) for port in self.ports.values()))
        return [fill for fills in found for fill in fills]

    async def fetch(self, busy: Collection[str]) -> AccountSnapshot:
        """A snapshot of every account; a process runs on each pair in `busy`. Raises VenueError."""
        at, booked, running = self._clock.now(), Counter(self._booked), frozenset(busy)
        venues = await asyncio.gather(*(self._fetch(venue, port, running) for venue, port in self.ports.items()))
        return AccountSnapshot(at, tuple(venues), running, booked)

    def compare(self, snapshot: AccountSnapshot, busy: Collection[str]) -> Reconciliation:
        """What to book; a process runs on each pair in `busy` now. The caller books the events before anything else."""
        for name, books in self.books.pairs.items():
            moved = self._booked[name] != snapshot.booked[name]
            books.busy = moved or name in snapshot.busy or name in busy
        return reconcile(self.books, snapshot.venues, self._clock.now())

    def mark_agreed(self, snapshot: AccountSnapshot) -> None:
        """The snapshot is booked and everything in it explained: the next one need not reach back before it."""
        self._since = max(self._since, snapshot.at)

    async def _fetch(self, venue: str, port: Trading, running: Collection[str]) -> VenueBooks:
        """One account. Positions come first, so that whatever moved them is among the executions."""
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
            await self._query_open(venue, port, running),
            tuple(interest),
        )

    def _from(self) -> int:
        return max(self._since - OVERLAP_NS, self.books.started_at)

    def _with_flat(self, venue: str, positions: Sequence[PositionReport]) -> tuple[PositionReport, ...]:
        """Add flat positions, which a venue leaves out; their marks come from the quotes of the other leg."""
        shown = {position.symbol for position in positions}
        zero = Decimal(0)
        flat = [
            PositionReport(pair.pair.short.symbol, zero, zero, decimal_of(self._quotes.mid(pair.pair.long)))
            for pair in self.pairs.values()
            if pair.pair.short.venue == venue and pair.pair.short.symbol not in shown
        ]
        return (*positions, *flat)

    async def _query_open(self, venue: str, port: Trading, running: Collection[str]) -> dict[str, QueryOutcome]:
        """The venue's answers for orders without a known end on pairs where no process runs. "Not found" counts after
        the grace only, and when it is repeated."""
        answers: dict[str, QueryOutcome] = {}
        for client_id, intent in list(self.books.intents.items()):
            instrument = intent.instrument
            if instrument.venue != venue or self.names.get(intent.pair) in (None, *running):
                continue
            answer = await port.query(client_id, instrument.symbol, instrument.kind)
            if not isinstance(answer, NotFound) or self._proves_absent(client_id, intent.event_at):
                answers[client_id] = answer
        return answers

    def _proves_absent(self, client_id: str, intended_at: int) -> bool:
        """Count an answer "not found" about an order that cannot have been sent before `intended_at`."""
        if self._clock.now() - intended_at < nanoseconds(self._limits.absent_grace_s):
            return False
        self._not_found[client_id] += 1
        return self._not_found[client_id] >= self._limits.absent_answers
