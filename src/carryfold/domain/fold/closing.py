"""How the simulated venue closes what nobody ordered, and single legs: delistings, ended data, liquidations, and the
exit of the leg that is left. (docs/semantics.md 4, phases 5 and 6.)"""

from typing import Any

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8
from carryfold.domain.fold.codes import (
    BOTH,
    ENTRY,
    F_LEG_CLOSED,
    F_LIQUIDATED,
    FOREVER,
    LONG,
    LONG_EXIT,
    SHORT,
    SHORT_EXIT,
    SPOT_SALE,
)
from carryfold.domain.fold.fills import (
    book_fill,
    clear_order,
    drop_entry,
    drop_long,
    drop_short,
    fill_exit,
    traded_price,
)
from carryfold.domain.fold.money import account_cash
from carryfold.domain.fold.observe import mark_for
from carryfold.domain.fold.records import new_fill


@compiled
def _sell_long(v: Any, p: Any, book: Any, accounts: Any, f: Any, price: float, t: int) -> None:
    """The long leg is sold at `price` a coin."""
    f.long_price = price
    f.long_value = e8(p.long_units * p.unit * price)
    f.long_fee = e8(p.long_units * p.unit * price * p.long_bp / 1e4)
    f.long_pnl = f.long_value - p.long_cost


@compiled
def _buy_short(v: Any, p: Any, book: Any, accounts: Any, f: Any, price: float, t: int) -> None:
    """The short leg is bought back at `price` a coin."""
    f.short_price = price
    f.short_value = e8(p.short_units * p.unit * price)
    f.short_fee = e8(p.short_units * p.unit * price * p.short_bp / 1e4)
    f.short_pnl = p.short_entry - f.short_value


@compiled
def fill_leg_exit(
    market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int
) -> int:
    """The leg that is left closes at its own instrument's price. Gives the new number of fills."""
    leg = LONG if p.pending == LONG_EXIT else SHORT
    units = p.long_units if leg == LONG else p.short_units
    f = new_fill(fills, fill_n, t, pair, F_LEG_CLOSED, leg, p.trade, units, p.unit)
    f.decided_at = p.pending_at
    clear_order(v, p, book, accounts)
    m = market[v.long] if leg == LONG else market[v.short]
    mid = m.price / m.multiplier
    price = traded_price(mid, m.bid / m.multiplier, m.ask / m.multiplier, params, leg == SHORT, 0.0)
    f.slippage = e8(abs(price - mid) * units * p.unit)
    if leg == LONG:
        _sell_long(v, p, book, accounts, f, price, t)
        book_fill(v, book, accounts, f)
        drop_long(v, p, book, accounts, t)
    else:
        _buy_short(v, p, book, accounts, f, price, t)
        book_fill(v, book, accounts, f)
        drop_short(v, p, book, accounts, t)
    return fill_n + 1


@compiled
def _order_leg_exit(v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int) -> None:
    """The leg that is left is to close at its own instrument's next price; instead of any order there was."""
    clear_order(v, p, book, accounts)
    if p.held == 0:
        return
    p.pending = LONG_EXIT if p.long_units > 0 else SHORT_EXIT
    p.pending_at = t
    p.due_at = t + params.latency_ms * 1_000_000
    book.ordered += 1


@compiled
def close_ended(
    market: Any,
    v: Any,
    p: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    pair: int,
    long_ended: bool,
    short_ended: bool,
    action: int,
    fills: Any,
    fill_n: int,
) -> int:
    """A leg's market is gone (delisted, or its data ended): an order is dropped, a perpetual closes at its last mark, a
    spot leg sells at a haircut. The other leg, if it still trades, closes at its last price. A carry pair of one venue
    ends with both legs. Gives the new number of fills."""
    if p.pending == ENTRY:
        drop_entry(v, p, book, accounts)
    else:
        clear_order(v, p, book, accounts)
    if p.held == 0:
        return fill_n
    if v.carry != 0 and v.one_venue != 0:
        long_ended = True
        short_ended = True
    has_long = p.long_units > 0
    has_short = p.short_units > 0
    units = p.long_units if has_long else p.short_units
    unit = p.unit
    leg = BOTH if has_long and has_short else (LONG if has_long else SHORT)
    f = new_fill(fills, fill_n, t, pair, action, leg, p.trade, units, unit)
    costs_bp = params.half_spread_bp + params.slippage_bp
    if p.held_priced == 0:
        f.long_value = e8(units * unit)
        f.short_value = f.long_value
        f.long_price = 1.0
        f.short_price = 1.0
        f.long_fee = e8(units * unit * p.long_bp / 1e4)
        f.short_fee = e8(units * unit * p.short_bp / 1e4)
        f.long_pnl = -e8(units * unit * params.delist_haircut)
    else:
        if has_long:
            m = market[v.long]
            if not long_ended:
                mid = m.price / m.multiplier
                _sell_long(v, p, book, accounts, f, mid * max(0.0, 1.0 - costs_bp / 1e4), t)
                f.slippage += e8(abs(f.long_price - mid) * units * unit)
            elif v.carry != 0:
                f.long_price = v.long_price * (1.0 - params.delist_haircut)
                f.long_value = e8(units * unit * v.long_price * (1.0 - params.delist_haircut))
                f.long_fee = e8(units * unit * v.long_price * (1.0 - params.delist_haircut) * p.long_bp / 1e4)
                f.long_pnl = f.long_value - p.long_cost
            else:
                _sell_long(v, p, book, accounts, f, _last_mark(m, v.long_price), t)
        if has_short:
            m = market[v.short]
            if not short_ended:
                mid = m.price / m.multiplier
                _buy_short(v, p, book, accounts, f, mid * (1.0 + costs_bp / 1e4), t)
                f.slippage += e8(abs(f.short_price - mid) * units * unit)
            else:
                _buy_short(v, p, book, accounts, f, _last_mark(m, v.short_price), t)
    book_fill(v, book, accounts, f)
    if has_short:
        drop_short(v, p, book, accounts, t)
    if has_long:
        drop_long(v, p, book, accounts, t)
    return fill_n + 1


