"""The compiled fold over a market where it wants one pair, to apply the events of a process as a run would."""

from decimal import Decimal
from typing import Any

import numpy as np

from carryfold.domain.events import Event
from carryfold.domain.execution import TradedPair
from carryfold.domain.fold import State, fold
from carryfold.domain.instruments import LOT_UNITS
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows, row_values
from tests.domain.execution.facts import SECOND, START

__all__ = ["LiveFold"]

HOUR = 3600 * SECOND
E8 = 100_000_000
RUN_SLOT = 1
NO_SUBJECT = -1
_OF_PAIRS = frozenset(range(Kind.ORDER_ACCEPTED, Kind.SHORT_ADOPTED + 1)) - {
    Kind.BORROW_CHARGED, Kind.MARGIN_OBSERVED, Kind.HALTED, Kind.RESUMED, Kind.FLATTEN_REQUESTED,
}  # fmt: skip


class LiveFold:
    """A live run that decided an entry at START, and later, if asked, an exit."""

    def __init__(self, pair: TradedPair, *, notional: float = 100_000.0) -> None:
        assert pair.lot_units == LOT_UNITS, "the fold counts so"
        params = Parameters(notional=notional, capital=1e7, cadence_s=86_400, max_positions=1, daily_loss_limit=1.0)
        self.state = State(params, [pair.pair.long, pair.pair.short], [pair.pair], start=START, simulated=False)
        self.pair = pair
        lot = float(pair.coins(pair.lot_units))
        for leg in (0, 1):
            self._fold((START - HOUR, Kind.INSTRUMENT_LISTED, leg, 0, lot, 5.0, 1.0))
        self.settle(START - HOUR, 0.001)
        decisions = self._fold(*((START, Kind.QUOTED, leg, 0, 99.99, 100.01, 0.0) for leg in (0, 1)))
        assert [d["lots"] for d in decisions] == [round(notional / 100 / lot)]
        self.lots = int(decisions[0]["lots"])

    def settle(self, at: int, rate: float) -> Any:
        """A settled rate; below `exit` it makes the fold leave."""
        return self._fold((at, Kind.FUNDING_SETTLED, 1, 0, rate, 8.0, 0.0))

    def tick(self, at: int) -> Any:
        """Time passes; gives the decisions."""
        return self._fold((at, Kind.CLOCK_TICKED, NO_SUBJECT, 0, 0.0, 0.0, 0.0))

    def apply(self, event: Event, known_at: int) -> Any:
        """One logged event of the run."""
        values = row_values(event)
        if values is None:
            return None
        kind, _, a, b, c = values
        return self._fold((known_at, kind, 0 if kind in _OF_PAIRS else NO_SUBJECT, RUN_SLOT, a, b, c))

    @property
    def holding(self) -> tuple[int, int]:
        """Units of the long leg and of the short one."""
        return int(self.state.pair[0]["long_units"]), int(self.state.pair[0]["short_units"])

    @property
    def pending(self) -> int:
        return int(self.state.pair[0]["pending"])

    @property
    def held(self) -> bool:
        return bool(self.state.pair[0]["held"])

    @property
    def cash(self) -> Decimal:
        """What trading brought in: realised P&L less fees less what is tied up."""
        book = self.state.book[0]
        tied = int(book["long_cost"]) - int(book["short_entry"])
        earned = int(book["long_realised"]) + int(book["short_realised"]) - int(book["fees"])
        return Decimal(earned - tied) / E8

    def _fold(self, *rows: tuple[int, int, int, int, float, float, float]) -> Any:
        """Rows of one instant: (known_at, kind, subject, slot, a, b, c)."""
        made: Rows = np.array(
            [(at, at, 0, subject, int(kind), slot, a, b, c) for at, kind, subject, slot, a, b, c in rows], ROW
        )
        return fold(self.state, made).decisions
