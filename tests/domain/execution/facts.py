"""Pairs, their quotes and a process to carry out, at round numbers: a coin costs 100, a lot is 0.01 coins."""

from decimal import Decimal
from typing import Any

from carryfold.domain.execution import ExecutionLimits, LegQuote, LegRules, ProcessSpec, Quotes, TradedPair
from carryfold.domain.instruments import LOT_UNITS, Instrument, Pair, carry_pair

__all__ = ["LIVE", "LOT", "PAIR", "RUN", "SECOND", "SPREAD", "START", "carry", "pair", "quotes", "spec", "spread"]

SECOND = 1_000_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01
RUN = 42
LOT = 1000  # units

D = Decimal
PERP = LegRules(D("0.01"), D("0.01"), D(1000), D(5), D("0.01"))


def carry(symbol: str = "AAAUSDT") -> Pair:
    """Spot and perpetual of one venue."""
    return carry_pair("bybit", symbol, 1, symbol)


def pair(**changed: Any) -> TradedPair:
    """BTC-like: spot trades 0.0001 coins, both legs trade lots of 0.01, a unit is 0.00001."""
    facts: dict[str, Any] = {
        "pair": carry(),
        "name": "AAAUSDT",
        "coin": "AAA",
        "unit": D("0.00001"),
        "lot_units": LOT,
        "long": LegRules(D("0.0001"), D("0.0001"), D(1000), D(5), D("0.01")),
        "short": PERP,
        "long_fee": D("0.001"),
    }
    return TradedPair(**(facts | changed))


def spread(**changed: Any) -> TradedPair:
    """Perpetuals of two venues: the long one trades 0.005 coins, the short one 0.01, which is the pair's lot."""
    legs = Pair(Instrument("hyperliquid", "AAA", "perp"), Instrument("bybit", "AAAUSDT", "perp"))
    facts = {
        "pair": legs,
        "name": legs.name,
        "long": LegRules(D("0.005"), D("0.005"), D(1000), D(10), D("0.01")),
        "long_fee": D(0),
    }
    return pair(**(facts | changed))


PAIR = pair()
LIVE = pair(unit=D("0.00000001"), lot_units=LOT_UNITS)
"""The same, counted as a live run counts."""

SPREAD = spread()


def quotes(at: int, mid: float = 100.0, *, long: bool = True, short: bool = True) -> Quotes:
    """Both legs at `mid`, a spread of 2 bp, known at `at`."""
    quote = LegQuote(round(mid * 0.9999, 2), round(mid * 1.0001, 2), at)
    return Quotes(quote if long else None, quote if short else None)


def spec(kind: str = "entry", **changed: Any) -> ProcessSpec:
    """1000 of a coin that costs 100, in one child order, the perpetual first."""
    facts: dict[str, Any] = {
        "tag": "t1",
        "run": RUN,
        "decision_seq": 7,
        "kind": kind,
        "pair": PAIR,
        "thin": "short",
        "started_at": START,
        "lots": 1000 if kind == "entry" else 0,
        "price": D(100),
        "limits": ExecutionLimits(max_unhedged_notional=2000.0),
    }
    if kind == "exit":
        facts |= {"long_units": 1000 * LOT + 12, "short_units": 1000 * LOT}
    return ProcessSpec(**(facts | changed))
