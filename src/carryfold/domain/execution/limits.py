"""The bounds of an execution: how much it may risk, how often it may try, and how long it may wait."""

from typing import Final

import msgspec

__all__ = ["CHILD_ORDERS_MAX", "ExecutionLimits", "nanoseconds"]

CHILD_ORDERS_MAX: Final = 20
"""The most child orders that the first leg of a decision is split into, however small `max_unhedged_notional` is."""


class ExecutionLimits(msgspec.Struct, frozen=True):
    """Bounds of one two-leg process. Times are seconds, `_bp` basis points of the price."""

    max_unhedged_notional: float = 200.0
    """The first leg is split into child orders of this value (quote), but never smaller than both legs can trade."""
    deadline_s: float = 10.0
    """How long one leg may be larger than the other before the excess is unwound at the wide cap."""
    slippage_cap_bp: float = 20.0
    """Limit prices are at most this far beyond the touch."""
    wide_cap_bp: float = 200.0
    """The same where an order has to fill: for an unwind, and for a hedge on an old quote."""
    quote_max_age_s: float = 5.0
    """Nothing is opened or closed by choice on a quote older than this."""
    retries: int = 3
    """Incomplete orders that are allowed for opening or closing, and again for hedging. After more, the process settles
    for what it has."""
    unwind_retries: int = 8
    """Incomplete orders that are allowed for unwinding. After more, the process ends unhedged."""
    retry_wait_s: float = 0.5
    """Pause after an incomplete order."""
    settle_s: float = 1.0
    """How long a hedge of a partial fill waits for the other leg's order to end."""
    work_s: float = 120.0
    """How long the process opens or closes by choice. After it, only hedges and unwinds are sent."""
    send_within_s: float = 5.0
    """An order that was not sent so soon after it was logged is given up, because its price is old."""
    query_waits_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)
    """Pauses between queries for an order whose end is not known; the last one repeats."""
    absent_grace_s: float = 6.0
    """How long after an order was sent the answer "not found" does not count. It must be longer than a signed request
    stays valid at the venue (Bybit: 5 s), because a delayed request may still arrive until then. It should be shorter
    than `deadline_s`, or every lost hedge ends in an unwind."""
    absent_answers: int = 2
    """How many answers "not found" after the grace prove that the venue does not have an order."""
    give_up_s: float = 300.0
    """The process ends unhedged when one leg has been alone for so long without any quote to trade at."""
    orders_max: int = 99
    """The most orders of one process, of any purpose."""
    cooldown_s: float = 900.0
    """No entry is tried for so long after one that opened nothing, and no repair after one that failed, because each
    attempt costs fees."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit out of range."""
        checks = (
            (self.deadline_s >= 1, "deadline_s must be at least 1: hedging takes time"),
            (0 <= self.slippage_cap_bp <= self.wide_cap_bp < 10_000, "caps must be from 0 to below 10000 bp"),
            (min(self.query_waits_s, default=0) > 0, "query_waits_s must be positive"),
            (self.absent_answers >= 1, "absent_answers must be at least 1"),
            (self.absent_grace_s >= 0, "absent_grace_s must not be negative"),
            (min(self.retries, self.unwind_retries) >= 0, "retries must not be negative"),
            (1 <= self.orders_max <= 99, "orders_max must be from 1 to 99"),
            (self.cooldown_s >= 0, "cooldown_s must not be negative"),
        )
        for good, message in checks:
            if not good:
                raise ValueError(message)


def nanoseconds(seconds: float) -> int:
    """`seconds` in whole nanoseconds."""
    return round(seconds * 1e9)
