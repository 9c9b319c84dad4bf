"""The oracle: a second simulator, naive and slow, that the compiled fold must equal to the last 1e-8.

It is written from docs/semantics.md alone. `run` takes rows grouped by known_at and returns all figures of the real
fold. It does not validate its input and keeps every row of an instant in memory, nothing more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import floor
from typing import Any

from carryfold.domain.instruments import Instrument, Listing, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .naive_book import Book, BookedPair, Fill, Order, Payment, SizeOutOfRange
from .naive_market import PairMarket
from .naive_pairs import pair_order, pairs_among
from .naive_rates import DAY, GROUP, HOUR, PHASE, SECOND, Counters, Row, canonical, clip
from .naive_strategy import (
    GATES,
    Moment,
    candidates,
    entry_size,
    failed_gates,
    lots_of,
    sizing_mid,
    wants_exit,
)
from .naive_view import View

__all__ = ["GATES", "Result", "SizeOutOfRange", "VenueResult", "run"]

Decision = tuple[int, Pair, str, int]
"""t, pair, "enter" or "exit", lots."""


@dataclass
class VenueResult:
    """A run's account at one venue at its end, in 1e-8."""

    capital: int
    funding: int
    long_pnl: int
    short_pnl: int
    fees: int
    borrow: int
    equity: int
    free: int
    min_free: int


@dataclass
class Result:
    """The result of a run; amounts in whole 1e-8."""

    decisions: list[Decision] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    revisions: list[Payment] = field(default_factory=list)
    days: list[tuple[int, int]] = field(default_factory=list)  # day that begins, equity
    venues: dict[str, VenueResult] = field(default_factory=dict)
    capital_e8: int = 0
    funding_e8: int = 0
    long_pnl_e8: int = 0
    short_pnl_e8: int = 0
    fees_e8: int = 0
    borrow_e8: int = 0
    equity_e8: int = 0
    slippage_e8: int = 0
    liquidation_e8: int = 0
    liquidations: int = 0
    max_drawdown: float = 0.0
    min_health: float = float("inf")
    rows: int = 0
    settlements: int = 0
    payments_count: int = 0
    edge_payments: int = 0
    no_mark: int = 0
    gaps: int = 0
    suspect: int = 0
    late: int = 0
    dropped: int = 0
    trades: int = 0
    open_positions: int = 0
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GATES, 0))


def run(
    rows: Iterable[Any],
    listings: Sequence[Listing],
    params: Parameters,
    *,
    pairs: Sequence[Pair] | None = None,
    since: int = 0,
    until: int | None = None,
) -> Result:
    """Simulates one run over `rows` (ROW's fields, any order inside an instant, `subject` an index into `listings`).
    `pairs`: those of the run, default all that its parameters allow. Raises SizeOutOfRange."""
    chosen = pairs_among(listings, params) if pairs is None else sorted(pairs, key=pair_order)
    instruments = [one.instrument for one in listings]
    legs = {leg for pair in chosen for leg in pair}
    simulation = Simulation(instruments, chosen, params)
    wanted = {subject for subject, instrument in enumerate(instruments) if instrument in legs}
    for t, instant in instants(rows, wanted, until):
        simulation.step(t, instant, running=t >= since)
    return simulation.finish()


def instants(rows: Iterable[Any], wanted: set[int], until: int | None) -> Iterator[tuple[int, list[Row]]]:
    """Rows of the wanted instruments (and of none), one list per known_at."""
    records = rows.tolist() if hasattr(rows, "tolist") else rows
    typed = (Row(*(int(v) for v in r[:6]), *(float(v) for v in r[6:])) for r in map(tuple, records))
    kept = (row for row in typed if row.subject < 0 or row.subject in wanted)
    for t, group in groupby(kept, key=lambda row: row.known_at):
        if until is not None and t >= until:
            return
        yield t, list(group)


