"""What an instant means to one run, phases 3 to 9: settlements, outcomes, fills, ends, interest, the decision, equity.
(docs/semantics.md 4.)"""

from typing import Any

from carryfold.domain.fold._compile import compiled, inlined
from carryfold.domain.fold.closing import close_ended, fill_leg_exit, liquidate_split, liquidate_venues
from carryfold.domain.fold.codes import (
    DAY_NS,
    F_DELISTED,
    F_ENDED,
    FUNDING_REVISED,
    FUNDING_SETTLED,
    HOUR,
    LONG,
    NOTHING,
    ORDER_ACCEPTED,
    SECOND,
    SHORT,
    SPLIT,
)
from carryfold.domain.fold.decide import (
    decide_entries,
    decide_exits,
    drop_stale_entries,
    find_held,
    update_throttle,
)
from carryfold.domain.fold.fills import (
    fill_entry,
    fill_exit,
    is_due,
    is_leg_due,
)
from carryfold.domain.fold.gates import ENDED, ended_legs, gates_now
from carryfold.domain.fold.instant import DELISTING, MONEY, OUTCOME, PRICES, UNCHANGED
from carryfold.domain.fold.money import (
    EDGE,
    account_equity,
    charge_borrow,
    equity,
    free_capital,
    long_pnl,
    margin_health,
    settle,
    short_pnl,
    spot_pnl,
)
from carryfold.domain.fold.observe import (
    revalue,
)
from carryfold.domain.fold.outcomes import observe_outcome
from carryfold.domain.fold.state import HELD, RATES


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
    r.long_pnl = long_pnl(book)
    r.short_pnl = short_pnl(book)
    r.spot_pnl = spot_pnl(book)
    r.fees = book.fees
    r.borrow = book.borrow
    r.deployed = book.deployed
    r.held = book.held
    r.throttle = book.throttle
    return day_n + 1


@compiled
def _sample_drawdown(book: Any, now: int) -> None:
    """One equity sample for the maximum drawdown."""
    if now >= book.peak_equity:
        book.peak_equity = now
    else:
        book.max_drawdown = max(book.max_drawdown, (book.peak_equity - now) / book.peak_equity)


@compiled
def _sample(book: Any, accounts: Any, params: Any, t: int) -> None:
    """Phase 9: equity, deployed capital, and for each account free capital, health and how far its equity moved."""
    _sample_drawdown(book, equity(book))
    for k in range(len(accounts)):
        account = accounts[k]
        account.min_free = min(account.min_free, free_capital(account))
        account.min_health = min(account.min_health, margin_health(account, book, params))
        moved = account_equity(account) - account.capital
        account.largest_in = max(account.largest_in, moved)
        account.largest_out = max(account.largest_out, -moved)
    if book.sampled_at > 0 and book.held != 0:
        hours = float(t - book.sampled_at) / float(HOUR)
        book.deployed_e8_h += float(book.deployed) * hours
        book.gross_e8_h += float(book.long_value) * hours
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
def _revalue_held(
    views: Any, pairs: Any, book: Any, accounts: Any, params: Any, t: int, integers: Any, run: int
) -> None:
    """Mark every holding to the view that this instant brought."""
    find_held(pairs, book, integers, run)
    held = integers[HELD + run]
    for n in range(book.held):
        j = held[n]
        if views[j].view_known_at == t and pairs[j].held_priced != 0:
            revalue(views[j], pairs[j], book, accounts, params)


@compiled
def _settle(
    market: Any,
    views: Any,
    links: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    rows: Any,
    first: int,
    end: int,
    kind: int,
    fills: Any,
    fn: int,
) -> int:
    """Phase 3: the settlements of an instant, or the revisions of earlier ones that change their rate."""
    for k in range(first, end):
        row = rows[k]
        if row.kind != kind or (kind == FUNDING_REVISED and row.a == row.c):
            continue
        for i in range(links[row.subject], links[row.subject + 1]):
            j = links[i]
            p = pairs[j]
            if p.held == 0 and p.closed_until <= row.event_at - EDGE:
                continue
            v = views[j]
            m = market[row.subject]
            if v.short == row.subject:
                fn = settle(m, p, accounts[v.short_venue], book, row, j, SHORT, fills, fn)
            elif v.carry == 0:
                fn = settle(m, p, accounts[v.long_venue], book, row, j, LONG, fills, fn)
    return fn


@compiled
def _fill_orders(
    market: Any, views: Any, pairs: Any, book: Any, accounts: Any, params: Any, t: int, fills: Any, fn: int
) -> int:
    """Phase 5: liquidations, then due exits of one leg, then exits, then entries, each in pair order."""
    if params.account == SPLIT:
        for j in range(len(pairs)):
            if pairs[j].held != 0 and views[j].view_known_at == t:
                fn = liquidate_split(views[j], pairs[j], book, accounts, params, t, j, fills, fn)
    elif book.across != 0:
        fn = liquidate_venues(market, views, pairs, book, accounts, params, t, fills, fn)
    if book.ordered == 0:
        return fn
    for j in range(len(pairs)):
        if pairs[j].pending != NOTHING and is_leg_due(market, views[j], pairs[j], t):
            fn = fill_leg_exit(market, views[j], pairs[j], book, accounts, params, t, j, fills, fn)
    for j in range(len(pairs)):
        if is_due(views[j], pairs[j], t, False):
            fn = fill_exit(market, views[j], pairs[j], book, accounts, params, t, j, fills, fn)
    for j in range(len(pairs)):
        if is_due(views[j], pairs[j], t, True):
            fn = fill_entry(market, views[j], pairs[j], book, accounts, params, t, j, fills, fn)
    return fn


