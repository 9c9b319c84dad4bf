"""The decision: who leaves, who enters, at what size, and every gate on the way. (docs/semantics.md 5, phase 8.)

Deciding changes nothing but the pending orders; what an order does to the book is the venue's matter. What a pair is
worth to the run, and how much of it, is the strategy's (dispatch.py); everything else is the same for all.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled, index, inlined
from carryfold.domain.fold.arithmetic import clip, mixed, whole_lots
from carryfold.domain.fold.codes import (
    DAY_NS,
    ENTER,
    ENTRY,
    EXIT,
    G_BUSY,
    G_DELISTING,
    G_MIN_NOTIONAL,
    G_PRICES,
    G_STALE_PRICE,
    LEAVE,
    NOTHING,
    R_DELISTING,
    R_FLATTEN,
    R_RATE,
    R_WANTED,
    REFUSE,
    SAME,
)
from carryfold.domain.fold.dispatch import entry_size, explain, leaves, own_gates, score
from carryfold.domain.fold.fills import drop_entry, fill_entry, fill_exit, place, sigma_d
from carryfold.domain.fold.gates import ENDED, account_gates, book_gates, gates_now, is_busy, stale_ns
from carryfold.domain.fold.money import capital_room, equity, free_capital, margin_health, needs
from carryfold.domain.fold.observe import turnover_24h
from carryfold.domain.fold.rates import pair_rate
from carryfold.domain.fold.records import new_decision
from carryfold.domain.fold.state import (
    BY_RATE,
    CHOSEN,
    GATES,
    HELD,
    HELD_AT,
    NEVER,
    OWN_GATES,
    RATES,
    SCORES_OF_PAIRS,
    TURNOVERS,
    TURNOVERS_AT,
)
from carryfold.domain.strategies.library import NOT_WANTED

OWN = len(GATES)


# --- before the decision ----------------------------------------------------------------------------------------------


@compiled
def update_throttle(book: Any, params: Any) -> None:
    """The drawdown throttle follows the equity down at once and comes back a quarter at a time."""
    now = float(equity(book))
    if now >= book.peak:
        book.peak = now
        if book.throttle == 1.0:
            return
    raw = clip(1.0 - (book.peak - now) / book.peak / params.drawdown_limit)
    quarter = np.floor(4.0 * raw + 0.5) / 4.0
    if quarter < book.throttle:
        book.throttle = quarter
    elif book.throttle < 1.0 and raw >= book.throttle + 0.2:
        book.throttle += 0.25


@compiled
def drop_stale_entries(market: Any, views: Any, pairs: Any, book: Any, accounts: Any, params: Any, t: int) -> None:
    """Give up entries that have waited for a price longer than one may be old."""
    for j in range(len(pairs)):
        if pairs[j].pending == ENTRY and t - pairs[j].pending_at > stale_ns(market, views[j], params):
            drop_entry(views[j], pairs[j], book, accounts)


# --- exits ------------------------------------------------------------------------------------------------------------


@compiled
def find_held(pairs: Any, book: Any, integers: Any, run: int) -> None:
    """Bring integers[HELD + run] up to date: the pairs that the run holds, in order; `book.held` of them count."""
    held = integers[HELD + run]
    if integers[HELD_AT, run] != book.held_changes:
        integers[HELD_AT, run] = book.held_changes
        n = 0
        for j in range(len(pairs)):
            if pairs[j].held != 0:
                held[n] = j
                n += 1


@compiled
def decide_exits(
    market: Any,
    views: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    rates: Any,
    integers: Any,
    run: int,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
) -> tuple[int, int]:
    """Close what is to be closed of the held pairs, in pair order. Gives the new numbers of decisions and fills."""
    find_held(pairs, book, integers, run)
    held = integers[HELD + run]
    for n in range(book.held):
        j = held[n]
        p = pairs[j]
        if p.pending != NOTHING:
            continue
        v = views[j]
        reason = R_WANTED
        if book.flatten != 0:
            reason = R_FLATTEN
        elif gates_now(market, views, book, params, t, j, integers) & (G_DELISTING | ENDED):
            reason = R_DELISTING
        elif v.rate_count > 0 and leaves(v, params, rates[j]):
            reason = R_RATE
        if reason == R_WANTED:
            continue
        d = new_decision(decisions, dn, t, j, LEAVE, reason, p.held_lots)
        d.size = p.held_size
        d.mid = v.long_price if p.held_priced != 0 else 1.0
        _describe_rate(market, v, params, t, d)
        _describe_book(v, book, accounts, params, d)
        dn += 1
        _count(book, t, v.tag, LEAVE, p.held_lots)
        place(v, p, book, accounts, params, t, EXIT)
        if book.simulated != 0 and (p.held_priced == 0 or params.fill == SAME):
            fn = fill_exit(market, v, p, book, accounts, params, t, j, fills, fn)
    return dn, fn


@compiled
def _count(book: Any, t: int, tag: int, action: int, lots: int) -> None:
    """Count a decision and mix it into the trace."""
    book.decisions += 1
    book.trace = mixed(mixed(mixed(mixed(book.trace, t), tag), action), lots)


# --- the working ------------------------------------------------------------------------------------------------------


@compiled
def _interval_h(market: Any, v: Any) -> float:
    """The shorter funding interval of the pair's perpetuals; 0 where one is not known."""
    interval_h = market[v.short].interval_h
    if v.carry == 0:
        interval_h = min(interval_h, market[v.long].interval_h)
    return interval_h


