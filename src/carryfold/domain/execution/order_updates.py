"""Turns answers and reports of a venue into events to log: each fact once, in whatever order and however often it
arrives."""

from carryfold.domain.execution.books import book_fill, filled_event
from carryfold.domain.execution.limits import nanoseconds
from carryfold.domain.execution.order_tracker import (
    OrderTracker,
    accepted_event,
    cancelled_event,
    rejected_event,
    unknown_event,
)
from carryfold.domain.execution.process_state import Order, ProcessEvent, ProcessState
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


def on_placed(state: ProcessState, tracker: OrderTracker, client_id: str, outcome: PlaceOutcome, now: int) -> Events:
    """Events for the answer to a request to place."""
    order = state.orders.get(client_id)
    if order is None or order.done or order.accepted:
        return ()
    if isinstance(outcome, Accepted):
        return (accepted_event(order, now, outcome.venue_id),)
    if isinstance(outcome, Unknown):
        return () if order.unknown else (unknown_event(order, now, outcome.reason),)
    tracked = tracker.track(order, now)
    if isinstance(outcome, Retry):
        if order.filled == 0:
            tracked.retry_after(now, outcome.after_s, outcome.reason)
        return ()
    assert isinstance(outcome, Rejected)
    if order.filled > 0:
        tracker.alert("contradiction", f"{client_id} was rejected and has filled: {outcome.reason}")
        return ()
    return (rejected_event(order, now, outcome.reason),)


def on_answer(state: ProcessState, tracker: OrderTracker, client_id: str, outcome: QueryOutcome, now: int) -> Events:
    """Events for the answer to a query. "Not found" counts after the grace only, and when it is repeated."""
    order = state.orders.get(client_id)
    if order is None:
        return ()
    if isinstance(outcome, OrderReport):
        return on_order(state, tracker, outcome, now)
    if order.done:
        return ()
    tracked = tracker.track(order, now)
    if isinstance(outcome, Retry):
        tracked.query_at = max(tracked.query_at, now + nanoseconds(outcome.after_s))
    if not isinstance(outcome, NotFound) or not tracked.proves_absent(now, state.spec.limits):
        return ()
    if order.accepted:
        tracker.alert("contradiction", f"{client_id} was accepted and cannot be found")
    return (_without_more(order, now, "absent"),)


def on_order(state: ProcessState, tracker: OrderTracker, report: OrderReport, now: int) -> Events:
    """Events for a reported state of an order. Its end is logged once every fill in it is booked."""
    order = state.orders.get(report.client_id)
    if order is None:
        return ()
    tracked = tracker.track(order, now)
    tracked.unsent, tracked.not_found = False, 0
    if order.closed:
        return _after_its_end(tracker, order, report, now)
    events: list[ProcessEvent] = []
    if not order.accepted and not order.done:
        events.append(accepted_event(order, now, report.venue_id))
    if report.open:
        tracked.open_seen = True
        return tuple(events)
    if tracked.final_report is None:
        tracked.fetch_at = now + nanoseconds(state.spec.limits.retry_wait_s)
    tracked.final_report = report
    if report.filled <= order.filled < order.intent.qty:
        events.append(cancelled_event(order, now, report.reason))
    return tuple(events)


def on_fill(state: ProcessState, tracker: OrderTracker, fill: FillReport, now: int) -> Events:
    """Events for an execution of one of the process's orders, even after the order or the process has ended."""
    order = state.orders.get(fill.client_id)
    if order is None or fill.fill_id in state.fill_ids:
        return ()
    pair = state.spec.pair
    leg = order.intent.leg
    booking = book_fill(pair, leg, fill, *state.booked(leg))
    events: list[ProcessEvent] = [filled_event(state.spec.run, pair, leg, fill, booking, order.seq)]
    tracked = tracker.track(order, now)
    tracked.unsent = False
    filled = order.filled + fill.qty
    if booking.foreign_fee:
        tracker.alert("foreign_fee", f"{fill.fill_id}: a fee of {fill.fee} {fill.fee_coin} is booked as 0")
    if order.closed or state.ended:
        tracker.alert("late_fill", f"{fill.client_id} filled {fill.qty} after its end")
    if filled > order.intent.qty:
        tracker.alert("overfilled", f"{fill.client_id} filled {filled} of {order.intent.qty}")
    end = tracked.final_report
    if end is not None and not order.closed and end.filled <= filled < order.intent.qty:
        events.append(cancelled_event(order, now, end.reason))
    return tuple(events)


def _without_more(order: Order, now: int, reason: str) -> ProcessEvent:
    return cancelled_event(order, now, reason) if order.filled > 0 else rejected_event(order, now, reason)


def _after_its_end(tracker: OrderTracker, order: Order, report: OrderReport, now: int) -> Events:
    """A report of an order that had ended. If it is open it will be cancelled; fills that are missing are fetched."""
    tracked = tracker.track(order, now)
    if report.open and not tracked.reopened:
        tracked.reopened = True
        tracker.alert("contradiction", f"{order.intent.client_id} had ended ({order.reason}) and is open")
    if not report.open:
        tracked.reopened, tracked.final_report, tracked.fetch_at = False, report, now
    return ()
