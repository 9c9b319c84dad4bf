"""One instant through all its phases, and the kernel that runs rows through it. (docs/semantics.md 3.)

`advance` is the only compiled entry point: live, paper and backtest differ in `book.simulated` alone.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled, inlined
from carryfold.domain.fold.codes import (
    ACTIVITY_OBSERVED,
    BAR_CLOSED,
    CLOCK_STEPPED,
    DAY_NS,
    F_DELISTED,
    F_ENDED,
    FUNDING_PREDICTED,
    FUNDING_REVISED,
    FUNDING_SETTLED,
    HOUR,
    NOTHING,
    ORDER_ACCEPTED,
    PAIR_CHANGED,
    PAIR_DELISTED,
    PAIR_LISTED,
    SECOND,
    SPLIT,
)
from carryfold.domain.fold.decide import (
    decide_entries,
    decide_exits,
    drop_stale_entries,
    estimate_rates,
    is_dead,
    throttle,
)
from carryfold.domain.fold.fills import close_delisted, fill_entry, fill_exit, is_due, liquidate
from carryfold.domain.fold.money import charge_borrow, equity, free_capital, margin_health, settle
from carryfold.domain.fold.observe import observe_activity, observe_price, revalue
from carryfold.domain.fold.outcomes import observe_outcome
from carryfold.domain.fold.rates import observe_predicted, observe_settled
from carryfold.domain.fold.state import TALLY

# rows the kernel may add to an output buffer in one instant, for each pair and row of it
OUTPUT_PER_PAIR = 4
OUTPUT_PER_ROW = 5

# what an instant holds for the later phases
PRICES = 1
MONEY = 2
OUTCOME = 4
DELISTING = 8

UNCHANGED = -1


@compiled
def phase_of(kind: int) -> int:
    """The phase in which an instant first takes a row of this kind."""
    if kind <= BAR_CLOSED:
        return 1
    if kind == PAIR_DELISTED:
        return 6
    if kind == FUNDING_REVISED:
        return 3
    if kind >= ORDER_ACCEPTED:
        return 4
    return 2


@compiled
def _comes_before(a: Any, b: Any) -> bool:
    """The canonical order inside an instant: phase, event time, pair, then everything a row says."""
    if a.kind != b.kind:
        phase_a = phase_of(a.kind)
        phase_b = phase_of(b.kind)
        if phase_a != phase_b:
            return phase_a < phase_b
    if a.event_at != b.event_at:
        return a.event_at < b.event_at
    if a.pair != b.pair:
        return a.pair < b.pair
    if a.kind != b.kind:
        return a.kind < b.kind
    if a.a != b.a:
        return a.a < b.a
    if a.b != b.b:
        return a.b < b.b
    if a.c != b.c:
        return a.c < b.c
    if a.d != b.d:
        return a.d < b.d
    return a.slot < b.slot


@compiled
def _surely_before(a: Any, b: Any) -> bool:
    """True if two neighbours are in canonical order by phase, event time and pair alone."""
    if a.kind != b.kind:
        phase_a = phase_of(a.kind)
        phase_b = phase_of(b.kind)
        if phase_a != phase_b:
            return phase_a < phase_b
    if a.event_at != b.event_at:
        return a.event_at < b.event_at
    return a.pair < b.pair


@compiled
def _instant_end(rows: Any, first: int) -> int:
    """Where the instant that begins at `first` ends."""
    t = rows[first].known_at
    end = first + 1
    while end < len(rows) and rows[end].known_at == t:
        end += 1
    return end


@compiled
def _in_order(rows: Any) -> bool:
    """True if all neighbours inside instants are in canonical order."""
    for k in range(1, len(rows)):
        if rows[k - 1].known_at == rows[k].known_at and not _surely_before(rows[k - 1], rows[k]):
            return False
    return True


@compiled
def _sort_instant(rows: Any, first: int, end: int, order: Any, into: Any) -> None:
    """rows[first:end] in canonical order, by a shell sort (instants are short)."""
    n = end - first
    for k in range(n):
        order[k] = first + k
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, n):
            moving = order[k]
            j = k
            while j >= gap and _comes_before(rows[moving], rows[order[j - gap]]):
                order[j] = order[j - gap]
                j -= gap
            order[j] = moving
        gap //= 3
    for k in range(n):
        into[first + k] = rows[order[k]]


@compiled
def in_canonical_order(rows: Any) -> Any:
    """`rows` themselves, or a copy with the rows of every instant in canonical order."""
    if _in_order(rows):
        return rows
    ordered = rows.copy()
    order = np.empty(len(rows), np.int64)
    first = 0
    while first < len(rows):
        end = _instant_end(rows, first)
        _sort_instant(rows, first, end, order, ordered)
        first = end
    return ordered


@compiled
def _observe_listing(v: Any, row: Any) -> None:
    """A listing or a change of it. A listing of unknown time never overrides a real one."""
    if row.kind == PAIR_LISTED:
        if row.event_at == 0 and v.listed != 0:
            return
        v.listed = 1
        v.listed_at = row.event_at
        v.lot = row.a
        v.min_notional = row.b
        v.lot_units = np.int64(row.c)
        if row.d > 0.0:
            v.priced = 1
        return
    if row.a > 0.0:
        v.lot = row.a
    if row.b >= 0.0:
        v.min_notional = row.b
    if row.c >= 0.0:
        v.delist_at = np.int64(row.c) * 1_000_000
    if row.d >= 0.0:
        v.priced = np.int64(row.d)


@compiled
def _told_interval(rows: Any, k: int, end: int) -> float:
    """The interval in hours of the settlement rows[k]: its own, else the one that another source told of it later, in a
    revision that changes no rate; 0: nobody did. Revisions stand behind all rows of phase 2."""
    row = rows[k]
    if row.b > 0.0:
        return float(row.b)
    for j in range(end - 1, k, -1):
        other = rows[j]
        if other.kind == FUNDING_REVISED:
            if other.pair == row.pair and other.event_at == row.event_at and other.a == row.a and other.c == row.a:
                return float(other.b)
        elif phase_of(other.kind) < 3:
            break
    return 0.0


@compiled
def _observe(views: Any, tally: Any, params: Any, row: Any, interval_h: float) -> int:
    """Phase 2 of one row; gives the later phases the row is wanted in again, as bits. `interval_h`: a settlement's."""
    kind = row.kind
    if kind == FUNDING_SETTLED:
        observe_settled(views[row.pair], tally, params, row, interval_h)
        tally.settlements += 1
        return MONEY
    if kind == FUNDING_PREDICTED:
        observe_predicted(views[row.pair], tally, row)
        return 0
    if kind == ACTIVITY_OBSERVED:
        observe_activity(views[row.pair], tally, params, row)
        return 0
    if kind == PAIR_LISTED or kind == PAIR_CHANGED:
        _observe_listing(views[row.pair], row)
        return 0
    if kind == PAIR_DELISTED:
        v = views[row.pair]
        v.delisted = 1
        v.delisted_at = row.event_at
        v.delisted_known_at = row.known_at
        return DELISTING
    if kind == CLOCK_STEPPED:
        tally.clock = 1 if row.a != 0.0 else 0
        return 0
    if kind == FUNDING_REVISED:
        return MONEY
    return OUTCOME if kind >= ORDER_ACCEPTED else 0