class Simulation:
    def __init__(self, instruments: Sequence[Instrument], pairs: list[Pair], params: Parameters) -> None:
        self.params = params
        self.counters = Counters()
        self.result = Result()
        named = {*instruments, *(leg for pair in pairs for leg in pair)}
        views = {instrument: View(instrument, params, self.counters) for instrument in named}
        self.views = {subject: views[instrument] for subject, instrument in enumerate(instruments)}
        self.markets = [PairMarket(p, views[p.long], views[p.short], params, self.counters) for p in pairs]
        self.book = Book(params, [BookedPair(market) for market in self.markets])
        self.accepted: set[Pair] = set()  # pairs with an accepted pair row in this instant
        self.capital = sum(account.capital for account in self.book.accounts.values())
        self.halted = False
        self.hour: int | None = None
        self.day: int | None = None
        self.period: int | None = None
        self.theta = 1.0
        self.day_start_equity = self.capital
        self.throttle_peak = float(self.capital)
        self.drawdown_peak = self.capital
        self.before: int | None = None  # the last instant
        self.heard_since = 0

    def step(self, t: int, rows: list[Row], running: bool) -> None:
        """One instant, phase by phase."""
        if self.before is None or t - self.before > self.params.dead_s * SECOND:
            self.heard_since = t
        self.before = t
        if running:
            self._begin_day(t)
        by_subject: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_subject[row.subject].append(row)
        ordered = {subject: canonical(found) for subject, found in sorted(by_subject.items())}
        clocks = ordered.pop(-1, [])
        self._watch_prices(ordered, running)
        self._watch_rates(ordered, running)
        for row in clocks:
            if row.kind == Kind.CLOCK_STEPPED:
                self.halted = row.a != 0
        if running:
            self.result.rows += len(rows)
            self._settle(t, ordered)
            self._fill(t)
        self._delist(t, ordered, running)
        if not running:
            return
        period = t // (self.params.cadence_s * SECOND)
        due = self.period is None or period > self.period
        if due:
            self.period = period
            self._bury_dead(t)
        self._charge_borrow(t)
        if due:
            self._decide(t)
            self._sample()

    # Phases 1 to 3 --------------------------------------------------------------------------------------------

    def _watch_prices(self, ordered: dict[int, list[Row]], counting: bool) -> None:
        """Prices of instruments, then pair rows, then the updates that depend on suspect pair rows."""
        for view in self.views.values():
            view.begin_instant()
        for subject, rows in ordered.items():
            for row in rows:
                if PHASE[row.kind] == 1:
                    self.views[subject].take_price(row, counting)
        self.accepted = set()
        held_back: set[Instrument] = set()
        for market in self.markets:
            verdict = market.end_prices(counting)
            if verdict == "accepted":
                self.accepted.add(market.pair)
            elif verdict == "suspect" and market.is_one_venue_carry:
                held_back.update(market.pair)
        for subject in ordered:
            self.views[subject].end_prices(self.views[subject].instrument in held_back)

    def _watch_rates(self, ordered: dict[int, list[Row]], counting: bool) -> None:
        """Settlements of all instruments by their time, then everything else of phase 2."""
        settled: dict[int, list[tuple[View, Row, float]]] = defaultdict(list)
        for subject, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.FUNDING_SETTLED:
                    settled[row.event_at].append((self.views[subject], row, given_hours(row, rows)))
        for settled_at in sorted(settled):
            raw = {}
            for view, row, hours in settled[settled_at]:
                view.live(row)
                if not view.is_late(row, counting) and view.rates.settle(row, hours, counting):
                    raw[view.instrument] = row.a
            for market in self.markets:
                market.observe_rates(settled_at, raw)
        for subject, rows in ordered.items():
            for row in rows:
                if PHASE[row.kind] == 2 and GROUP[row.kind] != "settled":
                    self.views[subject].take(row, counting)
        for market in self.markets:
            market.end_turnover()

    def _settle(self, t: int, ordered: dict[int, list[Row]]) -> None:
        for subject, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.FUNDING_SETTLED:
                    self.result.settlements += 1
                    self.book.settle(t, self.views[subject], row.event_at, row.a)
        for subject, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.FUNDING_REVISED and row.a != row.c:
                    self.book.revise(t, self.views[subject], row.event_at, row.a, row.c)

    # Phases 5 to 7 --------------------------------------------------------------------------------------------

    def _fill(self, t: int) -> None:
        """Liquidations, exits of one leg, exits, entries, each in pair order."""
        booked_pairs = [booked for booked in self.book.booked_pairs if booked.pair in self.accepted]
        if self.params.account == "split":
            for booked in booked_pairs:
                self.book.liquidate_legs(t, booked)
        else:
            self.book.liquidate_accounts(t)
        for booked in self.book.booked_pairs:
            position = booked.position
            if position is not None and position.last_leg is not None and is_due(position.last_leg, t):
                (leg,) = position.legs
                if booked.market.view(leg).priced_row is not None:
                    self.book.close_last_leg(t, booked)
        for booked in booked_pairs:
            position = booked.position
            if position is None:
                continue
            if position.exit is not None and is_due(position.exit, t):
                self.book.close(t, booked)
            elif position.liquidated_at is not None and t > position.liquidated_at:
                self.book.close(t, booked, "leg closed")
        for booked in booked_pairs:
            if booked.entry is not None and is_due(booked.entry, t):
                self.book.open(t, booked, booked.entry, unpriced=False)

    def _delist(self, t: int, ordered: dict[int, list[Row]], running: bool) -> None:
        gone = []
        for subject, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.INSTRUMENT_DELISTED:
                    self.views[subject].delisted_at = row.event_at
                    gone.append(self.views[subject])
        if running:
            for booked in self.book.booked_pairs:
                if any(view in gone for view in booked.market.views):
                    self._end(t, booked, "delisted")

    def _bury_dead(self, t: int) -> None:
        for booked in self.book.booked_pairs:
            if booked.market.dead_views(t, self.heard_since):
                self._end(t, booked, "data ended")

    def _end(self, t: int, booked: BookedPair, reason: str) -> None:
        """A leg stopped trading, which ends the pair: the other leg closes at its own price if it still trades."""
        dead = booked.market.dead_views(t, self.heard_since)
        gone = [view for view in booked.market.views if view.delisted_at is not None or view in dead]
        self.book.end(t, booked, reason, gone)

    def _charge_borrow(self, t: int) -> None:
        hour = t // HOUR
        if self.hour is not None and hour > self.hour:
            self.book.charge_borrow(hour - self.hour)
        self.hour = hour

    # Phase 8 --------------------------------------------------------------------------------------------------

    def _decide(self, t: int) -> None:
        for booked in self.book.booked_pairs:
            if booked.entry is not None and t - booked.entry.decided_at > booked.market.stale_ns():
                booked.entry = None
                self.book.dropped += 1
        self._throttle()
        for booked in self.book.booked_pairs:
            if wants_exit(self.params, booked, t):
                self._exit(t, booked)
        moment = Moment(t, self.theta, self.halted, self.day_start_equity, self.heard_since)
        for candidate in candidates(self.params, self.book.booked_pairs, t):
            booked = candidate.booked
            size = entry_size(self.book, candidate, moment)
            lots = lots_of(size, sizing_mid(booked.market), booked.market.lot())
            failed = failed_gates(self.book, candidate, moment, size, lots)
            for gate in failed:
                self.result.refused[gate] += 1
            if not failed:
                self._enter(t, booked, size, lots)

    def _enter(self, t: int, booked: BookedPair, size: float, lots: int) -> None:
        self.result.decisions.append((t, booked.pair, "enter", lots))
        order = Order(lots, booked.market.lot(), size, t, self._due(t))
        unpriced = not booked.market.priced
        if unpriced or self.params.fill == "same":
            self.book.open(t, booked, order, unpriced)
        else:
            booked.entry = order

    def _exit(self, t: int, booked: BookedPair) -> None:
        position = booked.position
        assert position is not None
        self.result.decisions.append((t, booked.pair, "exit", position.lots))
        if position.unpriced or self.params.fill == "same":
            self.book.close(t, booked)
        else:
            position.exit = Order(position.lots, position.lot, position.size, t, self._due(t))

    def _due(self, t: int) -> int:
        return t + self.params.latency_ms * 10**6

    def _throttle(self) -> None:
        equity = float(self.book.equity())
        self.throttle_peak = max(self.throttle_peak, equity)
        raw = clip(1.0 - (self.throttle_peak - equity) / self.throttle_peak / self.params.drawdown_limit)
        quarters = floor(4.0 * raw + 0.5) / 4.0
        if quarters < self.theta:
            self.theta = quarters
        elif self.theta < 1.0 and raw >= self.theta + 0.2:
            self.theta += 0.25

    # Samples --------------------------------------------------------------------------------------------------

    def _begin_day(self, t: int) -> None:
        day = t // DAY
        if self.day is not None and day > self.day:
            equity = self.book.equity()
            self._sample_drawdown(equity)
            self.day_start_equity = equity
            peak = self.throttle_peak
            self.throttle_peak = max(float(equity), peak - (peak - float(equity)) / 90.0)
            self.result.days.append((day, equity))
        self.day = day

    def _sample(self) -> None:
        """Phase 9."""
        self._sample_drawdown(self.book.equity())
        for venue, account in self.book.accounts.items():
            free = self.book.free(venue)
            account.min_free = free if account.min_free is None else min(account.min_free, free)
            self.result.min_health = min(self.result.min_health, self.book.health(venue))

    def _sample_drawdown(self, equity: int) -> None:
        self.drawdown_peak = max(self.drawdown_peak, equity)
        drawdown = float(self.drawdown_peak - equity) / float(self.drawdown_peak)
        self.result.max_drawdown = max(self.result.max_drawdown, drawdown)

    def finish(self) -> Result:
        result, book, counters = self.result, self.book, self.counters
        for venue, account in book.accounts.items():
            open_pnl, free = book.unrealised(venue), book.free(venue)
            result.venues[venue] = VenueResult(
                account.capital,
                account.funding,
                account.long_pnl + open_pnl["long"],
                account.short_pnl + open_pnl["short"],
                account.fees,
                account.borrow,
                book.equity(venue),
                free,
                free if account.min_free is None else account.min_free,
            )
        for name in ("capital", "funding", "long_pnl", "short_pnl", "fees", "borrow", "equity"):
            setattr(result, name + "_e8", sum(getattr(venue, name) for venue in result.venues.values()))
        result.fills, result.payments, result.revisions = book.fills, book.payments, book.revisions
        result.slippage_e8 = book.slippage
        result.liquidation_e8, result.liquidations = book.liquidation, book.liquidations
        result.payments_count, result.edge_payments = book.payments_booked, book.edge_payments
        result.trades, result.dropped = book.trades, book.dropped
        result.no_mark, result.gaps = counters.no_mark, counters.gaps
        result.suspect, result.late = counters.suspect, counters.late
        result.open_positions = len(book.held())
        return result


def given_hours(settled: Row, rows: list[Row]) -> float:
    """The interval that a settlement gives, or another source for the same rate in the same instant; 0: none does."""
    given = [
        row.b
        for row in rows
        if row.kind == Kind.FUNDING_REVISED and row.event_at == settled.event_at and row.a == row.c == settled.a
    ]
    return settled.b or max(given, default=0.0)


def is_due(order: Order, t: int) -> bool:
    return t >= order.due and t > order.decided_at
