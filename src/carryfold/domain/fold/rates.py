"""What a settled or predicted rate changes: a perpetual's interval and 8 h-equivalent; a pair's rate, its averages and
its forecast. (Phase 2.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled, index
from carryfold.domain.fold.arithmetic import trend_score, weight
from carryfold.domain.fold.codes import HOUR, PREDICTED, SECOND, SETTLED
from carryfold.domain.fold.observe import keep_mark, seen
from carryfold.domain.fold.state import NEVER

SNAP = 600 * SECOND  # a spacing this far from a usual interval is no spacing
EIGHT_HOURS = 8 * HOUR
AR_KEPT = 270
PREDICTION_QUIET = 60 * SECOND  # after a settlement the venue shows 0 for a while
PREDICTION_LEAD = 10 * SECOND
PREDICTION_AGE = 300 * SECOND

# bits of params.reads, in the order of strategies.READS
READS_AVERAGES = 1
READS_FORECAST = 2
READS_BASIS = 4
READS_VOLUME = 8


@compiled
def observe_settled(m: Any, tally: Any, row: Any, interval_h: float) -> bool:
    """A settled rate, for the signals; its money is booked in phase 3. `interval_h` 0: no source tells it. Gives True
    if it set the rate of the instrument."""
    seen(m, row)
    if row.event_at <= m.settled_at:
        tally.late += 1
        return False
    before = m.settled_at
    m.settled_at = row.event_at
    _adopt_interval(m, interval_h, row.event_at - before if before != NEVER else 0)
    if m.interval_h <= 0.0:
        return False
    if before != NEVER and row.event_at - before > np.int64(m.interval_h * HOUR) + SNAP:
        tally.gaps += 1
    m.rate_8h = row.a * 8.0 / m.interval_h
    m.rate = row.a
    m.rate_count += 1
    m.set_at = row.known_at
    m.set_for = row.event_at
    return True


@compiled
def _adopt_interval(m: Any, given_h: float, spacing: int) -> None:
    """The interval in force: the given one, else inferred from the spacing to the settlement before (0: none). A longer
    spacing is believed only when it comes twice in a row: once is a missing settlement."""
    if given_h > 0.0:
        m.interval_h = given_h
        m.longer_h = 0.0
        return
    if spacing == 0:
        return
    snapped = _snapped_hours(spacing)
    if snapped == 0.0:
        m.longer_h = 0.0
    elif m.interval_h <= 0.0 or snapped <= m.interval_h or snapped == m.longer_h:
        m.interval_h = snapped
        m.longer_h = 0.0
    else:
        m.longer_h = snapped


@compiled
def _snapped_hours(spacing: int) -> float:
    """The usual interval within 10 minutes of `spacing`, in hours; 0 if there is none."""
    for hours in (1, 2, 4, 6, 8):
        if abs(spacing - hours * HOUR) <= SNAP:
            return float(hours)
    return 0.0


@compiled
def observe_pair_rate(market: Any, v: Any, params: Any, t: int, settled_at: int) -> bool:
    """One observation of the pair's rate: at the instant `t` the rate of at least one of its perpetuals was set for the
    settlement at `settled_at`. Gives True if the pair's rate is known."""
    if v.seen_at == t and v.seen_for == settled_at:
        return False
    short = market[index(v.short)]
    if short.rate_count == 0:
        return False
    rate_8h = short.rate_8h
    rate = short.rate if short.set_at == t and short.set_for == settled_at else 0.0
    interval_h = short.interval_h
    if v.carry == 0:
        long = market[v.long]
        if long.rate_count == 0:
            return False
        rate_8h -= long.rate_8h
        if long.set_at == t and long.set_for == settled_at:
            rate -= long.rate
        interval_h = min(interval_h, long.interval_h)
    v.seen_at = t
    v.seen_for = settled_at
    if params.reads & READS_AVERAGES:
        _average_rate(v, params, rate_8h, interval_h)
    v.rate_8h_before = v.rate_8h if v.rate_count > 0 else rate_8h
    v.rate_8h = rate_8h
    v.rate_count += 1
    if params.reads & READS_AVERAGES:
        v.trend_score = trend_score(v)
    if params.reads & READS_FORECAST:
        _enter_forecast(v, rate, settled_at)
    return True


