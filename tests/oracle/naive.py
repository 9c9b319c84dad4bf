"""The oracle: a second simulator, naive and slow, that the compiled fold must equal to the last 1e-8.

It is written from docs/semantics.md alone. `run` takes rows grouped by known_at and gives everything the real fold
reports. It does not validate its input and keeps every row of an instant in memory, nothing more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import floor
from typing import Any

from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .naive_book import Book, Fill, Order, Payment, Seat, SizeOutOfRange, e8
from .naive_rates import DAY, HOUR, SECOND, Counters, Row, canonical, clip
from .naive_strategy import (
    GATES,
    Moment,
    candidates,
    entry_size,
    failed_gates,
    is_dead,
    lots_of,
    spot_mid,
    wants_exit,
)
from .naive_view import Market

__all__ = ["GATES", "Result", "SizeOutOfRange", "run"]

Decision = tuple[int, str, str, int]
"""t, symbol, "enter" or "exit", lots."""


@dataclass
class Result:
    """All that a run leaves; amounts in whole 1e-8."""

    decisions: list[Decision] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    revisions: list[Payment] = field(default_factory=list)
    days: list[tuple[int, int]] = field(default_factory=list)  # day that begins, equity
    capital_e8: int = 0
    funding_e8: int = 0
    spot_pnl_e8: int = 0
    perp_pnl_e8: int = 0
    fees_e8: int = 0
    borrow_e8: int = 0
    equity_e8: int = 0
    slippage_e8: int = 0
    liquidation_e8: int = 0
    min_free_e8: int = 0
    max_drawdown: float = 0.0
    min_health: float = float("inf")
    rows: int = 0
    settlements: int = 0
    payments_count: int = 0
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
    symbols: Sequence[bytes | str],
    params: Parameters,
    *,
    since: int = 0,
    until: int | None = None,
    selected: set[int] | None = None,
    universe: int | None = None,
) -> Result:
    """Simulates one run over `rows` (ROW's fields, any order inside an instant). Raises SizeOutOfRange."""
    chosen = set(range(len(symbols))) if selected is None else selected
    simulation = Simulation(symbols, params, chosen, len(chosen) if universe is None else universe)
    for t, instant in instants(rows, chosen, until):
        simulation.step(t, instant, running=t >= since)
    return simulation.finish()


def instants(rows: Iterable[Any], chosen: set[int], until: int | None) -> Iterator[tuple[int, list[Row]]]:
    """Rows of the chosen pairs (and of no pair), one list per known_at."""
    records = rows.tolist() if hasattr(rows, "tolist") else rows
    wanted = (Row(*(int(v) for v in r[:6]), *(float(v) for v in r[6:])) for r in map(tuple, records))
    wanted = (row for row in wanted if row.pair < 0 or row.pair in chosen)
    for t, group in groupby(wanted, key=lambda row: row.known_at):
        if until is not None and t >= until:
            return
        yield t, list(group)


class Simulation:
    def __init__(self, symbols: Sequence[bytes | str], params: Parameters, chosen: set[int], universe: int) -> None:
        self.params = params
        self.universe = universe
        self.counters = Counters()
        self.result = Result()
        names = [symbol.encode() if isinstance(symbol, str) else symbol for symbol in symbols]
        self.seat_of = {pair: Seat(Market(names[pair], params, self.counters)) for pair in chosen}
        in_order = sorted(chosen, key=lambda pair: (names[pair], pair))
        self.book = Book(params, [self.seat_of[pair] for pair in in_order])
        self.rank = {pair: rank for rank, pair in enumerate([-1, *in_order])}  # rows of no pair first
        self.accepted: set[int] = set()  # id() of seats with an accepted price row in this instant
        self.halted = False
        self.hour: int | None = None
        self.day: int | None = None
        self.period: int | None = None
        self.theta = 1.0
        self.day_start_equity = self.book.capital
        self.throttle_peak = float(self.book.capital)
        self.drawdown_peak = self.book.capital
        self.min_free: int | None = None
        self.before: int | None = None  # the last instant
        self.heard_since = 0

    def step(self, t: int, rows: list[Row], running: bool) -> None:
        """One instant, phase by phase."""
        if self.before is None or t - self.before > self.params.dead_s * SECOND:
            self.heard_since = t
        self.before = t
        if running:
            self._begin_day(t)
        by_pair: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_pair[row.pair].append(row)
        ordered = {pair: canonical(by_pair[pair]) for pair in sorted(by_pair, key=lambda pair: self.rank[pair])}
        self._watch(ordered, running)
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

    def _watch(self, ordered: dict[int, list[Row]], running: bool) -> None:
        self.accepted = set()
        for pair, rows in ordered.items():
            if pair >= 0:
                seat = self.seat_of[pair]
                if seat.market.observe(rows, running):
                    self.accepted.add(id(seat))
            else:
                for row in rows:
                    if row.kind == Kind.CLOCK_STEPPED:
                        self.halted = row.a != 0

    def _settle(self, t: int, ordered: dict[int, list[Row]]) -> None:
        for pair, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.FUNDING_SETTLED:
                    self.result.settlements += 1
                    self.book.settle(t, self.seat_of[pair], row.event_at, row.a)
            for row in rows:
                if row.kind == Kind.FUNDING_REVISED and row.a != row.c:
                    self.book.revise(t, self.seat_of[pair], row.event_at, row.a, row.c)

    # Phases 5 to 7 --------------------------------------------------------------------------------------------

    def _fill(self, t: int) -> None:
        """Liquidations, then exits and left-over spot legs, then entries, of pairs with an accepted row."""
        seats = [seat for seat in self.book.seats if id(seat) in self.accepted]
        if self.params.account == "split":
            for seat in seats:
                if self.book.is_liquidated(t, seat):
                    self.book.liquidate(t, seat)
        for seat in seats:
            position = seat.position
            if position is None:
                continue
            exit_is_due = position.exit is not None and t >= position.exit.due and t > position.exit.decided_at
            spot_is_due = position.liquidated_at is not None and t > position.liquidated_at
            if exit_is_due or spot_is_due:
                self.book.close(t, seat)
        for seat in seats:
            order = seat.entry
            if order is not None and t >= order.due and t > order.decided_at:
                self.book.open(t, seat, order, unpriced=False)

    def _delist(self, t: int, ordered: dict[int, list[Row]], running: bool) -> None:
        gone = []
        for pair, rows in ordered.items():
            for row in rows:
                if row.kind == Kind.PAIR_DELISTED:
                    self.seat_of[pair].market.delisted_at = row.event_at
                    gone.append(id(self.seat_of[pair]))
        if running:
            for seat in self.book.seats:
                if id(seat) in gone:
                    self.book.delist(t, seat, "delisted")

    def _bury_dead(self, t: int) -> None:
        for seat in self.book.seats:
            if is_dead(seat, t, self.params, self.heard_since):
                self.book.delist(t, seat, "data ended")

    def _charge_borrow(self, t: int) -> None:
        hour = t // HOUR
        if self.hour is not None and hour > self.hour:
            self.book.charge_borrow(hour - self.hour)
        self.hour = hour

    # Phase 8 --------------------------------------------------------------------------------------------------

    def _decide(self, t: int) -> None:
        for seat in self.book.seats:
            if seat.entry is not None and t - seat.entry.decided_at > self.params.stale_s * SECOND:
                seat.entry = None
                self.book.dropped += 1
        self._throttle()
        for seat in self.book.seats:
            if wants_exit(self.params, seat, t):
                self._exit(t, seat)
        moment = Moment(t, self.theta, self.halted, self.day_start_equity, self.universe, self.heard_since)
        for candidate in candidates(self.params, self.book.seats, t):
            seat = candidate.seat
            size = entry_size(self.book, candidate, moment)
            lots = lots_of(size, spot_mid(seat), seat.market.lot)
            failed = failed_gates(self.book, candidate, moment, size, lots)
            for gate in failed:
                self.result.refused[gate] += 1
            if not failed:
                self._enter(t, seat, size, lots)

    def _enter(self, t: int, seat: Seat, size: float, lots: int) -> None:
        self.result.decisions.append((t, seat.market.symbol.decode(), "enter", lots))
        order = Order(lots, seat.market.lot, size, t, self._due(t))
        unpriced = not seat.market.priced
        if unpriced or self.params.fill == "same":
            self.book.open(t, seat, order, unpriced)
        else:
            seat.entry = order

    def _exit(self, t: int, seat: Seat) -> None:
        position = seat.position
        assert position is not None
        self.result.decisions.append((t, seat.market.symbol.decode(), "exit", position.lots))
        if position.unpriced or self.params.fill == "same":
            self.book.close(t, seat)
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
        free = self.book.free()
        self.min_free = free if self.min_free is None else min(self.min_free, free)
        self.result.min_health = min(self.result.min_health, self.book.health())

    def _sample_drawdown(self, equity: int) -> None:
        self.drawdown_peak = max(self.drawdown_peak, equity)
        drawdown = float(self.drawdown_peak - equity) / float(self.drawdown_peak)
        self.result.max_drawdown = max(self.result.max_drawdown, drawdown)

    def finish(self) -> Result:
        result, book, counters = self.result, self.book, self.counters
        spot, perp = book.unrealised()
        result.fills, result.payments, result.revisions = book.fills, book.payments, book.revisions
        result.capital_e8, result.funding_e8 = e8(self.params.capital), book.funding
        result.spot_pnl_e8, result.perp_pnl_e8 = book.spot_pnl + spot, book.perp_pnl + perp
        result.fees_e8, result.borrow_e8 = book.fees, book.borrow
        result.equity_e8 = book.equity()
        result.slippage_e8, result.liquidation_e8 = book.slippage, book.liquidation
        result.min_free_e8 = book.free() if self.min_free is None else self.min_free
        result.payments_count, result.trades, result.dropped = book.payments_booked, book.trades, book.dropped
        result.no_mark, result.gaps = counters.no_mark, counters.gaps
        result.suspect, result.late = counters.suspect, counters.late
        result.open_positions = len(book.held())
        return result
