"""The decision: who leaves, who enters, at what size, and every gate on the way. (docs/semantics.md 4, phase 8.)

Deciding changes nothing but the pending orders; what an order does to the book is the venue's matter.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled, inlined
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
    SETTLED,
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
NO_RATE = -1e300  # below every threshold
ALL_GATES = (1 << len(GATES)) - 1
COMPOSITE_GATES = (1 << G_BREAK_EVEN) | (1 << G_AGE) | (1 << G_INTERVAL) | (1 << G_TOO_SMALL)
PRICE_GATES = (1 << G_PRICES) | (1 << G_STALE_PRICE)


@compiled
def is_dead(v: Any, book: Any, params: Any, t: int) -> bool:
    """True if the pair's data ended: it had market rows, and the last one is more than dead_s old, while others went
    on. What nobody listened to (the daemon was down) is no end."""
    return v.market_known_at != NEVER and t - max(v.market_known_at, book.heard_since) > params.dead_s * SECOND


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
def _exit_reason(v: Any, book: Any, params: Any, t: int) -> int:
    """Why a held pair is to be closed now; R_WANTED: it is not."""
    if book.flatten != 0:
        return R_FLATTEN
    if v.delist_at != 0 or v.delisted != 0 or is_dead(v, book, params, t):
        return R_DELISTING
    if params.strategy != HOLD and v.x_count > 0 and rate_estimate(v, params, t) < params.exit:
        return R_RATE
    return R_WANTED


@compiled
def decide_exits(
    views: Any,
    pairs: Any,
    book: Any,
    orders: Any,
    params: Any,
    ranks: Any,
    t: int,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
) -> tuple[int, int]:
    """Close what is to be closed, in symbol order. Gives the new numbers of decisions and fills."""
    left = book.held
    for r in range(len(ranks)):
        if left == 0:
            break
        i = ranks[r]
        v = views[i]
        p = pairs[i]
        if p.held == 0:
            continue
        left -= 1
        if p.pending != NOTHING:
            continue
        reason = _exit_reason(v, book, params, t)
        if reason == R_WANTED:
            continue
        d = new_decision(decisions, dn, t, i, LEAVE, reason, p.held_lots)
        d.size = p.held_size
        d.mid = v.spot if p.held_priced != 0 else 1.0
        _describe_rate(v, params, t, d)
        _describe_book(book, params, d)
        dn += 1
        _count(book, t, v.tag, LEAVE, p.held_lots)
        place(p, book, orders[i], params, t, EXIT)
        if book.simulated != 0 and (p.held_priced == 0 or params.fill == SAME):
            fn = fill_exit(v, p, book, orders[i], params, t, i, fills, fn)
    return dn, fn


@compiled
def _count(book: Any, t: int, tag: int, action: int, lots: int) -> None:
    """Count a decision and mix it into the trace."""
    book.decisions += 1
    book.trace = mixed(mixed(mixed(mixed(book.trace, t), tag), action), lots)


@compiled
def _describe_rate(v: Any, params: Any, t: int, d: Any) -> None:
    """The rate side of the working."""
    d.q = rate_estimate(v, params, t)
    d.x = v.x
    d.x_before = v.x_before
    d.interval_h = v.interval_h
    d.price_age = t - v.view_at if v.viewed != 0 else -1
    d.rate_age = t - v.settled_at if v.settled_at != NEVER else -1


@compiled
def _describe_book(book: Any, params: Any, d: Any) -> None:
    """The book side of the working."""
    d.theta = book.theta
    d.free = free_capital(book)
    d.equity = equity(book)
    d.health = margin_health(book, params)


@compiled
def _describe_signals(v: Any, params: Any, d: Any) -> None:
    """Every component of the conviction."""
    d.level = level_score(params, d.q)
    d.trend = trend_score(v)
    d.persistence = persistence_score(v, params)
    d.basis = basis_score(v)
    d.volume = volume_score(v)
    d.basis_z = v.basis_z
    d.known = 7 + (8 if v.basis_count > 0 else 0) + (16 if d.volume >= 0.0 else 0)


@compiled
def estimate_rates(views: Any, params: Any, ranks: Any, t: int, changed: bool, rates: Any) -> bool:
    """Fill `rates` with q of every pair in symbol order, NO_RATE where none is known yet. Settled rates only move when
    settlements came (`changed`). Gives what `changed` is from here on."""
    if changed or params.rate_source != SETTLED:
        for r in range(len(ranks)):
            v = views[ranks[r]]
            rates[r] = rate_estimate(v, params, t) if v.x_count > 0 else NO_RATE
    return False


@inlined
def rank_candidates(views: Any, pairs: Any, params: Any, ranks: Any, rates: Any, chosen: Any, scores: Any) -> int:
    """Fill `chosen` with the ranks of wanted pairs, best first, ties in symbol order; gives their number."""
    n = 0
    for r in range(len(ranks)):
        score = rates[r]
        if params.strategy == COMPOSITE:
            score = conviction(views[ranks[r]], params, rates[r])
            if score < params.conviction_enter:
                continue
        elif params.strategy == HOLD:
            score = 0.0
            if pairs[ranks[r]].traded != 0:
                continue
        elif score < params.enter:
            continue
        p = pairs[ranks[r]]
        if p.held != 0 or p.pending != NOTHING or p.selected == 0:
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


@inlined
def decide_entries(
    views: Any,
    pairs: Any,
    book: Any,
    orders: Any,
    params: Any,
    ranks: Any,
    t: int,
    rates: Any,
    chosen: Any,
    scores: Any,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
) -> tuple[int, int]:
    """Open what is wanted and passes its gates, best first. Gives the new numbers of decisions and fills."""
    n = rank_candidates(views, pairs, params, ranks, rates, chosen, scores)
    for k in range(n):
        i = ranks[chosen[k]]
        v = views[i]
        p = pairs[i]
        d = new_decision(decisions, dn, t, i, ENTER, R_WANTED, 0)
        _describe_rate(v, params, t, d)
        _describe_book(book, params, d)
        _work_out(views, pairs, v, book, params, ranks, t, scores[k], d)
        if d.failed != 0:
            for gate in range(len(GATES)):
                book.refused[gate] += (d.failed >> gate) & 1
            if d.failed != p.refusal or p.refused_at != book.sampled_at:
                d.action = REFUSE
                dn += 1
            p.refusal = d.failed
            p.refused_at = t
            continue
        dn += 1
        _count(book, t, v.tag, ENTER, d.lots)
        p.pending_lots = d.lots
        p.pending_lot = v.lot
        p.pending_size = d.size
        place(p, book, orders[i], params, t, ENTRY)
        if book.simulated != 0 and (v.priced == 0 or params.fill == SAME):
            fn = fill_entry(v, p, book, orders[i], params, t, i, fills, fn)
    return dn, fn


@compiled
def _work_out(views: Any, pairs: Any, v: Any, book: Any, params: Any, ranks: Any, t: int, score: float, d: Any) -> None:
    """Size, lots and every gate of one candidate, all written to its record."""
    if params.strategy == COMPOSITE:
        d.conviction = score
        _describe_signals(v, params, d)
        d.size = composite_size(views, pairs, v, book, params, ranks, score, d)
    elif params.strategy == HOLD:
        d.size = params.max_positions * params.notional / book.universe
    else:
        d.size = params.notional
    d.mid = 1.0 if v.priced == 0 else (v.spot if v.viewed != 0 else 0.0)
    if d.size > 0.0 and d.mid > 0.0 and v.lot > 0.0:
        d.lots = whole_lots(d.size, d.mid, v.lot)
    d.applied = ALL_GATES
    if params.strategy == COMPOSITE:
        d.applied &= ~(1 << G_CAPITAL)
    else:
        d.applied &= ~COMPOSITE_GATES
    if params.strategy == HOLD:
        d.applied &= ~(1 << G_SLOTS)
    if v.priced == 0:
        d.applied &= ~PRICE_GATES
    d.failed = d.applied & _failed_gates(v, book, params, t, d)


@compiled
def _failed_gates(v: Any, book: Any, params: Any, t: int, d: Any) -> int:
    """The gates that fail, as a bit set; also those that do not apply are looked at."""
    failed = 0
    if v.listed == 0 or v.listed_at > t or v.delisted != 0 or is_dead(v, book, params, t):
        failed |= 1 << G_LISTED
    if v.viewed == 0:
        failed |= (1 << G_PRICES) | (1 << G_STALE_PRICE)
    elif t - v.view_at > params.stale_s * SECOND:
        failed |= 1 << G_STALE_PRICE
    if v.settled_at == NEVER or v.interval_h <= 0.0 or float(t - v.settled_at) > 1.5 * v.interval_h * HOUR:
        failed |= 1 << G_STALE_RATE
    if book.halted != 0 or book.clock_off != 0 or book.flatten != 0:
        failed |= 1 << G_HALTED
    if v.delist_at != 0:
        failed |= 1 << G_DELISTING
    if not float(book.day_start_equity - d.equity) < params.daily_loss_limit * params.capital * 1e8:
        failed |= 1 << G_DAILY_LOSS
    if not d.health >= MIN_HEALTH:
        failed |= 1 << G_MARGIN
    d.need = need(params, max(d.size, 0.0))
    if d.free < d.need:
        failed |= 1 << G_CAPITAL
    if d.lots < 1 or d.lots * v.lot * d.mid < v.min_notional:
        failed |= 1 << G_MIN_NOTIONAL
    if book.held + book.pending_entries >= params.max_positions:
        failed |= 1 << G_SLOTS
    if params.strategy == COMPOSITE:
        failed |= _failed_composite_gates(v, params, t, d)
    return failed


@compiled
def _failed_composite_gates(v: Any, params: Any, t: int, d: Any) -> int:
    """The composite's own gates."""
    failed = 0
    if not breaks_even(v, params, d.q, d.size, d):
        failed |= 1 << G_BREAK_EVEN
    since = v.listed_at if v.listed != 0 and v.listed_at != 0 else v.first_at
    d.age_d = float(t - since) / float(DAY_NS)
    if not d.age_d >= params.min_age_d:
        failed |= 1 << G_AGE
    if v.interval_h <= 0.0 or v.interval_h < params.min_interval_h:
        failed |= 1 << G_INTERVAL
    if d.size < 0.5 * params.size_floor * params.notional:
        failed |= 1 << G_TOO_SMALL
    return failed
