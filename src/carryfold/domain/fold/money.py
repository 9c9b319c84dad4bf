"""The run's money: equity of the book; free capital, margin health and borrow interest of each account; funding.
(docs/semantics.md 4, phases 3, 7 and 9.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8
from carryfold.domain.fold.codes import F_FUNDING, FUNDING_SETTLED, HEALTHY, HOUR, LONG, SECOND, SHORT, SPLIT
from carryfold.domain.fold.observe import mark_for
from carryfold.domain.fold.records import new_fill
from carryfold.domain.fold.state import CLOSED_KEPT, NEVER

EDGE = 5 * SECOND  # a venue does not say which side of a settlement such a fill falls


@compiled
def equity(book: Any) -> int:
    """Capital plus all P&L, open legs at the last accepted prices."""
    booked = book.capital + book.funding + book.long_realised + book.short_realised - book.fees - book.borrow
    return booked + book.long_value - book.long_cost + book.short_entry - book.short_value


@compiled
def long_pnl(book: Any) -> int:
    """P&L of all long legs, open ones at the last accepted prices."""
    return book.long_realised + book.long_value - book.long_cost


@compiled
def short_pnl(book: Any) -> int:
    """The same of the short legs."""
    return book.short_realised + book.short_entry - book.short_value


@compiled
def spot_pnl(book: Any) -> int:
    """The part of `long_pnl` that spot legs make."""
    return book.spot_pnl_e8 + book.spot_value - book.spot_cost


@compiled
def account_cash(account: Any) -> int:
    """u: what is left in quote after paying for spot legs and settling perpetuals; negative is borrowed."""
    return account.cash - account.spot_cost + account.perp_pnl


@compiled
def account_equity(account: Any) -> int:
    """Cash and every open leg there."""
    return account_cash(account) + account.spot_value


@compiled
def free_capital(account: Any) -> int:
    """Cash less the perpetuals' margin and what open orders block."""
    return account_cash(account) - account.margin - account.pending_e8


@compiled
def margin_health(account: Any, book: Any, params: Any) -> float:
    """Collateral over maintenance margin of a unified account; HEALTHY without a perpetual."""
    if book.simulated == 0 and book.observed_health > 0.0:
        return book.observed_health
    if params.account == SPLIT or account.perp_notional <= 0:
        return HEALTHY
    collateral = float(account_cash(account)) + 0.9 * float(account.spot_value)
    return collateral / (params.mmr * float(account.perp_notional))


@compiled
def needs(v: Any, p: Any, params: Any, size: float) -> tuple[int, int]:
    """Free capital that an entry of `size` has to find at the long leg's venue and at the short leg's; all of it at the
    first where that is the only one."""
    costs_bp = params.half_spread_bp + params.slippage_bp
    if v.long_venue == v.short_venue:
        round_trip_bp = p.long_bp + p.short_bp + 2.0 * costs_bp
        return e8((1.0 + params.margin_fraction) * size + size * round_trip_bp / 1e4), 0
    at_long = size if v.carry != 0 else params.margin_fraction * size
    at_short = params.margin_fraction * size
    return (
        e8(at_long + size * (p.long_bp + costs_bp) / 1e4),
        e8(at_short + size * (p.short_bp + costs_bp) / 1e4),
    )


@compiled
def pending_amounts(v: Any, params: Any, size: float) -> tuple[int, int]:
    """What a pending entry of `size` blocks at each leg's venue; all of it at the first where that is the only one."""
    if v.long_venue == v.short_venue:
        return e8((1.0 + params.margin_fraction) * size), 0
    at_long = e8(size) if v.carry != 0 else e8(params.margin_fraction * size)
    return at_long, e8(params.margin_fraction * size)


@compiled
def capital_room(v: Any, p: Any, accounts: Any, params: Any) -> float:
    """The largest size that the free capital of the pair's venues allows."""
    costs_bp = params.half_spread_bp + params.slippage_bp
    if v.long_venue == v.short_venue:
        round_trip_bp = p.long_bp + p.short_bp + 2.0 * costs_bp
        free = free_capital(accounts[v.long_venue]) / 1e8
        return free / ((1.0 + params.margin_fraction) + round_trip_bp / 1e4)
    at_long = 1.0 if v.carry != 0 else params.margin_fraction
    long_room = free_capital(accounts[v.long_venue]) / 1e8 / (at_long + (p.long_bp + costs_bp) / 1e4)
    short_room = free_capital(accounts[v.short_venue]) / 1e8 / (params.margin_fraction + (p.short_bp + costs_bp) / 1e4)
    return min(long_room, short_room)


