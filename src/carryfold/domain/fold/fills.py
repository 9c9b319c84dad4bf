"""The simulated venue: what an order costs, and what a fill, a delisting or a liquidation does to the book.
(docs/semantics.md 3, phases 5 and 6.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8
from carryfold.domain.fold.codes import (
    ENTRY,
    F_ENTER,
    F_EXIT,
    F_LIQUIDATED,
    F_SPOT_SOLD,
    NOTHING,
    SPOT_SALE,
)
from carryfold.domain.fold.observe import mark_for, revalue, turnover_24h
from carryfold.domain.fold.records import new_fill
from carryfold.domain.fold.state import CLOSED_KEPT

FOREVER = 2**62


@compiled
def impact_bp(v: Any, params: Any, notional: float, perp_leg: bool) -> float:
    """Square-root impact of trading `notional` in a leg; 0 where the leg's turnover is unknown."""
    if perp_leg:
        turnover = turnover_24h(v.perp_turnover_at, v.perp_turnover, v.perp_turnover_count)
    else:
        turnover = turnover_24h(v.spot_turnover_at, v.spot_turnover, v.spot_turnover_count)
    if not turnover > 0.0:
        return 0.0
    sigma_d = np.sqrt(24.0 * v.vol_m)
    return params.impact * sigma_d * np.sqrt(notional / turnover) * 1e4


@compiled
def fill_price(v: Any, params: Any, perp_leg: bool, buy: bool, impact: float) -> float:
    """What a leg trades at on the view: a quote's side or a bar's close, each made worse by the costs."""
    if v.quoted != 0:
        cost_bp = params.slippage_bp + impact
        if perp_leg:
            side = v.perp_ask if buy else v.perp_bid
        else:
            side = v.spot_ask if buy else v.spot_bid
    else:
        cost_bp = params.half_spread_bp + params.slippage_bp + impact
        side = v.perp if perp_leg else v.spot
    if buy:
        return side * (1.0 + cost_bp / 1e4)
    return side * max(0.0, 1.0 - cost_bp / 1e4)


@compiled
def _unpriced_cost(params: Any, quantity: float, impact: float) -> int:
    """What a leg of an unpriced pair loses on a fill: spread, slippage and impact on its constant notional."""
    return e8(quantity * (params.half_spread_bp + params.slippage_bp + impact) / 1e4)


@compiled
def _clear_order(p: Any, book: Any, order: Any) -> None:
    """The pair's order is done or gone."""
    if p.pending == ENTRY:
        book.pending_e8 -= p.pending_e8
        book.pending_entries -= 1
    if p.pending != NOTHING:
        book.ordered -= 1
    p.pending = NOTHING
    p.pending_e8 = 0
    order.due_at = FOREVER


@compiled
def drop_entry(p: Any, book: Any, order: Any) -> None:
    """A pending entry that found no market is given up, and its slot and capital with it."""
    _clear_order(p, book, order)
    book.dropped += 1


@compiled
def fill_entry(v: Any, p: Any, book: Any, order: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int) -> int:
    """Both legs of the pending entry trade now. Gives the new number of fills."""
    lots = p.pending_lots
    lot = p.pending_lot
    size = p.pending_size
    decided_at = p.pending_at
    _clear_order(p, book, order)
    book.entries += 1
    p.trade = book.entries
    p.traded = 1
    p.held = 1
    p.held_priced = v.priced
    p.held_lots = lots
    p.held_size = size
    p.spot_units = lots
    p.perp_units = lots
    p.unit = lot
    p.opened_at = t
    f = new_fill(fills, fill_n, t, pair, F_ENTER, p.trade, lots, lot)
    spot_impact = impact_bp(v, params, size, False)
    perp_impact = impact_bp(v, params, size, True)
    if p.held_priced != 0:
        spot_price = fill_price(v, params, False, True, spot_impact)
        perp_price = fill_price(v, params, True, False, perp_impact)
        p.spot_cost = e8(lots * lot * spot_price)
        p.perp_entry = e8(lots * lot * perp_price)
        f.slippage = e8(abs(spot_price - v.spot) * lots * lot) + e8(abs(perp_price - v.perp) * lots * lot)
    else:
        spot_price = 1.0
        perp_price = 1.0
        p.spot_cost = e8(lots * lot)
        p.perp_entry = p.spot_cost
        f.spot_pnl = -_unpriced_cost(params, lots * lot, spot_impact)
        f.perp_pnl = -_unpriced_cost(params, lots * lot, perp_impact)
        f.slippage = -(f.spot_pnl + f.perp_pnl)
    p.entry_price = perp_price
    f.spot_fee = e8(lots * lot * spot_price * params.spot_taker_bp / 1e4)
    f.perp_fee = e8(lots * lot * perp_price * params.perp_taker_bp / 1e4)
    f.decided_at = decided_at
    f.spot_price = spot_price
    f.perp_price = perp_price
    f.spot_value = p.spot_cost
    f.perp_value = p.perp_entry
    book.spot_cost += p.spot_cost
    book.perp_entry += p.perp_entry
    book.held += 1
    _book(book, f)
    p.spot_value = 0
    p.perp_value = 0
    p.margin = 0
    if p.held_priced != 0:
        revalue(v, p, book, params)
    else:
        p.spot_value = p.spot_cost
        p.perp_value = p.perp_entry
        p.margin = e8(params.margin_fraction * (lots * lot))
        book.spot_value += p.spot_value
        book.perp_value += p.perp_value
        book.margin += p.margin
    return fill_n + 1


