"""The expected money of a live run, by plain book-keeping: cash, units, and valuation at current prices.

It has no cost shares, holdings or slots, so it equals the fold only if those of the fold add up.
"""

from dataclasses import dataclass, field

from carryfold.domain.rows import E8, Kind
from tests.domain.live import EIGHTH, Value, legs_of

__all__ = ["Ledger"]


@dataclass
class Leg:
    """Eighths of a coin held (a short is negative) and the cash from trading them, e8."""

    eighths: int = 0
    cash: int = 0
    price: float = 0.0

    @property
    def value(self) -> int:
        return round(self.eighths / 8 * self.price * E8)

    @property
    def pnl(self) -> int:
        return self.cash + self.value

    def trade(self, eighths: int, value: int) -> None:
        self.eighths += eighths
        self.cash -= value if eighths > 0 else -value


@dataclass
class Ledger:
    """The accounts of a run over `pairs` pairs: of spot and perpetual of one venue, or of perpetuals of two."""

    pairs: int
    spread: bool = False
    long: list[Leg] = field(init=False)
    short: list[Leg] = field(init=False)
    cash: list[int] = field(init=False)  # of each venue, what is neither long nor short P&L
    funding: int = 0
    fees: int = 0
    borrow: int = 0
    blocked: bool = False
    halted: bool = False

    def __post_init__(self) -> None:
        self.long = [Leg() for _ in range(self.pairs)]
        self.short = [Leg() for _ in range(self.pairs)]
        self.cash = [0, 0] if self.spread else [0]

    def take(self, row: Value) -> None:
        """Book one row."""
        subject, kind, a, b, c = row
        match kind:
            case Kind.QUOTED:
                legs = self.long if legs_of(subject // 2)[0] == subject else self.short
                legs[subject // 2].price = (a + b) / 2
            case Kind.LONG_FILLED | Kind.SHORT_FILLED:
                legs, venue = (self.long, 0) if kind == Kind.LONG_FILLED else (self.short, -1)
                legs[subject].trade(int(a) // EIGHTH, round(b))
                self.fees += int(c)
                self.cash[venue] -= int(c)
            case Kind.FUNDING_PAID | Kind.FUNDING_CORRECTED:
                self.funding += int(a)
                self.cash[-1 if b else 0] += int(a)
            case Kind.BORROW_CHARGED:
                self.borrow += int(a)
                self.cash[0] -= int(a)
            case Kind.RECONCILIATION_CORRECTED:
                self.fees -= int(c)
                self.cash[-1 if subject >= 0 else 0] += int(c)
                if subject >= 0:
                    self._find(self.long[subject], int(a) // EIGHTH, worthless=self.spread)
                    self._find(self.short[subject], -int(b) // EIGHTH, worthless=True)
            case Kind.HALTED:
                self.halted = True
            case Kind.FLATTEN_REQUESTED:
                self.blocked = True
            case Kind.RESUMED:
                self.halted = self.blocked = False

    @staticmethod
    def _find(leg: Leg, eighths: int, *, worthless: bool) -> None:
        """Found or lost. No cash has moved: coins are worth their price, a perpetual is worth nothing as it comes."""
        if worthless:
            leg.trade(eighths, round(abs(eighths) / 8 * leg.price * E8))
        else:
            leg.eighths += eighths

    def pnl(self) -> dict[str, int]:
        """The attribution, as `Live.pnl` gives it."""
        return {
            "funding": self.funding,
            "long": sum(leg.pnl for leg in self.long),
            "short": sum(leg.pnl for leg in self.short),
            "fees": self.fees,
            "borrow": self.borrow,
        }

    def equities(self) -> list[int]:
        """The gain of each venue's account."""
        gained = list(self.cash)
        gained[0] += sum(leg.pnl for leg in self.long)
        gained[-1] += sum(leg.pnl for leg in self.short)
        return gained