@compiled
def charge_borrow(accounts: Any, book: Any, params: Any, t: int) -> None:
    """Interest on negative cash, at the first instant of each UTC hour after the first."""
    if t < book.hour_end:
        return
    end = (t // HOUR + 1) * HOUR
    hours = float((end - book.hour_end) // HOUR)
    for k in range(len(accounts)):
        account = accounts[k]
        u = account_cash(account)
        if u < 0:
            interest = np.int64(np.rint(float(-u) * params.borrow_apr / 8760.0 * hours))
            account.borrow += interest
            account.cash -= interest
            book.borrow += interest
    book.hour_end = end


@compiled
def _share(t_settled: int, opened_at: int, closed: bool, closed_at: int) -> int:
    """How a holding stands to a settlement: 2 held through it, 1 opened or closed within 5 s of it, 0 not held."""
    low = t_settled - EDGE
    high = t_settled + EDGE
    if opened_at <= low and (not closed or closed_at >= high):
        return 2
    if low < opened_at and opened_at < high:
        return 1
    if closed and opened_at < high and low < closed_at and closed_at < high:
        return 1
    return 0


@compiled
def _payment(units: int, unit: float, priced: int, mark: float, rate: float) -> int:
    """Funding that a short of `units` receives, in 1e-8 quote."""
    if priced != 0:
        return e8(units * unit * mark * rate)
    return e8(units * unit * rate)


@compiled
def _book_payment(
    m: Any, account: Any, book: Any, row: Any, pair: int, leg: int, share: int, holding: Any, fills: Any, fill_n: int
) -> int:
    """Book one holding's payment (or its correction) for a settlement of one leg; gives the new number of fills."""
    trade, units, unit, priced = holding
    mark = mark_for(m, row.event_at) / m.multiplier
    if priced != 0 and mark <= 0.0:
        book.no_mark += 1
        return fill_n
    sign = 1 if leg == SHORT else -1
    amount = sign * _payment(units, unit, priced, mark, row.a)
    if share == 1:
        amount = min(amount, 0)
    revised = row.kind != FUNDING_SETTLED
    if revised:
        before = sign * _payment(units, unit, priced, mark, row.c)
        amount -= min(before, 0) if share == 1 else before
        if amount == 0:
            return fill_n
    else:
        if share == 1 and amount == 0:
            return fill_n
        book.payments += 1
        if share == 1:
            book.edge_payments += 1
    book.funding += amount
    account.cash += amount
    f = new_fill(fills, fill_n, row.known_at, pair, F_FUNDING, leg, trade, units, unit)
    f.settled_at = row.event_at
    f.rate = row.a
    f.mark = mark
    f.amount = amount
    return fill_n + 1


@compiled
def settle(m: Any, p: Any, account: Any, book: Any, row: Any, pair: int, leg: int, fills: Any, fill_n: int) -> int:
    """Book a settlement of one leg (phase 3) for what was held at its time, even if sold since. Gives the new number of
    fills."""
    if m.delisted != 0 and m.delisted_known_at < row.known_at and row.event_at > m.delisted_at:
        return fill_n
    first = max(0, p.closed_count - CLOSED_KEPT)
    if p.closed_until <= row.event_at - EDGE:  # they were gone by then
        first = p.closed_count
    for i in range(first, p.closed_count):
        k = i % CLOSED_KEPT
        closed_at = p.closed_long_at[k] if leg == LONG else p.closed_short_at[k]
        if closed_at == NEVER:
            continue
        share = _share(row.event_at, p.closed_opened_at[k], True, closed_at)
        if share != 0:
            holding = (p.closed_trade[k], p.closed_units[k], p.closed_unit[k], p.closed_priced[k])
            fill_n = _book_payment(m, account, book, row, pair, leg, share, holding, fills, fill_n)
    units = p.long_units if leg == LONG else p.short_units
    if units > 0:
        share = _share(row.event_at, p.opened_at, False, 0)
        if share != 0:
            holding = (p.trade, units, p.unit, p.held_priced)
            fill_n = _book_payment(m, account, book, row, pair, leg, share, holding, fills, fill_n)
    return fill_n
