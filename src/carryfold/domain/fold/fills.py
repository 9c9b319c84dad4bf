"""The simulated venue: what an order costs, and what a fill, a delisting or a liquidation does to the book and to the
accounts of its venues. (docs/semantics.md 4, phases 5 and 6.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8, impact_bp
from carryfold.domain.fold.codes import (
    BOTH,
    ENTRY,
    EXIT,
    F_ENTER,
    F_EXIT,
    F_LEG_CLOSED,
    FOREVER,
    LONG,
    LONG_EXIT,
    NOTHING,
    SHORT,
    SHORT_EXIT,
    SPOT_SALE,
)
from carryfold.domain.fold.money import pending_amounts
from carryfold.domain.fold.observe import revalue, set_values, turnover_24h
from carryfold.domain.fold.records import new_fill
from carryfold.domain.fold.state import CLOSED_KEPT, NEVER


@compiled
def sigma_d(market: Any, v: Any) -> float:
    """Daily volatility of the pair: its short leg's."""
    return np.sqrt(24.0 * market[v.short].vol_m)


@compiled
def long_turnover(market: Any, v: Any) -> float:
    """The long leg's turnover in 24 h; 0 if unknown."""
    return turnover_24h(market[v.long]) if v.long >= 0 else 0.0


@compiled
def traded_price(mid: float, bid: float, ask: float, params: Any, buy: bool, impact: float) -> float:
    """What a leg trades at: a quote's side or a bar's close, each made worse by the costs."""
    if bid > 0.0:
        cost_bp = params.slippage_bp + impact
        side = ask if buy else bid
    else:
        cost_bp = params.half_spread_bp + params.slippage_bp + impact
        side = mid
    if buy:
        return side * (1.0 + cost_bp / 1e4)
    return side * max(0.0, 1.0 - cost_bp / 1e4)


@compiled
def _long_price(v: Any, params: Any, buy: bool, impact: float) -> float:
    """The long leg's on the view."""
    return traded_price(v.long_price, v.long_bid, v.long_ask, params, buy, impact)


@compiled
def _short_price(v: Any, params: Any, buy: bool, impact: float) -> float:
    """The short leg's on the view."""
    return traded_price(v.short_price, v.short_bid, v.short_ask, params, buy, impact)


@compiled
def _unpriced_cost(params: Any, quantity: float, impact: float) -> int:
    """What a leg of an unpriced pair loses on a fill: spread, slippage and impact on its constant notional."""
    return e8(quantity * (params.half_spread_bp + params.slippage_bp + impact) / 1e4)


# --- orders -----------------------------------------------------------------------------------------------------------


@compiled
def place(v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, action: int) -> None:
    """The decision at `t` becomes an order; the simulated venue has it after the latency."""
    p.pending = action
    p.pending_at = t
    book.ordered += 1
    if action == ENTRY:
        p.pending_long_e8, p.pending_short_e8 = pending_amounts(v, params, p.pending_size)
        accounts[v.long_venue].pending_e8 += p.pending_long_e8
        accounts[v.short_venue].pending_e8 += p.pending_short_e8
        book.pending_entries += 1
    p.due_at = t + params.latency_ms * 1_000_000


@compiled
def clear_order(v: Any, p: Any, book: Any, accounts: Any) -> None:
    """The pair's order is done or gone."""
    if p.pending == NOTHING:
        return
    if p.pending == ENTRY:
        accounts[v.long_venue].pending_e8 -= p.pending_long_e8
        accounts[v.short_venue].pending_e8 -= p.pending_short_e8
        book.pending_entries -= 1
    book.ordered -= 1
    p.pending = NOTHING
    p.pending_long_e8 = 0
    p.pending_short_e8 = 0
    p.due_at = FOREVER


@compiled
def drop_entry(v: Any, p: Any, book: Any, accounts: Any) -> None:
    """A pending entry that found no market is given up, and its slot and capital with it."""
    clear_order(v, p, book, accounts)
    book.dropped += 1


@compiled
def is_due(v: Any, p: Any, t: int, entries: bool) -> bool:
    """True if the pair's open order (an entry, or an exit of both legs) trades at this instant, which brought an
    accepted pair row."""
    if p.pending == NOTHING or v.view_known_at != t or t <= p.pending_at or t < p.due_at:
        return False
    if entries:
        return p.pending == ENTRY
    return p.pending == EXIT or p.pending == SPOT_SALE


