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
    FUNDING_CORRECTED,
    FUNDING_PAID,
    HALTED,
    HEDGE_ENDED,
    LONG_ADOPTED,
    LONG_FILLED,
    MARGIN_OBSERVED,
    NOTHING,
    RECONCILIATION_CORRECTED,
    RESUMED,
    SHORT_ADOPTED,
    SHORT_FILLED,
)
from carryfold.domain.fold.fills import add_costs
from carryfold.domain.fold.money import pending_amounts
from carryfold.domain.fold.observe import mark_for, revalue, set_values
from carryfold.domain.fold.state import CLOSED_KEPT
from carryfold.domain.instruments import LOT_UNITS


@compiled
def observe_outcome(market: Any, views: Any, pairs: Any, book: Any, accounts: Any, params: Any, row: Any) -> None:
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
        accounts[0].borrow += np.int64(row.a)
        accounts[0].cash -= np.int64(row.a)
    elif kind == MARGIN_OBSERVED:
        book.observed_health = row.a
    elif kind == RECONCILIATION_CORRECTED and row.subject < 0:
        book.fees -= np.int64(row.c)
        accounts[0].cash += np.int64(row.c)
    elif row.subject >= 0:
        _observe_pair(market, views[row.subject], pairs[row.subject], book, accounts, params, row)


@compiled
def _observe_pair(market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, row: Any) -> None:
    """What became of a pair's orders, payments and holding."""
    kind = row.kind
    if kind == FUNDING_PAID or kind == FUNDING_CORRECTED:
        book.funding += np.int64(row.a)
        accounts[v.short_venue if row.b > 0.0 else v.long_venue].cash += np.int64(row.a)
        if kind == FUNDING_PAID:
            book.payments += 1
        return
    if kind == LONG_FILLED or kind == SHORT_FILLED:
        _fill_leg(v, p, book, accounts, params, row)
    elif kind == HEDGE_ENDED:
        if row.a > 0.0:
            _end_process(v, p, book, accounts)
    elif kind == RECONCILIATION_CORRECTED:
        book.fees -= np.int64(row.c)
        accounts[v.short_venue].cash += np.int64(row.c)
        _correct(market, v, p, book, accounts, params, row)
    elif kind == LONG_ADOPTED or kind == SHORT_ADOPTED:
        _adopt(v, p, book, accounts, params, row)
    _close_if_flat(p, book, row.known_at)


@compiled
def _end_process(v: Any, p: Any, book: Any, accounts: Any) -> None:
    """The two-leg process behind the pending order is over, whatever it achieved."""
    if p.pending == ENTRY:
        accounts[v.long_venue].pending_e8 -= p.pending_long_e8
        accounts[v.short_venue].pending_e8 -= p.pending_short_e8
        if p.held == 0:
            book.pending_entries -= 1
    if p.pending != NOTHING:
        book.ordered -= 1
    p.pending = NOTHING
    p.pending_long_e8 = 0
    p.pending_short_e8 = 0


@compiled
def _open_holding(v: Any, p: Any, book: Any, t: int, unit: float) -> None:
    """The first fill of a pair opens a holding, which takes over the slot of the entry that is still under way."""
    lot = v.lot
    if p.pending == ENTRY:
        book.pending_entries -= 1
        lot = p.pending_lot  # the venue may have changed it since
    book.held += 1
    book.held_changes += 1
    book.entries += 1
    p.held = 1
    p.traded = 1
    p.trade = book.entries
    p.held_priced = 1
    p.unit = unit if unit > 0.0 else lot / LOT_UNITS
    p.opened_at = t


@compiled
def _fill_leg(v: Any, p: Any, book: Any, accounts: Any, params: Any, row: Any) -> None:
    """One venue fill of one leg: cost in, or a share of the cost out."""
    units = np.int64(row.a)
    value = np.int64(row.b)
    fee = np.int64(row.c)
    is_long = row.kind == LONG_FILLED
    account = accounts[v.long_venue if is_long else v.short_venue]
    book.fees += fee
    account.cash -= fee
    if units == 0:
        return
    opens = p.held == 0
    if opens:
        _open_holding(v, p, book, row.known_at, 0.0)
    paid = value if units > 0 else -value
    if is_long:
        cost = _cost_moved(p.long_units, p.long_cost, units, value)
        _move_long(v, p, book, accounts, units, cost)
        _realise(v, book, account, True, cost - paid)
    else:
        cost = _cost_moved(p.short_units, p.short_entry, -units, value)
        _move_short(v, p, book, accounts, -units, cost)
        _realise(v, book, account, False, -(cost + paid))
    _measure(v, p, book, accounts, params, opens)


@compiled
def _realise(v: Any, book: Any, account: Any, is_long: bool, amount: int) -> None:
    """P&L of a leg that has become cash."""
    account.cash += amount
    if is_long:
        book.long_realised += amount
        if v.carry != 0:
            book.spot_pnl_e8 += amount
    else:
        book.short_realised += amount


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
def _move_long(v: Any, p: Any, book: Any, accounts: Any, units: int, cost: int) -> None:
    """Units and their cost come into the long leg or leave it."""
    p.long_units += units
    add_costs(v, p, book, accounts, cost, 0)
    if p.long_units > 0:
        p.long_entry_price = p.long_cost / 1e8 / (p.long_units * p.unit)


