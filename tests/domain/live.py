"""A live run driven by hand: rows of the market and of its orders' outcomes, one instant at a time.

Holdings are counted in eighths of a coin: with whole prices every product is exact.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carryfold.domain.fold import Output, State, fold
from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.fold.money import long_pnl, short_pnl
from carryfold.domain.instruments import LOT_UNITS, Instrument, Leg, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8, ROW, Kind, Rows
from tests.domain.build import MIDNIGHT, SECOND
from tests.domain.compiled import carry

__all__ = [
    "EIGHTH", "FREE", "LOT", "PRICE", "Live", "Value", "Values", "cancelled", "corrected", "filled", "fresh", "legs_of",
    "listing", "quote", "rate", "rejected", "spreads", "word",
]  # fmt: skip

Value = tuple[int, int, float, float, float]
"""subject, kind, a, b, c: a row without its times."""

Values = tuple[Value, ...]
"""What comes together."""

LOT = 0.5
EIGHTH = LOT_UNITS // 4
"""Units of an eighth of a coin."""

PRICE = 100.0
FREE = Parameters(enter=0.001, cadence_s=1, half_spread_bp=0, slippage_bp=0)


def legs_of(pair: int) -> tuple[int, int]:
    """Ids of the instruments of a pair: the long leg and the short one."""
    return 2 * pair, 2 * pair + 1


def listing(pair: int = 0) -> Values:
    return tuple((leg, Kind.INSTRUMENT_LISTED, LOT, 5.0, 1.0) for leg in legs_of(pair))


def quote(long: float, short: float | None = None, *, pair: int = 0) -> Values:
    """Quotes of both legs, without a spread."""
    prices = long, long if short is None else short
    return tuple((leg, Kind.QUOTED, price, price, 0.0) for leg, price in zip(legs_of(pair), prices, strict=True))


def rate(value: float, *, pair: int = 0) -> Values:
    """A settled rate of the short leg."""
    return ((legs_of(pair)[1], Kind.FUNDING_SETTLED, value, 8.0, 0.0),)


def filled(
    leg: Leg, eighths: int, price: float = PRICE, *, fee: float = 0.0, ended: bool = False, pair: int = 0
) -> Values:
    """A fill of some eighths (bought > 0) at `price`, with a fee in quote; `ended`: its process ended too."""
    kind = Kind.LONG_FILLED if leg == "long" else Kind.SHORT_FILLED
    fill = (pair, kind, float(eighths * EIGHTH), abs(eighths) / 8 * price * E8, fee * E8)
    return fill, *_end(pair, ended=ended)


def rejected(*, ended: bool, pair: int = 0) -> Values:
    return (pair, Kind.ORDER_REJECTED, 0.0, 0.0, 0.0), *_end(pair, ended=ended)


def cancelled(*, ended: bool, pair: int = 0) -> Values:
    return (pair, Kind.ORDER_CANCELLED, 0.0, 0.0, 0.0), *_end(pair, ended=ended)


def _end(pair: int, *, ended: bool) -> Values:
    return ((pair, Kind.HEDGE_ENDED, 1.0, 0.0, 0.0),) if ended else ()


def corrected(long: int = 0, short: int = 0, cash: float = 0.0, *, pair: int = 0) -> Values:
    """The venue has more eighths of a leg, and more cash; pair -1: of the account alone."""
    return ((pair, Kind.RECONCILIATION_CORRECTED, float(long * EIGHTH), float(short * EIGHTH), cash * E8),)


def word(kind: Kind, value: float = 0.0) -> Values:
    """An outcome of the whole run."""
    return ((-1, kind, value, 0.0, 0.0),)


def spreads(*symbols: str) -> tuple[list[Instrument], list[Pair]]:
    """(instruments, pairs) as `carry` gives them, of perpetuals at two venues."""
    pairs = [Pair(Instrument("a", symbol, "perp"), Instrument("b", symbol, "perp")) for symbol in symbols]
    return [leg for pair in pairs for leg in pair], pairs


class Live:
    """A live fold over `pairs` listed pairs at PRICE, none of which is entered before a rate comes."""

    def __init__(self, params: Parameters = FREE, pairs: int = 1, *, spread: bool = False) -> None:
        self.state = fresh(params, pairs, spread=spread)
        self.t = MIDNIGHT
        self.rows: list[Rows] = []
        self.decided: list[tuple[int, str, int]] = []
        self.give(*(listing(i) for i in range(pairs)))
        self.give(*(quote(PRICE, pair=i) for i in range(pairs)))
        if spread:  # of a spread both rates have to be known
            self.give(*(((legs_of(i)[0], Kind.FUNDING_SETTLED, 0.0, 8.0, 0.0),) for i in range(pairs)))

    def give(self, *values: Values, after_s: float = 1.0, slot: int = 0) -> list[tuple[int, str, int]]:
        """Fold one instant of rows, `after_s` after the last one, and return its decisions: (pair, action, lots)."""
        self.t += round(after_s * SECOND)
        rows = self.stamped(values, slot)
        self.rows.append(rows)
        decided = decisions(fold(self.state, rows))
        self.decided += decided
        return decided

    def stamped(self, values: Sequence[Values], slot: int = 0) -> Rows:
        """Rows that occur and are known now."""
        together = [value for one in values for value in one]
        return np.array([(self.t, self.t, 0, v[0], v[1], slot, *v[2:]) for v in together], ROW)

    def want(self, value: float = 0.001, pair: int = 0) -> list[tuple[int, str, int]]:
        """A settled rate that makes the run enter the pair, or leave it; the decision is due at the same instant."""
        return self.give(rate(value, pair=pair))

    def tick(self, after_s: float = 1.0) -> list[tuple[int, str, int]]:
        """An instant with a decision and nothing else."""
        return self.give(word(Kind.CLOCK_TICKED), after_s=after_s)

    def enter(self, lots: int = 20, *, pair: int = 0, fee: float = 0.0) -> None:
        """Enter the pair; both legs fill completely, at PRICE."""
        self.want(pair=pair)
        self.give(filled("long", 4 * lots, fee=fee, pair=pair))
        self.give(filled("short", -4 * lots, fee=fee, ended=True, pair=pair))

    @property
    def book(self) -> Any:
        return self.state.book[0]

    @property
    def account(self) -> Any:
        """The run's only account."""
        (account,) = self.state.account
        return account

    def pair(self, i: int = 0) -> Any:
        return self.state.pair[i]

    def pnl(self) -> dict[str, int]:
        """The attribution, e8: equity less capital is funding + long + short - fees - borrow."""
        b = self.book
        return {
            "funding": int(b["funding"]),
            "long": int(long_pnl(b)),
            "short": int(short_pnl(b)),
            "fees": int(b["fees"]),
            "borrow": int(b["borrow"]),
        }

    def equity(self) -> float:
        """Equity less capital, quote."""
        p = self.pnl()
        return (p["funding"] + p["long"] + p["short"] - p["fees"] - p["borrow"]) / E8


def fresh(params: Parameters, pairs: int, *, spread: bool = False) -> State:
    """A live state before any row."""
    symbols = [f"P{i}" for i in range(pairs)]
    return State(params, *(spreads(*symbols) if spread else carry(*symbols)), simulated=False)


def decisions(output: Output) -> list[tuple[int, str, int]]:
    """(pair, action, lots) of the entries and exits."""
    named = [(int(d["pair"]), ACTIONS[d["action"]], int(d["lots"])) for d in output.decisions]
    return [d for d in named if d[1] != "refused"]
