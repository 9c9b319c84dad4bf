"""What the world answered to a run's own orders: fills, ends, payments, corrections, the operator. (Phase 4, live.)

Real figures are booked as they came and never multiplied. A holding is whatever has been filled: it opens with the
first fill and closes when both legs are flat and the two-leg process has ended.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8
from carryfold.domain.fold.codes import (
    BORROW_CHARGED,
    ENTRY,
    FLATTEN_REQUESTED,
    FUNDING_PAID,
    HALTED,
    MARGIN_OBSERVED,
    NOTHING,
    ORDER_CANCELLED,
    ORDER_FILLED,
    ORDER_REJECTED,
    RECONCILIATION_CORRECTED,
    RESUMED,
)
from carryfold.domain.fold.observe import revalue
from carryfold.domain.fold.state import CLOSED_KEPT


@compiled
def observe_outcome(pairs: Any, book: Any, params: Any, row: Any) -> None:
    """Book one outcome row of this run."""
    kind = row.kind
    if kind == HALTED:
        book.halted = 1
    elif kind == RESUMED:
        book.halted = 0
        book.flatten = 0
    elif kind == FLATTEN_REQUESTED:
        book.flatten = 1
    elif kind == BORROW_CHARGED:
        book.borrow += np.int64(row.a)
    elif kind == MARGIN_OBSERVED:
        book.observed_health = row.a
    elif row.pair >= 0:
        p = pairs[row.pair]
        if kind == FUNDING_PAID:
            book.funding += np.int64(row.a)
            book.payments += 1
        elif kind == ORDER_FILLED:
            _fill_leg(p, book, params, row)
            if row.d >= 2.0:
                _end_process(p, book)
        elif kind == ORDER_REJECTED or kind == ORDER_CANCELLED:
            if row.d >= 1.0:
                _end_process(p, book)
        elif kind == RECONCILIATION_CORRECTED:
            _correct(p, book, params, row)


@compiled
def _end_process(p: Any, book: Any) -> None:
    """The two-leg process behind the pending order is over, whatever it achieved."""
    if p.pending == ENTRY:
        book.pending_e8 -= p.pending_e8
        book.pending_entries -= 1
    if p.pending != NOTHING:
        book.ordered -= 1
    p.pending = NOTHING
    p.pending_e8 = 0


@compiled
def _open_holding(p: Any, book: Any, t: int) -> None:
    """The first fill of a pair opens a holding."""
    book.held += 1
    book.entries += 1
    p.held = 1
    p.traded = 1
    p.trade = book.entries
    p.held_priced = 1
    p.held_lots = p.pending_lots
    p.held_size = p.pending_size
    p.unit = p.lot / p.lot_units
    p.opened_at = t


@compiled
def _fill_leg(p: Any, book: Any, params: Any, row: Any) -> None:
    """One venue fill of one leg: cost in, or a share of the cost out."""
    if p.held == 0:
        _open_holding(p, book, row.known_at)
    units = np.int64(row.a)
    value = np.int64(row.b)
    book.fees += np.int64(row.c)
    if np.int64(row.d) & 1 == 0:
        cost = _cost_moved(p.spot_units, p.spot_cost, units, value)
        if units < 0:
            book.spot_realised += value + cost
        p.spot_cost += cost
        book.spot_cost += cost
        p.spot_units += units
    else:
        cost = _cost_moved(p.perp_units, p.perp_entry, -units, value)
        if units > 0:
            book.perp_realised += -cost - value
        p.perp_entry += cost
        book.perp_entry += cost
        p.perp_units -= units
        if units < 0 and p.perp_units > 0:
            p.entry_price = p.perp_entry / 1e8 / (p.perp_units * p.unit)
    _mark_holding(p, book, params)
    _close_if_flat(p, book, row.known_at)


@compiled
def _cost_moved(held: int, cost: int, units: int, value: int) -> int:
    """Change of a leg's cost: the fill's value when it adds, minus a proportional share when it takes away."""
    if units > 0:
        return value
    if -units >= held:
        return -cost
    return -np.int64(np.rint(cost * (float(-units) / float(held))))  # type: ignore[return-value]


@compiled
def _mark_holding(p: Any, book: Any, params: Any) -> None:
    """Value the holding at the view; before any view, at cost."""
    if p.viewed != 0:
        revalue(p, book, params)
        return
    margin = e8(params.margin_fraction * (p.perp_entry / 1e8))
    book.spot_value += p.spot_cost - p.spot_value
    book.perp_value += p.perp_entry - p.perp_value
    book.margin += margin - p.margin
    p.spot_value = p.spot_cost
    p.perp_value = p.perp_entry
    p.margin = margin


@compiled
def _close_if_flat(p: Any, book: Any, t: int) -> None:
    """Both legs are flat: the holding is over."""
    if p.held == 0 or p.spot_units != 0 or p.perp_units != 0:
        return
    k = p.closed_count % CLOSED_KEPT
    p.closed_opened_at[k] = p.opened_at
    p.closed_at[k] = t
    p.closed_units[k] = 0
    p.closed_unit[k] = p.unit
    p.closed_priced[k] = p.held_priced
    p.closed_trade[k] = p.trade
    p.closed_count += 1
    p.held = 0
    book.held -= 1
    book.trades += 1


@compiled
def _correct(p: Any, book: Any, params: Any, row: Any) -> None:
    """Adopt the venue's holding and cash where they differ from ours. Units come in or go out at the view's price, so
    that the difference shows as P&L and never as an unexplained jump later."""
    book.fees -= np.int64(row.c)
    spot_units = np.int64(row.a)
    perp_units = np.int64(row.b)
    if spot_units == 0 and perp_units == 0:
        return
    if p.held == 0:
        _open_holding(p, book, row.known_at)
    spot_cost = e8(spot_units * p.unit * p.spot)
    perp_entry = e8(perp_units * p.unit * p.perp)
    book.spot_cost += spot_cost
    book.perp_entry += perp_entry
    book.spot_realised += spot_cost
    book.perp_realised -= perp_entry
    p.spot_cost += spot_cost
    p.perp_entry += perp_entry
    p.spot_units += spot_units
    p.perp_units += perp_units
    _mark_holding(p, book, params)
    _close_if_flat(p, book, row.known_at)
