"""What strategies are made of: bounds, averages, scores, the funding forecast, impact and break-even.

Plain functions of numbers and records; the fold compiles the very same ones. Formulas are those of docs/semantics.md.
"""

from math import sqrt
from typing import Any, Final

__all__ = [
    "NOT_WANTED", "UNKNOWN", "basis_score", "clamp", "clip", "correlation_room", "forecast", "impact_bp", "level_score",
    "periods_to_earn", "persistence_score", "trend_score", "volume_score", "weight",
]  # fmt: skip

NOT_WANTED: Final = -1e300
"""The score of a pair that is not wanted."""

UNKNOWN: Final = -1.0
"""A score or a cap that is not known, or does not apply."""

PERIODS_MAX: Final = 90
_AR_KEPT: Final = 270
_PRIOR_PHI: Final = 0.83
_PRIOR_MU: Final = 0.0001
_PRIOR_COUNT: Final = 30.0


def clip(value: float) -> float:
    """`value` bounded to 0..1."""
    if value < 0.0:
        return 0.0
    if value > 1.0:
        return 1.0
    return value


def clamp(value: float, low: float, high: float) -> float:
    """`value` bounded to low..high."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def weight(span: float) -> float:
    """Smoothing of an exponential average over `span` values."""
    return 2.0 / (span + 1.0)


def level_score(rate: float, low: float, full: float) -> float:
    """How far the rate is from `low` towards a `full` one."""
    return clip((rate - low) / (full - low))


def trend_score(view: Any) -> float:
    """Whether the rate rises, in units of its usual step; a flat plateau is exactly one half. The fold keeps it as
    `view.trend_score`."""
    scale = max(view.rate_step, 0.00005)
    return clip(
        0.5 + 0.25 * (view.ema_fast - view.ema_slow) / scale + 0.25 * (view.rate_8h - view.rate_8h_before) / scale
    )


def persistence_score(view: Any, full: float) -> float:
    """How long the rate has been at `enter` or above, `full` periods of 8 h making 1. Reads averages."""
    return clip(view.periods_above / full)


def basis_score(view: Any) -> float:
    """Whether the short leg is dearer than usual; UNKNOWN before the first sample. The fold keeps it as
    `view.basis_score`."""
    if view.basis_count == 0:
        return UNKNOWN
    return clip(0.5 + view.basis_z / 4.0)


def volume_score(view: Any) -> float:
    """Whether more is traded than usual; UNKNOWN without turnover. The fold keeps it as `view.volume_score`."""
    if view.hourly_count == 0 or not view.hourly_week > 0.0:
        return UNKNOWN
    return clip(view.hourly_day / view.hourly_week - 0.5)


def forecast(view: Any) -> tuple[float, float]:
    """(phi, mu) of the funding forecast: bias-corrected AR(1), shrunk to a prior of 30 observations. Reads forecast."""
    if view.ar_count == 0:
        return _PRIOR_PHI, _PRIOR_MU
    n = float(min(view.ar_count, _AR_KEPT))
    phi = view.ar_cov / view.ar_var if view.ar_var > 1e-16 else _PRIOR_PHI
    phi += (1.0 + 3.0 * phi) / n
    phi = clamp((n * phi + _PRIOR_COUNT * _PRIOR_PHI) / (n + _PRIOR_COUNT), 0.0, 0.98)
    mu = (n * view.ar_mean + _PRIOR_COUNT * _PRIOR_MU) / (n + _PRIOR_COUNT)
    return phi, mu


def impact_bp(impact: float, sigma_d: float, notional: float, turnover: float) -> float:
    """Square-root impact in bp of trading `notional` in a leg with `turnover` in 24 h; 0 where that is unknown."""
    if not turnover > 0.0:
        return 0.0
    return impact * sigma_d * sqrt(notional / turnover) * 1e4


def periods_to_earn(cost: float, rate: float, phi: float, mu: float) -> tuple[int, float]:
    """(n, S_n): the first number of 8 h periods whose forecast funding reaches `cost`; (0, 0.0) if 90 do not."""
    gap = rate - mu
    total = 0.0
    if PERIODS_MAX * (mu + max(gap, 0.0)) < cost * 0.999999:  # not even without a decay
        return 0, total
    for n in range(1, PERIODS_MAX + 1):
        gap *= phi
        total += mu + gap
        if total >= cost:
            return n, total
    return 0, 0.0


def correlation_room(rho: float, limit: float, total: float, squares: float) -> float:
    """The largest further size with which `sum of sizes, sum of squares` stay within `limit` at pairwise correlation
    rho: the positive root of rho (G + s)^2 + (1 - rho)(Q + s^2) = K^2."""
    inside = rho * rho * total * total - rho * total * total - (1.0 - rho) * squares + limit * limit
    return -rho * total + sqrt(max(0.0, inside))