@compiled
def _close_day(book: Any, t: int, days: Any, day_n: int) -> int:
    """The UTC-day close: the book as it stands before the first instant of the new day."""
    now = equity(book)
    _sample_drawdown(book, now)
    book.day_start_equity = now
    book.peak = max(float(now), book.peak - (book.peak - float(now)) / 90.0)
    day = t // DAY_NS
    book.day_end = (day + 1) * DAY_NS
    r = days[min(day_n, len(days) - 1)]
    r.day = day
    r.equity = now
    r.funding = book.funding
    r.spot_pnl = book.spot_realised + book.spot_value - book.spot_cost
    r.perp_pnl = book.perp_realised + book.perp_entry - book.perp_value
    r.fees = book.fees
    r.borrow = book.borrow
    r.deployed = book.spot_cost + book.margin
    r.held = book.held
    r.theta = book.theta
    return day_n + 1


@compiled
def _sample_drawdown(book: Any, now: int) -> None:
    """One equity sample for the maximum drawdown."""
    if now >= book.peak_equity:
        book.peak_equity = now
    else:
        book.max_drawdown = max(book.max_drawdown, (book.peak_equity - now) / book.peak_equity)


@compiled
def _sample(book: Any, params: Any, t: int) -> None:
    """Phase 9: equity, free capital, margin health and deployed capital at a decision."""
    _sample_drawdown(book, equity(book))
    book.min_free = min(book.min_free, free_capital(book))
    book.min_health = min(book.min_health, margin_health(book, params))
    if book.sampled_at > 0 and book.held != 0:
        book.deployed_e8_h += float(book.spot_cost + book.margin) * (float(t - book.sampled_at) / float(HOUR))
    book.sampled_at = t


