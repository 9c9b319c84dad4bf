"""The book's money: equity, free capital, margin health, funding, borrow interest.
(docs/semantics.md 3, phases 3, 7 and 9.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import e8
from carryfold.domain.fold.codes import F_FUNDING, HEALTHY, HOUR, SECOND, SPLIT
from carryfold.domain.fold.observe import mark_for
from carryfold.domain.fold.records import new_fill
from carryfold.domain.fold.state import CLOSED_KEPT

EDGE = 5 * SECOND  # a venue does not say which side of a settlement such a fill falls


@compiled
def realised(book: Any) -> int:
    """Capital and everything booked."""
    return book.capital + book.funding + book.spot_realised + book.perp_realised - book.fees - book.borrow


@compiled
def equity(book: Any) -> int:
    """Capital plus all P&L, open legs at the last accepted prices."""
    return realised(book) + book.spot_value - book.spot_cost + book.perp_entry - book.perp_value


@compiled
def cash(book: Any) -> int:
    """u: what is left in quote after paying for the spot legs and settling the shorts; negative is borrowed."""
    return realised(book) - book.spot_cost + book.perp_entry - book.perp_value


@compiled
def free_capital(book: Any) -> int:
    """Cash less the shorts' margin and what open orders block."""
    return cash(book) - book.margin - book.pending_e8


@compiled
def margin_health(book: Any, params: Any) -> float:
    """Collateral over maintenance margin of a unified account; HEALTHY without a short."""
    if book.simulated == 0 and book.observed_health > 0.0:
        return book.observed_health
    if params.account == SPLIT or book.perp_value <= 0:
        return HEALTHY
    return (float(cash(book)) + 0.9 * float(book.spot_value)) / (params.mmr * float(book.perp_value))


@compiled
def need(params: Any, size: float) -> int:
    """Free capital that an entry of `size` has to find."""
    round_trip_bp = params.spot_taker_bp + params.perp_taker_bp + 2.0 * (params.half_spread_bp + params.slippage_bp)
    return e8((1.0 + params.margin_fraction) * size + size * round_trip_bp / 1e4)


@compiled
def charge_borrow(book: Any, params: Any, t: int) -> None:
    """Interest on negative cash, at the first instant of each UTC hour after the first."""
    if t < book.hour_end:
        return
    end = (t // HOUR + 1) * HOUR
    u = cash(book)
    if u < 0:
        hours = float((end - book.hour_end) // HOUR)
        book.borrow += np.int64(np.rint(float(-u) * params.borrow_apr / 8760.0 * hours))
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
def _book_payment(v: Any, book: Any, row: Any, revised: bool, share: int, holding: Any, fills: Any, fill_n: int) -> int:
    """Book one holding's payment (or its correction) for a settlement; gives the new number of fills."""
    trade, units, unit, priced = holding
    mark = mark_for(v, row.event_at)
    if priced != 0 and mark <= 0.0:
        book.no_mark += 1
        return fill_n
    amount = _payment(units, unit, priced, mark, row.a)
    if share == 1:
        amount = min(amount, 0)
    if revised:
        before = _payment(units, unit, priced, mark, row.c)
        amount -= min(before, 0) if share == 1 else before
        if amount == 0:
            return fill_n
    else:
        if share == 1 and amount == 0:
            return fill_n
        book.payments += 1
    book.funding += amount
    f = new_fill(fills, fill_n, row.known_at, row.pair, F_FUNDING, trade, units, unit)
    f.settled_at = row.event_at
    f.rate = row.a
    f.mark = mark
    f.amount = amount
    return fill_n + 1


@compiled
def settle(v: Any, p: Any, book: Any, row: Any, revised: bool, fills: Any, fill_n: int) -> int:
    """Book a settlement (phase 3) for what was held at its time, even if sold since. Gives the new number of fills."""
    if p.held == 0 and p.closed_count == 0:
        return fill_n
    if v.delisted != 0 and v.delisted_known_at < row.known_at and row.event_at > v.delisted_at:
        return fill_n
    for i in range(max(0, p.closed_count - CLOSED_KEPT), p.closed_count):
        k = i % CLOSED_KEPT
        share = _share(row.event_at, p.closed_opened_at[k], True, p.closed_at[k])
        if share != 0:
            holding = (p.closed_trade[k], p.closed_units[k], p.closed_unit[k], p.closed_priced[k])
            fill_n = _book_payment(v, book, row, revised, share, holding, fills, fill_n)
    if p.perp_units > 0:
        share = _share(row.event_at, p.opened_at, False, 0)
        if share != 0:
            holding = (p.trade, p.perp_units, p.unit, p.held_priced)
            fill_n = _book_payment(v, book, row, revised, share, holding, fills, fill_n)
    return fill_n
