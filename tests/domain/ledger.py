"""What a live run's money must be, by plain book-keeping: cash moved, units counted, everything at the price of now.

It knows nothing of costs, shares, holdings or slots, so it agrees with the fold only if those add up.
"""

from dataclasses import dataclass, field

from carryfold.domain.rows import E8, Kind
from tests.domain.live import UNIT, Values

__all__ = ["Ledger"]


@dataclass
class Leg:
    """Units held (a short is negative) and the cash that trading them has moved, e8."""

    units: int = 0
    cash: int = 0
    price: float = 0.0

    @property
    def pnl(self) -> int:
        return self.cash + round(self.units * UNIT * self.price * E8)

    def trade(self, units: int, value: int) -> None:
        self.units += units
        self.cash -= value if units > 0 else -value


@dataclass
class Ledger:
    """The accounts of a run over `pairs` pairs."""

    pairs: int
    spot: list[Leg] = field(init=False)
    perp: list[Leg] = field(init=False)
    funding: int = 0
    fees: int = 0
    borrow: int = 0
    blocked: bool = False
    halted: bool = False

    def __post_init__(self) -> None:
        self.spot = [Leg() for _ in range(self.pairs)]
        self.perp = [Leg() for _ in range(self.pairs)]

    def take(self, row: Values) -> None:
        """Book one row."""
        pair, kind, a, b, c, d = row
        match kind:
            case Kind.QUOTED:
                self.spot[pair].price = (a + b) / 2
                self.perp[pair].price = (c + d) / 2
            case Kind.ORDER_FILLED:
                (self.perp if int(d) & 1 else self.spot)[pair].trade(int(a), int(b))
                self.fees += int(c)
            case Kind.FUNDING_PAID:
                self.funding += int(a)
            case Kind.BORROW_CHARGED:
                self.borrow += int(a)
            case Kind.RECONCILIATION_CORRECTED:
                self.fees -= int(c)
                if pair >= 0:
                    self.spot[pair].units += int(a)  # found or lost: no cash has moved
                    short = self.perp[pair]
                    short.trade(-int(b), round(abs(b) * UNIT * short.price * E8))
            case Kind.HALTED:
                self.halted = True
            case Kind.FLATTEN_REQUESTED:
                self.blocked = True
            case Kind.RESUMED:
                self.halted = self.blocked = False

    def pnl(self) -> dict[str, int]:
        """The attribution, as `Live.pnl` gives it."""
        return {
            "funding": self.funding,
            "spot": sum(leg.pnl for leg in self.spot),
            "perp": sum(leg.pnl for leg in self.perp),
            "fees": self.fees,
            "borrow": self.borrow,
        }
