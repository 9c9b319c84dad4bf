"""What a price or activity row changes: marks, the view, volatility, turnover, basis.
(docs/semantics.md 2, phases 1 and 2.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import clamp, e8, weight
from carryfold.domain.fold.codes import BAR_CLOSED, COMPOSITE, DAY_NS, HOUR
from carryfold.domain.fold.state import MARKS_KEPT, NEVER, TURNOVER_KEPT

SUSPECT_BASIS = 0.03
IGNORED = -1


@compiled
def seen(v: Any, row: Any) -> None:
    """Note that the pair has market data."""
    if v.market_known_at == NEVER:
        v.first_at = row.event_at
    v.market_known_at = row.known_at


@compiled
def keep_mark(v: Any, event_at: int, mark: float) -> None:
    """Keep a mark for pricing settlements, if it is the newest of its hour; the oldest hour gives way. An hour begins
    after its first nanosecond, so that what is in force on the hour is never overwritten by what comes later."""
    k = (v.mark_count - 1) & (MARKS_KEPT - 1)
    if event_at > v.mark_until:
        v.mark_until = v.mark_until + HOUR if event_at <= v.mark_until + HOUR else hour_end(event_at)
        k = v.mark_count & (MARKS_KEPT - 1)
        v.mark_count += 1
    elif event_at < v.mark_at[k]:
        _keep_late_mark(v, event_at, mark)
        return
    v.mark_at[k] = event_at
    v.mark[k] = mark


@compiled
def hour_end(at: int) -> int:
    """The first full hour not before `at`."""
    return ((at - 1) // HOUR + 1) * HOUR


@compiled
def _keep_late_mark(v: Any, event_at: int, mark: float) -> None:
    """Keep a mark that is older than the newest one: in its place between the others, if that is not too long ago."""
    first = max(v.mark_count - MARKS_KEPT, 0)
    end = hour_end(event_at)
    i = v.mark_count - 1
    while i >= first and hour_end(v.mark_at[i & (MARKS_KEPT - 1)]) > end:
        i -= 1
    k = i & (MARKS_KEPT - 1)
    if i >= first and hour_end(v.mark_at[k]) == end:
        if event_at >= v.mark_at[k]:
            v.mark_at[k] = event_at
            v.mark[k] = mark
        return
    if i < first and v.mark_count >= MARKS_KEPT:
        return
    v.mark_count += 1
    for j in range(v.mark_count - 1, i + 1, -1):
        v.mark_at[j & (MARKS_KEPT - 1)] = v.mark_at[(j - 1) & (MARKS_KEPT - 1)]
        v.mark[j & (MARKS_KEPT - 1)] = v.mark[(j - 1) & (MARKS_KEPT - 1)]
    v.mark_at[(i + 1) & (MARKS_KEPT - 1)] = event_at
    v.mark[(i + 1) & (MARKS_KEPT - 1)] = mark


@compiled
def mark_for(v: Any, settled_at: int) -> float:
    """The mark in force at `settled_at`: the newest one not after it, of equals the one kept last; 0: there is none."""
    kept = min(v.mark_count, MARKS_KEPT)
    best_at = NEVER
    best = 0.0
    for i in range(v.mark_count - kept, v.mark_count):
        k = i & (MARKS_KEPT - 1)
        if v.mark_at[k] <= settled_at and v.mark_at[k] >= best_at:
            best_at = v.mark_at[k]
            best = v.mark[k]
    return best


@compiled
def observe_price(v: Any, tally: Any, params: Any, row: Any) -> None:
    """A quote or a bar. Late and suspect rows only leave their mark; a late bar also its turnover, because live, quotes
    overtake the bar of their hour. One-legged rows leave their volatility as well; the others become the view."""
    seen(v, row)
    is_bar = row.kind == BAR_CLOSED
    if is_bar:
        spot = row.a
        perp = row.b
        mark = row.c if row.c > 0.0 else perp
    else:
        spot = (row.a + row.b) / 2.0 if row.a > 0.0 and row.b > 0.0 else 0.0
        perp = (row.c + row.d) / 2.0 if row.c > 0.0 and row.d > 0.0 else 0.0
        mark = perp
    if mark > 0.0:
        keep_mark(v, row.event_at, mark)
    if row.event_at <= v.price_at:
        tally.late += 1
        if is_bar and row.event_at > newest_turnover(v.perp_turnover_at, v.perp_turnover_count):
            _observe_perp_turnover(v, params, row)
        return
    v.price_at = row.event_at
    both = spot > 0.0 and perp > 0.0
    b = 0.0
    if both:
        b = perp / spot - 1.0
        suspect = not _acceptable(v, b, row.event_at)
        v.both_b = b
        v.both_suspect = 1 if suspect else 0
        if suspect:
            tally.suspect += 1
            return
    if perp > 0.0:
        _observe_volatility(v, perp, row.event_at)
    if is_bar:
        _observe_perp_turnover(v, params, row)
    if both:
        v.viewed = 1
        v.view_at = row.event_at
        v.view_known_at = row.known_at
        v.quoted = 0 if is_bar else 1
        v.spot = spot
        v.perp = perp
        v.accepted_b = b
        if not is_bar:
            v.spot_bid = row.a
            v.spot_ask = row.b
            v.perp_bid = row.c
            v.perp_ask = row.d
        if params.strategy == COMPOSITE:
            _observe_basis(v, mark / spot - 1.0, row.event_at)


@compiled
def _acceptable(v: Any, b: float, event_at: int) -> bool:
    """The suspect-price rule: a basis that jumps is believed when it is small, near the last one, or seen twice."""
    return (
        v.viewed == 0
        or abs(b) <= SUSPECT_BASIS
        or abs(b - v.accepted_b) <= SUSPECT_BASIS
        or (v.both_suspect != 0 and abs(b - v.both_b) <= SUSPECT_BASIS)
        or event_at - v.view_at > DAY_NS
    )


@compiled
def revalue(v: Any, p: Any, book: Any, params: Any) -> None:
    """Mark the held legs to the view and carry the difference into the book's sums."""
    spot_value = e8(p.spot_units * p.unit * v.spot)
    perp_value = e8(p.perp_units * p.unit * v.perp)
    margin = e8(params.margin_fraction * (p.perp_units * p.unit * v.perp))
    book.spot_value += spot_value - p.spot_value
    book.perp_value += perp_value - p.perp_value
    book.margin += margin - p.margin
    p.spot_value = spot_value
    p.perp_value = perp_value
    p.margin = margin