@compiled
def _book(book: Any, f: Any) -> None:
    """A fill's fees and realised P&L enter the book."""
    book.fees += f.spot_fee + f.perp_fee
    book.slippage += f.slippage
    book.spot_realised += f.spot_pnl
    book.perp_realised += f.perp_pnl


@compiled
def _drop_perp(p: Any, book: Any, t: int) -> None:
    """The short is gone at `t`: it leaves the sums and is remembered for settlements that become known later."""
    k = p.closed_count % CLOSED_KEPT
    p.closed_opened_at[k] = p.opened_at
    p.closed_at[k] = t
    p.closed_units[k] = p.perp_units
    p.closed_unit[k] = p.unit
    p.closed_priced[k] = p.held_priced
    p.closed_trade[k] = p.trade
    p.closed_count += 1
    book.perp_entry -= p.perp_entry
    book.perp_value -= p.perp_value
    book.margin -= p.margin
    p.perp_units = 0
    p.perp_entry = 0
    p.perp_value = 0
    p.margin = 0


@compiled
def _drop_spot(p: Any, book: Any) -> None:
    """The spot leg is gone, and with it the position."""
    book.spot_cost -= p.spot_cost
    book.spot_value -= p.spot_value
    book.held -= 1
    book.trades += 1
    p.spot_units = 0
    p.spot_cost = 0
    p.spot_value = 0
    p.held = 0


@compiled
def fill_exit(v: Any, p: Any, book: Any, order: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int) -> int:
    """Both legs trade back, or the spot leg alone after a liquidation. Gives the new number of fills."""
    units = p.spot_units
    unit = p.unit
    with_perp = p.pending != SPOT_SALE
    f = new_fill(fills, fill_n, t, pair, F_EXIT if with_perp else F_SPOT_SOLD, p.trade, units, unit)
    f.decided_at = p.pending_at
    _clear_order(p, book, order)
    if p.held_priced != 0:
        spot_impact = impact_bp(v, params, units * unit * v.spot, False)
        spot_price = fill_price(v, params, False, False, spot_impact)
        f.spot_value = e8(units * unit * spot_price)
        f.slippage = e8(abs(spot_price - v.spot) * units * unit)
        f.spot_pnl = f.spot_value - p.spot_cost
    else:
        spot_price = 1.0
        f.spot_value = e8(units * unit)
        f.spot_pnl = -_unpriced_cost(params, units * unit, impact_bp(v, params, units * unit, False))
    f.spot_price = spot_price
    f.spot_fee = e8(units * unit * spot_price * params.spot_taker_bp / 1e4)
    if with_perp:
        if p.held_priced != 0:
            perp_impact = impact_bp(v, params, units * unit * v.perp, True)
            perp_price = fill_price(v, params, True, True, perp_impact)
            f.perp_value = e8(units * unit * perp_price)
            f.slippage += e8(abs(perp_price - v.perp) * units * unit)
            f.perp_pnl = p.perp_entry - f.perp_value
        else:
            perp_price = 1.0
            f.perp_value = e8(units * unit)
            f.perp_pnl = -_unpriced_cost(params, units * unit, impact_bp(v, params, units * unit, True))
            f.slippage = -(f.spot_pnl + f.perp_pnl)
        f.perp_price = perp_price
        f.perp_fee = e8(units * unit * perp_price * params.perp_taker_bp / 1e4)
    _book(book, f)
    if with_perp:
        _drop_perp(p, book, t)
    _drop_spot(p, book)
    return fill_n + 1


