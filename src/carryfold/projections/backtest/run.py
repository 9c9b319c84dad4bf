"""A backtest: the tape under a cursor through the compiled fold, with everything it brought out collected.

Memory is bounded by the number of trades, days and reported refusals, never by the length of the log.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from carryfold.domain.fold import Output, State, simulate
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS
from carryfold.domain.fold.state import DAY, DECISION, FILL
from carryfold.domain.instruments import Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import KINDS, Kind, Rows, empty_rows
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape

__all__ = ["Backtest", "Blocks", "market_rows", "run_backtest", "run_blocks"]

REFUSALS_KEPT: Final = 20_000
_PIECE: Final = 256

_IS_MARKET: Final = np.array([kind in KINDS and bool(KINDS[Kind(kind)].group) for kind in range(max(KINDS) + 1)])

Array = npt.NDArray[np.void]
Progress = Callable[[int], None]


class Blocks(Protocol):
    """Where a backtest's rows come from: called for a fresh iterator over whole instants in known order."""

    def __call__(self) -> Iterator[Rows]: ...


class Backtest:
    """What one run brought out. Arrays are domain.fold.state records; `funding` is what each trade received, e8."""

    def __init__(self, params: Parameters, selection: Selection, since: int, until: int | None, state: State) -> None:
        self.params = params
        self.selection = selection
        self.since = since
        self.until = until
        self.state = state
        self.first_row_at: int | None = None
        self.last_row_at: int | None = None
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
    """A carry pair of one venue is named by its perpetual alone, as it always was."""
    if pair.is_carry and pair.is_one_venue:
        return f"{pair.short.venue} {pair.short.symbol} {pair.short.listing}"
    return f"{pair.name} {pair.long.listing} {pair.short.listing}"


def market_rows(rows: Rows) -> Rows:
    """Rows that a research fold sees: inputs. Outcomes belong to the run that caused them."""
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
    """Fold the tape under `cursor`. Rows with known_at < since (ns) only warm signals and views; rows from `until` on
    do not exist. Raises SizeOutOfRange, TapeError."""

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
) -> Backtest:
    """The same on any source of blocks."""
    state = State(params, selection.instruments, selection.pairs, start=since)
    result = Backtest(params, selection, since, until, state)
    collector = _Collector(result)
    simulate(state, empty_rows())  # loads the compiled fold, which is not folding
    for block in blocks():
        rows = market_rows(block)
        if len(rows) == 0:
            continue
        started = time.perf_counter()
        output = simulate(state, rows)
        result.fold_seconds += time.perf_counter() - started
        collector.add(output)
        _note_span(result, rows)
        if progress is not None:
            progress(len(block))
    collector.finish()
    return result


def _note_span(result: Backtest, rows: Rows) -> None:
    """The first and last market row of the run. A listing may be years older than the data, and is no market row."""
    if result.first_row_at is None:
        result.first_row_at = next(_market_times(rows, result.since), None)
    last = next(_market_times(rows[::-1], result.since), None)
    if last is not None:
        result.last_row_at = last


def _market_times(rows: Rows, since: int) -> Iterator[int]:
    """known_at of market rows that are not before `since`, looked for piece by piece: mostly the first one is one."""
    for start in range(0, len(rows), _PIECE):
        piece = rows[start : start + _PIECE]
        yield from piece["known_at"][_IS_MARKET[piece["kind"]] & (piece["known_at"] >= since)].tolist()