@compiled
def _describe_rate(market: Any, v: Any, params: Any, t: int, d: Any) -> None:
    """The rate side of the working."""
    d.estimate_8h = pair_rate(market, v, params, t)
    d.rate_8h = v.rate_8h
    d.rate_8h_before = v.rate_8h_before
    d.interval_h = _interval_h(market, v)
    d.price_age = t - v.view_at if v.viewed != 0 else -1
    settled_at = market[v.short].settled_at
    if v.carry == 0:
        settled_at = min(settled_at, market[v.long].settled_at)
    d.rate_age = t - settled_at if settled_at != NEVER else -1


@compiled
def _describe_book(v: Any, book: Any, accounts: Any, params: Any, d: Any) -> None:
    """The book side of the working."""
    d.throttle = book.throttle
    d.free = free_capital(accounts[v.long_venue])
    d.equity = equity(book)
    d.health = margin_health(accounts[v.long_venue], book, params)
    if v.long_venue != v.short_venue:
        d.free = min(d.free, free_capital(accounts[v.short_venue]))
        d.health = min(d.health, margin_health(accounts[v.short_venue], book, params))


@compiled
def _age_d(market: Any, v: Any, t: int) -> float:
    """Age of the pair in days. A carry pair of one venue: of the later known listing of its legs, else of the earlier
    first market row; any other pair: the younger leg's, by its known listing or else by its first market row."""
    short = market[v.short]
    short_listed = short.listed_at if short.listed != 0 else 0
    if v.long < 0:
        since = short_listed if short_listed != 0 else short.first_at
        return float(t - since) / float(DAY_NS)
    long = market[v.long]
    long_listed = long.listed_at if long.listed != 0 else 0
    if v.carry != 0 and v.one_venue != 0:
        since = max(short_listed, long_listed)
        if since == 0:
            since = short.first_at
            if long.market_known_at != NEVER and (short.market_known_at == NEVER or long.first_at < since):
                since = long.first_at
    else:
        since = max(
            short_listed if short_listed != 0 else short.first_at, long_listed if long_listed != 0 else long.first_at
        )
    return float(t - since) / float(DAY_NS)


@compiled
def _turnover_now(market: Any, index: int, numbers: Any, integers: Any) -> float:
    """turnover_24h of an instrument, added up once for each time that some came in."""
    m = market[index]
    if integers[TURNOVERS_AT, index] != m.turnover_entered_at:
        integers[TURNOVERS_AT, index] = m.turnover_entered_at
        numbers[TURNOVERS, index] = turnover_24h(m)
    return numbers[TURNOVERS, index]


@compiled
def _describe_market(
    market: Any, v: Any, p: Any, accounts: Any, params: Any, t: int, numbers: Any, integers: Any, d: Any
) -> None:
    """What a strategy sizes an entry by."""
    d.age_d = _age_d(market, v, t)
    d.sigma_d = sigma_d(market, v)
    d.long_turnover = _turnover_now(market, v.long, numbers, integers) if v.long >= 0 else 0.0
    d.short_turnover = _turnover_now(market, v.short, numbers, integers)
    d.turnover = -1.0
    if d.long_turnover > 0.0 and (not d.short_turnover > 0.0 or d.long_turnover < d.short_turnover):
        d.turnover = d.long_turnover
    elif d.short_turnover > 0.0:
        d.turnover = d.short_turnover
    d.round_trip_bp = 2.0 * (p.long_bp + p.short_bp) + 4.0 * (params.half_spread_bp + params.slippage_bp)
    d.capital_room = capital_room(v, p, accounts, params)


