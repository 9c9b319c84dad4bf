"""Follows every order of a process: when to send it, when to query it, when to cancel it or to fetch its fills.

None of this is logged. After a restart it begins anew: every order without a known end is queried at once and its
grace begins again, which can only make the process more patient.
"""

from typing import Final

import msgspec

from carryfold.domain.events import OrderAccepted, OrderCancelled, OrderRejected, OrderUnknown
from carryfold.domain.execution.actions import NEVER, Alert, AlertCode
from carryfold.domain.execution.limits import ExecutionLimits, nanoseconds
from carryfold.domain.execution.process_state import NOT_PLACED, Order, ProcessEvent, ProcessState
from carryfold.domain.execution.reports import OrderReport, OrderRequest

__all__ = [
    "FETCH_OVERLAP_NS", "OrderTracker", "Requests", "TrackedOrder", "accepted_event", "cancelled_event", "due_requests",
    "rejected_event", "unknown_event",
]  # fmt: skip


FETCH_OVERLAP_NS: Final = 60_000_000_000
"""Executions are fetched from so long before the order was logged, because the venue's clock may differ."""


class TrackedOrder(msgspec.Struct):
    """One order at the venue, or on its way there. Times are UTC ns of the log's clock."""

    sent_at: int
    unsent: bool = False
    """True while the venue certainly does not have the order: it is new, or the venue asked to retry later."""
    send_at: int = 0
    refusal: str = ""
    queries: int = 0
    query_at: int = 0
    not_found: int = 0
    final_report: OrderReport | None = None
    """The venue's report that the order can fill no more."""
    fetch_at: int = 0
    fetches: int = 0
    open_seen: bool = False
    reopened: bool = False
    """True while the venue shows an order as open that had ended in the log."""
    alerted: bool = False

    def sent(self, now: int, limits: ExecutionLimits) -> None:
        """The request is sent now."""
        self.unsent, self.sent_at = False, now
        self.queries = 0
        self.query_at = now + nanoseconds(limits.query_waits_s[0])

    def retry_after(self, now: int, after_s: float, reason: str) -> None:
        """The venue certainly did nothing: the same order may be sent again after `after_s`."""
        self.unsent, self.refusal = True, reason
        self.send_at = now + nanoseconds(max(after_s, 0.05))

    def queried(self, now: int, limits: ExecutionLimits) -> None:
        """A query is sent now. The next is due after a longer wait, but not later than the end of the grace, and soon
        once an answer "not found" has counted."""
        self.queries += 1
        waits = limits.query_waits_s
        pause = waits[min(self.queries, len(waits) - 1)] if self.not_found == 0 else waits[0]
        self.query_at = now + nanoseconds(pause)
        grace_ends = self.sent_at + nanoseconds(limits.absent_grace_s)
        if now < grace_ends:
            self.query_at = min(self.query_at, grace_ends)

    def proves_absent(self, now: int, limits: ExecutionLimits) -> bool:
        """Count an answer "not found"; True once enough came after the grace to prove that the order is absent."""
        if self.unsent or now - self.sent_at < nanoseconds(limits.absent_grace_s):
            return False
        self.not_found += 1
        self.query_at = min(self.query_at, now + nanoseconds(limits.query_waits_s[0]))
        return self.not_found >= limits.absent_answers

    def misses_fills(self, order: Order) -> bool:
        """True if the venue reported more filled than the log has."""
        return self.final_report is not None and self.final_report.filled > order.filled


class OrderTracker(msgspec.Struct):
    """`orders` by client id; `alerts` that are not delivered yet; `proposed`: orders that this process has proposed and
    that are not in the log yet. Only these are sent once they are logged: any other may have been sent before a
    crash."""

    orders: dict[str, TrackedOrder]
    alerts: list[Alert]
    proposed: set[str]

    def track(self, order: Order, now: int) -> TrackedOrder:
        """The tracked order; one that was not tracked yet is due for a query at once."""
        name = order.intent.client_id
        if name not in self.orders:
            self.orders[name] = TrackedOrder(sent_at=now, query_at=now)
        return self.orders[name]

    def alert(self, code: AlertCode, text: str) -> None:
        """Report something to a person."""
        self.alerts.append(Alert(code, text))

    def take_alerts(self) -> tuple[Alert, ...]:
        """The alerts since the last call."""
        alerts, self.alerts = tuple(self.alerts), []
        return alerts