@compiled
def is_leg_due(market: Any, v: Any, p: Any, t: int) -> bool:
    """True if the exit of one leg trades at this instant, which brought its instrument a price."""
    if t <= p.pending_at or t < p.due_at:
        return False
    if p.pending == LONG_EXIT:
        return market[v.long].price_known_at == t
    return p.pending == SHORT_EXIT and market[v.short].price_known_at == t


# --- what is held -----------------------------------------------------------------------------------------------------


@compiled
def book_fill(v: Any, book: Any, accounts: Any, f: Any) -> None:
    """A fill's fees and realised P&L enter the book and the accounts of its legs."""
    book.fees += f.long_fee + f.short_fee
    book.slippage += f.slippage
    book.long_realised += f.long_pnl
    book.short_realised += f.short_pnl
    if v.carry != 0:
        book.spot_pnl_e8 += f.long_pnl
    accounts[v.long_venue].cash += f.long_pnl - f.long_fee
    accounts[v.short_venue].cash += f.short_pnl - f.short_fee


@compiled
def add_costs(v: Any, p: Any, book: Any, accounts: Any, long_cost: int, short_entry: int) -> None:
    """What the legs cost, or were opened at, comes into the sums."""
    p.long_cost += long_cost
    p.short_entry += short_entry
    book.long_cost += long_cost
    book.short_entry += short_entry
    if v.carry != 0:
        accounts[v.long_venue].spot_cost += long_cost
        book.spot_cost += long_cost
        book.deployed += long_cost
    else:
        accounts[v.long_venue].perp_pnl -= long_cost
    accounts[v.short_venue].perp_pnl += short_entry


@compiled
def _remember_closed(p: Any, leg: int, t: int) -> None:
    """A leg is gone at `t`: it is remembered for settlements that become known later."""
    k = (p.closed_count - 1) % CLOSED_KEPT
    if p.closed_count == 0 or p.closed_trade[k] != p.trade:
        k = p.closed_count % CLOSED_KEPT
        p.closed_count += 1
        p.closed_opened_at[k] = p.opened_at
        p.closed_long_at[k] = NEVER
        p.closed_short_at[k] = NEVER
        p.closed_units[k] = p.long_units if leg == LONG else p.short_units
        p.closed_unit[k] = p.unit
        p.closed_priced[k] = p.held_priced
        p.closed_trade[k] = p.trade
    if leg == LONG:
        p.closed_long_at[k] = t
    else:
        p.closed_short_at[k] = t
    p.closed_until = t


@compiled
def drop_short(v: Any, p: Any, book: Any, accounts: Any, t: int) -> None:
    """The short leg is gone at `t`."""
    _remember_closed(p, SHORT, t)
    set_values(v, p, book, accounts, p.long_value, 0, p.long_margin, 0)
    add_costs(v, p, book, accounts, 0, -p.short_entry)
    p.short_units = 0
    _close_if_flat(p, book)


@compiled
def drop_long(v: Any, p: Any, book: Any, accounts: Any, t: int) -> None:
    """The long leg is gone at `t`."""
    _remember_closed(p, LONG, t)
    set_values(v, p, book, accounts, 0, p.short_value, 0, p.short_margin)
    add_costs(v, p, book, accounts, -p.long_cost, 0)
    p.long_units = 0
    _close_if_flat(p, book)


@compiled
def _close_if_flat(p: Any, book: Any) -> None:
    """Without a leg the position is over."""
    if p.long_units == 0 and p.short_units == 0:
        p.held = 0
        book.held -= 1
        book.held_changes += 1
        book.trades += 1