@compiled
def _holdings(views: Any, pairs: Any, book: Any, integers: Any, run: int) -> tuple[float, float, float]:
    """What is held and pending, summed in pair order: at current prices; as decided; squares of that."""
    find_held(pairs, book, integers, run)
    held = integers[HELD + run]
    gross = 0.0
    total = 0.0
    squares = 0.0
    everything = book.pending_entries != 0
    for n in range(len(pairs) if everything else book.held):
        j = n if everything else held[n]
        p = pairs[j]
        if p.held != 0:
            units = p.long_units if p.long_units != 0 else p.short_units
            gross += units * p.unit * (views[j].long_price if p.held_priced != 0 else 1.0)
            total += p.held_size
            squares += p.held_size * p.held_size
        elif p.pending == ENTRY:
            gross += p.pending_size
            total += p.pending_size
            squares += p.pending_size * p.pending_size
    return gross, total, squares


@compiled
def _known_pairs(market: Any, views: Any) -> int:
    """Carry pairs of the universe that are known by now, at least one: by a listing of known time, or by a market row
    of either leg."""
    known = 0
    for j in range(len(views)):
        v = views[j]
        if v.carry == 0 or v.waits != 0 or market[v.short].outside != 0:
            continue
        if _is_known(market[v.short]) or (v.long >= 0 and _is_known(market[v.long])):
            known += 1
    return max(known, 1)


@compiled
def _is_known(m: Any) -> bool:
    return m.market_known_at != NEVER or (m.listed != 0 and m.listed_at != 0)


# --- entries ----------------------------------------------------------------------------------------------------------


@compiled
def _is_candidate(v: Any, p: Any, params: Any) -> bool:
    """True for a pair that may be entered at all: neither held nor ordered, and of a kind that the strategy trades."""
    if p.held != 0 or p.pending != NOTHING:
        return False
    return not (params.once != 0 and p.traded != 0) and not (params.carry_only != 0 and v.carry == 0)


@compiled
def order_by_rate(rates: Any, order: Any, pairs: int) -> None:
    """Bring the `pairs` pairs of `order` into the order of their rates, highest first, ties in pair order: an insertion
    sort, because they are nearly sorted already."""
    for n in range(1, pairs):
        j = order[n]
        rate = rates[j]
        k = n
        while k > 0 and (rates[order[k - 1]] < rate or (rates[order[k - 1]] == rate and order[k - 1] > j)):
            order[k] = order[k - 1]
            k -= 1
        order[k] = j


@inlined
def rank_candidates(
    views: Any, pairs: Any, params: Any, rates: Any, by_rate: Any, ranked: bool, chosen: Any, scores: Any
) -> int:
    """Fill `chosen` with the wanted pairs, best first, ties in pair order; gives their number. `ranked`: `by_rate` has
    all pairs by their rates, for strategies whose score follows the rate."""
    n = 0
    if params.by_rate != 0 and ranked:
        for r in range(len(pairs)):
            j = by_rate[r]
            if rates[j] == NOT_WANTED:
                break
            wanted = score(views[j], params, rates[j])
            if wanted == NOT_WANTED:
                break
            if _is_candidate(views[j], pairs[j], params):
                scores[n] = wanted
                chosen[n] = j
                n += 1
        return n
    for j in range(index(len(pairs))):
        rate = rates[j]
        if rate == NOT_WANTED and params.needs_rate != 0:
            continue
        wanted = score(views[j], params, rate)
        if wanted == NOT_WANTED or not _is_candidate(views[j], pairs[j], params):
            continue
        k = n
        while k > 0 and scores[k - 1] < wanted:
            scores[k] = scores[k - 1]
            chosen[k] = chosen[k - 1]
            k -= 1
        scores[k] = wanted
        chosen[k] = j
        n += 1
    return n


