"""hold: the benchmark. Enter every carry pair once, as soon as its gates pass, each at an equal share of what the other
strategies may hold; never leave, never rebalance."""

from typing import Any

NAME = "hold"
ONCE = True
NEEDS_RATE = False
CARRY_ONLY = True
EXEMPT = ("slots",)


def score(view: Any, params: Any, rate: float) -> float:
    """All alike: ties go by the order of pairs."""
    return 0.0


def size(view: Any, params: Any, decision: Any) -> float:
    """An equal share for each carry pair that is known by now."""
    return params.max_positions * params.notional / decision.known_pairs  # type: ignore[no-any-return]


def leaves(view: Any, params: Any, rate: float) -> bool:
    """Never."""
    return False
