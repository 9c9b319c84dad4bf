"""A live run played by hand: rows of the market and of what became of its orders, one instant at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carryfold.domain.fold import Output, State, fold
from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8, ROW, Kind, Rows
from tests.domain.build import MIDNIGHT, SECOND

__all__ = [
    "FREE", "LOT", "LOT_UNITS", "PRICE", "UNIT", "Live", "Values", "cancelled", "corrected", "filled", "listing",
    "quote", "rate", "rejected",
]  # fmt: skip

Values = tuple[int, int, float, float, float, float]
"""pair, kind, a, b, c, d: a row without its times."""

LOT = 0.5
LOT_UNITS = 4
UNIT = LOT / LOT_UNITS  # a power of two: with whole prices every product is exact
PRICE = 100.0
FREE = Parameters(enter=0.001, cadence_s=1, half_spread_bp=0, slippage_bp=0)


def listing(pair: int = 0) -> Values:
    return (pair, Kind.PAIR_LISTED, LOT, 5.0, float(LOT_UNITS), 1.0)


def quote(spot: float, perp: float | None = None, *, pair: int = 0) -> Values:
    """A quote without a spread."""
    perp = spot if perp is None else perp
    return (pair, Kind.QUOTED, spot, spot, perp, perp)


def rate(value: float, *, pair: int = 0) -> Values:
    return (pair, Kind.FUNDING_SETTLED, value, 8.0, 0.0, 0.0)


def filled(
    leg: str, units: int, price: float = PRICE, *, fee: float = 0.0, ended: bool = False, pair: int = 0
) -> Values:
    """A fill of `units` (bought > 0) at `price`, with a fee in quote."""
    value = abs(units) * UNIT * price * E8
    return (pair, Kind.ORDER_FILLED, float(units), value, fee * E8, float((leg == "perp") + 2 * ended))


def rejected(*, ended: bool, pair: int = 0) -> Values:
    return (pair, Kind.ORDER_REJECTED, 0.0, 0.0, 0.0, float(ended))


def cancelled(*, ended: bool, pair: int = 0) -> Values:
    return (pair, Kind.ORDER_CANCELLED, 0.0, 0.0, 0.0, float(ended))


def corrected(spot_units: int = 0, short_units: int = 0, cash: float = 0.0, *, pair: int = 0) -> Values:
    return (pair, Kind.RECONCILIATION_CORRECTED, float(spot_units), float(short_units), cash * E8, 0.0)


class Live:
    """A live fold over `pairs` listed pairs at PRICE, none of which is wanted before a rate comes."""

    def __init__(self, params: Parameters = FREE, pairs: int = 1) -> None:
        self.state = State(params, simulated=False, universe=pairs)
        self.state.add_pairs([b"P%d" % i for i in range(pairs)])
        self.t = MIDNIGHT
        self.rows: list[Rows] = []
        self.decided: list[tuple[int, str, int]] = []
        self.give(*(listing(i) for i in range(pairs)))
        self.give(*(quote(PRICE, pair=i) for i in range(pairs)))

    def give(self, *values: Values, after_s: float = 1.0, slot: int = 0) -> list[tuple[int, str, int]]:
        """One instant of rows, `after_s` after the last one; what was decided at it: (pair, action, lots)."""
        self.t += round(after_s * SECOND)
        rows = self.stamped(values, slot)
        self.rows.append(rows)
        fresh = decisions(fold(self.state, rows))
        self.decided += fresh
        return fresh

    def stamped(self, values: Sequence[Values], slot: int = 0) -> Rows:
        """Rows that happen and are known now."""
        return np.array([(self.t, self.t, 0, v[0], v[1], slot, *v[2:]) for v in values], ROW)

    def want(self, value: float = 0.001, pair: int = 0) -> list[tuple[int, str, int]]:
        """A settled rate that makes the run want the pair, or leave it; the decision falls at the same instant."""
        return self.give(rate(value, pair=pair))

    def tick(self, after_s: float = 1.0) -> list[tuple[int, str, int]]:
        """An instant at which nothing happens but a decision."""
        return self.give((-1, Kind.CLOCK_TICKED, 0.0, 0.0, 0.0, 0.0), after_s=after_s)

    def enter(self, lots: int = 20, *, pair: int = 0, fee: float = 0.0) -> None:
        """The pair is wanted, and both legs fill whole, at PRICE."""
        self.want(pair=pair)
        units = lots * LOT_UNITS
        self.give(filled("spot", units, fee=fee, pair=pair))
        self.give(filled("perp", -units, fee=fee, ended=True, pair=pair))

    @property
    def book(self) -> Any:
        return self.state.book[0]

    def pair(self, i: int = 0) -> Any:
        return self.state.pair[i]

    def pnl(self) -> dict[str, int]:
        """The attribution, e8: equity less capital is funding + spot + perp - fees - borrow."""
        b = self.book
        return {
            "funding": int(b["funding"]),
            "spot": int(b["spot_realised"] + b["spot_value"] - b["spot_cost"]),
            "perp": int(b["perp_realised"] + b["perp_entry"] - b["perp_value"]),
            "fees": int(b["fees"]),
            "borrow": int(b["borrow"]),
        }

    def equity(self) -> float:
        """Equity less capital, quote."""
        p = self.pnl()
        return (p["funding"] + p["spot"] + p["perp"] - p["fees"] - p["borrow"]) / E8


def decisions(output: Output) -> list[tuple[int, str, int]]:
    """(pair, action, lots) of the entries and exits."""
    named = [(int(d["pair"]), ACTIONS[d["action"]], int(d["lots"])) for d in output.decisions]
    return [d for d in named if d[1] != "refused"]
