"""Stateless random numbers: a number for each (stream, index), independent of the order of the calls.

A candle requested next week therefore agrees with the prices streamed today.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Ints", "stream_of", "uniform", "uniforms"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
_SCALE: Final = 2.0**-53


def stream_of(*parts: int) -> int:
    """The stream identified by a sequence of non-negative numbers."""
    stream = 0
    for part in parts:
        stream = _mixed((stream * _GOLDEN + part + 1) & _MASK)
    return stream


def uniform(stream: int, index: int) -> float:
    """A number in [0, 1)."""
    return (_mixed((stream + index * _GOLDEN) & _MASK) >> 11) * _SCALE


def uniforms(stream: int, indices: Ints) -> Floats:
    """`uniform` of each index, vectorised."""
    value = np.uint64(stream) + indices.astype(np.uint64) * np.uint64(_GOLDEN)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_FIRST)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_SECOND)
    value ^= value >> np.uint64(31)
    return (value >> np.uint64(11)).astype(np.float64) * _SCALE


def _mixed(value: int) -> int:
    """splitmix64."""
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)
