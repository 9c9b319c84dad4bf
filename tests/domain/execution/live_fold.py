"""The real fold over a market that wants one pair, so that what a process logs meets what the run would make of it."""

from decimal import Decimal
from typing import Any

import numpy as np

from carryfold.domain.events import Event
from carryfold.domain.execution import TradedPair
from carryfold.domain.fold import State, fold
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows, row_values
from tests.domain.execution.facts import SECOND, START

__all__ = ["LiveFold"]

HOUR = 3600 * SECOND
E8 = 100_000_000


class LiveFold:
    """A live run that decided an entry at START, and later, if asked, an exit."""

    def __init__(self, pair: TradedPair, *, notional: float = 100_000.0) -> None:
        params = Parameters(notional=notional, capital=1e7, cadence_s=86_400, max_positions=1, daily_loss_limit=1.0)
        self.state = State(params, start=START, universe=1, simulated=False)
        self.state.add_pairs([pair.symbol.encode()])
        self.pair = pair
        lot = float(pair.coins(pair.lot_units))
        self._fold(START - HOUR, Kind.PAIR_LISTED, 0, lot, 5.0, float(pair.lot_units), 1.0)
        self.settle(START - HOUR, 0.001)
        decisions = self._fold(START, Kind.QUOTED, 0, 99.99, 100.01, 99.99, 100.01)
        assert [d["lots"] for d in decisions] == [round(notional / 100 / lot)]
        self.lots = int(decisions[0]["lots"])

    def settle(self, at: int, rate: float) -> Any:
        """A settled rate; below `exit` it makes the fold leave."""
        return self._fold(at, Kind.FUNDING_SETTLED, 0, rate, 8.0, 0.0, 0.0)

    def tick(self, at: int) -> Any:
        """Time passes; gives the decisions."""
        return self._fold(at, Kind.CLOCK_TICKED, 0, 0.0, 0.0, 0.0, 0.0)

    def apply(self, event: Event, known_at: int) -> Any:
        """One logged event of the run."""
        values = row_values(event)
        if values is None:
            return None
        kind, _, a, b, c, d = values
        return self._fold(known_at, kind, 1, a, b, c, d)

    @property
    def holding(self) -> tuple[int, int]:
        """Units of spot and of the short."""
        return int(self.state.pair[0]["spot_units"]), int(self.state.pair[0]["perp_units"])

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
        tied = int(book["spot_cost"]) - int(book["perp_entry"])
        earned = int(book["spot_realised"]) + int(book["perp_realised"]) - int(book["fees"])
        return Decimal(earned - tied) / E8

    def _fold(self, known_at: int, kind: int, slot: int, a: float, b: float, c: float, d: float) -> Any:
        rows: Rows = np.array([(known_at, known_at, 0, 0, int(kind), slot, a, b, c, d)], ROW)
        return fold(self.state, rows).decisions
