"""What an execution may risk and how long it may try: every loop and every wait of the process is bounded here."""

from typing import Final

import msgspec

__all__ = ["SLICES_MAX", "ExecutionLimits", "nanoseconds"]

SLICES_MAX: Final = 20
"""A decision is traded in at most so many slices, whatever `max_unhedged_notional` order_events."""


class ExecutionLimits(msgspec.Struct, frozen=True):
    """Bounds of one two-leg process. Times are seconds, `_bp` basis points of the price."""

    max_unhedged_notional: float = 200.0
    """The first leg is traded in slices of this value (quote), never less than what both legs can trade."""
    deadline_s: float = 10.0
    """How long one leg may be on alone before the excess is given back at the wide cap."""
    slippage_cap_bp: float = 20.0
    """Limit prices are at most this far beyond the touch."""
    wide_cap_bp: float = 200.0
    """The same where a leg has to be had: unwinding, and hedging against an old quote."""
    quote_max_age_s: float = 5.0
    """Nothing is opened on a quote older than this."""
    retries: int = 3
    """Incomplete orders to open or close a leg, and to hedge it, each; after so many the process makes do."""
    unwind_retries: int = 8
    """Incomplete orders to unwind; after so many the process ends unhedged."""
    retry_wait_s: float = 0.5
    """Pause after an incomplete order."""
    settle_s: float = 1.0
    """The second leg waits so long for the first leg's order to end before it hedges a partial fill."""
    work_s: float = 120.0
    """Nothing more is opened or closed by free will after this long; what is open is still hedged."""
    send_within_s: float = 5.0
    """An intent that could not be sent so soon after it was logged is given up: its price is old."""
    query_waits_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)
    """Pauses before an unresolved order is asked for; the last one repeats."""
    absent_grace_s: float = 6.0
    """No order is believed absent sooner than this after it was sent. It must be longer than a signed request stays
    valid at the venue (Bybit's recv_window: 5 s), after which a delayed request can do nothing any more; and shorter
    than the deadline, or a lost hedge always ends in an unwind."""
    absent_answers: int = 2
    """How many times the venue must answer "not found" after the grace."""
    give_up_s: float = 300.0
    """One leg alone, nothing under way and no price to trade at for so long: the process ends unhedged."""
    orders_max: int = 99
    """Orders of one process, of any kind."""
    rest_s: float = 900.0
    """A pair is left alone for so long after an entry that came to nothing, or a repair that changed nothing: each
    attempt costs fees."""

    def __post_init__(self) -> None:
        """Raises ValueError for limits that no process could keep."""
        checks = (
            (self.deadline_s >= 1, "deadline_s must be at least 1: hedging takes time"),
            (0 <= self.slippage_cap_bp <= self.wide_cap_bp < 10_000, "caps must be from 0 to below 10000 bp"),
            (min(self.query_waits_s, default=0) > 0, "query_waits_s must be positive"),
            (self.absent_answers >= 1, "absent_answers must be at least 1"),
            (min(self.retries, self.unwind_retries) >= 0, "retries must not be negative"),
            (1 <= self.orders_max <= 99, "orders_max must be from 1 to 99"),
            (self.rest_s >= 0, "rest_s must not be negative"),
        )
        for good, message in checks:
            if not good:
                raise ValueError(message)


def nanoseconds(seconds: float) -> int:
    """`seconds` in whole nanoseconds."""
    return round(seconds * 1e9)
