"""Rounding, averages and bounds: the few arithmetic rules everything else is written with."""

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.codes import EXACT


@compiled
def e8(amount: float) -> int:
    """Quote amount to int64 of 1e-8, half-even. Raises OverflowError where a double is no longer exact."""
    scaled = amount * 1e8
    if not abs(scaled) < EXACT:
        raise OverflowError("size out of range")
    return np.int64(np.rint(scaled))  # type: ignore[return-value]


@compiled
def whole_lots(size: float, mid: float, lot: float) -> int:
    """Lots that `size` of quote buys at `mid`; the last factor forgives one rounding below a whole number."""
    lots = np.floor(size / mid / lot * (1.0 + 1e-12))
    if not abs(lots) < EXACT:
        raise OverflowError("size out of range")
    return np.int64(lots)  # type: ignore[return-value]


@compiled
def weight(span: float) -> float:
    """Smoothing of an exponential average over `span` values."""
    return 2.0 / (span + 1.0)


@compiled
def clip(value: float) -> float:
    """`value` bounded to 0..1."""
    if value < 0.0:
        return 0.0
    if value > 1.0:
        return 1.0
    return value


@compiled
def clamp(value: float, low: float, high: float) -> float:
    """`value` bounded to low..high."""
    if value < low:
        return low
    if value > high:
        return high
    return value


@compiled
def mixed(trace: int, value: int) -> int:
    """One step of the rolling digest of decisions (FNV-1a on 64-bit words, wrapping)."""
    return (trace ^ value) * 1099511628211
