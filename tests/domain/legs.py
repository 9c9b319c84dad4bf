"""Pairs of instruments 0 and 1 at round prices, and the results of a run over some pairs, for tests with amounts worked
out by hand. A coin costs 100, a position is mostly 10 coins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from carryfold.domain.fold import Output, State
from carryfold.domain.instruments import Instrument, Pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import E8
from tests.domain.build import Market, Row, closed, listing, settlement
from tests.domain.compiled import figures, fold_rows, ordered

__all__ = [
    "ACROSS", "BACK", "BOUGHT", "BP", "ENDING", "FREE", "LONG", "PLAIN", "SHORT", "SOLD", "SPOT_A", "SPOT_B", "SPREAD",
    "A", "B", "Run", "e8", "entered", "held", "legs", "listings", "run",
]  # fmt: skip

A, B = Instrument("a", "XUSDT", "perp"), Instrument("b", "X", "perp")
SPREAD, BACK = Pair(A, B), Pair(B, A)
SPOT_A, SPOT_B = Instrument("a", "XUSDT", "spot"), Instrument("b", "X/USDC", "spot")
ACROSS = Pair(SPOT_A, B)
LONG, SHORT = 0, 1  # ids of the legs where there are no more instruments than two
BP = 1e-4
PLAIN: dict[str, Any] = {"half_spread_bp": 0.0, "slippage_bp": 0.0, "impact": 0.0}
FREE: dict[str, Any] = PLAIN | {"spot_taker_bp": 0.0, "perp_taker_bp": 0.0}


@dataclass
class Run:
    """The results of a run over some pairs."""

    state: State
    output: Output
    figures: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.figures = figures(self.state, self.output)

    @property
    def net(self) -> int:
        """Equity less capital, e8."""
        return int(self.figures["equity_e8"] - self.figures["capital_e8"])

    @property
    def decided(self) -> list[tuple[int, Pair, str]]:
        return [(t, pair, action) for t, pair, action, _ in self.figures["decisions"]]

    @property
    def fills(self) -> list[tuple[int, str, int, int, int, int]]:
        """(t, action, long value, short value, long fee, short fee)."""
        return [(t, action, *amounts) for t, _, action, _, *amounts in self.figures["fills"]]

    @property
    def payments(self) -> list[tuple[int, str, int]]:
        """(settled at, leg, amount)."""
        return [(settled_at, leg, amount) for _, settled_at, _, leg, amount in self.figures["payments"]]

    def venue(self, name: str) -> dict[str, int]:
        found: dict[str, int] = self.figures["venues"][name]
        return found

    def refused(self, gate: str) -> int:
        return int(self.figures["refused"][gate])


def run(
    rows: Market, params: Parameters, *pairs: Pair, instruments: Sequence[Instrument] | None = None, **bounds: int
) -> Run:
    """Fold rows of the pairs' legs. Instrument ids follow their first appearance in `pairs`."""
    legs = list(dict.fromkeys(leg for pair in pairs for leg in pair)) if instruments is None else instruments
    return Run(*fold_rows(ordered(rows), legs, pairs, params, **bounds))


def legs(hours: float, price: float, short: float | None = None, **more: Any) -> list[Row]:
    """Bars of instruments 0 and 1."""
    return [closed(hours, LONG, price, **more), closed(hours, SHORT, price if short is None else short, **more)]


def listings(count: int = 2) -> list[Row]:
    return [listing(subject) for subject in range(count)]


def e8(amount: float) -> int:
    return round(amount * E8)


def held(*instruments: Instrument, end: int = 12) -> Market:
    """Bars at 100, and rates that make the run enter the pair at hour 8."""
    rows: Market = [listings(len(instruments))]
    rows += [closed(h, leg, 100.0) for h in range(1, end + 1) for leg in range(len(instruments))]
    rows += [
        settlement(8, leg, 6 * BP if one == B else 0.0) for leg, one in enumerate(instruments) if one.kind == "perp"
    ]
    return rows


ENDING = Parameters(half_spread_bp=1.0, slippage_bp=1.0, impact=0.0)
BOUGHT, SOLD = 1000.2, 999.8  # 10 coins at 100 with 2 bp


def entered(long_fee_bp: float) -> tuple[str, int, int, int, int]:
    return "enter", e8(BOUGHT), e8(SOLD), e8(BOUGHT * long_fee_bp * BP), e8(SOLD * 5.5 * BP)