@compiled
def _count_tally(book: Any, tally: Any, rows: int) -> None:
    """What the instant's rows were, in the figures of a run that has started."""
    if tally.clock != UNCHANGED:
        book.clock_off = tally.clock
    if book.started == 0:
        return
    book.rows += rows
    book.late += tally.late
    book.suspect += tally.suspect
    book.gaps += tally.gaps
    book.settlements += tally.settlements


@compiled
def _revalue_held(views: Any, pairs: Any, book: Any, params: Any, t: int) -> None:
    """Mark every holding to the view that this instant brought."""
    left = book.held
    for i in range(len(pairs)):
        if left == 0:
            break
        if pairs[i].held != 0:
            left -= 1
            if views[i].view_known_at == t and pairs[i].held_priced != 0:
                revalue(views[i], pairs[i], book, params)


@compiled
def _fill_orders(
    views: Any, pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, fills: Any, fn: int
) -> int:
    """Phase 5: liquidations, then due exits, then due entries, each in symbol order."""
    if params.account == SPLIT:
        for r in range(len(ranks)):
            i = ranks[r]
            if pairs[i].held != 0 and views[i].view_known_at == t:
                fn = liquidate(views[i], pairs[i], book, orders[i], params, t, i, fills, fn)
    if book.ordered == 0:
        return fn
    for r in range(len(ranks)):
        i = ranks[r]
        if is_due(views[i], pairs[i], orders[i], t, False):
            fn = fill_exit(views[i], pairs[i], book, orders[i], params, t, i, fills, fn)
    for r in range(len(ranks)):
        i = ranks[r]
        if is_due(views[i], pairs[i], orders[i], t, True):
            fn = fill_entry(views[i], pairs[i], book, orders[i], params, t, i, fills, fn)
    return fn


@compiled
def _close_delisted(
    views: Any, pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, fills: Any, fn: int
) -> int:
    """What this instant delisted is closed, in symbol order."""
    for r in range(len(ranks)):
        i = ranks[r]
        if views[i].delisted != 0 and views[i].delisted_known_at == t:
            fn = close_delisted(views[i], pairs[i], book, orders[i], params, t, i, F_DELISTED, fills, fn)
    return fn


@compiled
def _close_dead(
    views: Any, pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, fills: Any, fn: int
) -> int:
    """Held or ordered pairs whose data ended are treated as delisted."""
    for r in range(len(ranks)):
        i = ranks[r]
        p = pairs[i]
        if (p.held != 0 or p.pending != NOTHING) and is_dead(views[i], book, params, t):
            fn = close_delisted(views[i], p, book, orders[i], params, t, i, F_ENDED, fills, fn)
    return fn


