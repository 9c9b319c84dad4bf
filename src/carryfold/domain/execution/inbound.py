"""What the venue says, as events to be logged: each thing once, in whatever order and however often it is said."""

from carryfold.domain.execution import order_events
from carryfold.domain.execution.booking import book_fill, filled_event
from carryfold.domain.execution.ledger import Ledger, Order, ProcessEvent
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.memory import Memory
from carryfold.domain.execution.reports import (
    Accepted,
    FillReport,
    NotFound,
    OrderReport,
    PlaceOutcome,
    QueryOutcome,
    Rejected,
    Retry,
    Unknown,
)

__all__ = ["on_answer", "on_fill", "on_order", "on_placed"]

Events = tuple[ProcessEvent, ...]


def on_placed(ledger: Ledger, memory: Memory, client_id: str, outcome: PlaceOutcome, now: int) -> Events:
    """What came of the request to place."""
    order = ledger.orders.get(client_id)
    if order is None or order.done or order.accepted:
        return ()
    if isinstance(outcome, Accepted):
        return (order_events.accepted(order, now, outcome.venue_id),)
    if isinstance(outcome, Unknown):
        return () if order.unknown else (order_events.unknown(order, now, outcome.reason),)
    watch = memory.watch(order, now)
    if isinstance(outcome, Retry):
        if order.filled == 0:
            watch.again(now, outcome.after_s, outcome.reason)
        return ()
    assert isinstance(outcome, Rejected)
    if order.filled > 0:
        memory.alert("contradiction", f"{client_id} is said to be refused and has filled: {outcome.reason}")
        return ()
    return (order_events.rejected(order, now, outcome.reason),)


def on_answer(ledger: Ledger, memory: Memory, client_id: str, outcome: QueryOutcome, now: int) -> Events:
    """What came of a query. "Not found" is believed late and only when repeated."""
    order = ledger.orders.get(client_id)
    if order is None:
        return ()
    if isinstance(outcome, OrderReport):
        return on_order(ledger, memory, outcome, now)
    if order.done:
        return ()
    watch = memory.watch(order, now)
    if isinstance(outcome, Retry):
        watch.query_at = max(watch.query_at, now + nanoseconds(outcome.after_s))
    if not isinstance(outcome, NotFound) or not watch.absent(now, ledger.spec.limits):
        return ()
    if order.accepted:
        memory.alert("contradiction", f"{client_id} was accepted and cannot be found")
    return (_without_more(order, now, "absent"),)


def on_order(ledger: Ledger, memory: Memory, report: OrderReport, now: int) -> Events:
    """The state of an order. Its end is believed once every fill it speaks of is booked."""
    order = ledger.orders.get(report.client_id)
    if order is None:
        return ()
    watch = memory.watch(order, now)
    watch.unsent, watch.not_found = False, 0
    if order.closed:
        return _after_its_end(memory, order, report, now)
    events: list[ProcessEvent] = []
    if not order.accepted and not order.done:
        events.append(order_events.accepted(order, now, report.venue_id))
    if report.open:
        watch.open_seen = True
        return tuple(events)
    if watch.end_report is None:
        watch.fetch_at = now + nanoseconds(ledger.spec.limits.retry_wait_s)
    watch.end_report = report
    if report.filled <= order.filled < order.intent.qty:
        events.append(order_events.cancelled(order, now, report.reason))
    return tuple(events)


def on_fill(ledger: Ledger, memory: Memory, fill: FillReport, now: int) -> Events:
    """One execution of one of our orders, also of one that was over, also after the process was."""
    order = ledger.orders.get(fill.client_id)
    if order is None or fill.fill_id in ledger.fill_ids:
        return ()
    pair = ledger.spec.pair
    leg = order.intent.leg
    booking = book_fill(pair, leg, fill, *ledger.booked(leg))
    events: list[ProcessEvent] = [filled_event(ledger.spec.run, pair, leg, fill, booking, order.seq)]
    watch = memory.watch(order, now)
    watch.unsent = False
    filled = order.filled + fill.qty
    if booking.foreign_fee:
        memory.alert("foreign_fee", f"{fill.fill_id}: a fee of {fill.fee} {fill.fee_coin} is booked as 0")
    if order.closed or ledger.ended:
        memory.alert("late_fill", f"{fill.client_id} filled {fill.qty} after its end")
    if filled > order.intent.qty:
        memory.alert("overfilled", f"{fill.client_id} filled {filled} of {order.intent.qty}")
    end = watch.end_report
    if end is not None and not order.closed and end.filled <= filled < order.intent.qty:
        events.append(order_events.cancelled(order, now, end.reason))
    return tuple(events)


def _without_more(order: Order, now: int, reason: str) -> ProcessEvent:
    return order_events.cancelled(order, now, reason) if order.filled > 0 else order_events.rejected(order, now, reason)


def _after_its_end(memory: Memory, order: Order, report: OrderReport, now: int) -> Events:
    """News of an order that was believed over: one that is open is cancelled, fills that are missing are fetched."""
    watch = memory.watch(order, now)
    if report.open and not watch.revived:
        watch.revived = True
        memory.alert("contradiction", f"{order.intent.client_id} was over ({order.reason}) and is open")
    if not report.open:
        watch.revived, watch.end_report, watch.fetch_at = False, report, now
    return ()
