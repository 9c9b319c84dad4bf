"""Rounding and the few arithmetic rules everything else is written with."""

import numpy as np

from carryfold.domain.fold._compile import compile_module, compiled
from carryfold.domain.fold.codes import EXACT
from carryfold.domain.strategies import library

compile_module(library)
clip = library.clip
clamp = library.clamp
weight = library.weight
impact_bp = library.impact_bp
basis_score = library.basis_score
trend_score = library.trend_score
volume_score = library.volume_score

DECIMALS_MAX = 15


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
def _decimals(value: float) -> int:
    """How many decimals a decimal number has that was read into a double."""
    power = 1.0
    for k in range(DECIMALS_MAX + 1):
        scaled = value * power
        if abs(scaled) < EXACT and np.rint(scaled) / power == value:
            return k
        power *= 10.0
    return DECIMALS_MAX


@compiled
def common_lot(long_lot: float, long_multiplier: float, short_lot: float, short_multiplier: float) -> float:
    """The smallest number of coins that is a whole number of both lots (each in units of so many coins); 0 where one
    is not known. Decimals are taken exactly."""
    if not (long_lot > 0.0 and short_lot > 0.0 and long_multiplier > 0.0 and short_multiplier > 0.0):
        return 0.0
    long_decimals = _decimals(long_lot) + _decimals(long_multiplier)
    short_decimals = _decimals(short_lot) + _decimals(short_multiplier)
    decimals = max(long_decimals, short_decimals)
    a = _whole(long_lot) * _whole(long_multiplier) * 10.0 ** (decimals - long_decimals)
    b = _whole(short_lot) * _whole(short_multiplier) * 10.0 ** (decimals - short_decimals)
    if not (a < EXACT and b < EXACT):
        raise OverflowError("size out of range")
    x = np.int64(a)
    y = np.int64(b)
    while y != 0:
        x, y = y, x % y
    both = a / float(x) * b
    if not both < EXACT:
        raise OverflowError("size out of range")
    return both / 10.0**decimals


@compiled
def _whole(value: float) -> float:
    """A decimal number without its point."""
    return np.rint(value * 10.0 ** _decimals(value))


@compiled
def mixed(trace: int, value: int) -> int:
    """One step of the rolling digest of decisions (FNV-1a on 64-bit words, wrapping)."""
    return (trace ^ value) * 1099511628211
