"""One run inside the daemon: its parameters, its fold, and the records of its decisions.

The log's writer folds, everybody else reads: a reader sees the state between two folds, never inside one. The last fold
may not be on the disk yet, so nobody acts on a state before a commit of their own is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from carryfold.domain.events import EntryDecided, Event, ExitDecided
from carryfold.domain.execution.traded_pair import decimal_of
from carryfold.domain.fold import Output, State, fold, simulate
from carryfold.domain.fold.codes import ENTRY, NOTHING
from carryfold.domain.fold.money import equity
from carryfold.domain.fold.observe import turnover_24h
from carryfold.domain.instruments import LOT_UNITS, Instrument, Leg, Pair
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.domain.rows import E8, Rows
from carryfold.domain.run_filter import RunFilter
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunInfo, make_state
from carryfold.projections.snapshots import RunSnapshot
from carryfold.projections.tape import Tape

__all__ = ["FoldResult", "Run", "RunStatus"]


class RunStatus(NamedTuple):
    """A run as of its last fold. `equity`: capital and all P&L, open legs at the last accepted prices, in quote.
    `held`: the number of pairs held. `may_enter`: not halted, not flattening, and the clock agrees. `is_waiting`:
    something is held or ordered, so that the passing of time matters. `health`: the account's margin health as last
    observed."""

    equity: float
    held: int
    may_enter: bool
    is_waiting: bool
    health: float


class FoldResult(NamedTuple):
    """The output of a fold: decisions, and the bookings of the simulated venue."""

    decisions: list[EntryDecided | ExitDecided]
    fills: list[Event]

    @property
    def events(self) -> list[Event]:
        """All of it, as it is recorded."""
        return [*self.decisions, *self.fills]


class Run:
    """A run whose state follows the log commit by commit."""

    def __init__(self, info: RunInfo, tape: Tape, snapshot: RunSnapshot | None = None) -> None:
        """A run as of a snapshot; without one it has folded nothing yet. Raises RunError for a pair that the log does
        not have."""
        self.info = info
        self.state: State = make_state(info, tape.instruments) if snapshot is None else snapshot.state
        self._folded_upto = None if snapshot is None else snapshot.head.recorded_at
        self.pairs = self.state.pairs
        self._index = {pair: number for number, pair in enumerate(self.pairs)}
        self._instruments = len(self.state.instruments)
        self._slot = tape.runs.index(info.run)
        self._between_folds = threading.Lock()
        self.read_from(tape.pairs)

    @property
    def label(self) -> str:
        """Its name in log lines and metrics."""
        return f"{self.info.run}"

    def read_from(self, pairs: Sequence[Pair]) -> None:
        """From here on, rows refer to the pairs of trading events by their place in `pairs`, which may grow."""
        self._rows_of = RunFilter(self._instruments, self.state, pairs, self._slot, live=self.info.live)

    def warm_up(self, tape: Tape) -> FoldResult:
        """Fold everything that the tape has and the run has not folded yet. The output belongs to the run only if the
        run had begun before."""
        decisions: list[EntryDecided | ExitDecided] = []
        fills: list[Event] = []
        since = None if self._folded_upto is None else self._folded_upto + 1
        for block in tape.blocks(Cursor(MAX, tape.last_seq), since=since):
            result = self.fold(block)
            decisions += result.decisions
            fills += result.fills
        return FoldResult(decisions, fills)

    def fold(self, rows: Rows) -> FoldResult:
        """Fold the rows of a commit."""
        own = self._rows_of(rows)
        if len(own) == 0:
            return FoldResult([], [])
        with self._between_folds:
            output: Output = (fold if self.info.live else simulate)(self.state, own)
        run = self.info.run
        return FoldResult(
            decisions_recorded(run, self.state, output.decisions) if len(output.decisions) else [],
            [*fills_recorded(run, self.state, output.fills)] if len(output.fills) else [],
        )

    def status(self) -> RunStatus:
        """The run as of its last fold."""
        with self._between_folds:
            book = self.state.book[0].copy()
        return RunStatus(
            equity=int(equity(book)) / E8,
            held=int(book["held"]),
            may_enter=not (book["halted"] or book["flatten"] or book["clock_off"]),
            is_waiting=bool(book["held"] or book["ordered"] or book["pending_entries"]),
            health=float(book["observed_health"]),
        )

    def busy_legs(self) -> set[Instrument]:
        """The instruments of pairs that are held or ordered: they are watched more closely."""
        with self._between_folds:
            pair = self.state.pair
            busy = np.flatnonzero((pair["held"] != 0) | (pair["pending"] != NOTHING))
        return {leg for number in busy.tolist() for leg in self.pairs[number]}

    def unit_of(self, pair: Pair) -> tuple[Decimal, int]:
        """(base coins of a unit of the pair's holding, units in a lot). A holding and an order keep the units in which
        they were decided, whatever the venue's lot is now."""
        number = self._index[pair]
        with self._between_folds:
            held, view = self.state.pair[number].copy(), self.state.view[number].copy()
        lot = float(held["pending_lot"] if held["pending"] == ENTRY else view["lot"])
        unit = float(held["unit"]) if held["held"] else lot / LOT_UNITS
        return decimal_of(float(f"{unit:.12g}")), LOT_UNITS

    def thin_leg(self, pair: Pair) -> Leg:
        """The leg with less turnover in a day; the long leg if a turnover is not known."""
        with self._between_folds:
            market, view = self.state.market, self.state.view[self._index[pair]]
            long, short = (market[int(view[leg])].copy() for leg in ("long", "short"))
        return "short" if 0.0 < turnover_24h(short) < turnover_24h(long) else "long"

    def pending(self) -> list[tuple[Pair, bool]]:
        """(pair, is it an entry) of every decision that is not carried out yet."""
        with self._between_folds:
            pending = self.state.pair["pending"].copy()
        return [(self.pairs[i], bool(pending[i] == ENTRY)) for i in np.flatnonzero(pending != NOTHING).tolist()]
