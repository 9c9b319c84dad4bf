"""The demo's market. A seed gives the same market on every machine and on any day."""

from __future__ import annotations

from typing import Final

from carryfold.simexchange import SimConfig

__all__ = ["DAYS", "PAIRS", "SPEED", "START", "demo_exchange"]

START: Final = 1_748_847_600 * 10**9
"""Venue time at the start of the paper run, in UTC ns: 2025-06-02 07:00, an hour before a settlement."""

PAIRS: Final = 8  # one of them is delisted within the history
DAYS: Final = 90
SPEED: Final = 1_800.0  # half an hour per second
_LEAD_DAYS: Final = 40  # of history before the fetched days, so that no pair starts with them
_PUSH_MS: Final = 50


def demo_exchange(seed: int, *, speed: float) -> SimConfig:
    """The exchange at START. With speed 0 its clock stands still, and its history is always the same."""
    return SimConfig(
        seed=seed,
        pairs=PAIRS,
        history_days=DAYS + _LEAD_DAYS,
        start_ms=START // 1_000_000,
        speed=speed,
        push_ms=_PUSH_MS,
        ip_limit=0,
    )