def accepted_event(order: Order, at: int, venue_id: str) -> OrderAccepted:
    """The venue has the order."""
    i = order.intent
    return OrderAccepted(i.run, at, i.pair, i.leg, i.client_id, venue_id, order.seq)


def rejected_event(order: Order, at: int, reason: str) -> OrderRejected:
    """The venue does not have the order and never will."""
    i = order.intent
    return OrderRejected(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)


def unknown_event(order: Order, at: int, reason: str) -> OrderUnknown:
    """It is not known whether the venue has the order."""
    i = order.intent
    return OrderUnknown(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)


def cancelled_event(order: Order, at: int, reason: str) -> OrderCancelled:
    """The unfilled rest of the order is gone."""
    i = order.intent
    return OrderCancelled(i.run, at, i.pair, i.leg, i.client_id, reason, order.seq)


class Requests(msgspec.Struct):
    """Everything that is due now, over all orders. `fetch_since`: fetch executions since then (UTC ns, 0: none)."""

    log: list[ProcessEvent]
    place: list[OrderRequest]
    cancel: list[OrderRequest]
    query: list[OrderRequest]
    fetch_since: int = 0
    wake_at: int = NEVER

    def wake(self, at: int) -> None:
        """Something is due at `at`."""
        self.wake_at = min(self.wake_at, at)

    def fetch(self, since: int) -> None:
        """Executions since `since` are missing."""
        self.fetch_since = min(since, self.fetch_since or since)


def due_requests(state: ProcessState, tracker: OrderTracker, now: int) -> Requests:
    """What every order needs now: those that have not ended, that are open again, or whose fills are incomplete."""
    out = Requests([], [], [], [])
    for order in state.orders.values():
        if order.done and order.intent.client_id not in tracker.orders:
            continue
        tracked = tracker.track(order, now)
        if not order.done and tracked.unsent:
            _send(state, order, tracked, out, now)
        elif not order.done or tracked.reopened or tracked.misses_fills(order):
            _follow_up(state, tracker, order, tracked, out, now)
    return out


def _send(state: ProcessState, order: Order, tracked: TrackedOrder, out: Requests, now: int) -> None:
    """Send an order that the venue does not have, or give it up when its time is over."""
    limits, until = state.spec.limits, _send_until(state, order, tracked)
    if now >= until or state.ended:
        out.log.append(rejected_event(order, now, f"{NOT_PLACED}: {tracked.refusal or 'too late'}"))
    elif now >= tracked.send_at:
        tracked.sent(now, limits)
        out.place.append(order.request())
        out.wake(tracked.query_at)
    else:
        out.wake(min(tracked.send_at, until))


def _send_until(state: ProcessState, order: Order, tracked: TrackedOrder) -> int:
    """Until when the order may be sent: a few seconds, or until the deadline where the venue asked to retry later."""
    limits = state.spec.limits
    until = order.intended_at + nanoseconds(limits.send_within_s)
    if not tracked.refusal:
        return until
    if order.intent.purpose == "hedge" and state.exposure.since:
        return max(until, state.exposure.since + nanoseconds(limits.deadline_s))
    return max(until, order.intended_at + nanoseconds(limits.deadline_s))


def _follow_up(
    state: ProcessState, tracker: OrderTracker, order: Order, tracked: TrackedOrder, out: Requests, now: int
) -> None:
    """Query an order that the venue has or may have, at growing intervals, until its end and all fills are known."""
    limits = state.spec.limits
    if tracked.misses_fills(order):
        if now >= tracked.fetch_at:
            out.fetch(order.intent.event_at - FETCH_OVERLAP_NS)
            wait_s = limits.query_waits_s[min(tracked.fetches, len(limits.query_waits_s) - 1)]
            tracked.fetch_at = now + nanoseconds(wait_s)
            tracked.fetches += 1
        out.wake(tracked.fetch_at)
    elif now >= tracked.query_at:
        tracked.queried(now, limits)
        if tracked.reopened or (tracked.open_seen and now - tracked.sent_at >= nanoseconds(limits.deadline_s)):
            out.cancel.append(order.request())
        out.query.append(order.request())
    if not tracked.misses_fills(order):
        out.wake(tracked.query_at)
    alert_at = tracked.sent_at + nanoseconds(limits.deadline_s)
    if not tracked.alerted and now >= alert_at:
        tracked.alerted = True
        tracker.alert("unresolved", f"{order.intent.client_id} has no end since {limits.deadline_s:g} s")
    elif not tracked.alerted:
        out.wake(alert_at)
