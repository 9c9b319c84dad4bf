"""What a price or activity row changes: an instrument's marks, price, volatility and turnover; a pair's view and basis.
(docs/semantics.md 3, phases 1 and 2.)"""

from typing import Any

from carryfold.domain.fold._compile import compiled, index
from carryfold.domain.fold.arithmetic import basis_score, clamp, e8, volume_score, weight
from carryfold.domain.fold.codes import BAR_CLOSED, DAY_NS, HOUR, SECOND
from carryfold.domain.fold.state import MARKS_BEFORE, NEVER, TURNOVERS_BEFORE

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
    if event_at > m.mark_until:
        if m.mark_at != NEVER:
            k = m.mark_count % MARKS_BEFORE
            m.marks_at[k] = m.mark_at
            m.marks[k] = m.mark
            m.mark_count += 1
        m.mark_until = _hour_end_after(m.mark_until, event_at)
    elif event_at < m.mark_at:
        if event_at <= m.mark_until - HOUR:
            _keep_late_mark(m, event_at, mark)
        return
    m.mark_at = event_at
    m.mark = mark


@compiled
def hour_end(at: int) -> int:
    """The first full hour not before `at`."""
    return ((at - 1) // HOUR + 1) * HOUR


@compiled
def _hour_end_after(until: int, at: int) -> int:
    """hour_end of `at`, which is after the full hour `until`: mostly the next one, which needs no division."""
    return until + HOUR if at <= until + HOUR else hour_end(at)


@compiled
def _keep_late_mark(m: Any, event_at: int, mark: float) -> None:
    """Keep a mark of an hour before the newest one's: in its place between the others, if that is not too long ago."""
    first = max(m.mark_count - MARKS_BEFORE, 0)
    end = hour_end(event_at)
    i = m.mark_count - 1
    while i >= first and hour_end(m.marks_at[i % MARKS_BEFORE]) > end:
        i -= 1
    if i >= first:
        k = i % MARKS_BEFORE
        if hour_end(m.marks_at[k]) == end:
            if event_at >= m.marks_at[k]:
                m.marks_at[k] = event_at
                m.marks[k] = mark
            return
    elif m.mark_count >= MARKS_BEFORE:
        return
    m.mark_count += 1
    for j in range(m.mark_count - 1, i + 1, -1):
        m.marks_at[j % MARKS_BEFORE] = m.marks_at[(j - 1) % MARKS_BEFORE]
        m.marks[j % MARKS_BEFORE] = m.marks[(j - 1) % MARKS_BEFORE]
    m.marks_at[(i + 1) % MARKS_BEFORE] = event_at
    m.marks[(i + 1) % MARKS_BEFORE] = mark


@compiled
def mark_for(m: Any, settled_at: int) -> float:
    """The mark in force at `settled_at`, in the venue's own price: the newest one not after it, of equals the one kept
    last; 0: there is none."""
    if m.mark_at != NEVER and m.mark_at <= settled_at:
        return float(m.mark)
    best_at = NEVER
    best = 0.0
    for i in range(max(m.mark_count - MARKS_BEFORE, 0), m.mark_count):
        k = i % MARKS_BEFORE
        if m.marks_at[k] <= settled_at and m.marks_at[k] >= best_at:
            best_at = m.marks_at[k]
            best = m.marks[k]
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
    if row.event_at > m.turnover_at:
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
def add_turnover(m: Any, row: Any, amount: float) -> None:
    """Add a row's turnover to its hour's, or begin an hour. A row of an hour before the newest one is ignored."""
    event_at = row.event_at
    if event_at > m.turnover_until:
        if m.turnover_at != NEVER:
            k = m.turnover_count % TURNOVERS_BEFORE
            m.turnovers_at[k] = m.turnover_at
            m.turnovers[k] = m.turnover
            m.turnover_count += 1
        m.turnover_until = _hour_end_after(m.turnover_until, event_at)
        m.turnover = amount
    elif event_at > m.turnover_until - HOUR:
        m.turnover += amount
    else:
        return
    m.turnover_at = event_at
    m.last_turnover = amount
    m.last_minutes = row.slot
    m.turnover_entered_at = row.known_at


@compiled
def turnover_24h(m: Any) -> float:
    """Turnover of the 24 h that end with the newest entry, summed oldest first; 0 if unknown."""
    if m.turnover_at == NEVER:
        return 0.0
    since = m.turnover_at - DAY_NS
    total = 0.0
    for i in range(max(0, m.turnover_count - TURNOVERS_BEFORE), m.turnover_count):
        k = i % TURNOVERS_BEFORE
        if m.turnovers_at[k] > since:
            total += m.turnovers[k]
    return total + float(m.turnover)


@compiled
def hourly_turnover(m: Any) -> float:
    """Turnover of the last row that told it, scaled to an hour; -1: none has."""
    return m.last_turnover * 60.0 / m.last_minutes if m.turnover_at != NEVER else -1.0


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
def observe_pair_row(market: Any, v: Any, tally: Any, params: Any, t: int, reads_basis: bool) -> None:
    """Both legs as they stand after all price rows of the instant, if they are near enough in time: the pair's view,
    or a suspect row, which leaves nothing."""
    v.tried_at = t
    if v.long < 0:
        return
    long = market[index(v.long)]
    short = market[index(v.short)]
    if not (long.price > 0.0 and short.price > 0.0):
        return
    if abs(long.price_at - short.price_at) > params.leg_skew_s * SECOND:
        return
    if long.multiplier == 1.0 and short.multiplier == 1.0:  # a division takes as long as all else here
        _observe_prices(long, short, v, tally, t, long.price, short.price, reads_basis)
    else:
        long_price = long.price / long.multiplier
        short_price = short.price / short.multiplier
        _observe_prices(long, short, v, tally, t, long_price, short_price, reads_basis)
        if v.view_known_at == t:
            v.long_bid /= long.multiplier
            v.long_ask /= long.multiplier
            v.short_bid /= short.multiplier
            v.short_ask /= short.multiplier


@compiled
def _observe_prices(
    long: Any, short: Any, v: Any, tally: Any, t: int, long_price: float, short_price: float, reads_basis: bool
) -> None:
    """A pair row: the prices of both legs per coin."""
    event_at = min(long.price_at, short.price_at)
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
    v.long_bid = long.bid
    v.long_ask = long.ask
    v.short_bid = short.bid
    v.short_ask = short.ask
    if reads_basis and event_at >= v.basis_hour_end:
        _observe_basis(v, short.price_mark / short.multiplier / long_price - 1.0, event_at)


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
    hourly = hourly_turnover(market[v.short])
    if v.long >= 0:
        other = hourly_turnover(market[v.long])
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
