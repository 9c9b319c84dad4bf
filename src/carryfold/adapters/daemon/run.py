"""One run inside the daemon: its parameters, its fold, and the record of what it decides.

The log's writer folds, and everybody else looks: whoever looks sees the state between two folds, never inside one. The
last one may not be on the disk yet, so nobody acts on what he sees before he has committed something himself.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from carryfold.domain.events import EntryDecided, Event, ExitDecided
from carryfold.domain.execution.pair import decimal_of
from carryfold.domain.execution.reports import Leg
from carryfold.domain.fold import Output, State, fold, simulate
from carryfold.domain.fold.codes import ENTRY, NOTHING
from carryfold.domain.fold.money import equity
from carryfold.domain.fold.observe import turnover_24h
from carryfold.domain.records import decisions_recorded, fills_recorded
from carryfold.domain.rows import E8, Rows
from carryfold.projections.cursor import MAX, Cursor
from carryfold.projections.runs import RunFilter, RunInfo, make_state
from carryfold.projections.tape import PairName, Tape

__all__ = ["Made", "Run", "Standing"]


class Standing(NamedTuple):
    """How a run stands. `equity`: capital and all P&L, open legs at the last accepted prices, in quote. `held`: pairs.
    `may_enter`: not halted, not flattening, and the clock agrees. `is_waiting`: something is held or ordered, so that
    time itself matters. `health`: the account's margin health as last heard of."""

    equity: float
    held: int
    may_enter: bool
    is_waiting: bool
    health: float


class Made(NamedTuple):
    """What a commit made of a run: decisions, and the bookings of its simulated venue."""

    decisions: list[EntryDecided | ExitDecided]
    fills: list[Event]

    @property
    def events(self) -> list[Event]:
        """Everything that has to be recorded."""
        return [*self.decisions, *self.fills]


class Run:
    """A run whose state follows the log commit by commit."""

    def __init__(self, info: RunInfo, tape: Tape) -> None:
        """A run that has folded nothing yet. Raises RunError for a pair that the log does not have."""
        self.info = info
        self.names: Sequence[PairName] = tape.pairs
        self.state: State
        self.state, self.ids = make_state(info, self.names)
        self.symbols = {self.names[i].symbol for i in self.ids}
        self._rows_of = RunFilter(self.ids, tape.runs.index(info.run), live=info.live)
        self._looking = threading.Lock()

    @property
    def label(self) -> str:
        """How logs and metrics name it."""
        return f"{self.info.run}"

    def warm_up(self, tape: Tape) -> Made:
        """Fold all that the log holds. What comes out belongs to the run only if it was under way before."""
        decisions: list[EntryDecided | ExitDecided] = []
        fills: list[Event] = []
        for block in tape.blocks(Cursor(MAX, tape.last_seq)):
            made = self.fold(block)
            decisions += made.decisions
            fills += made.fills
        return Made(decisions, fills)

    def fold(self, rows: Rows) -> Made:
        """Fold the rows of a commit."""
        own = self._rows_of(rows)
        if len(own) == 0:
            return Made([], [])
        with self._looking:
            output: Output = (fold if self.info.live else simulate)(self.state, own)
        run = self.info.run
        return Made(
            decisions_recorded(run, self.names, output.decisions) if len(output.decisions) else [],
            [*fills_recorded(run, self.names, output.fills)] if len(output.fills) else [],
        )

    def standing(self) -> Standing:
        """As of the last fold."""
        with self._looking:
            book = self.state.book[0].copy()
        return Standing(
            equity=int(equity(book)) / E8,
            held=int(book["held"]),
            may_enter=not (book["halted"] or book["flatten"] or book["clock_off"]),
            is_waiting=bool(book["held"] or book["ordered"] or book["pending_entries"]),
            health=float(book["observed_health"]),
        )

    def busy_symbols(self) -> set[str]:
        """Pairs that are held or ordered: they are watched more closely."""
        with self._looking:
            pair = self.state.pair
            busy = np.flatnonzero((pair["held"] != 0) | (pair["pending"] != NOTHING))
        return {self.names[i].symbol for i in busy.tolist()}

    def unit_of(self, symbol: str) -> tuple[Decimal, int]:
        """(base coins of a unit of the pair's holding, units in a lot): what is held, or ordered, is counted as it was
        when that was decided, whatever the venue's lot is now."""
        i = self._id_of(symbol)
        with self._looking:
            pair, view = self.state.pair[i].copy(), self.state.view[i].copy()
        lot_units = int(view["lot_units"])
        lot = float(pair["pending_lot"] if pair["pending"] == ENTRY else view["lot"])
        unit = float(pair["unit"]) if pair["held"] else lot / lot_units
        return decimal_of(float(f"{unit:.12g}")), lot_units

    def thin_leg(self, symbol: str) -> Leg:
        """The leg with less turnover in a day; the spot leg where it is not known."""
        with self._looking:
            view = self.state.view[self._id_of(symbol)].copy()
        perp, spot = (
            turnover_24h(view[f"{leg}_turnover_at"], view[f"{leg}_turnover"], view[f"{leg}_turnover_count"])
            for leg in ("perp", "spot")
        )
        return "perp" if 0.0 < perp < spot else "spot"

    def _id_of(self, symbol: str) -> int:
        return next(i for i in self.ids if self.names[i].symbol == symbol)

    def pending(self) -> list[tuple[PairName, bool]]:
        """(pair, whether it is an entry) of every decision that is not carried out yet."""
        with self._looking:
            pending = self.state.pair["pending"].copy()
        return [(self.names[i], bool(pending[i] == ENTRY)) for i in np.flatnonzero(pending != NOTHING).tolist()]
