"""simple: enter where the rate is at least `enter`, highest first, at a fixed notional; leave below `exit`."""

from typing import Any

from carryfold.domain.strategies.library import NOT_WANTED

NAME = "simple"
BY_RATE = True


def score(view: Any, params: Any, rate: float) -> float:
    """The rate itself."""
    return rate if rate >= params.enter else NOT_WANTED


def size(view: Any, params: Any, decision: Any) -> float:
    """Always the same."""
    return params.notional  # type: ignore[no-any-return]


def leaves(view: Any, params: Any, rate: float) -> bool:
    """The rate no longer pays."""
    return rate < params.exit  # type: ignore[no-any-return]