@compiled
def _close_delisted(
    market: Any, views: Any, pairs: Any, book: Any, accounts: Any, params: Any, t: int, fills: Any, fn: int
) -> int:
    """Pairs with a leg that this instant delisted are closed, in pair order."""
    for j in range(len(pairs)):
        v = views[j]
        gone = market[v.short].delisted_known_at == t
        if not gone and v.long >= 0:
            gone = market[v.long].delisted_known_at == t
        if gone:
            long_ended, short_ended = ended_legs(market, v, book, params, t)
            fn = close_ended(
                market, v, pairs[j], book, accounts, params, t, j, long_ended, short_ended, F_DELISTED, fills, fn
            )
    return fn


@compiled
def _close_dead(
    market: Any,
    views: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    params: Any,
    t: int,
    integers: Any,
    run: int,
    fills: Any,
    fn: int,
) -> int:
    """Held or ordered pairs with a leg whose data ended are treated as delisted."""
    find_held(pairs, book, integers, run)
    held = integers[HELD + run]
    everything = book.ordered != 0
    for n in range(len(pairs) if everything else book.held):
        j = n if everything else held[n]
        p = pairs[j]
        if p.held == 0 and p.pending == NOTHING:
            continue
        if gates_now(market, views, book, params, t, j, integers) & ENDED:
            long_ended, short_ended = ended_legs(market, views[j], book, params, t)
            fn = close_ended(
                market, views[j], p, book, accounts, params, t, j, long_ended, short_ended, F_ENDED, fills, fn
            )
    return fn


@inlined
def act(
    market: Any,
    views: Any,
    links: Any,
    pairs: Any,
    book: Any,
    accounts: Any,
    params: Any,
    rows: Any,
    first: int,
    end: int,
    later: int,
    tally: Any,
    numbers: Any,
    integers: Any,
    run: int,
    ranked: bool,
    decisions: Any,
    dn: int,
    fills: Any,
    fn: int,
    days: Any,
    yn: int,
) -> tuple[int, int, int]:
    """What one instant, rows[first:end], means to one run: phases 3 to 9. `market` and `views` have observed it
    already. Gives the new numbers of decisions, fills and days."""
    t = rows[first].known_at
    if t - book.now > params.dead_s * SECOND:
        book.data_since = t
    if book.started == 0:
        if t >= book.start:
            book.started = 1
            book.day_end = (t // DAY_NS + 1) * DAY_NS
            book.hour_end = (t // HOUR + 1) * HOUR
    elif t >= book.day_end:  # the close of a UTC day, before the day's first rows
        yn = _close_day(book, t, days, yn)
    _count_tally(book, tally, end - first)
    if later & PRICES and book.held != 0:
        _revalue_held(views, pairs, book, accounts, params, t, integers, run)
    # (3) settlements
    if later & MONEY and book.simulated != 0 and book.entries != 0:
        fn = _settle(market, views, links, pairs, book, accounts, rows, first, end, FUNDING_SETTLED, fills, fn)
        fn = _settle(market, views, links, pairs, book, accounts, rows, first, end, FUNDING_REVISED, fills, fn)
    # (4) outcomes of the run
    if later & OUTCOME:
        for k in range(first, end):
            if rows[k].kind >= ORDER_ACCEPTED:
                observe_outcome(market, views, pairs, book, accounts, params, rows[k])
    due = book.started != 0 and t >= book.due_at
    if book.simulated != 0:
        # (5) simulated fills
        if book.ordered != 0 or (book.held != 0 and (params.account == SPLIT or book.across != 0)):
            fn = _fill_orders(market, views, pairs, book, accounts, params, t, fills, fn)
        # (6) delistings, and pairs whose data ended
        if later & DELISTING:
            fn = _close_delisted(market, views, pairs, book, accounts, params, t, fills, fn)
        if due and (book.held != 0 or book.ordered != 0):
            fn = _close_dead(market, views, pairs, book, accounts, params, t, integers, run, fills, fn)
        # (7) borrow interest
        if book.started != 0:
            charge_borrow(accounts, book, params, t)
    # (8) the decision
    if due:
        period_ns = params.cadence_s * SECOND
        book.due_at = (t // period_ns + 1) * period_ns
        if book.pending_entries != 0 and book.simulated != 0:
            drop_stale_entries(market, views, pairs, book, accounts, params, t)
        update_throttle(book, params)
        if book.held != 0:
            dn, fn = decide_exits(
                market, views, pairs, book, accounts, params, t, numbers[RATES], integers, run, decisions, dn, fills, fn
            )
        dn, fn = decide_entries(
            market, views, links, pairs, book, accounts, params, t, numbers, integers, run, ranked,
            decisions, dn, fills, fn,
        )  # fmt: skip
        # (9) equity
        _sample(book, accounts, params, t)
    book.now = t
    return dn, fn, yn