@compiled
def _average_rate(v: Any, params: Any, rate_8h: float, interval_h: float) -> None:
    """The averages behind trend and persistence; `v.rate_8h` is still the rate before."""
    if v.rate_count == 0:
        v.ema_fast = rate_8h
        v.ema_slow = rate_8h
        v.rate_step = 0.0
    else:
        v.ema_fast += weight(float(params.ema_fast)) * (rate_8h - v.ema_fast)
        v.ema_slow += weight(float(params.ema_slow)) * (rate_8h - v.ema_slow)
        v.rate_step += weight(30.0) * (abs(rate_8h - v.rate_8h) - v.rate_step)
    v.periods_above = v.periods_above + interval_h / 8.0 if rate_8h >= params.enter else 0.0


@compiled
def _enter_forecast(v: Any, rate: float, settled_at: int) -> None:
    """Collect raw rates in 8 h UTC buckets; a bucket is closed by a settlement at its end or by the first one after."""
    end = -(-settled_at // EIGHT_HOURS) * EIGHT_HOURS
    if v.ar_end != NEVER and v.ar_end != end:
        _close_bucket(v)
    if v.ar_end == NEVER:
        v.ar_end = end
        v.ar_sum = 0.0
    v.ar_sum += rate
    if settled_at == end:
        _close_bucket(v)


@compiled
def _close_bucket(v: Any) -> None:
    """One step of the AR(1) moments with the bucket's sum."""
    y = v.ar_sum
    v.ar_end = NEVER
    if v.ar_count == 0:
        v.ar_mean = y
        v.ar_var = 0.0
        v.ar_cov = 0.0
        v.ar_count = 1
    else:
        v.ar_count += 1
        a = max(weight(float(AR_KEPT)), 1.0 / v.ar_count)
        e0 = v.ar_before - v.ar_mean
        e1 = y - v.ar_mean
        v.ar_var += a * (e0 * e0 - v.ar_var)
        v.ar_cov += a * (e0 * e1 - v.ar_cov)
        v.ar_mean += a * e1
    v.ar_before = y


@compiled
def observe_predicted(m: Any, tally: Any, row: Any) -> None:
    """The running estimate of the settlement to come; its mark is kept in any case."""
    if row.b > 0.0:
        keep_mark(m, row.event_at, row.b)
    if row.event_at <= m.predicted_at:
        tally.late += 1
        return
    m.predicted_at = row.event_at
    m.predicted = row.a
    m.predicted_h = row.slot / 60.0
    m.predicted_next = np.int64(row.c) * 1_000_000


@compiled
def rate_estimate(m: Any, params: Any, t: int) -> float:
    """The rate of a perpetual that a strategy goes by at `t`, an 8 h-equivalent. Only meaningful when a settled rate is
    known."""
    if params.rate_source == SETTLED or m.predicted_at == NEVER:
        return m.rate_8h
    hours = m.predicted_h if m.predicted_h > 0.0 else m.interval_h
    if hours <= 0.0:
        return m.rate_8h
    interval = np.int64(hours * HOUR)
    start = m.predicted_next - interval
    quiet_until = start + PREDICTION_QUIET
    if (
        m.predicted_at < quiet_until
        or t < quiet_until
        or t > m.predicted_next - PREDICTION_LEAD
        or t - m.predicted_at > PREDICTION_AGE
    ):
        return m.rate_8h
    f = float(t - start) / float(interval)
    predicted = m.predicted * 8.0 / hours
    if params.rate_source == PREDICTED:
        return predicted if f >= 0.5 else m.rate_8h
    return f * f * predicted + (1.0 - f * f) * m.rate_8h


@compiled
def is_rate_known(market: Any, v: Any) -> bool:
    """True once every perpetual of the pair has a rate."""
    return market[v.short].rate_count > 0 and (v.carry != 0 or market[v.long].rate_count > 0)


@compiled
def pair_rate(market: Any, v: Any, params: Any, t: int) -> float:
    """The rate of a pair that a strategy goes by: the short leg's less the long leg's. Only meaningful when
    `is_rate_known`."""
    rate = rate_estimate(market[v.short], params, t)
    if v.carry == 0:
        rate -= rate_estimate(market[v.long], params, t)
    return rate