@compiled
def _observe_volatility(v: Any, perp: float, event_at: int) -> None:
    """Hourly variance of the perpetual's return, an average over 168 samples, one an hour."""
    if event_at < v.vol_hour_end:
        return
    v.vol_hour_end = (event_at // HOUR + 1) * HOUR
    if v.vol_price > 0.0:
        r = perp / v.vol_price - 1.0
        hourly = r * r * 3600e9 / float(event_at - v.vol_at)
        if v.vol_count == 0:
            v.vol_m = hourly
        else:
            v.vol_m += weight(168.0) * (hourly - v.vol_m)
        v.vol_count += 1
    v.vol_price = perp
    v.vol_at = event_at


@compiled
def _observe_perp_turnover(v: Any, params: Any, row: Any) -> None:
    """Turnover of the perpetual from a bar that says it."""
    if row.d < 0.0:
        return
    count = _add_turnover(v.perp_turnover_at, v.perp_turnover, v.perp_turnover_count, row.event_at, row.d)
    if count == IGNORED:
        return
    v.perp_turnover_count = count
    if params.strategy == COMPOSITE:
        v.perp_hourly = row.d * 60.0 / row.slot
        _observe_hourly(v)


@compiled
def newest_turnover(at: Any, count: int) -> int:
    """Event time of the newest entry."""
    return at[_slot(count - 1)] if count > 0 else NEVER


@compiled
def _add_turnover(at: Any, amounts: Any, count: int, event_at: int, amount: float) -> int:
    """Add a row's turnover to its hour's entry, or open one; gives the new count of entries. A row of an
    hour before the newest entry's is IGNORED."""
    newest = _slot(count - 1)
    if count > 0 and event_at < at[newest] + HOUR:  # a whole hour later is another hour for certain
        hour = (event_at - 1) // HOUR
        newest_hour = (at[newest] - 1) // HOUR
        if hour < newest_hour:
            return IGNORED
        if hour == newest_hour:
            amounts[newest] += amount
            at[newest] = event_at
            return count
    k = _slot(count)
    at[k] = event_at
    amounts[k] = amount
    return count + 1


@compiled
def _slot(i: int) -> int:
    """Where the i-th entry of a turnover ring is kept."""
    return np.int64(np.uint64(i) % np.uint64(TURNOVER_KEPT))  # type: ignore[return-value]


@compiled
def turnover_24h(at: Any, amounts: Any, count: int) -> float:
    """Turnover of the 24 h that end with the newest entry, summed oldest first; 0 if unknown."""
    if count == 0:
        return 0.0
    since = at[_slot(count - 1)] - DAY_NS
    total = 0.0
    for i in range(max(0, count - TURNOVER_KEPT), count):
        k = _slot(i)
        if at[k] > since:
            total += amounts[k]
    return total


@compiled
def _observe_hourly(v: Any) -> None:
    """Averages of the smaller known leg's hourly turnover over a day and a week."""
    hourly = v.perp_hourly
    if v.spot_hourly >= 0.0 and (hourly < 0.0 or v.spot_hourly < hourly):
        hourly = v.spot_hourly
    if v.hourly_count == 0:
        v.hourly_day = hourly
        v.hourly_week = hourly
    else:
        v.hourly_day += weight(24.0) * (hourly - v.hourly_day)
        v.hourly_week += weight(168.0) * (hourly - v.hourly_week)
    v.hourly_count += 1


@compiled
def observe_activity(v: Any, tally: Any, params: Any, row: Any) -> None:
    """Turnover of either leg from an ActivityObserved row."""
    seen(v, row)
    if row.event_at <= v.activity_at:
        tally.late += 1
        return
    v.activity_at = row.event_at
    entered = False
    if row.a >= 0.0:
        count = _add_turnover(v.spot_turnover_at, v.spot_turnover, v.spot_turnover_count, row.event_at, row.a)
        if count != IGNORED:
            v.spot_turnover_count = count
            v.spot_hourly = row.a * 60.0 / row.slot
            entered = True
    if row.b >= 0.0:
        count = _add_turnover(v.perp_turnover_at, v.perp_turnover, v.perp_turnover_count, row.event_at, row.b)
        if count != IGNORED:
            v.perp_turnover_count = count
            v.perp_hourly = row.b * 60.0 / row.slot
            entered = True
    if entered and params.strategy == COMPOSITE:
        _observe_hourly(v)


@compiled
def _observe_basis(v: Any, b: float, event_at: int) -> None:
    """Sample the basis once an hour; z is measured against the averages before the sample enters them."""
    if event_at < v.basis_hour_end:
        return
    v.basis_hour_end = (event_at // HOUR + 1) * HOUR
    if v.basis_count == 0:
        v.basis_m = b
        v.basis_d = 5e-4
    else:
        spread = max(v.basis_d, 1e-4)
        v.basis_z = (b - v.basis_m) / (1.2533 * spread) if v.basis_count >= 48 else 0.0
        e = clamp(b - v.basis_m, -4.0 * spread, 4.0 * spread)
        v.basis_m += weight(168.0) * e
        v.basis_d += weight(168.0) * (abs(e) - v.basis_d)
    v.basis_count += 1
