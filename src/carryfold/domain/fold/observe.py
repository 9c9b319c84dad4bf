"""What a price or activity row changes: an instrument's marks, price, volatility and turnover; a pair's view and basis.
(docs/semantics.md 3, phases 1 and 2.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import basis_score, clamp, e8, volume_score, weight
from carryfold.domain.fold.codes import BAR_CLOSED, DAY_NS, HOUR, SECOND
from carryfold.domain.fold.state import MARKS_KEPT, NEVER, TURNOVER_KEPT

SUSPECT_BASIS = 0.03

# what is left to do for a price row
NOTHING_NEW = 0
FRESH = 1
LATE_BAR = 2
MINUTE = 60 * SECOND


@compiled
def seen(m: Any, row: Any) -> None:
    """Note that the instrument has market data."""
    if m.market_known_at == NEVER:
        m.first_at = row.event_at
    m.market_known_at = row.known_at


@compiled
def keep_mark(m: Any, event_at: int, mark: float) -> None:
    """Keep a mark for pricing settlements, if it is the newest of its hour; the oldest hour gives way. An hour begins
    after its first nanosecond, so that what is in force on the hour is never overwritten by what comes later."""
    k = (m.mark_count - 1) & (MARKS_KEPT - 1)
    if event_at > m.mark_until:
        m.mark_until = m.mark_until + HOUR if event_at <= m.mark_until + HOUR else hour_end(event_at)
        k = m.mark_count & (MARKS_KEPT - 1)
        m.mark_count += 1
    elif event_at < m.mark_at[k]:
        _keep_late_mark(m, event_at, mark)
        return
    m.mark_at[k] = event_at
    m.mark[k] = mark


@compiled
def hour_end(at: int) -> int:
    """The first full hour not before `at`."""
    return ((at - 1) // HOUR + 1) * HOUR


@compiled
def _keep_late_mark(m: Any, event_at: int, mark: float) -> None:
    """Keep a mark that is older than the newest one: in its place between the others, if that is not too long ago."""
    first = max(m.mark_count - MARKS_KEPT, 0)
    end = hour_end(event_at)
    i = m.mark_count - 1
    while i >= first and hour_end(m.mark_at[i & (MARKS_KEPT - 1)]) > end:
        i -= 1
    k = i & (MARKS_KEPT - 1)
    if i >= first and hour_end(m.mark_at[k]) == end:
        if event_at >= m.mark_at[k]:
            m.mark_at[k] = event_at
            m.mark[k] = mark
        return
    if i < first and m.mark_count >= MARKS_KEPT:
        return
    m.mark_count += 1
    for j in range(m.mark_count - 1, i + 1, -1):
        m.mark_at[j & (MARKS_KEPT - 1)] = m.mark_at[(j - 1) & (MARKS_KEPT - 1)]
        m.mark[j & (MARKS_KEPT - 1)] = m.mark[(j - 1) & (MARKS_KEPT - 1)]
    m.mark_at[(i + 1) & (MARKS_KEPT - 1)] = event_at
    m.mark[(i + 1) & (MARKS_KEPT - 1)] = mark


@compiled
def mark_for(m: Any, settled_at: int) -> float:
    """The mark in force at `settled_at`, in the venue's own price: the newest one not after it, of equals the one kept
    last; 0: there is none."""
    kept = min(m.mark_count, MARKS_KEPT)
    best_at = NEVER
    best = 0.0
    for i in range(m.mark_count - kept, m.mark_count):
        k = i & (MARKS_KEPT - 1)
        if m.mark_at[k] <= settled_at and m.mark_at[k] >= best_at:
            best_at = m.mark_at[k]
            best = m.mark[k]
    return best


@compiled
def observe_price(m: Any, tally: Any, row: Any) -> int:
    """A quote or a bar. A late one only leaves its mark, and a late bar its turnover, because live, quotes overtake the
    bar of their hour. Gives what is to be `measure`d of it once it is known whether it was suspect: FRESH, LATE_BAR or
    NOTHING_NEW."""
    seen(m, row)
    is_bar = row.kind == BAR_CLOSED
    price = row.a if is_bar else ((row.a + row.b) / 2.0 if row.a > 0.0 and row.b > 0.0 else 0.0)
    if m.perp != 0:
        mark = row.b if is_bar and row.b > 0.0 else price
        if mark > 0.0:
            keep_mark(m, row.event_at, mark)
    if row.event_at <= m.newest_at:
        if price > 0.0 or row.event_at < m.newest_at:
            tally.late += 1
        elif m.price_at == row.event_at:  # it tells what another source of the same bar did not
            if row.b > 0.0:
                m.price_mark = row.b
            if m.price_known_at == row.known_at:
                return FRESH
        return LATE_BAR if is_bar else NOTHING_NEW
    m.newest_at = row.event_at
    if price > 0.0:
        m.price = price
        m.price_mark = row.b if is_bar and row.b > 0.0 else price
        m.price_at = row.event_at
        m.price_known_at = row.known_at
        if is_bar:
            m.bid = 0.0
            m.ask = 0.0
            m.bar_ns = row.slot * MINUTE
        else:
            m.bid = row.a
            m.ask = row.b
            m.bar_ns = 0
    return FRESH


@compiled
def measure(m: Any, row: Any) -> None:
    """Volatility and turnover of a fresh price row that is not suspect."""
    is_bar = row.kind == BAR_CLOSED
    if m.perp != 0 and row.event_at >= m.vol_hour_end:
        price = row.a if is_bar else ((row.a + row.b) / 2.0 if row.a > 0.0 and row.b > 0.0 else 0.0)
        if price > 0.0:
            _observe_volatility(m, price, row.event_at)
    if is_bar:
        _add_bar_turnover(m, row)


@compiled
def measure_late_bar(m: Any, row: Any) -> None:
    """Turnover of a late bar, if it is newer than all there is."""
    if row.event_at > newest_turnover(m):
        _add_bar_turnover(m, row)


@compiled
def _observe_volatility(m: Any, price: float, event_at: int) -> None:
    """Hourly variance of a perpetual's return, an average over 168 samples, one an hour."""
    m.vol_hour_end = (event_at // HOUR + 1) * HOUR
    if m.vol_price > 0.0:
        r = price / m.vol_price - 1.0
        hourly = r * r * 3600e9 / float(event_at - m.vol_at)
        if m.vol_count == 0:
            m.vol_m = hourly
        else:
            m.vol_m += weight(168.0) * (hourly - m.vol_m)
        m.vol_count += 1
    m.vol_price = price
    m.vol_at = event_at


@compiled
def _add_bar_turnover(m: Any, row: Any) -> None:
    """Turnover from a bar that says it."""
    if row.c >= 0.0:
        add_turnover(m, row, row.c)


@compiled
def newest_turnover(m: Any) -> int:
    """Event time of the newest entry."""
    return m.turnover_at[_slot(m.turnover_count - 1)] if m.turnover_count > 0 else NEVER


@compiled
def add_turnover(m: Any, row: Any, amount: float) -> None:
    """Add a row's turnover to its hour's entry, or open one. A row of an hour before the newest entry's is ignored."""
    count = m.turnover_count
    newest = _slot(count - 1)
    event_at = row.event_at
    if count > 0 and event_at < m.turnover_at[newest] + HOUR:  # a whole hour later is another hour for certain
        hour = (event_at - 1) // HOUR
        newest_hour = (m.turnover_at[newest] - 1) // HOUR
        if hour < newest_hour:
            return
        if hour == newest_hour:
            m.turnover[newest] += amount
            m.turnover_at[newest] = event_at
            _note_turnover(m, row, amount)
            return
    k = _slot(count)
    m.turnover_at[k] = event_at
    m.turnover[k] = amount
    m.turnover_count = count + 1
    _note_turnover(m, row, amount)


@compiled
def _note_turnover(m: Any, row: Any, amount: float) -> None:
    """For the volume signals of its pairs."""
    m.hourly = amount * 60.0 / row.slot
    m.turnover_entered_at = row.known_at


@compiled
def _slot(i: int) -> int:
    """Where the i-th entry of a turnover ring is kept."""
    return np.int64(np.uint64(i) % np.uint64(TURNOVER_KEPT))  # type: ignore[return-value]


@compiled
def turnover_24h(m: Any) -> float:
    """Turnover of the 24 h that end with the newest entry, summed oldest first; 0 if unknown."""
    if m.turnover_count == 0:
        return 0.0
    since = m.turnover_at[_slot(m.turnover_count - 1)] - DAY_NS
    total = 0.0
    for i in range(max(0, m.turnover_count - TURNOVER_KEPT), m.turnover_count):
        k = _slot(i)
        if m.turnover_at[k] > since:
            total += m.turnover[k]
    return total


@compiled
def observe_activity(m: Any, tally: Any, row: Any) -> None:
    """Turnover from an ActivityObserved row."""
    if row.event_at <= m.activity_at:
        tally.late += 1
        return
    m.activity_at = row.event_at
    if row.a >= 0.0:
        add_turnover(m, row, row.a)


@compiled
def per_coin(price: float, m: Any) -> float:
    """An instrument's price by the coin. Most have a multiplier of 1, and a division takes as long as all else here."""
    return price if m.multiplier == 1.0 or price == 0.0 else price / m.multiplier


@compiled
def observe_pair_row(market: Any, v: Any, tally: Any, params: Any, t: int, reads_basis: bool) -> None:
    """Both legs as they stand after all price rows of the instant, if they are near enough in time: the pair's view,
    or a suspect row, which leaves nothing."""
    v.tried_at = t
    if v.long < 0:
        return
    long = market[v.long]
    short = market[v.short]
    if not (long.price > 0.0 and short.price > 0.0):
        return
    if abs(long.price_at - short.price_at) > params.leg_skew_s * SECOND:
        return
    event_at = min(long.price_at, short.price_at)
    long_price = per_coin(long.price, long)
    short_price = per_coin(short.price, short)
    b = short_price / long_price - 1.0
    suspect = not _acceptable(v, b, event_at)
    v.both_b = b
    v.both_suspect = 1 if suspect else 0
    if suspect:
        tally.suspect += 1
        if v.carry != 0 and v.one_venue != 0:
            if long.price_known_at == t:
                long.suspect_at = t
            if short.price_known_at == t:
                short.suspect_at = t
        return
    v.viewed = 1
    v.view_at = event_at
    v.view_known_at = t
    v.long_price = long_price
    v.short_price = short_price
    v.accepted_b = b
    v.long_bid = per_coin(long.bid, long)
    v.long_ask = per_coin(long.ask, long)
    v.short_bid = per_coin(short.bid, short)
    v.short_ask = per_coin(short.ask, short)
    if reads_basis and event_at >= v.basis_hour_end:
        _observe_basis(v, per_coin(short.price_mark, short) / long_price - 1.0, event_at)


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
def _observe_basis(v: Any, b: float, event_at: int) -> None:
    """Sample the basis once an hour; z is measured against the averages before the sample enters them."""
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
    v.basis_score = basis_score(v)


@compiled
def observe_volume(market: Any, v: Any, t: int) -> None:
    """Averages of the smaller known leg's hourly turnover over a day and a week, once an instant."""
    if v.hourly_at == t:
        return
    v.hourly_at = t
    hourly = market[v.short].hourly
    if v.long >= 0:
        other = market[v.long].hourly
        if other >= 0.0 and (hourly < 0.0 or other < hourly):
            hourly = other
    if v.hourly_count == 0:
        v.hourly_day = hourly
        v.hourly_week = hourly
    else:
        v.hourly_day += weight(24.0) * (hourly - v.hourly_day)
        v.hourly_week += weight(168.0) * (hourly - v.hourly_week)
    v.hourly_count += 1
    v.volume_score = volume_score(v)


@compiled
def revalue(v: Any, p: Any, book: Any, accounts: Any, params: Any) -> None:
    """Mark the held legs to the view and carry the difference into the sums of the book and of the accounts."""
    long_value = e8(p.long_units * p.unit * v.long_price)
    short_value = e8(p.short_units * p.unit * v.short_price)
    short_margin = e8(params.margin_fraction * (p.short_units * p.unit * v.short_price))
    long_margin = 0
    if v.carry == 0:
        long_margin = e8(params.margin_fraction * (p.long_units * p.unit * v.long_price))
    set_values(v, p, book, accounts, long_value, short_value, long_margin, short_margin)


@compiled
def set_values(
    v: Any, p: Any, book: Any, accounts: Any, long_value: int, short_value: int, long_margin: int, short_margin: int
) -> None:
    """New values and margins of a holding's legs."""
    long_change = long_value - p.long_value
    short_change = short_value - p.short_value
    book.long_value += long_change
    book.short_value += short_change
    book.deployed += long_margin - p.long_margin + short_margin - p.short_margin
    at_long = accounts[v.long_venue]
    if v.carry != 0:
        at_long.spot_value += long_change
        book.spot_value += long_change
    else:
        at_long.perp_pnl += long_change
        at_long.perp_notional += abs(long_value) - abs(p.long_value)
        at_long.margin += long_margin - p.long_margin
    at_short = accounts[v.short_venue]
    at_short.perp_pnl -= short_change
    at_short.perp_notional += short_change
    at_short.margin += short_margin - p.short_margin
    p.long_value = long_value
    p.short_value = short_value
    p.long_margin = long_margin
    p.short_margin = short_margin
