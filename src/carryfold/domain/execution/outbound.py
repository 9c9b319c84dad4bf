"""What every order under way needs now: to be sent, asked for, cancelled, given up, its fills fetched."""

import msgspec

from carryfold.domain.execution import order_events
from carryfold.domain.execution.ledger import NOT_PLACED, Ledger, Order, ProcessEvent
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.memory import Memory
from carryfold.domain.execution.plans import NEVER
from carryfold.domain.execution.reports import OrderRequest
from carryfold.domain.execution.watch import Watch

__all__ = ["FETCH_OVERLAP_NS", "Outbound", "attend"]

FETCH_OVERLAP_NS = 60_000_000_000
"""Executions are fetched from so long before the order was intended: the venue's clock is not ours."""


class Outbound(msgspec.Struct):
    """Collected over all orders."""

    log: list[ProcessEvent]
    place: list[OrderRequest]
    cancel: list[OrderRequest]
    query: list[OrderRequest]
    fetch_since: int = 0
    wake_at: int = NEVER

    def wake(self, at: int) -> None:
        """Something is to be done at `at`."""
        self.wake_at = min(self.wake_at, at)

    def fetch(self, since: int) -> None:
        """Executions since `since` are missing."""
        self.fetch_since = min(since, self.fetch_since or since)


def attend(ledger: Ledger, memory: Memory, now: int) -> Outbound:
    """Look after every order that is not over, and after those that are and still owe fills."""
    out = Outbound([], [], [], [])
    for order in ledger.orders.values():
        if order.done and order.intent.client_id not in memory.watches:
            continue
        watch = memory.watch(order, now)
        if not order.done and watch.unsent:
            _send(ledger, order, watch, out, now)
        elif not order.done or watch.revived or watch.owes_fills(order):
            _ask(ledger, memory, order, watch, out, now)
    return out


def _send(ledger: Ledger, order: Order, watch: Watch, out: Outbound, now: int) -> None:
    """The order has not left yet: send it, unless its time is over."""
    limits, until = ledger.spec.limits, _send_until(ledger, order, watch)
    if now >= until or ledger.ended:
        out.log.append(order_events.rejected(order, now, f"{NOT_PLACED}: {watch.refusal or 'too late'}"))
    elif now >= watch.send_at:
        watch.sent(now, limits)
        out.place.append(order.request())
        out.wake(watch.query_at)
    else:
        out.wake(min(watch.send_at, until))


def _send_until(ledger: Ledger, order: Order, watch: Watch) -> int:
    """A price is good for a few seconds; a venue that asks for patience gets until the deadline."""
    limits = ledger.spec.limits
    until = order.intended_at + nanoseconds(limits.send_within_s)
    if not watch.refusal:
        return until
    if order.intent.purpose == "hedge" and ledger.exposure.since:
        return max(until, ledger.exposure.since + nanoseconds(limits.deadline_s))
    return max(until, order.intended_at + nanoseconds(limits.deadline_s))


def _ask(ledger: Ledger, memory: Memory, order: Order, watch: Watch, out: Outbound, now: int) -> None:
    """The order is at the venue, or may be: ask for it at widening intervals until it is over."""
    limits = ledger.spec.limits
    if watch.owes_fills(order):
        if now >= watch.fetch_at:
            out.fetch(order.intent.event_at - FETCH_OVERLAP_NS)
            watch.fetch_at = now + nanoseconds(limits.query_waits_s[min(watch.fetches, len(limits.query_waits_s) - 1)])
            watch.fetches += 1
        out.wake(watch.fetch_at)
    elif now >= watch.query_at:
        watch.asked(now, limits)
        if watch.revived or (watch.open_seen and now - watch.began_at >= nanoseconds(limits.deadline_s)):
            out.cancel.append(order.request())
        out.query.append(order.request())
    if not watch.owes_fills(order):
        out.wake(watch.query_at)
    alert_at = watch.began_at + nanoseconds(limits.deadline_s)
    if not watch.alerted and now >= alert_at:
        watch.alerted = True
        memory.alert("unresolved", f"{order.intent.client_id} has no end since {limits.deadline_s:g} s")
    elif not watch.alerted:
        out.wake(alert_at)