@compiled
def _move_short(v: Any, p: Any, book: Any, accounts: Any, units: int, cost: int) -> None:
    """Short units and their entry value come into the short leg or leave it."""
    p.short_units += units
    add_costs(v, p, book, accounts, 0, cost)
    if p.short_units > 0:
        p.short_entry_price = p.short_entry / 1e8 / (p.short_units * p.unit)


@compiled
def _measure(v: Any, p: Any, book: Any, accounts: Any, params: Any, opened: bool) -> None:
    """Bring everything that follows from the legs up to date: values, lots, and what the entry still blocks."""
    _mark_holding(v, p, book, accounts, params)
    units = max(abs(p.long_units), abs(p.short_units))
    p.held_lots = (units + LOT_UNITS - 1) // LOT_UNITS
    if p.pending == ENTRY:
        p.held_size = p.pending_size
        long_e8, short_e8 = pending_amounts(v, params, p.pending_size)
        long_spent = max(p.long_cost, 0) if v.carry != 0 else max(p.long_margin, 0)
        short_spent = max(p.short_margin, 0)
        if v.long_venue == v.short_venue:
            long_spent += short_spent
        long_e8 = max(long_e8 - long_spent, 0)
        short_e8 = max(short_e8 - short_spent, 0)
        accounts[v.long_venue].pending_e8 += long_e8 - p.pending_long_e8
        accounts[v.short_venue].pending_e8 += short_e8 - p.pending_short_e8
        p.pending_long_e8 = long_e8
        p.pending_short_e8 = short_e8
    elif opened:  # nobody decided this holding: it was found
        p.held_size = max(p.long_cost, p.short_entry) / 1e8


@compiled
def _mark_holding(v: Any, p: Any, book: Any, accounts: Any, params: Any) -> None:
    """Value the holding at the view; before any view, at cost."""
    if v.viewed != 0:
        revalue(v, p, book, accounts, params)
        return
    short_margin = e8(params.margin_fraction * (p.short_entry / 1e8))
    long_margin = 0 if v.carry != 0 else e8(params.margin_fraction * (p.long_cost / 1e8))
    set_values(v, p, book, accounts, p.long_cost, p.short_entry, long_margin, short_margin)


@compiled
def _close_if_flat(p: Any, book: Any, t: int) -> None:
    """Both legs are flat and nothing is under way: the holding is over."""
    if p.held == 0 or p.pending != NOTHING or p.long_units != 0 or p.short_units != 0:
        return
    k = p.closed_count % CLOSED_KEPT
    p.closed_opened_at[k] = p.opened_at
    p.closed_long_at[k] = t
    p.closed_short_at[k] = t
    p.closed_units[k] = 0
    p.closed_unit[k] = p.unit
    p.closed_priced[k] = p.held_priced
    p.closed_trade[k] = p.trade
    p.closed_count += 1
    p.closed_until = t
    p.held = 0
    book.held -= 1
    book.held_changes += 1
    book.trades += 1


@compiled
def _correct(market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, row: Any) -> None:
    """Adopt the venue's holding where it differs from ours: `a` more long units, `b` more short ones. Units come in or
    go out at the view's price (before any view: the newest mark), so that the difference shows as P&L now and never as
    a jump later. Coins that appear or vanish are worth their price; a perpetual is worth nothing when it appears, and
    one that vanishes leaves behind what it had gained."""
    long_units = np.int64(row.a)
    short_units = np.int64(row.b)
    if long_units == 0 and short_units == 0:
        return
    opens = p.held == 0
    if opens:
        _open_holding(v, p, book, row.known_at, 0.0)
    m = market[v.short]
    mark = mark_for(m, row.known_at) / m.multiplier
    if long_units != 0:
        value = e8(abs(long_units) * p.unit * (v.long_price if v.viewed != 0 else mark))
        cost = _cost_moved(p.long_units, p.long_cost, long_units, value)
        _move_long(v, p, book, accounts, long_units, cost)
        gained = cost
        if v.carry == 0:
            gained -= value if long_units > 0 else -value
        _realise(v, book, accounts[v.long_venue], True, gained)
    if short_units != 0:
        value = e8(abs(short_units) * p.unit * (v.short_price if v.viewed != 0 else mark))
        cost = _cost_moved(p.short_units, p.short_entry, short_units, value)
        _move_short(v, p, book, accounts, short_units, cost)
        _realise(v, book, accounts[v.short_venue], False, -(cost - (value if short_units > 0 else -value)))
    _measure(v, p, book, accounts, params, opens)


@compiled
def _adopt(v: Any, p: Any, book: Any, accounts: Any, params: Any, row: Any) -> None:
    """Take over a leg of an earlier run at its cost there: `a` units of `c` coins for `b`. Nothing is gained by it."""
    opens = p.held == 0
    if opens:
        _open_holding(v, p, book, row.known_at, row.c)
    units = np.int64(row.a)
    value = np.int64(row.b)
    if row.kind == LONG_ADOPTED:
        _move_long(v, p, book, accounts, units, value)
    else:
        _move_short(v, p, book, accounts, units, value)
    _measure(v, p, book, accounts, params, True)
