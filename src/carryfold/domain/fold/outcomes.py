"""What the world answered to a run's own orders: fills, ends, payments, corrections, the operator. (Phase 4, live.)

Real figures are booked as they came and never multiplied. A holding is whatever has been filled: it opens with the
first fill and closes when both legs are flat and the two-leg process has ended. A fill moves cash by its value and its
fee, and by nothing else: where the fee is taken in base coins, `units` and `value` are those of what is left.
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
from carryfold.domain.fold.observe import mark_for, revalue
from carryfold.domain.fold.state import CLOSED_KEPT


@compiled
def observe_outcome(views: Any, pairs: Any, book: Any, params: Any, row: Any) -> None:
    """Book one outcome row of this run."""
    kind = row.kind
    if kind == HALTED:
        book.halted = 1
    elif kind == RESUMED:
        book.halted = 0
        book.flatten = 0
    elif kind == FLATTEN_REQUESTED:
        book.flatten = 1
        book.due_at = row.known_at  # whoever flattens does not want to wait for the next decision
    elif kind == BORROW_CHARGED:
        book.borrow += np.int64(row.a)
    elif kind == MARGIN_OBSERVED:
        book.observed_health = row.a
    elif kind == FUNDING_PAID:
        book.funding += np.int64(row.a)
        book.payments += 1
    else:
        if kind == RECONCILIATION_CORRECTED:
            book.fees -= np.int64(row.c)
        if row.pair >= 0:
            _observe_order(views[row.pair], pairs[row.pair], book, params, row)


@compiled
def _observe_order(v: Any, p: Any, book: Any, params: Any, row: Any) -> None:
    """What became of a pair's orders and holding."""
    kind = row.kind
    if kind == ORDER_FILLED:
        _fill_leg(v, p, book, params, row)
        if row.d >= 2.0:
            _end_process(p, book)
    elif kind == ORDER_REJECTED or kind == ORDER_CANCELLED:
        if row.d >= 1.0:
            _end_process(p, book)
    elif kind == RECONCILIATION_CORRECTED:
        _correct(v, p, book, params, row)
    _close_if_flat(p, book, row.known_at)


@compiled
def _end_process(p: Any, book: Any) -> None:
    """The two-leg process behind the pending order is over, whatever it achieved."""
    if p.pending == ENTRY:
        book.pending_e8 -= p.pending_e8
        if p.held == 0:
            book.pending_entries -= 1
    if p.pending != NOTHING:
        book.ordered -= 1
    p.pending = NOTHING
    p.pending_e8 = 0


@compiled
def _open_holding(v: Any, p: Any, book: Any, t: int) -> None:
    """The first fill of a pair opens a holding, which takes over the slot of the entry that is still under way."""
    lot = v.lot
    if p.pending == ENTRY:
        book.pending_entries -= 1
        lot = p.pending_lot  # the venue may have changed it since
    book.held += 1
    book.entries += 1
    p.held = 1
    p.traded = 1
    p.trade = book.entries
    p.held_priced = 1
    p.unit = lot / v.lot_units
    p.opened_at = t


@compiled
def _fill_leg(v: Any, p: Any, book: Any, params: Any, row: Any) -> None:
    """One venue fill of one leg: cost in, or a share of the cost out."""
    units = np.int64(row.a)
    value = np.int64(row.b)
    book.fees += np.int64(row.c)
    if units == 0:
        return
    opens = p.held == 0
    if opens:
        _open_holding(v, p, book, row.known_at)
    paid = value if units > 0 else -value
    if np.int64(row.d) & 1 == 0:
        cost = _cost_moved(p.spot_units, p.spot_cost, units, value)
        _move_spot(p, book, units, cost)
        book.spot_realised += cost - paid
    else:
        cost = _cost_moved(p.perp_units, p.perp_entry, -units, value)
        _move_perp(p, book, -units, cost)
        book.perp_realised -= cost + paid
    _measure(v, p, book, params, opens)


