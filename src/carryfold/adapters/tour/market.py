"""The demo's market: one seed makes the same market on every machine, on any day."""

from __future__ import annotations

from typing import Final

from carryfold.adapters.simexchange import SimConfig

__all__ = ["DAYS", "PAIRS", "SPEED", "START", "demo_venue"]

START: Final = 1_748_847_600 * 10**9
"""Venue time of the beginning, 2025-06-02 07:00 UTC in ns: an hour before a settlement, and long past on any clock."""

PAIRS: Final = 8  # one of them was delisted on the way
DAYS: Final = 90
SPEED: Final = 1_800.0  # half an hour a second
_BEFORE_DAYS: Final = 40  # of history before what is fetched, so that nothing begins with it
_PUSH_MS: Final = 50


def demo_venue(seed: int, *, speed: float) -> SimConfig:
    """The venue at START. With speed 0 its clock stands, and what it tells of its history is always the same."""
    return SimConfig(
        seed=seed,
        pairs=PAIRS,
        history_days=DAYS + _BEFORE_DAYS,
        start_ms=START // 1_000_000,
        speed=speed,
        push_ms=_PUSH_MS,
        ip_limit=0,
    )
