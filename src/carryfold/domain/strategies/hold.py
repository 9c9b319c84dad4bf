"""hold: the benchmark. Enter every carry pair once, as soon as its gates pass, each at an equal share of what the other
strategies may hold; never leave, never rebalance."""

from typing import Any

NAME = "hold"
ONCE = True
NEEDS_RATE = False
CARRY_ONLY = True
EXEMPT = ("slots",)


def score(v: Any, p: Any, q: float) -> float:
    """All alike: ties go by the order of pairs."""
    return 0.0


def size(v: Any, p: Any, d: Any) -> float:
    """An equal share for each carry pair that is known by now."""
    return p.max_positions * p.notional / d.known_pairs  # type: ignore[no-any-return]


def leaves(v: Any, p: Any, q: float) -> bool:
    """Never."""
    return False