@compiled
def _cost_moved(held: int, cost: int, change: int, value: int) -> int:
    """Change of a leg's cost when `change` units trade for `value`: the value where they add to what is held, less a
    proportional share of the cost where they take from it. A leg may pass through zero to the other side, where its
    cost is negative: what was received for units that are owed. The change less the cash paid is what was realised."""
    signed = value if change > 0 else -value
    if held == 0 or (held > 0) == (change > 0):
        return signed
    share = float(abs(change)) / float(abs(held))
    if share < 1.0:
        return -np.int64(np.rint(cost * share))  # type: ignore[return-value]
    if change == -held:
        return -cost
    closing = np.int64(np.rint(signed / share))
    return signed - closing - cost  # type: ignore[return-value]


@compiled
def _move_spot(p: Any, book: Any, units: int, cost: int) -> None:
    """Units and their cost come into the spot leg or leave it."""
    p.spot_units += units
    p.spot_cost += cost
    book.spot_cost += cost


@compiled
def _move_perp(p: Any, book: Any, units: int, cost: int) -> None:
    """Short units and their entry value come into the perpetual leg or leave it."""
    p.perp_units += units
    p.perp_entry += cost
    book.perp_entry += cost
    if p.perp_units > 0:
        p.entry_price = p.perp_entry / 1e8 / (p.perp_units * p.unit)


@compiled
def _measure(v: Any, p: Any, book: Any, params: Any, opened: bool) -> None:
    """Bring everything that follows from the legs up to date: values, lots, and what the entry still blocks."""
    _mark_holding(v, p, book, params)
    units = max(abs(p.spot_units), abs(p.perp_units))
    p.held_lots = (units + v.lot_units - 1) // v.lot_units
    if p.pending == ENTRY:
        p.held_size = p.pending_size
        spent = max(p.spot_cost, 0) + max(p.margin, 0)
        blocked = max(e8((1.0 + params.margin_fraction) * p.pending_size) - spent, 0)
        book.pending_e8 += blocked - p.pending_e8
        p.pending_e8 = blocked
    elif opened:  # nobody decided this holding: it was found
        p.held_size = max(p.spot_cost, p.perp_entry) / 1e8


@compiled
def _mark_holding(v: Any, p: Any, book: Any, params: Any) -> None:
    """Value the holding at the view; before any view, at cost."""
    if v.viewed != 0:
        revalue(v, p, book, params)
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
    """Both legs are flat and nothing is under way: the holding is over."""
    if p.held == 0 or p.pending != NOTHING or p.spot_units != 0 or p.perp_units != 0:
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
def _correct(v: Any, p: Any, book: Any, params: Any, row: Any) -> None:
    """Adopt the venue's holding where it differs from ours: `a` more spot units, `b` more short ones. Units come in or
    go out at the view's price (before any view: the newest mark), so that the difference shows as P&L now and never as
    a jump later. Coins that appear or vanish are worth their price; a short is worth nothing when it appears, and one
    that vanishes leaves behind what it had gained."""
    spot_units = np.int64(row.a)
    perp_units = np.int64(row.b)
    if spot_units == 0 and perp_units == 0:
        return
    opens = p.held == 0
    if opens:
        _open_holding(v, p, book, row.known_at)
    mark = mark_for(v, row.known_at)
    if spot_units != 0:
        value = e8(abs(spot_units) * p.unit * (v.spot if v.viewed != 0 else mark))
        cost = _cost_moved(p.spot_units, p.spot_cost, spot_units, value)
        _move_spot(p, book, spot_units, cost)
        book.spot_realised += cost
    if perp_units != 0:
        value = e8(abs(perp_units) * p.unit * (v.perp if v.viewed != 0 else mark))
        cost = _cost_moved(p.perp_units, p.perp_entry, perp_units, value)
        _move_perp(p, book, perp_units, cost)
        book.perp_realised -= cost - (value if perp_units > 0 else -value)
    _measure(v, p, book, params, opens)
