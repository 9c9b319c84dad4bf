"""A pair, its quotes and a process to carry out, at round numbers: a coin costs 100, a lot is 0.01 coins."""

from decimal import Decimal
from typing import Any

from carryfold.domain.execution import ExecutionLimits, LegQuote, LegRules, ProcessSpec, Quotes, TradedPair

__all__ = ["LOT", "PAIR", "RUN", "SECOND", "START", "pair", "quotes", "spec"]

SECOND = 1_000_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01
RUN = 42
LOT = 1000  # units

D = Decimal


def pair(**changed: Any) -> TradedPair:
    """BTC-like: spot trades 0.0001 coins, both legs trade lots of 0.01, a unit is 0.00001."""
    facts: dict[str, Any] = {
        "venue": "bybit",
        "symbol": "AAAUSDT",
        "listing": 1,
        "spot_coin": "AAA",
        "unit": D("0.00001"),
        "lot_units": LOT,
        "spot": LegRules(D("0.0001"), D("0.0001"), D(1000), D(5), D("0.01")),
        "perp": LegRules(D("0.01"), D("0.01"), D(1000), D(5), D("0.01")),
        "spot_fee": D("0.001"),
    }
    return TradedPair(**(facts | changed))


PAIR = pair()


def quotes(at: int, mid: float = 100.0, *, spot: bool = True, perp: bool = True) -> Quotes:
    """Both legs at `mid`, a spread of 2 bp, known at `at`."""
    quote = LegQuote(round(mid * 0.9999, 2), round(mid * 1.0001, 2), at)
    return Quotes(quote if spot else None, quote if perp else None)


def spec(kind: str = "entry", **changed: Any) -> ProcessSpec:
    """1000 of a coin that costs 100, in one slice, the perpetual first."""
    facts: dict[str, Any] = {
        "tag": "t1",
        "run": RUN,
        "decision_seq": 7,
        "kind": kind,
        "pair": PAIR,
        "thin": "perp",
        "started_at": START,
        "lots": 1000 if kind == "entry" else 0,
        "price": D(100),
        "limits": ExecutionLimits(max_unhedged_notional=2000.0),
    }
    if kind == "exit":
        facts |= {"spot_units": 1000 * LOT + 12, "perp_units": 1000 * LOT}
    return ProcessSpec(**(facts | changed))