@compiled
def close_delisted(
    v: Any, p: Any, book: Any, order: Any, params: Any, t: int, pair: int, action: int, fills: Any, fill_n: int
) -> int:
    """The market is gone (PairDelisted, or its data ended): an order is dropped, the perpetual closes at its last mark,
    the spot leg sells at a haircut. Gives the new number of fills."""
    if p.pending == ENTRY:
        drop_entry(p, book, order)
    elif p.pending != NOTHING:
        _clear_order(p, book, order)
    if p.held == 0:
        return fill_n
    units = p.spot_units
    unit = p.unit
    f = new_fill(fills, fill_n, t, pair, action, p.trade, units, unit)
    if p.held_priced != 0:
        spot_price = v.spot * (1.0 - params.delist_haircut)
        f.spot_value = e8(units * unit * v.spot * (1.0 - params.delist_haircut))
        f.spot_fee = e8(units * unit * v.spot * (1.0 - params.delist_haircut) * params.spot_taker_bp / 1e4)
        f.spot_pnl = f.spot_value - p.spot_cost
        if p.perp_units > 0:
            mark = mark_for(v, FOREVER)
            if mark <= 0.0:
                mark = v.perp
            f.perp_price = mark
            f.perp_value = e8(units * unit * mark)
            f.perp_fee = e8(units * unit * mark * params.perp_taker_bp / 1e4)
            f.perp_pnl = p.perp_entry - f.perp_value
    else:
        spot_price = 1.0
        f.spot_value = e8(units * unit)
        f.perp_value = f.spot_value
        f.perp_price = 1.0
        f.spot_fee = e8(units * unit * params.spot_taker_bp / 1e4)
        f.perp_fee = e8(units * unit * params.perp_taker_bp / 1e4)
        f.spot_pnl = -e8(units * unit * params.delist_haircut)
    f.spot_price = spot_price
    _book(book, f)
    if p.perp_units > 0:
        _drop_perp(p, book, t)
    _drop_spot(p, book)
    return fill_n + 1


@compiled
def liquidate(v: Any, p: Any, book: Any, order: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int) -> int:
    """Close a short whose split-account margin is used up, at the view's price; the spot leg sells at the next row."""
    limit = p.entry_price * (1.0 + params.margin_fraction) / (1.0 + params.mmr + params.perp_taker_bp / 1e4)
    if p.perp_units <= 0 or p.held_priced == 0 or t <= p.opened_at or v.perp < limit:
        return fill_n
    if p.pending != NOTHING:
        _clear_order(p, book, order)
    f = new_fill(fills, fill_n, t, pair, F_LIQUIDATED, p.trade, p.perp_units, p.unit)
    f.perp_price = v.perp
    f.perp_value = e8(p.perp_units * p.unit * v.perp)
    f.perp_fee = e8(p.perp_units * p.unit * v.perp * params.perp_taker_bp / 1e4)
    f.perp_pnl = p.perp_entry - f.perp_value
    _book(book, f)
    book.liquidation += f.perp_pnl
    _drop_perp(p, book, t)
    p.pending = SPOT_SALE
    p.pending_at = t
    book.ordered += 1
    order.due_at = t
    return fill_n + 1


@compiled
def place(p: Any, book: Any, order: Any, params: Any, t: int, action: int) -> None:
    """The decision at `t` becomes an order; the simulated venue has it after the latency."""
    p.pending = action
    p.pending_at = t
    book.ordered += 1
    if action == ENTRY:
        p.pending_e8 = e8((1.0 + params.margin_fraction) * p.pending_size)
        book.pending_e8 += p.pending_e8
        book.pending_entries += 1
    order.due_at = t + params.latency_ms * 1_000_000


@compiled
def is_due(v: Any, p: Any, order: Any, t: int, entries: bool) -> bool:
    """True if the pair's open order (an entry, or an exit) trades at this instant, which brought an accepted row."""
    if p.pending == NOTHING or v.view_known_at != t or t <= p.pending_at or t < order.due_at:
        return False
    return (p.pending == ENTRY) == entries
