"""The decision: who leaves, who enters, at what size, and every gate on the way. (docs/semantics.md 4, phase 8.)

Deciding changes nothing but the pending orders; what an order does to the book is the venue's matter.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import clip, mixed, whole_lots
from carryfold.domain.fold.codes import (
    COMPOSITE,
    DAY_NS,
    ENTER,
    ENTRY,
    EXIT,
    G_AGE,
    G_BREAK_EVEN,
    G_CAPITAL,
    G_DAILY_LOSS,
    G_DELISTING,
    G_HALTED,
    G_INTERVAL,
    G_LISTED,
    G_MARGIN,
    G_MIN_NOTIONAL,
    G_PRICES,
    G_SLOTS,
    G_STALE_PRICE,
    G_STALE_RATE,
    G_TOO_SMALL,
    HOLD,
    HOUR,
    LEAVE,
    NOTHING,
    R_DELISTING,
    R_FLATTEN,
    R_RATE,
    R_WANTED,
    REFUSE,
    SAME,
    SECOND,
)
from carryfold.domain.fold.fills import drop_entry, fill_entry, fill_exit, place
from carryfold.domain.fold.money import equity, free_capital, margin_health, need
from carryfold.domain.fold.rates import rate_estimate
from carryfold.domain.fold.records import new_decision
from carryfold.domain.fold.signals import (
    basis_score,
    conviction,
    level_score,
    persistence_score,
    trend_score,
    volume_score,
)
from carryfold.domain.fold.sizing import breaks_even, composite_size
from carryfold.domain.fold.state import GATES, NEVER

MIN_HEALTH = 3.0
ALL_GATES = (1 << len(GATES)) - 1
COMPOSITE_GATES = (1 << G_BREAK_EVEN) | (1 << G_AGE) | (1 << G_INTERVAL) | (1 << G_TOO_SMALL)
PRICE_GATES = (1 << G_PRICES) | (1 << G_STALE_PRICE)


@compiled
def is_dead(p: Any, params: Any, t: int) -> bool:
    """True if the pair's data ended: it had market rows, and the last one is more than dead_s old."""
    return p.market_known_at != NEVER and t - p.market_known_at > params.dead_s * SECOND


@compiled
def throttle(book: Any, params: Any) -> None:
    """The drawdown throttle theta follows the equity down at once and comes back a quarter at a time."""
    now = float(equity(book))
    if now >= book.peak:
        book.peak = now
        if book.theta == 1.0:
            return
    raw = clip(1.0 - (book.peak - now) / book.peak / params.drawdown_limit)
    quarter = np.floor(4.0 * raw + 0.5) / 4.0
    if quarter < book.theta:
        book.theta = quarter
    elif book.theta < 1.0 and raw >= book.theta + 0.2:
        book.theta += 0.25


@compiled
def drop_stale_entries(pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int) -> None:
    """Give up entries that have waited for a price longer than stale_s."""
    for r in range(len(ranks)):
        i = ranks[r]
        if pairs[i].pending == ENTRY and t - pairs[i].pending_at > params.stale_s * SECOND:
            drop_entry(pairs[i], book, orders[i])


@compiled
def _exit_reason(p: Any, book: Any, params: Any, t: int) -> int:
    """Why a held pair is to be closed now; R_WANTED: it is not."""
    if book.flatten != 0:
        return R_FLATTEN
    if p.delist_at != 0:
        return R_DELISTING
    if params.strategy != HOLD and p.x_count > 0 and rate_estimate(p, params, t) < params.exit:
        return R_RATE
    return R_WANTED


@compiled
def decide_exits(
    pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, decisions: Any, dn: int, fills: Any, fn: int
) -> tuple[int, int]:
    """Close what is to be closed, in symbol order. Gives the new numbers of decisions and fills."""
    left = book.held
    for r in range(len(ranks)):
        if left == 0:
            break
        i = ranks[r]
        p = pairs[i]
        if p.held == 0:
            continue
        left -= 1
        if p.pending != NOTHING:
            continue
        reason = _exit_reason(p, book, params, t)
        if reason == R_WANTED:
            continue
        d = new_decision(decisions, dn, t, i, LEAVE, reason, p.held_lots)
        d.size = p.held_size
        d.mid = p.spot if p.held_priced != 0 else 1.0
        _describe_rate(p, params, t, d)
        _describe_book(book, params, d)
        dn += 1
        _count(book, t, r, LEAVE, p.held_lots)
        place(p, book, orders[i], params, t, EXIT)
        if book.simulated != 0 and (p.held_priced == 0 or params.fill == SAME):
            fn = fill_exit(p, book, orders[i], params, t, i, fills, fn)
    return dn, fn


