"""Random cases for differential tests: a market, difficult parameters, and the bounds of a run.

Hypothesis draws and shrinks the shape of the market; `random_case` makes the same kind of case from one number.
"""

from dataclasses import dataclass, field
from math import nextafter
from random import Random
from typing import Any

from hypothesis import strategies as st

from carryfold.domain.instruments import Listing, Pair
from carryfold.domain.params import Parameters

from .market_rows import EPOCH, FEEDS, FLAGS, HOUR, VENUES, RowTuple, Shape, as_rows, rows_of
from .naive_pairs import pairs_among, venues_of

__all__ = ["Case", "Shape", "as_rows", "cases", "parameters_of", "random_case", "rows_of", "shape_of"]


@dataclass(frozen=True)
class Case:
    """One differential test: a market, parameters, the run's pairs in pair order and the bounds of the run. All of it
    is made from a shape and a second seed."""

    shape: Shape
    params_seed: int
    rows: list[RowTuple] = field(init=False)
    listings: list[Listing] = field(init=False)
    params: Parameters = field(init=False)
    pairs: list[Pair] = field(init=False)
    since: int = field(init=False)
    until: int | None = field(init=False)

    def __post_init__(self) -> None:
        rng = Random(f"bounds {self.params_seed}")
        shape = self.shape
        rows, listings = rows_of(shape)
        params = parameters_of(self.params_seed)
        if not pairs_among(listings, params):
            params = params.changed({"legs": "both"})
        pairs = pairs_among(listings, params)
        if len(pairs) > 1 and rng.random() < 0.2:
            pairs = [pair for pair in pairs if rng.random() < 0.6] or pairs[:1]
        venues = venues_of(pairs)
        if len(venues) == len(VENUES) and rng.random() < 0.3:
            share = rng.choice([0.1, 0.35, 0.5, 0.9])
            params = params.changed({"split": f"{venues[0]}={share},{venues[1]}={round(1 - share, 2)}"})
        begin = EPOCH + shape.start_h * HOUR
        since, until = 0, None
        if rng.random() < 0.3:
            since = begin + rng.randrange(0, max(1, shape.hours // 2)) * HOUR
        if rng.random() < 0.2:
            until = begin + rng.randrange(shape.hours // 2, shape.hours) * HOUR
        made = {"rows": rows, "listings": listings, "params": params, "pairs": pairs, "since": since, "until": until}
        for name, value in made.items():
            object.__setattr__(self, name, value)


def shape_of(seed: int) -> Shape:
    """A shape from a seed alone, for runs without hypothesis."""
    rng = Random(f"shape {seed}")
    trouble = rng.choice([0.1, 0.25, 0.5])
    flags: dict[str, Any] = {name: rng.random() < trouble for name in FLAGS if name != "universe"}
    universe = Random(f"universe {seed}").random() < trouble  # a draw of its own leaves older seeds what they were
    two_venues = rng.random() < 0.6
    return Shape(
        seed=seed,
        coins=rng.choice([1, 2, 2] if two_venues else [1, 2, 3, 4, 6]),
        hours=rng.choice([24, 72, 100, 200] if two_venues else [24, 72, 100, 200, 400]),
        start_h=rng.randrange(0, 24),
        feed=rng.choice(FEEDS),
        **{**flags, "jumps": rng.random() < 0.5, "two_venues": two_venues, "universe": universe},
    )


def parameters_of(seed: int) -> Parameters:
    """Difficult parameters: tight capital, few slots, odd delays; sometimes all defaults."""
    rng = Random(f"parameters {seed}")
    settings: dict[str, Any] = {"strategy": rng.choice(["simple", "simple", "composite", "composite", "hold"])}
    trouble = rng.choice([0.1, 0.25, 0.4])
    for name, choices in _CHOICES.items():
        if rng.random() < trouble:
            settings[name] = rng.choice(choices)
    if settings["strategy"] == "composite" and rng.random() < 0.8:
        settings.update(min_age_d=rng.choice([0.0, 0.0, 1.0]), conviction_enter=rng.choice([0.0, 0.3, 0.5]))
    profile = rng.random()
    if profile < 0.25:
        settings.update(account="split", margin_fraction=rng.choice([0.01, 0.02, 0.05, 0.1]))
    elif profile < 0.45:
        settings.update(
            account="uta", margin_fraction=0.0, notional=1000.0, capital=rng.choice([1010.0, 2020.0, 3050.0])
        )
        settings.update(mmr=rng.choice([0.005, 0.9, 0.9]), borrow_apr=rng.choice([0.1, 5.0]))
    elif profile < 0.65:
        settings.update(
            account="uta", margin_fraction=rng.choice([0.02, 0.1, 0.3333]), mmr=rng.choice([0.02, 0.1, 0.3])
        )
        settings.update(capital=rng.choice([700.0, 1500.0, 3000.0]), notional=rng.choice([100.0, 600.0, 1000.0]))
    if rng.random() < 0.5:
        settings.update(spot_taker_bp=rng.choice([0.0, 1.0]), perp_taker_bp=rng.choice([0.0, 0.7]))
    if rng.random() < 0.3:
        settings["stale_s"] = rng.choice([14_400, 40_000, 200_000])
    if settings.get("size_cap", 1.0) < settings.get("size_floor", 0.3):
        settings["size_floor"] = 0.0
    if settings.get("enter", 0.0003) < settings.get("exit", 0.0001):
        del settings["exit"]
    if rng.random() < 0.05:
        settings = {"strategy": settings["strategy"]}
    legs: dict[str, Any] = {"legs": rng.choice(["carry", "spread", "both"])}
    legs["carry_across"] = rng.random() < 0.3
    if rng.random() < 0.25:
        legs["leg_skew_s"] = rng.choice([0, 1, 60, 3600])
    if rng.random() < 0.3:
        legs["fees"] = rng.choice(FEES)
    return Parameters(**settings, **legs)


def random_case(seed: int) -> Case:
    """A case from one number."""
    return Case(shape_of(seed), seed)


@st.composite
def cases(draw: st.DrawFn, coins_max: int = 3, hours_max: int = 150) -> Case:
    """Hypothesis strategy: shapes shrink towards the simplest market, numbers do not."""
    flags: dict[str, Any] = {name: draw(st.booleans()) for name in FLAGS}
    shape = Shape(
        seed=draw(st.integers(0, 2**32)),
        coins=draw(st.integers(1, coins_max)),
        hours=draw(st.integers(12, hours_max)),
        start_h=draw(st.integers(0, 23)),
        feed=draw(st.sampled_from(FEEDS)),
        **flags,
    )
    return Case(shape, draw(st.integers(0, 2**32)))


FEES = ["beta:perp=4.5", "alpha:spot=1,beta:perp=0.2", "alpha:perp=-0.5,beta:spot=20", "beta:spot=0,beta:perp=0"]

_CHOICES: dict[str, list[Any]] = {
    "enter": [0.0001, 0.0002, 0.0006],
    "exit": [0.0001, 0.00005, 0.0, nextafter(0.0001, 1.0), -0.0005],
    "notional": [100.0, 777.77, 5000.0],
    "max_positions": [1, 2, 3],
    "cadence_s": [1, 60, 600, 3600, 28800],
    "capital": [500.0, 1500.0, 3000.0, 100000.0],
    "margin_fraction": [0.0, 0.02, 0.05, 0.1, 1.0],
    "spot_taker_bp": [0.0, 2.0, -1.0],
    "perp_taker_bp": [0.0, 2.0, -0.5],
    "half_spread_bp": [0.0, 0.3, 5.0],
    "slippage_bp": [0.0, 0.7],
    "impact": [0.0, 0.0, 0.3, 2.0],
    "latency_ms": [0, 0, 250, 60_000, 3_600_000, 4 * 3_600_000],
    "fill": ["next", "same"],
    "stale_s": [1, 900, 3600, 40_000],
    "dead_s": [3600, 6 * 3600, 86400],
    "delist_haircut": [0.0, 0.1, 1.0],
    "account": ["split", "split", "uta"],
    "mmr": [0.001, 0.02, 0.3],
    "borrow_apr": [0.0, 1.0, 20.0],
    "rate_source": ["predicted", "blend"],
    "level_full": [0.0012],
    "persist_full": [1.0, 3.0],
    "ema_fast": [1, 2, 5],
    "ema_slow": [4, 20],
    "w_level": [0.0, 1.0],
    "w_trend": [0.0, 1.0],
    "w_persistence": [0.0],
    "w_basis": [0.0, 0.5],
    "w_volume": [0.1, 0.5],
    "conviction_enter": [0.0, 0.2, 0.4, 0.7],
    "min_age_d": [0.0, 0.0, 1.0, 2.5],
    "min_interval_h": [0.0, 0.0, 1.0, 8.0],
    "size_floor": [0.0, 0.5, 1.0],
    "size_cap": [0.5, 2.0],
    "pair_cap": [100.0, 300.0, 5000.0],
    "book_cap": [500.0, 1200.0, 50000.0],
    "liquidity_cap": [0.00001, 0.1, 1.0],
    "funding_corr": [0.0, 0.2, 1.0],
    "corr_cap": [200.0, 500.0, 1500.0],
    "drawdown_limit": [0.0005, 0.005, 0.5],
    "daily_loss_limit": [0.00001, 0.001, 0.5],
}
