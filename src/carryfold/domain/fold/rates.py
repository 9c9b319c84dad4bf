"""What a settled or predicted rate changes: the interval, the 8 h-equivalent, averages, the forecast. (Phase 2.)"""

from typing import Any

import numpy as np

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import clamp, weight
from carryfold.domain.fold.codes import COMPOSITE, HOUR, PREDICTED, SECOND, SETTLED
from carryfold.domain.fold.observe import keep_mark, seen
from carryfold.domain.fold.state import NEVER

SNAP = 600 * SECOND  # a spacing this far from a usual interval is no spacing
EIGHT_HOURS = 8 * HOUR
AR_KEPT = 270
PRIOR_PHI = 0.83
PRIOR_MU = 0.0001
PRIOR_COUNT = 30.0
PREDICTION_QUIET = 60 * SECOND  # after a settlement the venue shows 0 for a while
PREDICTION_LEAD = 10 * SECOND
PREDICTION_AGE = 300 * SECOND


@compiled
def observe_settled(p: Any, book: Any, params: Any, row: Any) -> None:
    """A settled rate, for the signals; its money is booked in phase 3."""
    seen(p, row)
    if row.event_at <= p.settled_at:
        book.late += book.started
        return
    before = p.settled_at
    p.settled_at = row.event_at
    _adopt_interval(p, row.b, row.event_at - before if before != NEVER else 0)
    if p.interval_h <= 0.0:
        return
    if before != NEVER and row.event_at - before > np.int64(p.interval_h * HOUR) + SNAP:
        book.gaps += book.started
    _enter_rate(p, params, row.a * 8.0 / p.interval_h)
    if params.strategy == COMPOSITE:
        _enter_forecast(p, row.a, row.event_at)


@compiled
def _adopt_interval(p: Any, given_h: float, spacing: int) -> None:
    """The interval in force: the given one, else inferred from the spacing to the settlement before (0: none). A longer
    spacing is believed only when it comes twice in a row: once is a missing settlement."""
    if given_h > 0.0:
        p.interval_h = given_h
        p.longer_h = 0.0
        return
    if spacing == 0:
        return
    snapped = _snapped_hours(spacing)
    if snapped == 0.0:
        p.longer_h = 0.0
    elif p.interval_h <= 0.0 or snapped <= p.interval_h or snapped == p.longer_h:
        p.interval_h = snapped
        p.longer_h = 0.0
    else:
        p.longer_h = snapped


@compiled
def _snapped_hours(spacing: int) -> float:
    """The usual interval within 10 minutes of `spacing`, in hours; 0 if there is none."""
    for hours in (1, 2, 4, 6, 8):
        if abs(spacing - hours * HOUR) <= SNAP:
            return float(hours)
    return 0.0


@compiled
def _enter_rate(p: Any, params: Any, x: float) -> None:
    """The 8 h-equivalent of a settled rate enters the averages and the run length."""
    if p.x_count == 0:
        p.ema_fast = x
        p.ema_slow = x
        p.dx = 0.0
        p.x_before = x
    else:
        p.ema_fast += weight(float(params.ema_fast)) * (x - p.ema_fast)
        p.ema_slow += weight(float(params.ema_slow)) * (x - p.ema_slow)
        p.dx += weight(30.0) * (abs(x - p.x) - p.dx)
        p.x_before = p.x
    p.run_h8 = p.run_h8 + p.interval_h / 8.0 if x >= params.enter else 0.0
    p.x = x
    p.x_count += 1


@compiled
def _enter_forecast(p: Any, rate: float, settled_at: int) -> None:
    """Collect raw rates in 8 h UTC buckets; a bucket is closed by a settlement at its end or by the first one after."""
    end = -(-settled_at // EIGHT_HOURS) * EIGHT_HOURS
    if p.ar_end != NEVER and p.ar_end != end:
        _close_bucket(p)
    if p.ar_end == NEVER:
        p.ar_end = end
        p.ar_sum = 0.0
    p.ar_sum += rate
    if settled_at == end:
        _close_bucket(p)


@compiled
def _close_bucket(p: Any) -> None:
    """One step of the AR(1) moments with the bucket's sum."""
    y = p.ar_sum
    p.ar_end = NEVER
    if p.ar_count == 0:
        p.ar_mean = y
        p.ar_var = 0.0
        p.ar_cov = 0.0
        p.ar_count = 1
    else:
        p.ar_count += 1
        a = max(weight(float(AR_KEPT)), 1.0 / p.ar_count)
        e0 = p.ar_before - p.ar_mean
        e1 = y - p.ar_mean
        p.ar_var += a * (e0 * e0 - p.ar_var)
        p.ar_cov += a * (e0 * e1 - p.ar_cov)
        p.ar_mean += a * e1
    p.ar_before = y


@compiled
def forecast(p: Any) -> tuple[float, float]:
    """(phi, mu) of the funding forecast: bias-corrected AR(1), shrunk to a prior of 30 observations."""
    if p.ar_count == 0:
        return PRIOR_PHI, PRIOR_MU
    n = float(min(p.ar_count, AR_KEPT))
    phi = p.ar_cov / p.ar_var if p.ar_var > 1e-16 else PRIOR_PHI
    phi += (1.0 + 3.0 * phi) / n
    phi = clamp((n * phi + PRIOR_COUNT * PRIOR_PHI) / (n + PRIOR_COUNT), 0.0, 0.98)
    mu = (n * p.ar_mean + PRIOR_COUNT * PRIOR_MU) / (n + PRIOR_COUNT)
    return phi, mu


@compiled
def observe_predicted(p: Any, book: Any, row: Any) -> None:
    """The running estimate of the settlement to come; its mark is kept in any case."""
    seen(p, row)
    if row.c > 0.0:
        keep_mark(p, row.event_at, row.c)
    if row.event_at <= p.predicted_at:
        book.late += book.started
        return
    p.predicted_at = row.event_at
    p.predicted = row.a
    p.predicted_h = row.b
    p.predicted_next = np.int64(row.d) * 1_000_000


@compiled
def rate_estimate(p: Any, params: Any, t: int) -> float:
    """q: the 8 h-equivalent rate a strategy goes by at `t`. Only meaningful when a settled rate is known."""
    if params.rate_source == SETTLED or p.predicted_at == NEVER:
        return p.x
    hours = p.predicted_h if p.predicted_h > 0.0 else p.interval_h
    if hours <= 0.0:
        return p.x
    interval = np.int64(hours * HOUR)
    start = p.predicted_next - interval
    quiet_until = start + PREDICTION_QUIET
    if (
        p.predicted_at < quiet_until
        or t < quiet_until
        or t > p.predicted_next - PREDICTION_LEAD
        or t - p.predicted_at > PREDICTION_AGE
    ):
        return p.x
    f = float(t - start) / float(interval)
    predicted = p.predicted * 8.0 / hours
    if params.rate_source == PREDICTED:
        return predicted if f >= 0.5 else p.x
    return f * f * predicted + (1.0 - f * f) * p.x
