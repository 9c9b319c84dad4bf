"""One instant through all its phases, and the kernel that runs rows through it. (docs/semantics.md 3.)

`advance` is the only compiled entry point: live, paper and backtest differ in `book.simulated` alone.
"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
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
    is_dead,
    throttle,
)
from carryfold.domain.fold.fills import close_delisted, fill_entry, fill_exit, is_due, liquidate
from carryfold.domain.fold.money import charge_borrow, equity, free_capital, margin_health, settle
from carryfold.domain.fold.observe import observe_activity, observe_price
from carryfold.domain.fold.outcomes import observe_outcome
from carryfold.domain.fold.rates import observe_predicted, observe_settled

# rows the kernel may add to an output buffer in one instant, for each pair and row of it
OUTPUT_PER_PAIR = 4
OUTPUT_PER_ROW = 5

# later phases a row is wanted in
MONEY = 1
OUTCOME = 2
DELISTING = 4


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
def _sort_instant(rows: Any, first: int, end: int, order: Any) -> None:
    """Indexes of rows[first:end] in canonical order, by a shell sort (instants are short)."""
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


@compiled
def _observe_listing(p: Any, row: Any) -> None:
    """A listing or a change of it. A listing of unknown time never overrides a real one."""
    if row.kind == PAIR_LISTED:
        if row.event_at == 0 and p.listed != 0:
            return
        p.listed = 1
        p.listed_at = row.event_at
        p.lot = row.a
        p.min_notional = row.b
        p.lot_units = np.int64(row.c)
        if row.d > 0.0:
            p.priced = 1
        return
    if row.a > 0.0:
        p.lot = row.a
    if row.b >= 0.0:
        p.min_notional = row.b
    if row.c >= 0.0:
        p.delist_at = np.int64(row.c) * 1_000_000
    if row.d >= 0.0:
        p.priced = np.int64(row.d)


@compiled
def _observe(pairs: Any, book: Any, params: Any, row: Any) -> int:
    """Phase 2 of one row; gives the later phases the row is wanted in again, as bits."""
    kind = row.kind
    if kind == FUNDING_SETTLED:
        observe_settled(pairs[row.pair], book, params, row)
        book.settlements += book.started
        return MONEY
    if kind == FUNDING_PREDICTED:
        observe_predicted(pairs[row.pair], book, row)
        return 0
    if kind == ACTIVITY_OBSERVED:
        observe_activity(pairs[row.pair], book, params, row)
        return 0
    if kind == PAIR_LISTED or kind == PAIR_CHANGED:
        _observe_listing(pairs[row.pair], row)
        return 0
    if kind == CLOCK_STEPPED:
        book.clock_off = 1 if row.a != 0.0 else 0
        return 0
    if kind == FUNDING_REVISED:
        return MONEY
    if kind >= ORDER_ACCEPTED:
        return OUTCOME
    return DELISTING if kind == PAIR_DELISTED else 0


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
def _fill_orders(pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, fills: Any, fn: int) -> int:
    """Phase 5: liquidations, then due exits, then due entries, each in symbol order."""
    if params.account == SPLIT:
        for r in range(len(ranks)):
            i = ranks[r]
            if pairs[i].held != 0 and pairs[i].view_known_at == t:
                fn = liquidate(pairs[i], book, orders[i], params, t, i, fills, fn)
    if book.ordered == 0:
        return fn
    for r in range(len(ranks)):
        i = ranks[r]
        if is_due(pairs[i], orders[i], t, False):
            fn = fill_exit(pairs[i], book, orders[i], params, t, i, fills, fn)
    for r in range(len(ranks)):
        i = ranks[r]
        if is_due(pairs[i], orders[i], t, True):
            fn = fill_entry(pairs[i], book, orders[i], params, t, i, fills, fn)
    return fn


@compiled
def _delist(pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, rows: Any, fills: Any, fn: int) -> int:
    """PairDelisted rows of an instant, in symbol order."""
    for r in range(len(ranks)):
        i = ranks[r]
        for k in range(len(rows)):
            if rows[k].kind == PAIR_DELISTED and rows[k].pair == i:
                pairs[i].delisted = 1
                pairs[i].delisted_at = rows[k].event_at
                if book.simulated != 0:
                    fn = close_delisted(pairs[i], book, orders[i], params, rows[k].known_at, i, F_DELISTED, fills, fn)
    return fn


@compiled
def _delist_dead(pairs: Any, book: Any, orders: Any, params: Any, ranks: Any, t: int, fills: Any, fn: int) -> int:
    """Held or ordered pairs whose data ended are treated as delisted."""
    for r in range(len(ranks)):
        i = ranks[r]
        p = pairs[i]
        if (p.held != 0 or p.pending != 0) and is_dead(p, params, t):
            fn = close_delisted(p, book, orders[i], params, t, i, F_ENDED, fills, fn)
    return fn


@compiled
def advance(
    pairs: Any,
    books: Any,
    orders: Any,
    parameters: Any,
    ranks: Any,
    rows: Any,
    detail: int,
    decisions: Any,
    fills: Any,
    days: Any,
) -> tuple[int, int, int, int]:
    """Run `rows` (whole instants, in known order) through the fold.

    Gives (rows consumed, decisions, fills, days written). Stops early, at an instant boundary, when an output buffer is
    nearly full; with detail = 0 the buffers are scratch and everything is consumed.
    """
    book = books[0]
    params = parameters[0]
    n = len(rows)
    pair_n = len(pairs)
    dn = 0
    fn = 0
    yn = 0
    order = np.empty(0, np.int64)
    chosen = np.empty(pair_n, np.int64)
    scores = np.empty(pair_n, np.float64)
    period_ns = params.cadence_s * SECOND
    first = 0
    while first < n:
        t = rows[first].known_at
        end = first + 1
        prices = -1  # index of the last price row of the instant, and of the last other row
        others = -1
        in_order = True
        if rows[first].kind <= BAR_CLOSED:
            prices = first
        else:
            others = first
        while end < n and rows[end].known_at == t:
            if rows[end].kind <= BAR_CLOSED:
                if prices >= 0 and not _surely_before(rows[prices], rows[end]):
                    in_order = False
                prices = end
            else:
                if others >= 0 and not _surely_before(rows[others], rows[end]):
                    in_order = False
                others = end
            end += 1
        if detail != 0:
            output = OUTPUT_PER_PAIR * pair_n + OUTPUT_PER_ROW * (end - first)
            if dn + output > len(decisions) or fn + output > len(fills) or yn + 2 > len(days):
                return first, dn, fn, yn
        if not in_order:
            if len(order) < end - first:
                order = np.empty(2 * (end - first), np.int64)
            _sort_instant(rows, first, end, order)

        # the start of the run, and the close of a UTC day before the day's first rows
        if book.started == 0:
            if t >= book.start:
                book.started = 1
                book.day_end = (t // DAY_NS + 1) * DAY_NS
                book.hour_end = (t // HOUR + 1) * HOUR
        elif t >= book.day_end:
            yn = _close_day(book, t, days, yn)
        if book.started != 0:
            book.rows += end - first

        # (1) prices, (2) rates, predictions, activity, listings
        if prices >= 0:
            for k in range(first, end):
                row = rows[k] if in_order else rows[order[k - first]]
                if row.kind <= BAR_CLOSED:
                    observe_price(pairs[row.pair], book, params, row)
        later = 0
        if others >= 0:
            for k in range(first, end):
                row = rows[k] if in_order else rows[order[k - first]]
                if row.kind > BAR_CLOSED:
                    later |= _observe(pairs, book, params, row)
        due = book.started != 0 and t >= book.due_at

        # (3) settlements
        if later & MONEY and book.simulated != 0:
            for kind in (FUNDING_SETTLED, FUNDING_REVISED):
                for k in range(first, end):
                    row = rows[k] if in_order else rows[order[k - first]]
                    if row.kind == kind:
                        fn = settle(pairs[row.pair], book, row, kind == FUNDING_REVISED, fills, fn)
        # (4) outcomes of the run
        if later & OUTCOME:
            for k in range(first, end):
                row = rows[k] if in_order else rows[order[k - first]]
                if row.kind >= ORDER_ACCEPTED:
                    observe_outcome(pairs, book, params, row)
        if book.simulated != 0:
            # (5) simulated fills
            if book.ordered != 0 or (book.held != 0 and params.account == SPLIT):
                fn = _fill_orders(pairs, book, orders, params, ranks, t, fills, fn)
        # (6) delistings, and pairs whose data ended
        if later & DELISTING:
            fn = _delist(pairs, book, orders, params, ranks, rows[first:end], fills, fn)
        if due and book.simulated != 0 and (book.held != 0 or book.ordered != 0):
            fn = _delist_dead(pairs, book, orders, params, ranks, t, fills, fn)
        # (7) borrow interest
        if book.started != 0 and book.simulated != 0:
            charge_borrow(book, params, t)
        # (8) the decision
        if due:
            book.due_at = (t // period_ns + 1) * period_ns
            if book.pending_entries != 0 and book.simulated != 0:
                drop_stale_entries(pairs, book, orders, params, ranks, t)
            throttle(book, params)
            if book.held != 0:
                dn, fn = decide_exits(pairs, book, orders, params, ranks, t, decisions, dn, fills, fn)
            dn, fn = decide_entries(pairs, book, orders, params, ranks, t, chosen, scores, decisions, dn, fills, fn)
            # (9) equity
            _sample(book, params, t)
        book.now = t
        if detail == 0:
            dn = 0
            fn = 0
            yn = 0
        first = end
    return first, dn, fn, yn
