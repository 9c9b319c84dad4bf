"""How large an entry may be: the composite's caps, each recorded by name, and the break-even of holding it.
(docs/semantics.md 4, Size and break-even gate.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import clip
from carryfold.domain.fold.codes import ENTRY
from carryfold.domain.fold.fills import impact_bp
from carryfold.domain.fold.money import free_capital
from carryfold.domain.fold.observe import turnover_24h
from carryfold.domain.fold.rates import forecast

BREAK_EVEN_MAX = 90


@compiled
def correlation_room(rho: float, limit: float, total: float, squares: float) -> float:
    """The largest further size with which `sum of sizes, sum of squares` stay within `limit` at pairwise correlation
    rho: the positive root of rho (G + s)^2 + (1 - rho)(Q + s^2) = K^2."""
    inside = rho * rho * total * total - rho * total * total - (1.0 - rho) * squares + limit * limit
    return -rho * total + np.sqrt(max(0.0, inside))


@compiled
def book_room(views: Any, pairs: Any, ranks: Any, params: Any) -> tuple[float, float]:
    """(room under book_cap, room under corr_cap), from what is held and pending, summed in symbol order."""
    gross = 0.0
    total = 0.0
    squares = 0.0
    for r in range(len(ranks)):
        p = pairs[ranks[r]]
        if p.held != 0:
            gross += p.spot_units * p.unit * (views[ranks[r]].spot if p.held_priced != 0 else 1.0)
            total += p.held_size
            squares += p.held_size * p.held_size
        elif p.pending == ENTRY:
            gross += p.pending_size
            total += p.pending_size
            squares += p.pending_size * p.pending_size
    return params.book_cap - gross, correlation_room(params.funding_corr, params.corr_cap, total, squares)


@compiled
def liquidity_room(v: Any, params: Any) -> float:
    """A share of the smaller known leg's 24 h turnover; -1 where neither is known."""
    spot = turnover_24h(v.spot_turnover_at, v.spot_turnover, v.spot_turnover_count)
    perp = turnover_24h(v.perp_turnover_at, v.perp_turnover, v.perp_turnover_count)
    if spot > 0.0 and (not perp > 0.0 or spot < perp):
        return params.liquidity_cap * spot
    if perp > 0.0:
        return params.liquidity_cap * perp
    return -1.0


@compiled
def composite_size(
    views: Any, pairs: Any, v: Any, book: Any, params: Any, ranks: Any, conviction: float, d: Any
) -> float:
    """The smallest of all caps, each written to the decision record."""
    strength = clip((conviction - params.conviction_enter) / (1.0 - params.conviction_enter))
    d.cap_conviction = (
        params.notional * (params.size_floor + (params.size_cap - params.size_floor) * strength) * book.theta
    )
    d.cap_pair = params.pair_cap
    d.cap_book, d.cap_correlation = book_room(views, pairs, ranks, params)
    d.cap_liquidity = liquidity_room(v, params)
    round_trip_bp = params.spot_taker_bp + params.perp_taker_bp + 2.0 * (params.half_spread_bp + params.slippage_bp)
    d.cap_capital = free_capital(book) / 1e8 / ((1.0 + params.margin_fraction) + round_trip_bp / 1e4)
    size = min(d.cap_conviction, d.cap_pair)
    size = min(size, d.cap_book)
    if d.cap_liquidity >= 0.0:
        size = min(size, d.cap_liquidity)
    size = min(size, d.cap_capital)
    return min(size, d.cap_correlation)


@compiled
def breaks_even(v: Any, params: Any, q: float, size: float, d: Any) -> bool:
    """Whether the forecast funding of at most 90 periods pays for the round trip of `size`; the working goes to `d`."""
    traded = max(size, 0.0)
    impacts = impact_bp(v, params, traded, False) + impact_bp(v, params, traded, True)
    d.cost_bp = (
        2.0 * (params.spot_taker_bp + params.perp_taker_bp)
        + 4.0 * (params.half_spread_bp + params.slippage_bp)
        + 2.0 * impacts
    )
    d.phi, d.mu = forecast(v)
    d.break_even_n, d.break_even_sum = periods_to_earn(d.cost_bp / 1e4, q, d.phi, d.mu)
    return d.break_even_n > 0


@compiled
def periods_to_earn(cost: float, q: float, phi: float, mu: float) -> tuple[int, float]:
    """(n, S_n): the first number of 8 h periods whose forecast funding reaches `cost`; n = 0 if 90 do not."""
    gap = q - mu
    total = 0.0
    for n in range(1, BREAK_EVEN_MAX + 1):
        gap *= phi
        total += mu + gap
        if total >= cost:
            return n, total
    return 0, total