@compiled
def _settle(views: Any, pairs: Any, book: Any, rows: Any, first: int, end: int, kind: int, fills: Any, fn: int) -> int:
    """Phase 3: the settlements of an instant, or the revisions of earlier ones that change their rate."""
    for k in range(first, end):
        if rows[k].kind == kind and not (kind == FUNDING_REVISED and rows[k].a == rows[k].c):
            fn = settle(views[rows[k].pair], pairs[rows[k].pair], book, rows[k], kind == FUNDING_REVISED, fills, fn)
    return fn


@inlined
def _act(
    views: Any,
    pairs: Any,
    book: Any,
    orders: Any,
    params: Any,
    ranks: Any,
    rows: Any,
    first: int,
    end: int,
    later: int,
    tally: Any,
    rates: Any,
    chosen: Any,
    scores: Any,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
    days: Any,
    yn: int,
) -> tuple[int, int, int]:
    """What one instant, rows[first:end], means to one run: phases 3 to 9. `views` have observed it already. Gives the
    new numbers of decisions, fills and days."""
    t = rows[first].known_at
    if t - book.now > params.dead_s * SECOND:
        book.heard_since = t
    if book.started == 0:
        if t >= book.start:
            book.started = 1
            book.day_end = (t // DAY_NS + 1) * DAY_NS
            book.hour_end = (t // HOUR + 1) * HOUR
    elif t >= book.day_end:  # the close of a UTC day, before the day's first rows
        yn = _close_day(book, t, days, yn)
    _count_tally(book, tally, end - first)
    if later & PRICES and book.held != 0:
        _revalue_held(views, pairs, book, params, t)
    # (3) settlements
    if later & MONEY and book.simulated != 0:
        fn = _settle(views, pairs, book, rows, first, end, FUNDING_SETTLED, fills, fn)
        fn = _settle(views, pairs, book, rows, first, end, FUNDING_REVISED, fills, fn)
    # (4) outcomes of the run
    if later & OUTCOME:
        for k in range(first, end):
            if rows[k].kind >= ORDER_ACCEPTED:
                observe_outcome(views, pairs, book, params, rows[k])
    due = book.started != 0 and t >= book.due_at
    if book.simulated != 0:
        # (5) simulated fills
        if book.ordered != 0 or (book.held != 0 and params.account == SPLIT):
            fn = _fill_orders(views, pairs, book, orders, params, ranks, t, fills, fn)
        # (6) delistings, and pairs whose data ended
        if later & DELISTING:
            fn = _close_delisted(views, pairs, book, orders, params, ranks, t, fills, fn)
        if due and (book.held != 0 or book.ordered != 0):
            fn = _close_dead(views, pairs, book, orders, params, ranks, t, fills, fn)
        # (7) borrow interest
        if book.started != 0:
            charge_borrow(book, params, t)
    # (8) the decision
    if due:
        period_ns = params.cadence_s * SECOND
        book.due_at = (t // period_ns + 1) * period_ns
        if book.pending_entries != 0 and book.simulated != 0:
            drop_stale_entries(pairs, book, orders, params, ranks, t)
        throttle(book, params)
        if book.held != 0:
            dn, fn = decide_exits(views, pairs, book, orders, params, ranks, t, decisions, dn, fills, fn)
        dn, fn = decide_entries(
            views, pairs, book, orders, params, ranks, t, rates, chosen, scores, decisions, dn, fills, fn
        )
        # (9) equity
        _sample(book, params, t)
    book.now = t
    return dn, fn, yn


@inlined
def _observe_instant(views: Any, tally: Any, params: Any, rows: Any, first: int, end: int) -> int:
    """Phases 1 and 2: prices, then rates, predictions, activity and listings. Gives what later phases are wanted."""
    tally.late = 0
    tally.suspect = 0
    tally.gaps = 0
    tally.settlements = 0
    tally.clock = UNCHANGED
    later = 0
    others = 0
    for k in range(first, end):
        if rows[k].kind <= BAR_CLOSED:
            observe_price(views[rows[k].pair], tally, params, rows[k])
            later |= PRICES
        else:
            others += 1
    if others > 0:
        for k in range(first, end):
            if rows[k].kind > BAR_CLOSED:
                interval_h = _told_interval(rows, k, end) if rows[k].kind == FUNDING_SETTLED else 0.0
                later |= _observe(views, tally, params, rows[k], interval_h)
    return later


@compiled
def _is_due(books: Any, t: int) -> bool:
    """True if any of the runs decides at `t`."""
    for k in range(len(books)):
        if t >= books[k].due_at and t >= books[k].start:
            return True
    return False


@compiled
def advance(
    views: Any,
    pairs: Any,
    books: Any,
    orders: Any,
    parameters: Any,
    ranks: Any,
    rows: Any,
    decisions: Any,
    fills: Any,
    days: Any,
) -> tuple[int, int, int, int]:
    """Run `rows` (whole instants in known order, each in canonical order) through one run: `views[M]`, `pairs[M]`,
    `books[1]`, `orders[M]`, `parameters[1]`.

    Gives (rows consumed, decisions, fills, days written). Stops early, at an instant boundary, when an output buffer is
    nearly full.
    """
    dn = 0
    fn = 0
    yn = 0
    rates = np.empty(len(views), np.float64)
    chosen = np.empty(len(views), np.int64)
    scores = np.empty(len(views), np.float64)
    tallies = np.zeros(1, TALLY)
    changed = True
    first = 0
    while first < len(rows):
        end = _instant_end(rows, first)
        output = OUTPUT_PER_PAIR * len(views) + OUTPUT_PER_ROW * (end - first)
        if dn + output > len(decisions) or fn + output > len(fills) or yn + 2 > len(days):
            break
        later = _observe_instant(views, tallies[0], parameters[0], rows, first, end)
        changed = changed or later & MONEY != 0
        if later & OUTCOME or _is_due(books, rows[first].known_at):  # an outcome can make a decision due
            changed = estimate_rates(views, parameters[0], ranks, rows[first].known_at, changed, rates)
        dn, fn, yn = _act(
            views, pairs, books[0], orders, parameters[0], ranks, rows, first, end, later, tallies[0],
            rates, chosen, scores, decisions, dn, fills, fn, days, yn,
        )  # fmt: skip
        first = end
    return first, dn, fn, yn


@compiled
def advance_many(
    views: Any,
    pairs: Any,
    books: Any,
    orders: Any,
    parameters: Any,
    ranks: Any,
    rows: Any,
    decisions: Any,
    fills: Any,
    days: Any,
) -> None:
    """`advance` for K runs that see the same views: `pairs[K, M]`, `books[K]`, `orders[K, M]`, `parameters[K]` with
    equal view parameters. All rows are consumed; the output buffers are scratch."""
    rates = np.empty(len(views), np.float64)
    chosen = np.empty(len(views), np.int64)
    scores = np.empty(len(views), np.float64)
    tallies = np.zeros(1, TALLY)
    changed = True
    first = 0
    while first < len(rows):
        end = _instant_end(rows, first)
        later = _observe_instant(views, tallies[0], parameters[0], rows, first, end)
        changed = changed or later & MONEY != 0
        if later & OUTCOME or _is_due(books, rows[first].known_at):  # an outcome can make a decision due
            changed = estimate_rates(views, parameters[0], ranks, rows[first].known_at, changed, rates)
        for k in range(len(books)):
            _act(
                views, pairs[k], books[k], orders[k], parameters[k], ranks, rows, first, end, later, tallies[0],
                rates, chosen, scores, decisions, 0, fills, 0, days, 0,
            )  # fmt: skip
        first = end
