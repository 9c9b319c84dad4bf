"""A backtest: the rows of the tape under a cursor, folded, with all outputs collected.

Memory is bounded by the number of trades, days and reported refusals, never by the length of the log.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from carryfold.domain.fold import Output, State, simulate
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS
from carryfold.domain.fold.state import DAY, DECISION, FILL
from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows, empty_rows
from carryfold.projections.backtest.known_legs import KnownLegs
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.backtest.span import SpanTracker
from carryfold.projections.backtest.universe import Universe
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape

__all__ = ["Backtest", "Blocks", "market_rows", "run_backtest", "run_blocks"]

REFUSALS_KEPT: Final = 20_000

Array = npt.NDArray[np.void]
Progress = Callable[[int], None]


class Blocks(Protocol):
    """The source of a backtest's rows: each call gives a new iterator over blocks of whole instants in known order."""

    def __call__(self) -> Iterator[Rows]: ...


class Backtest:
    """The result of one run. Arrays are domain.fold.state records.

    `first_row_at`, `last_row_at`, `tradeable_at`: see span.SpanTracker. `funding`: received by each trade, e8.
    `states`: copies of the state after the last instant not later than each cut. `months`: members of the universe.
    """

    def __init__(self, params: Parameters, selection: Selection, since: int, until: int | None, state: State) -> None:
        self.params = params
        self.selection = selection
        self.since = since
        self.until = until
        self.state = state
        self.first_row_at: int | None = None
        self.last_row_at: int | None = None
        self.tradeable_at: int | None = None
        self.states: dict[int, State] = {}
        self.months: dict[str, list[Instrument]] | None = None
        self.decisions: Array = np.zeros(0, DECISION)
        self.fills: Array = np.zeros(0, FILL)
        self.days: Array = np.zeros(0, DAY)
        self.funding: dict[int, int] = {}
        self.refusals_left_out = 0
        self.fold_seconds = 0.0
        self.decisions_hash = ""

    @property
    def book(self) -> Any:
        """The final book, a state.BOOK record."""
        return self.state.book[0]


class _Collector:
    """Collects outputs block by block, folding funding payments into their trades."""

    def __init__(self, result: Backtest) -> None:
        self.result = result
        self.parts: list[Output] = []
        self.refusals = 0
        self.digest = hashlib.blake2b(digest_size=16)

    def add(self, output: Output) -> None:
        decisions, fills, days = output
        self._hash(decisions[decisions["action"] != ACTIONS.index("refused")])
        payments = fills["action"] == BOOKINGS.index("funding")
        self._add_funding(fills[payments])
        self.parts.append(Output(self._bounded(decisions), fills[~payments], days))

    def _add_funding(self, payments: Array) -> None:
        if len(payments):
            trades, places = np.unique(payments["trade"], return_inverse=True)
            amounts = np.zeros(len(trades), np.int64)
            np.add.at(amounts, places, payments["amount"])
            for trade, amount in zip(trades.tolist(), amounts.tolist(), strict=True):
                self.result.funding[trade] = self.result.funding.get(trade, 0) + amount

    def _bounded(self, decisions: Array) -> Array:
        """All entries and exits, and refusals until REFUSALS_KEPT of them are kept."""
        refused = decisions["action"] == ACTIONS.index("refused")
        room = REFUSALS_KEPT - self.refusals
        beyond = refused & (np.cumsum(refused) > room)
        self.refusals += int(refused.sum() - beyond.sum())
        self.result.refusals_left_out += int(beyond.sum())
        kept: Array = decisions[~beyond]
        return kept

    def _hash(self, decisions: Array) -> None:
        names = [_hashed_name(pair) for pair in self.result.selection.pairs]
        for d in decisions:
            self.digest.update(f"{d['t']} {names[d['pair']]} {ACTIONS[d['action']]} {d['lots']}\n".encode())

    def finish(self) -> None:
        result = self.result
        if self.parts:
            result.decisions, result.fills, result.days = (np.concatenate(c) for c in zip(*self.parts, strict=True))
        result.decisions_hash = self.digest.hexdigest()


def _hashed_name(pair: Pair) -> str:
    """The name in `decisions_hash`: a carry pair of one venue is named by its perpetual alone (docs/semantics.md 7)."""
    if pair.is_carry and pair.is_one_venue:
        return f"{pair.short.venue} {pair.short.symbol} {pair.short.listing}"
    return f"{pair.name} {pair.long.listing} {pair.short.listing}"


def market_rows(rows: Rows) -> Rows:
    """The inputs among the rows. Outcomes belong to the run that caused them, so a backtest leaves them out."""
    inputs = rows["kind"] < Kind.ORDER_ACCEPTED
    return rows if inputs.all() else rows[inputs]


def run_backtest(
    tape: Tape,
    params: Parameters,
    selection: Selection,
    *,
    cursor: Cursor = NOW,
    since: int = 0,
    until: int | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Fold the tape under `cursor`. Rows with known_at < since (ns) only warm up signals and views; rows with known_at
    >= until are ignored. Raises SizeOutOfRange, TapeError."""

    def blocks() -> Iterator[Rows]:
        return tape.blocks(cursor, until=until, instrument_ids=selection.instrument_ids)

    return run_blocks(blocks, params, selection, since=since, until=until, progress=progress)


def run_blocks(
    blocks: Blocks,
    params: Parameters,
    selection: Selection,
    *,
    since: int = 0,
    until: int | None = None,
    progress: Progress | None = None,
    cuts: Sequence[int] = (),
) -> Backtest:
    """The same on any source of blocks. The states at `cuts` (known times) are kept."""
    state = State(params, selection.instruments, selection.pairs, start=since)
    result = Backtest(params, selection, since, until, state)
    collector, span = _Collector(result), SpanTracker(selection, since)
    simulate(state, empty_rows())  # loads the compiled fold, so that its time is not counted as folding
    pending = sorted(cuts)
    source = KnownLegs(selection).filter(market_rows(block) for block in blocks())
    if selection.universe is not None:
        universe = Universe(selection.perpetuals, selection.universe)
        source, result.months = universe.extend(source), universe.months
    for block in source:
        if len(block) == 0:
            continue
        span.observe(block)
        rest = block
        while pending and pending[0] < block["known_at"][-1]:
            cut = pending.pop(0)
            stop = int(np.searchsorted(rest["known_at"], cut, side="right"))
            _fold(result, collector, rest[:stop])
            result.states[cut] = state.copy()
            rest = rest[stop:]
        _fold(result, collector, rest)
        if progress is not None:
            progress(len(block))
    result.states |= {cut: state.copy() for cut in pending}
    collector.finish()
    result.first_row_at, result.last_row_at, result.tradeable_at = (
        span.first_row_at,
        span.last_row_at,
        span.tradeable_at,
    )
    return result


def _fold(result: Backtest, collector: _Collector, rows: Rows) -> None:
    started = time.perf_counter()
    output = simulate(result.state, rows)
    result.fold_seconds += time.perf_counter() - started
    collector.add(output)
