"""Scores between 0 and 1 and the conviction they add up to. (docs/semantics.md 4, Signals.)"""

from typing import Any

from carryfold.domain.fold._compile import compiled
from carryfold.domain.fold.arithmetic import clip

MIN_SETTLEMENTS = 9
UNKNOWN = -1.0


@compiled
def level_score(params: Any, q: float) -> float:
    """How far the rate is from the exit towards a full one."""
    return clip((q - params.exit) / (params.level_full - params.exit))


@compiled
def trend_score(v: Any) -> float:
    """Whether the rate rises, in units of its usual step; a flat plateau is exactly one half."""
    scale = max(v.dx, 0.00005)
    return clip(0.5 + 0.25 * (v.ema_fast - v.ema_slow) / scale + 0.25 * (v.x - v.x_before) / scale)


@compiled
def persistence_score(v: Any, params: Any) -> float:
    """How long the rate has been high enough."""
    return clip(v.run_h8 / params.persist_full)


@compiled
def basis_score(v: Any) -> float:
    """Whether the perpetual is dearer than usual; UNKNOWN before the first sample."""
    if v.basis_count == 0:
        return UNKNOWN
    return clip(0.5 + v.basis_z / 4.0)


@compiled
def volume_score(v: Any) -> float:
    """Whether more is traded than usual; UNKNOWN without turnover."""
    if v.hourly_count == 0 or not v.hourly_week > 0.0:
        return UNKNOWN
    return clip(v.hourly_day / v.hourly_week - 0.5)


@compiled
def conviction(v: Any, params: Any, q: float) -> float:
    """Weighted mean of the known scores; UNKNOWN before nine settled rates or without any weight."""
    if v.x_count < MIN_SETTLEMENTS:
        return UNKNOWN
    total = params.w_level * level_score(params, q)
    weights = params.w_level
    total += params.w_trend * trend_score(v)
    weights += params.w_trend
    total += params.w_persistence * persistence_score(v, params)
    weights += params.w_persistence
    basis = basis_score(v)
    if basis != UNKNOWN:
        total += params.w_basis * basis
        weights += params.w_basis
    volume = volume_score(v)
    if volume != UNKNOWN:
        total += params.w_volume * volume
        weights += params.w_volume
    if not weights > 0.0:
        return UNKNOWN
    return total / weights