@inlined
def decide_entries(
    market: Any,
    views: Any,
    links: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    numbers: Any,
    integers: Any,
    run: int,
    ranked: bool,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
) -> tuple[int, int]:
    """Open what is wanted and passes its gates, best first. Gives the new numbers of decisions and fills."""
    chosen = integers[CHOSEN]
    scores = numbers[SCORES_OF_PAIRS]
    n = rank_candidates(views, pairs, params, numbers[RATES], integers[BY_RATE], ranked, chosen, scores)
    if n == 0:
        return dn, fn
    with_working = params.explains != 0 or params.once != 0
    known_pairs = _known_pairs(market, views) if with_working else 0
    by_book = book_gates(book, params)
    gross = 0.0
    total = 0.0
    squares = 0.0
    if params.explains != 0:
        gross, total, squares = _holdings(views, pairs, book, integers, run)
    alike = 0  # refusals by the same gates are counted together
    alike_n = 0
    for k in range(n):
        j = chosen[k]
        v = views[j]
        p = pairs[j]
        d = decisions[min(dn, len(decisions) - 1)]
        if with_working:
            d = _new_working(market, v, book, accounts, params, t, j, known_pairs, scores[k], decisions, dn)
            if params.explains != 0:
                _describe_market(market, v, p, accounts, params, t, numbers, integers, d)
                d.gross = gross
                d.total = total
                d.squares = squares
        size = float(entry_size(v, params, d))
        mid = 1.0 if v.priced == 0 else (v.long_price if v.viewed != 0 else 0.0)
        lots = 0
        if size > 0.0 and mid > 0.0 and v.lot > 0.0:
            lots = whole_lots(size, mid, v.lot)
        failed = by_book | gates_now(market, views, book, params, t, j, integers)
        failed |= account_gates(v, p, book, accounts, params, size)
        if lots < 1 or lots * v.lot * mid < v.min_notional:
            failed |= G_MIN_NOTIONAL
        if is_busy(v, links, pairs, j):
            failed |= G_BUSY
        if with_working:
            d.size = size
            failed |= own_gates(v, params, d) << OWN
        failed &= params.applied
        if failed != 0:
            if failed != alike:
                _count_refusals(book, alike, alike_n)
                alike = failed
                alike_n = 0
            alike_n += 1
            again = failed == p.refusal and p.refused_at == book.sampled_at
            p.refusal = failed
            p.refused_at = t
            if again:
                continue
        if not with_working:
            d = _new_working(market, v, book, accounts, params, t, j, known_pairs, scores[k], decisions, dn)
        explain(v, params, d)
        _describe_entry(v, p, accounts, params, d, size, mid, lots, failed)
        dn += 1
        if failed != 0:
            continue
        _count(book, t, v.tag, ENTER, lots)
        p.pending_lots = lots
        p.pending_lot = v.lot
        p.pending_size = size
        place(v, p, book, accounts, params, t, ENTRY)
        if book.simulated != 0 and (v.priced == 0 or params.fill == SAME):
            fn = fill_entry(market, v, p, book, accounts, params, t, j, fills, fn)
        by_book = book_gates(book, params)
        if params.explains != 0:
            gross, total, squares = _holdings(views, pairs, book, integers, run)
    _count_refusals(book, alike, alike_n)
    return dn, fn


@compiled
def _count_refusals(book: Any, failed: int, times: int) -> None:
    """So many candidates were refused by these gates."""
    for gate in range(OWN + OWN_GATES):
        book.refused[gate] += (failed >> gate & 1) * times


@compiled
def _new_working(
    market: Any,
    v: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    pair: int,
    known_pairs: int,
    score_of_pair: float,
    decisions: Any,
    dn: int,
) -> Any:
    """A decision record with the pair's rate and the book."""
    d = new_decision(decisions, dn, t, pair, ENTER, R_WANTED, 0)
    d.known_pairs = known_pairs
    d.score = score_of_pair
    _describe_rate(market, v, params, t, d)
    _describe_book(v, book, accounts, params, d)
    return d


@compiled
def _describe_entry(
    v: Any, p: Any, accounts: Any, params: Any, d: Any, size: float, mid: float, lots: int, failed: int
) -> None:
    """What follows from the size; free capital and need of the venue where they are closest."""
    d.action = REFUSE if failed != 0 else ENTER
    d.size = size
    d.mid = mid
    d.lots = lots
    d.failed = failed
    d.applied = params.applied if v.priced != 0 else params.applied & ~(G_PRICES | G_STALE_PRICE)
    at_long, at_short = needs(v, p, params, max(size, 0.0))
    d.need = at_long
    d.free = free_capital(accounts[v.long_venue])
    if v.long_venue != v.short_venue:
        free = free_capital(accounts[v.short_venue])
        if free - at_short < d.free - d.need:
            d.need = at_short
            d.free = free
