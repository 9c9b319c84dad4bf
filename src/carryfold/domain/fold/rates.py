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
def observe_settled(v: Any, tally: Any, params: Any, row: Any, interval_h: float) -> None:
    """A settled rate, for the signals; its money is booked in phase 3. `interval_h` 0: no source tells it."""
    seen(v, row)
    if row.event_at <= v.settled_at:
        tally.late += 1
        return
    before = v.settled_at
    v.settled_at = row.event_at
    _adopt_interval(v, interval_h, row.event_at - before if before != NEVER else 0)
    if v.interval_h <= 0.0:
        return
    if before != NEVER and row.event_at - before > np.int64(v.interval_h * HOUR) + SNAP:
        tally.gaps += 1
    _enter_rate(v, params, row.a * 8.0 / v.interval_h)
    if params.strategy == COMPOSITE:
        _enter_forecast(v, row.a, row.event_at)


@compiled
def _adopt_interval(v: Any, given_h: float, spacing: int) -> None:
    """The interval in force: the given one, else inferred from the spacing to the settlement before (0: none). A longer
    spacing is believed only when it comes twice in a row: once is a missing settlement."""
    if given_h > 0.0:
        v.interval_h = given_h
        v.longer_h = 0.0
        return
    if spacing == 0:
        return
    snapped = _snapped_hours(spacing)
    if snapped == 0.0:
        v.longer_h = 0.0
    elif v.interval_h <= 0.0 or snapped <= v.interval_h or snapped == v.longer_h:
        v.interval_h = snapped
        v.longer_h = 0.0
    else:
        v.longer_h = snapped


@compiled
def _snapped_hours(spacing: int) -> float:
    """The usual interval within 10 minutes of `spacing`, in hours; 0 if there is none."""
    for hours in (1, 2, 4, 6, 8):
        if abs(spacing - hours * HOUR) <= SNAP:
            return float(hours)
    return 0.0


@compiled
def _enter_rate(v: Any, params: Any, x: float) -> None:
    """The 8 h-equivalent of a settled rate becomes the one in force."""
    if params.strategy == COMPOSITE:
        _average_rate(v, params, x)
    v.x_before = v.x if v.x_count > 0 else x
    v.x = x
    v.x_count += 1


@compiled
def _average_rate(v: Any, params: Any, x: float) -> None:
    """The averages behind trend and persistence; `v.x` is still the rate before."""
    if v.x_count == 0:
        v.ema_fast = x
        v.ema_slow = x
        v.dx = 0.0
    else:
        v.ema_fast += weight(float(params.ema_fast)) * (x - v.ema_fast)
        v.ema_slow += weight(float(params.ema_slow)) * (x - v.ema_slow)
        v.dx += weight(30.0) * (abs(x - v.x) - v.dx)
    v.run_h8 = v.run_h8 + v.interval_h / 8.0 if x >= params.enter else 0.0


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
def forecast(v: Any) -> tuple[float, float]:
    """(phi, mu) of the funding forecast: bias-corrected AR(1), shrunk to a prior of 30 observations."""
    if v.ar_count == 0:
        return PRIOR_PHI, PRIOR_MU
    n = float(min(v.ar_count, AR_KEPT))
    phi = v.ar_cov / v.ar_var if v.ar_var > 1e-16 else PRIOR_PHI
    phi += (1.0 + 3.0 * phi) / n
    phi = clamp((n * phi + PRIOR_COUNT * PRIOR_PHI) / (n + PRIOR_COUNT), 0.0, 0.98)
    mu = (n * v.ar_mean + PRIOR_COUNT * PRIOR_MU) / (n + PRIOR_COUNT)
    return phi, mu


@compiled
def observe_predicted(v: Any, tally: Any, row: Any) -> None:
    """The running estimate of the settlement to come; its mark is kept in any case."""
    seen(v, row)
    if row.c > 0.0:
        keep_mark(v, row.event_at, row.c)
    if row.event_at <= v.predicted_at:
        tally.late += 1
        return
    v.predicted_at = row.event_at
    v.predicted = row.a
    v.predicted_h = row.b
    v.predicted_next = np.int64(row.d) * 1_000_000


@compiled
def rate_estimate(v: Any, params: Any, t: int) -> float:
    """q: the 8 h-equivalent rate a strategy goes by at `t`. Only meaningful when a settled rate is known."""
    if params.rate_source == SETTLED or v.predicted_at == NEVER:
        return v.x
    hours = v.predicted_h if v.predicted_h > 0.0 else v.interval_h
    if hours <= 0.0:
        return v.x
    interval = np.int64(hours * HOUR)
    start = v.predicted_next - interval
    quiet_until = start + PREDICTION_QUIET
    if (
        v.predicted_at < quiet_until
        or t < quiet_until
        or t > v.predicted_next - PREDICTION_LEAD
        or t - v.predicted_at > PREDICTION_AGE
    ):
        return v.x
    f = float(t - start) / float(interval)
    predicted = v.predicted * 8.0 / hours
    if params.rate_source == PREDICTED:
        return predicted if f >= 0.5 else v.x
    return f * f * predicted + (1.0 - f * f) * v.x
