"""Helpers for known-answer tests: the oracle's signals for a list of settled rates."""

from collections.abc import Sequence
from dataclasses import dataclass

from carryfold.domain.instruments import Instrument
from carryfold.domain.params import Parameters

from .naive_market import PairMarket
from .naive_pairs import assumed_carry
from .naive_rates import HOUR, Counters
from .naive_strategy import break_even, correlation_room
from .naive_view import View

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
    pair, counters = assumed_carry(Instrument("venue", "PAIR", "perp")), Counters()
    long, short = View(pair.long, params, counters), View(pair.short, params, counters)
    market = PairMarket(pair, long, short, params, counters)
    for number, rate in enumerate(rates, 1):
        short.rates.interval_h, short.rates.x = float(interval_h), rate * 8.0 / interval_h
        market.observe_rates(7 * 24 * HOUR + number * interval_h * HOUR, {pair.short: rate})
    if basis_z is not None:
        market.basis_samples, market.basis_z = 49, basis_z
    averages = market.rates
    if enough:
        averages.x_count += 9
    regression = averages.regression
    phi, mu = regression.phi_mu()
    return Signals(
        averages.ema_fast,
        averages.ema_slow,
        averages.dx,
        market.scores(averages.x),
        market.conviction(averages.x),
        regression.mx,
        regression.v,
        regression.c,
        phi,
        mu,
    )
