"""composite: enter where several signals agree and the forecast pays for the round trip, at a size bounded by every
cap; leave when the rate no longer pays, as simple does. (docs/semantics.md 5.)"""

from typing import Any, Final

from carryfold.domain.strategies.library import (
    NOT_WANTED,
    UNKNOWN,
    clip,
    correlation_room,
    forecast,
    impact_bp,
    level_score,
    periods_to_earn,
    persistence_score,
)

NAME = "composite"
READS = ("averages", "forecast", "basis", "volume")
SCORES = ("level", "trend", "persistence", "basis", "volume", "phi", "mu", "break_even_8h")
CAPS = ("conviction", "pair", "book", "liquidity", "capital", "correlation")
GATES = ("break_even", "age", "interval", "too_small")
EXEMPT = ("capital",)  # a cap here

OBSERVATIONS_MIN: Final = 9


def score(v: Any, p: Any, q: float) -> float:
    """The conviction: weighted mean of the known scores, if it reaches conviction_enter. None before nine observations
    or without any weight."""
    if v.x_count < OBSERVATIONS_MIN:
        return NOT_WANTED
    total = p.w_level * level_score(q, p.exit, p.level_full)
    weights = p.w_level
    total += p.w_trend * v.trend_score
    weights += p.w_trend
    total += p.w_persistence * persistence_score(v, p.persist_full)
    weights += p.w_persistence
    if v.basis_score != UNKNOWN:
        total += p.w_basis * v.basis_score
        weights += p.w_basis
    if v.volume_score != UNKNOWN:
        total += p.w_volume * v.volume_score
        weights += p.w_volume
    if not weights > 0.0:
        return NOT_WANTED
    conviction = total / weights
    return conviction if conviction >= p.conviction_enter else NOT_WANTED


def size(v: Any, p: Any, d: Any) -> float:
    """The smallest of all caps."""
    strength = clip((d.score - p.conviction_enter) / (1.0 - p.conviction_enter))
    d.caps[0] = p.notional * (p.size_floor + (p.size_cap - p.size_floor) * strength) * d.theta
    d.caps[1] = p.pair_cap
    d.caps[2] = p.book_cap - d.gross
    d.caps[3] = p.liquidity_cap * d.turnover if d.turnover > 0.0 else UNKNOWN
    d.caps[4] = d.capital_room
    d.caps[5] = correlation_room(p.funding_corr, p.corr_cap, d.total, d.squares)
    smallest = min(d.caps[0], d.caps[1])
    smallest = min(smallest, d.caps[2])
    if d.caps[3] >= 0.0:
        smallest = min(smallest, d.caps[3])
    smallest = min(smallest, d.caps[4])
    return min(smallest, d.caps[5])  # type: ignore[no-any-return]


def gates(v: Any, p: Any, d: Any) -> int:
    """Break-even within 90 periods of 8 h, age, interval, and a size worth the trouble."""
    failed = 0
    traded = max(d.size, 0.0)
    impacts = impact_bp(p.impact, d.sigma_d, traded, d.long_turnover) + impact_bp(
        p.impact, d.sigma_d, traded, d.short_turnover
    )
    phi, mu = forecast(v)
    n, _ = periods_to_earn((d.round_trip_bp + 2.0 * impacts) / 1e4, d.q, phi, mu)
    d.scores[5] = phi
    d.scores[6] = mu
    d.scores[7] = n
    if n == 0:
        failed |= 1
    if not d.age_d >= p.min_age_d:
        failed |= 2
    if d.interval_h <= 0.0 or d.interval_h < p.min_interval_h:
        failed |= 4
    if d.size < 0.5 * p.size_floor * p.notional:
        failed |= 8
    return failed


def explain(v: Any, p: Any, d: Any) -> None:
    """Every component of the conviction."""
    d.scores[0] = level_score(d.q, p.exit, p.level_full)
    d.scores[1] = v.trend_score
    d.scores[2] = persistence_score(v, p.persist_full)
    d.scores[3] = v.basis_score
    d.scores[4] = v.volume_score


def leaves(v: Any, p: Any, q: float) -> bool:
    """The rate no longer pays. Low conviction is no reason: a plateau costs nothing to keep."""
    return q < p.exit  # type: ignore[no-any-return]