@compiled
def _count(book: Any, t: int, rank: int, action: int, lots: int) -> None:
    """Count a decision and mix it into the trace."""
    book.decisions += 1
    book.trace = mixed(mixed(mixed(mixed(book.trace, t), rank), action), lots)


@compiled
def _describe_rate(p: Any, params: Any, t: int, d: Any) -> None:
    """The rate side of the working."""
    d.q = rate_estimate(p, params, t)
    d.x = p.x
    d.x_before = p.x_before
    d.interval_h = p.interval_h
    d.price_age = t - p.view_at if p.viewed != 0 else -1
    d.rate_age = t - p.settled_at if p.settled_at != NEVER else -1


@compiled
def _describe_book(book: Any, params: Any, d: Any) -> None:
    """The book side of the working."""
    d.theta = book.theta
    d.free = free_capital(book)
    d.equity = equity(book)
    d.health = margin_health(book, params)


@compiled
def _describe_signals(p: Any, params: Any, d: Any) -> None:
    """Every component of the conviction."""
    d.level = level_score(params, d.q)
    d.trend = trend_score(p)
    d.persistence = persistence_score(p, params)
    d.basis = basis_score(p)
    d.volume = volume_score(p)
    d.basis_z = p.basis_z
    d.known = 7 + (8 if p.basis_count > 0 else 0) + (16 if d.volume >= 0.0 else 0)


@compiled
def _wish(p: Any, params: Any, t: int) -> tuple[bool, float]:
    """(wanted, score): whether the strategy wants the pair, and what candidates are ranked by."""
    if params.strategy == HOLD:
        return p.traded == 0, 0.0
    if p.x_count == 0:
        return False, 0.0
    q = rate_estimate(p, params, t)
    if params.strategy == COMPOSITE:
        strength = conviction(p, params, q)
        return strength >= params.conviction_enter, strength
    return q >= params.enter, q


@compiled
def rank_candidates(pairs: Any, params: Any, ranks: Any, t: int, chosen: Any, scores: Any) -> int:
    """Fill `chosen` with the ranks of wanted pairs, best first, ties in symbol order; gives their number."""
    n = 0
    for r in range(len(ranks)):
        p = pairs[ranks[r]]
        if p.held != 0 or p.pending != NOTHING or p.selected == 0:
            continue
        wanted, score = _wish(p, params, t)
        if not wanted:
            if p.refusal != 0:
                p.refusal = 0
            continue
        k = n
        while k > 0 and scores[k - 1] < score:
            scores[k] = scores[k - 1]
            chosen[k] = chosen[k - 1]
            k -= 1
        scores[k] = score
        chosen[k] = r
        n += 1
    return n


@compiled
def decide_entries(
    pairs: Any,
    book: Any,
    orders: Any,
    params: Any,
    ranks: Any,
    t: int,
    chosen: Any,
    scores: Any,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
) -> tuple[int, int]:
    """Open what is wanted and passes its gates, best first. Gives the new numbers of decisions and fills."""
    n = rank_candidates(pairs, params, ranks, t, chosen, scores)
    for k in range(n):
        i = ranks[chosen[k]]
        p = pairs[i]
        d = new_decision(decisions, dn, t, i, ENTER, R_WANTED, 0)
        _describe_rate(p, params, t, d)
        _describe_book(book, params, d)
        _work_out(pairs, p, book, params, ranks, t, scores[k], d)
        if d.failed != 0:
            for gate in range(len(GATES)):
                book.refused[gate] += (d.failed >> gate) & 1
            if d.failed != p.refusal:
                d.action = REFUSE
                dn += 1
            p.refusal = d.failed
            continue
        p.refusal = 0
        dn += 1
        _count(book, t, chosen[k], ENTER, d.lots)
        p.pending_lots = d.lots
        p.pending_lot = p.lot
        p.pending_size = d.size
        place(p, book, orders[i], params, t, ENTRY)
        if book.simulated != 0 and (p.priced == 0 or params.fill == SAME):
            fn = fill_entry(p, book, orders[i], params, t, i, fills, fn)
    return dn, fn


