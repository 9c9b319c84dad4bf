"""Small functions for known-answer tests: what the oracle makes of a list of settled rates."""

from collections.abc import Sequence
from dataclasses import dataclass

from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind

from .naive_rates import HOUR, Counters, Row
from .naive_strategy import break_even, correlation_room
from .naive_view import Market

__all__ = ["Signals", "break_even", "correlation_room", "signals_of"]


@dataclass(frozen=True)
class Signals:
    """Signals after the last settlement; rates are 8 h-equivalents."""

    ema_fast: float
    ema_slow: float
    dx: float
    scores: dict[str, float | None]
    conviction: float | None
    mx: float
    v: float
    c: float
    phi: float
    mu: float


def signals_of(
    rates: Sequence[float],
    params: Parameters,
    *,
    interval_h: int = 8,
    basis_z: float | None = None,
    enough: bool = True,
) -> Signals:
    """Feeds one settled rate per interval, from the start of an 8 h bucket; `enough`: few make a conviction."""
    market = Market(b"PAIR", params, Counters())
    for number, rate in enumerate(rates, 1):
        at = 7 * 24 * HOUR + number * interval_h * HOUR
        market.observe([Row(at, at, number, 0, int(Kind.FUNDING_SETTLED), 0, rate, float(interval_h), 0.0, 0.0)], True)
    if basis_z is not None:
        market.basis_samples, market.basis_z = 49, basis_z
    rates_seen = market.rates
    if enough:
        rates_seen.x_count += 9
    regression = rates_seen.regression
    phi, mu = regression.phi_mu()
    return Signals(
        rates_seen.ema_fast,
        rates_seen.ema_slow,
        rates_seen.dx,
        market.scores(rates_seen.x),
        market.conviction(rates_seen.x),
        regression.mx,
        regression.v,
        regression.c,
        phi,
        mu,
    )
