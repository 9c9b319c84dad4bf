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


def score(view: Any, params: Any, rate: float) -> float:
    """The conviction: weighted mean of the known scores, if it reaches conviction_enter. None before nine observations
    or without any weight."""
    if view.rate_count < OBSERVATIONS_MIN:
        return NOT_WANTED
    total = params.w_level * level_score(rate, params.exit, params.level_full)
    weights = params.w_level
    total += params.w_trend * view.trend_score
    weights += params.w_trend
    total += params.w_persistence * persistence_score(view, params.persist_full)
    weights += params.w_persistence
    if view.basis_score != UNKNOWN:
        total += params.w_basis * view.basis_score
        weights += params.w_basis
    if view.volume_score != UNKNOWN:
        total += params.w_volume * view.volume_score
        weights += params.w_volume
    if not weights > 0.0:
        return NOT_WANTED
    conviction = total / weights
    return conviction if conviction >= params.conviction_enter else NOT_WANTED


def size(view: Any, params: Any, decision: Any) -> float:
    """The smallest of all caps."""
    strength = clip((decision.score - params.conviction_enter) / (1.0 - params.conviction_enter))
    decision.caps[0] = (
        params.notional * (params.size_floor + (params.size_cap - params.size_floor) * strength) * decision.throttle
    )
    decision.caps[1] = params.pair_cap
    decision.caps[2] = params.book_cap - decision.gross
    decision.caps[3] = params.liquidity_cap * decision.turnover if decision.turnover > 0.0 else UNKNOWN
    decision.caps[4] = decision.capital_room
    decision.caps[5] = correlation_room(params.funding_corr, params.corr_cap, decision.total, decision.squares)
    smallest = min(decision.caps[0], decision.caps[1])
    smallest = min(smallest, decision.caps[2])
    if decision.caps[3] >= 0.0:
        smallest = min(smallest, decision.caps[3])
    smallest = min(smallest, decision.caps[4])
    return min(smallest, decision.caps[5])  # type: ignore[no-any-return]


def gates(view: Any, params: Any, decision: Any) -> int:
    """Break-even within 90 periods of 8 h, age, interval, and a size worth the trouble."""
    failed = 0
    traded = max(decision.size, 0.0)
    impacts = impact_bp(params.impact, decision.sigma_d, traded, decision.long_turnover) + impact_bp(
        params.impact, decision.sigma_d, traded, decision.short_turnover
    )
    phi, mu = forecast(view)
    n, _ = periods_to_earn((decision.round_trip_bp + 2.0 * impacts) / 1e4, decision.estimate_8h, phi, mu)
    decision.scores[5] = phi
    decision.scores[6] = mu
    decision.scores[7] = n
    if n == 0:
        failed |= 1
    if not decision.age_d >= params.min_age_d:
        failed |= 2
    if decision.interval_h <= 0.0 or decision.interval_h < params.min_interval_h:
        failed |= 4
    if decision.size < 0.5 * params.size_floor * params.notional:
        failed |= 8
    return failed


def explain(view: Any, params: Any, decision: Any) -> None:
    """Every component of the conviction."""
    decision.scores[0] = level_score(decision.estimate_8h, params.exit, params.level_full)
    decision.scores[1] = view.trend_score
    decision.scores[2] = persistence_score(view, params.persist_full)
    decision.scores[3] = view.basis_score
    decision.scores[4] = view.volume_score


def leaves(view: Any, params: Any, rate: float) -> bool:
    """The rate no longer pays. Low conviction is no reason: a plateau costs nothing to keep."""
    return rate < params.exit  # type: ignore[no-any-return]