@compiled
def _work_out(pairs: Any, p: Any, book: Any, params: Any, ranks: Any, t: int, score: float, d: Any) -> None:
    """Size, lots and every gate of one candidate, all written to its record."""
    if params.strategy == COMPOSITE:
        d.conviction = score
        _describe_signals(p, params, d)
        d.size = composite_size(pairs, p, book, params, ranks, score, d)
    elif params.strategy == HOLD:
        d.size = params.max_positions * params.notional / book.universe
    else:
        d.size = params.notional
    d.mid = 1.0 if p.priced == 0 else (p.spot if p.viewed != 0 else 0.0)
    if d.size > 0.0 and d.mid > 0.0 and p.lot > 0.0:
        d.lots = whole_lots(d.size, d.mid, p.lot)
    d.applied = ALL_GATES
    if params.strategy == COMPOSITE:
        d.applied &= ~(1 << G_CAPITAL)
    else:
        d.applied &= ~COMPOSITE_GATES
    if params.strategy == HOLD:
        d.applied &= ~(1 << G_SLOTS)
    if p.priced == 0:
        d.applied &= ~PRICE_GATES
    d.failed = d.applied & _failed_gates(p, book, params, t, d)


@compiled
def _failed_gates(p: Any, book: Any, params: Any, t: int, d: Any) -> int:
    """The gates that fail, as a bit set; also those that do not apply are looked at."""
    failed = 0
    if p.listed == 0 or p.listed_at > t or p.delisted != 0 or is_dead(p, params, t):
        failed |= 1 << G_LISTED
    if p.viewed == 0:
        failed |= (1 << G_PRICES) | (1 << G_STALE_PRICE)
    elif t - p.view_at > params.stale_s * SECOND:
        failed |= 1 << G_STALE_PRICE
    if p.settled_at == NEVER or p.interval_h <= 0.0 or float(t - p.settled_at) > 1.5 * p.interval_h * HOUR:
        failed |= 1 << G_STALE_RATE
    if book.halted != 0 or book.clock_off != 0 or book.flatten != 0:
        failed |= 1 << G_HALTED
    if p.delist_at != 0:
        failed |= 1 << G_DELISTING
    if not float(book.day_start_equity - d.equity) < params.daily_loss_limit * params.capital * 1e8:
        failed |= 1 << G_DAILY_LOSS
    if not d.health >= MIN_HEALTH:
        failed |= 1 << G_MARGIN
    d.need = need(params, max(d.size, 0.0))
    if d.free < d.need:
        failed |= 1 << G_CAPITAL
    if d.lots < 1 or d.lots * p.lot * d.mid < p.min_notional:
        failed |= 1 << G_MIN_NOTIONAL
    if book.held + book.pending_entries >= params.max_positions:
        failed |= 1 << G_SLOTS
    if params.strategy == COMPOSITE:
        failed |= _failed_composite_gates(p, params, t, d)
    return failed


@compiled
def _failed_composite_gates(p: Any, params: Any, t: int, d: Any) -> int:
    """The composite's own gates."""
    failed = 0
    if not breaks_even(p, params, d.q, d.size, d):
        failed |= 1 << G_BREAK_EVEN
    since = p.listed_at if p.listed != 0 and p.listed_at != 0 else p.first_at
    d.age_d = float(t - since) / float(DAY_NS)
    if not d.age_d >= params.min_age_d:
        failed |= 1 << G_AGE
    if p.interval_h <= 0.0 or p.interval_h < params.min_interval_h:
        failed |= 1 << G_INTERVAL
    if d.size < 0.5 * params.size_floor * params.notional:
        failed |= 1 << G_TOO_SMALL
    return failed
