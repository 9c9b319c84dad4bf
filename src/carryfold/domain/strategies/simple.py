"""simple: enter where the rate is at least `enter`, highest first, at a fixed notional; leave below `exit`."""

from typing import Any

from carryfold.domain.strategies.library import NOT_WANTED

NAME = "simple"
BY_RATE = True


def score(v: Any, p: Any, q: float) -> float:
    """The rate itself."""
    return q if q >= p.enter else NOT_WANTED


def size(v: Any, p: Any, d: Any) -> float:
    """Always the same."""
    return p.notional  # type: ignore[no-any-return]


def leaves(v: Any, p: Any, q: float) -> bool:
    """The rate no longer pays."""
    return q < p.exit  # type: ignore[no-any-return]
