"""The orders of a run, and its two-leg processes."""

from collections.abc import Collection
from decimal import Decimal
from typing import Final

import msgspec

from carryfold.domain import events as ev
from carryfold.domain.instruments import Leg
from carryfold.projections.cursor import MAX, format_optional_time
from carryfold.projections.queries.answers import Answer, bounds
from carryfold.projections.queries.names import Names
from carryfold.projections.queries.run_fills import FillRecord, fills_of_run
from carryfold.projections.queries.run_records import RunStart, run_start
from carryfold.projections.queries.sources import Sources
from carryfold.projections.run_facts import ORDERS, run_facts

__all__ = ["OrderRecord", "Orders", "ProcessRecord", "orders"]

_STATUS: Final[dict[type, str]] = {
    ev.OrderAccepted: "accepted",
    ev.OrderUnknown: "unknown",
    ev.OrderRejected: "rejected",
    ev.OrderCancelled: "cancelled",
}


class OrderRecord(msgspec.Struct):
    """One order. `status` is intended (not answered yet), accepted, unknown (whether the venue has it), rejected,
    cancelled (what was left of it) or filled. `qty` and `filled` are in base coins, `coins` is what was filled less
    fees taken in the coin, `value` what those cost or brought, in quote like `fees`; prices are per coin, times RFC
    3339. `updated_at` is the time of the last event. `caused_by`: seq of the decision, 0 where there is none."""

    client_id: str
    seq: int
    pair: str
    leg: Leg
    instrument: str
    side: str
    qty: Decimal
    limit_price: Decimal | None
    reduce_only: bool
    purpose: str
    attempt: int
    status: str
    filled: Decimal
    coins: Decimal
    value: Decimal
    average_price: float | None
    fees: Decimal
    intended_at: str | None
    updated_at: str | None
    reason: str
    venue_id: str
    caused_by: int


class ProcessRecord(msgspec.Struct, frozen=True):
    """One two-leg process that has ended: see HedgeEnded in docs/events.md."""

    seq: int
    ended_at: str | None
    pair: str
    process: str
    work: str
    outcome: str
    reason: str
    orders: int
    fees: Decimal
    unhedged_s: float
    longest_unhedged_s: float
    peak_unhedged: Decimal
    caused_by: int


class Orders(Answer, frozen=True, kw_only=True):
    """The orders of a run in the order in which they were intended, and its processes in the order of their ends. A
    paper run has neither."""

    run: int
    mode: str
    orders: list[OrderRecord]
    processes: list[ProcessRecord]


def orders(
    sources: Sources,
    *,
    run: int | None = None,
    names: Collection[str] | None = None,
    venue: str | None = None,
    since: int = 0,
    until: int = MAX,
) -> Orders:
    """The orders of a run (None: the latest) that were intended, and the processes that ended, in
    since <= event_at < until (ns). Raises QueryError."""
    start = run_start(sources, run)
    wanted = Names(sources, names, venue)
    found: dict[str, OrderRecord] = {}
    ended: list[ProcessRecord] = []
    for seq, event in _history(sources, start):
        if isinstance(event, ev.OrderIntended):
            if since <= event.event_at < until and wanted.match(event.instrument, label=start.label(event.pair)):
                found[event.client_id] = _intended(start, seq, event)
        elif isinstance(event, ev.HedgeEnded):
            if since <= event.event_at < until and wanted.match_pair(event.pair, start.label(event.pair)):
                ended.append(_ended(start, seq, event))
        elif (order := found.get(getattr(event, "client_id", ""))) is not None:
            if isinstance(event, FillRecord):
                _fill(order, event)
            else:
                _update(order, event)
    return Orders(
        run=start.run, mode=start.event.mode, orders=list(found.values()), processes=ended, **bounds(sources.cursor)
    )


def _history(sources: Sources, start: RunStart) -> list[tuple[int, ev.Event | FillRecord]]:
    """(seq, what happened) of orders and their fills, in the order of the log."""
    of_orders = run_facts(sources.projections, ORDERS, start.run, sources.cursor)
    happened: list[tuple[int, ev.Event | FillRecord]] = [(fact.seq, fact.event) for fact in of_orders]
    happened += [(fill.seq, fill) for _, fill in fills_of_run(sources, start)]
    return sorted(happened, key=lambda one: one[0])


def _intended(start: RunStart, seq: int, event: ev.OrderIntended) -> OrderRecord:
    at = format_optional_time(event.event_at)
    return OrderRecord(
        client_id=event.client_id,
        seq=seq,
        pair=start.label(event.pair),
        leg=event.leg,
        instrument=event.instrument.label,
        side=event.side,
        qty=event.qty,
        limit_price=event.limit_price,
        reduce_only=event.reduce_only,
        purpose=event.purpose,
        attempt=event.attempt,
        status="intended",
        filled=Decimal(0),
        coins=Decimal(0),
        value=Decimal(0),
        average_price=None,
        fees=Decimal(0),
        intended_at=at,
        updated_at=at,
        reason="",
        venue_id="",
        caused_by=event.caused_by,
    )


def _update(order: OrderRecord, event: ev.Event) -> None:
    order.updated_at = format_optional_time(event.event_at)
    if isinstance(event, ev.OrderAccepted) and event.venue_id:
        order.venue_id = event.venue_id
    if isinstance(event, ev.OrderRejected | ev.OrderUnknown | ev.OrderCancelled):
        order.reason = event.reason
    if order.status != "filled":
        order.status = _STATUS[type(event)]


def _fill(order: OrderRecord, fill: FillRecord) -> None:
    order.updated_at = fill.at
    order.filled += fill.qty
    order.coins += fill.coins
    order.value += fill.value
    order.average_price = float(order.value / order.coins) if order.coins else None
    order.fees += fill.fee
    if order.filled >= order.qty:
        order.status = "filled"


def _ended(start: RunStart, seq: int, event: ev.HedgeEnded) -> ProcessRecord:
    return ProcessRecord(
        seq=seq,
        ended_at=format_optional_time(event.event_at),
        pair=start.label(event.pair),
        process=event.process,
        work=event.work,
        outcome=event.outcome,
        reason=event.reason,
        orders=event.orders,
        fees=event.fees,
        unhedged_s=event.unhedged_s,
        longest_unhedged_s=event.longest_unhedged_s,
        peak_unhedged=event.peak_unhedged,
        caused_by=event.caused_by,
    )