@compiled
def fill_entry(
    market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int
) -> int:
    """Both legs of the pending entry trade now. Gives the new number of fills."""
    lots = p.pending_lots
    lot = p.pending_lot
    size = p.pending_size
    decided_at = p.pending_at
    clear_order(v, p, book, accounts)
    book.entries += 1
    p.trade = book.entries
    p.traded = 1
    p.held = 1
    p.held_priced = v.priced
    p.held_lots = lots
    p.held_size = size
    p.long_units = lots
    p.short_units = lots
    p.unit = lot
    p.opened_at = t
    f = new_fill(fills, fill_n, t, pair, F_ENTER, BOTH, p.trade, lots, lot)
    sigma = sigma_d(market, v)
    long_impact = impact_bp(params.impact, sigma, size, long_turnover(market, v))
    short_impact = impact_bp(params.impact, sigma, size, turnover_24h(market[v.short]))
    if p.held_priced != 0:
        long_price = _long_price(v, params, True, long_impact)
        short_price = _short_price(v, params, False, short_impact)
        f.long_value = e8(lots * lot * long_price)
        f.short_value = e8(lots * lot * short_price)
        f.slippage = e8(abs(long_price - v.long_price) * lots * lot) + e8(abs(short_price - v.short_price) * lots * lot)
    else:
        long_price = 1.0
        short_price = 1.0
        f.long_value = e8(lots * lot)
        f.short_value = f.long_value
        f.long_pnl = -_unpriced_cost(params, lots * lot, long_impact)
        f.short_pnl = -_unpriced_cost(params, lots * lot, short_impact)
        f.slippage = -(f.long_pnl + f.short_pnl)
    p.long_entry_price = long_price
    p.short_entry_price = short_price
    f.long_fee = e8(lots * lot * long_price * p.long_bp / 1e4)
    f.short_fee = e8(lots * lot * short_price * p.short_bp / 1e4)
    f.decided_at = decided_at
    f.long_price = long_price
    f.short_price = short_price
    p.long_cost = 0
    p.short_entry = 0
    p.long_value = 0
    p.short_value = 0
    p.long_margin = 0
    p.short_margin = 0
    add_costs(v, p, book, accounts, f.long_value, f.short_value)
    book.held += 1
    book.held_changes += 1
    book_fill(v, book, accounts, f)
    if p.held_priced != 0:
        revalue(v, p, book, accounts, params)
    else:
        margin = e8(params.margin_fraction * (lots * lot))
        set_values(v, p, book, accounts, p.long_cost, p.short_entry, 0, margin)
    return fill_n + 1


@compiled
def fill_exit(
    market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int
) -> int:
    """Both legs trade back, or the spot leg alone after a liquidation. Gives the new number of fills."""
    units = p.long_units
    unit = p.unit
    with_short = p.pending != SPOT_SALE
    action = F_EXIT if with_short else F_LEG_CLOSED
    f = new_fill(fills, fill_n, t, pair, action, BOTH if with_short else LONG, p.trade, units, unit)
    f.decided_at = p.pending_at
    clear_order(v, p, book, accounts)
    sigma = sigma_d(market, v)
    if p.held_priced != 0:
        impact = impact_bp(params.impact, sigma, units * unit * v.long_price, long_turnover(market, v))
        long_price = _long_price(v, params, False, impact)
        f.long_value = e8(units * unit * long_price)
        f.slippage = e8(abs(long_price - v.long_price) * units * unit)
        f.long_pnl = f.long_value - p.long_cost
    else:
        long_price = 1.0
        f.long_value = e8(units * unit)
        impact = impact_bp(params.impact, sigma, units * unit, long_turnover(market, v))
        f.long_pnl = -_unpriced_cost(params, units * unit, impact)
    f.long_price = long_price
    f.long_fee = e8(units * unit * long_price * p.long_bp / 1e4)
    if with_short:
        turnover = turnover_24h(market[v.short])
        if p.held_priced != 0:
            impact = impact_bp(params.impact, sigma, units * unit * v.short_price, turnover)
            short_price = _short_price(v, params, True, impact)
            f.short_value = e8(units * unit * short_price)
            f.slippage += e8(abs(short_price - v.short_price) * units * unit)
            f.short_pnl = p.short_entry - f.short_value
        else:
            short_price = 1.0
            f.short_value = e8(units * unit)
            impact = impact_bp(params.impact, sigma, units * unit, turnover)
            f.short_pnl = -_unpriced_cost(params, units * unit, impact)
            f.slippage = -(f.long_pnl + f.short_pnl)
        f.short_price = short_price
        f.short_fee = e8(units * unit * short_price * p.short_bp / 1e4)
    book_fill(v, book, accounts, f)
    if with_short:
        drop_short(v, p, book, accounts, t)
    drop_long(v, p, book, accounts, t)
    return fill_n + 1