@compiled
def _last_mark(m: Any, viewed: float) -> float:
    """A perpetual's newest mark a coin; the view's price where there is none."""
    mark = mark_for(m, FOREVER) / m.multiplier
    return mark if mark > 0.0 else viewed


@compiled
def _liquidate_leg(
    v: Any, p: Any, book: Any, accounts: Any, t: int, pair: int, leg: int, fills: Any, fill_n: int
) -> int:
    """A perpetual leg is closed by its venue at the view's price, with its fee."""
    units = p.long_units if leg == LONG else p.short_units
    f = new_fill(fills, fill_n, t, pair, F_LIQUIDATED, leg, p.trade, units, p.unit)
    if leg == LONG:
        _sell_long(v, p, book, accounts, f, v.long_price, t)
        book.liquidation += f.long_pnl - f.long_fee
    else:
        _buy_short(v, p, book, accounts, f, v.short_price, t)
        book.liquidation += f.short_pnl - f.short_fee
    book.liquidations += 1
    book_fill(v, book, accounts, f)
    if leg == LONG:
        drop_long(v, p, book, accounts, t)
    else:
        drop_short(v, p, book, accounts, t)
    return fill_n + 1


@compiled
def liquidate_split(
    v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int
) -> int:
    """Close a perpetual leg whose split-account margin is used up, at the view's price. The spot leg of a carry pair
    sells at the next pair row; the other leg of a spread closes at its own instrument's next price."""
    if p.held_priced == 0 or t <= p.opened_at:
        return fill_n
    short_limit = p.short_entry_price * (1.0 + params.margin_fraction) / (1.0 + params.mmr + p.short_bp / 1e4)
    if p.short_units > 0 and v.short_price >= short_limit:
        clear_order(v, p, book, accounts)
        fill_n = _liquidate_leg(v, p, book, accounts, t, pair, SHORT, fills, fill_n)
        if v.carry == 0:
            _order_leg_exit(v, p, book, accounts, params, t)
        elif p.held != 0:
            p.pending = SPOT_SALE
            p.pending_at = t
            p.due_at = t
            book.ordered += 1
    if v.carry == 0 and p.long_units > 0:
        long_limit = p.long_entry_price * (1.0 - params.margin_fraction) / (1.0 - params.mmr - p.long_bp / 1e4)
        if v.long_price <= long_limit:
            clear_order(v, p, book, accounts)
            fill_n = _liquidate_leg(v, p, book, accounts, t, pair, LONG, fills, fill_n)
            _order_leg_exit(v, p, book, accounts, params, t)
    return fill_n


@compiled
def liquidate_venues(
    market: Any,
    views: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    fills: Any,
    fill_n: int,
) -> int:
    """Where a venue's collateral no longer covers its maintenance margin, every perpetual leg there is closed; venues
    in order, each seen after the one before. Gives the new number of fills."""
    for k in range(len(accounts)):
        account = accounts[k]
        if account.perp_notional <= 0:
            continue
        collateral = float(account_cash(account)) + 0.9 * float(account.spot_value)
        if not collateral < params.mmr * float(account.perp_notional):
            continue
        for j in range(len(pairs)):
            p = pairs[j]
            v = views[j]
            if p.held == 0:
                continue
            if p.held_priced == 0:
                if v.short_venue == k:
                    fill_n = _liquidate_unpriced(market, v, p, book, accounts, params, t, j, fills, fill_n)
                continue
            closed = False
            if v.carry == 0 and v.long_venue == k and p.long_units > 0:
                fill_n = _liquidate_leg(v, p, book, accounts, t, j, LONG, fills, fill_n)
                closed = True
            if v.short_venue == k and p.short_units > 0:
                fill_n = _liquidate_leg(v, p, book, accounts, t, j, SHORT, fills, fill_n)
                closed = True
            if closed:
                _order_leg_exit(v, p, book, accounts, params, t)
    return fill_n


@compiled
def _liquidate_unpriced(
    market: Any, v: Any, p: Any, book: Any, accounts: Any, params: Any, t: int, pair: int, fills: Any, fill_n: int
) -> int:
    """An unpriced pair closes whole, with its costs and fees."""
    n = fill_exit(market, v, p, book, accounts, params, t, pair, fills, fill_n)
    f = fills[min(fill_n, len(fills) - 1)]
    f.action = F_LIQUIDATED
    book.liquidation += f.short_pnl - f.short_fee
    book.liquidations += 1
    return n
