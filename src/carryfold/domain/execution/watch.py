"""What is remembered of an order beside its events: when it was sent, when to ask for it, what the venue answered.

None of it is logged. After a restart it begins anew: every order without an end is asked for at once, and its grace
begins again, which can only make the process more patient.
"""

import msgspec

from carryfold.domain.execution.ledger import Order
from carryfold.domain.execution.limits import ExecutionLimits, nanoseconds
from carryfold.domain.execution.reports import OrderReport

__all__ = ["Watch"]


class Watch(msgspec.Struct):
    """One live order under watch. Times are ns of the log's clock."""

    began_at: int
    unsent: bool = False
    """True while the order has certainly not reached the venue: fresh, or refused for its rate limit."""
    send_at: int = 0
    refusal: str = ""
    queries: int = 0
    query_at: int = 0
    not_found: int = 0
    end_report: OrderReport | None = None
    """The venue's word that the order can fill no more, until all of its fills are here."""
    fetch_at: int = 0
    fetches: int = 0
    open_seen: bool = False
    revived: bool = False
    """True while the venue shows as open what was believed over."""
    alerted: bool = False

    def sent(self, now: int, limits: ExecutionLimits) -> None:
        """The request leaves now."""
        self.unsent, self.began_at = False, now
        self.queries = 0
        self.query_at = now + nanoseconds(limits.query_waits_s[0])

    def again(self, now: int, after_s: float, reason: str) -> None:
        """The venue certainly did nothing: the same order may be sent again, after the wait it asked for."""
        self.unsent, self.refusal = True, reason
        self.send_at = now + nanoseconds(max(after_s, 0.05))

    def asked(self, now: int, limits: ExecutionLimits) -> None:
        """A query leaves now. The next one is due after a longer wait, but not later than the grace ends, and soon
        where one more "not found" may settle it."""
        self.queries += 1
        waits = limits.query_waits_s
        pause = waits[min(self.queries, len(waits) - 1)] if self.not_found == 0 else waits[0]
        self.query_at = now + nanoseconds(pause)
        grace_ends = self.began_at + nanoseconds(limits.absent_grace_s)
        if now < grace_ends:
            self.query_at = min(self.query_at, grace_ends)

    def absent(self, now: int, limits: ExecutionLimits) -> bool:
        """Count an answer "not found"; True once it is believed. Answers inside the grace do not count."""
        if self.unsent or now - self.began_at < nanoseconds(limits.absent_grace_s):
            return False
        self.not_found += 1
        self.query_at = min(self.query_at, now + nanoseconds(limits.query_waits_s[0]))
        return self.not_found >= limits.absent_answers

    def owes_fills(self, order: Order) -> bool:
        """True if the venue says more was filled than we have booked."""
        return self.end_report is not None and self.end_report.filled > order.filled
