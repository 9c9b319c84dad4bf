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
from carryfold.domain.params import Parameters
from carryfold.domain.rows import KINDS, Kind, Rows
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
        for trade in np.unique(fills["trade"][payments]).tolist():
            amount = int(fills["amount"][payments & (fills["trade"] == trade)].sum())
            self.result.funding[trade] = self.result.funding.get(trade, 0) + amount
        self.parts.append(Output(self._bounded(decisions), fills[~payments], days))

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
        names = self.result.selection.names
        for d in decisions:
            name = names[d["pair"]]
            line = f"{d['t']} {name.venue} {name.symbol} {name.listing} {ACTIONS[d['action']]} {d['lots']}\n"
            self.digest.update(line.encode())

    def finish(self) -> None:
        result = self.result
        if self.parts:
            result.decisions, result.fills, result.days = (np.concatenate(c) for c in zip(*self.parts, strict=True))
        result.decisions_hash = self.digest.hexdigest()


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
        return tape.blocks(cursor, until=until, pair_ids=set(selection.ids))

    return run_blocks(blocks, params, selection, since=since, until=until, progress=progress)


def run_blocks(
    blocks: Blocks,
    params: Parameters,
    selection: Selection,
    *,
    since: int = 0,
    until: int | None = None,
    universe: int | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """The same on any source of blocks. `universe`: the number of pairs `hold` divides by, default all selected."""
    state = State(params, start=since, universe=len(selection.ids) if universe is None else universe)
    state.add_pairs(selection.symbols(), selection.flags())
    result = Backtest(params, selection, since, until, state)
    collector = _Collector(result)
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
