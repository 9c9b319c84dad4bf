"""Strategy and simulation parameters: one frozen value, validated once, and its image for the compiled fold.

Numbers given as text are read as decimals and converted once to the nearest double, so `exit = 0.0001` is exactly the
double that a venue's "0.0001" becomes. Parameters never change inside a run.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["LIMITS_OF_EXECUTION", "PARAMS", "ParameterError", "Parameters", "parse_settings"]

Strategy = Literal["simple", "composite", "hold"]
RateSource = Literal["settled", "predicted", "blend"]
FillRule = Literal["next", "same"]
Account = Literal["uta", "split"]


class ParameterError(ValueError):
    """A parameter is unknown, malformed or out of range; the text says which and what is allowed."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every parameter of the three strategies and of the simulated venue. Units are in the names: `_bp` basis points,
    `_s` seconds, `_ms` milliseconds, `_d` days, `_h` hours; rates are 8 h-equivalent fractions, amounts are quote."""

    strategy: Strategy = "simple"
    enter: float = 0.0003
    exit: float = 0.0001
    notional: float = 1000.0
    max_positions: int = 5
    cadence_s: int = 60
    capital: float = 10000.0
    margin_fraction: float = 0.3333
    spot_taker_bp: float = 10.0
    perp_taker_bp: float = 5.5
    half_spread_bp: float = 1.0
    slippage_bp: float = 1.0
    impact: float = 1.0
    latency_ms: int = 1000
    fill: FillRule = "next"
    stale_s: int = 7200
    dead_s: int = 604800
    delist_haircut: float = 0.05
    account: Account = "uta"
    mmr: float = 0.005
    borrow_apr: float = 0.10
    cash_apr: float = 0.04
    rate_source: RateSource = "settled"
    level_full: float = 0.0006
    persist_full: float = 6.0
    ema_fast: int = 3
    ema_slow: int = 9
    w_level: float = 0.35
    w_trend: float = 0.25
    w_persistence: float = 0.25
    w_basis: float = 0.15
    w_volume: float = 0.0
    conviction_enter: float = 0.5
    min_age_d: float = 30.0
    min_interval_h: float = 2.0
    size_floor: float = 0.3
    size_cap: float = 1.0
    pair_cap: float = 1000.0
    book_cap: float = 5000.0
    liquidity_cap: float = 0.001
    funding_corr: float = 0.45
    corr_cap: float = 3750.0
    drawdown_limit: float = 0.05
    daily_loss_limit: float = 0.02

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                shown = f"{value:g}" if abs(value) < _SHOWN_MAX else "a number of more than 300 digits"
                raise ParameterError(f"{name} = {shown} is out of range: {low:g} to {high:g}")
        for later, earlier in (("enter", "exit"), ("level_full", "exit"), ("size_cap", "size_floor")):
            if getattr(self, later) < getattr(self, earlier):
                raise ParameterError(f"{later} must not be below {earlier}")
        if self.level_full == self.exit:
            raise ParameterError("level_full must be above exit")

    def record(self) -> npt.NDArray[np.void]:
        """The parameters as an array of one `PARAMS` record, for the fold; choices become their index."""
        image = np.zeros(1, PARAMS)
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                value = CHOICES[name].index(value)
            image[name] = value
        return image

    @property
    def view_parameters(self) -> tuple[object, ...]:
        """What views and rate estimates depend on: runs that agree in it and began with equal views can share them."""
        if self.strategy == "composite":
            return self.rate_source, self.strategy, self.enter, self.ema_fast, self.ema_slow
        return (self.rate_source,)

    def changed(self, settings: Mapping[str, Any]) -> "Parameters":
        """A copy with `settings` (already typed values) replaced."""
        return msgspec.structs.replace(self, **settings)


CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "strategy": get_args(Strategy),
    "rate_source": get_args(RateSource),
    "fill": get_args(FillRule),
    "account": get_args(Account),
}
"""Parameters that are a choice of words, and the words in the order of their code in the fold."""

_INTEGERS: Final = frozenset({"max_positions", "cadence_s", "latency_ms", "stale_s", "dead_s", "ema_fast", "ema_slow"})

_MONEY_MAX: Final = 1e12
_SHOWN_MAX: Final = 1e300
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "enter": (-1, 1),
    "exit": (-1, 1),
    "notional": (1e-6, _MONEY_MAX),
    "max_positions": (1, 10_000),
    "cadence_s": (1, 86400 * 365),
    "capital": (1e-6, 1e9 * 0.09),
    "margin_fraction": (0, 10),
    "spot_taker_bp": (-100, 1000),
    "perp_taker_bp": (-100, 1000),
    "half_spread_bp": (0, 5000),
    "slippage_bp": (0, 5000),
    "impact": (0, 100),
    "latency_ms": (0, 86_400_000),
    "stale_s": (1, 86400 * 3650),
    "dead_s": (1, 86400 * 3650),
    "delist_haircut": (0, 1),
    "mmr": (1e-6, 1),
    "borrow_apr": (0, 100),
    "cash_apr": (-1, 100),
    "level_full": (-1, 10),
    "persist_full": (1e-6, 1e6),
    "ema_fast": (1, 100_000),
    "ema_slow": (1, 100_000),
    "w_level": (0, 1e6),
    "w_trend": (0, 1e6),
    "w_persistence": (0, 1e6),
    "w_basis": (0, 1e6),
    "w_volume": (0, 1e6),
    "conviction_enter": (0, 0.999999),
    "min_age_d": (0, 36500),
    "min_interval_h": (0, 24),
    "size_floor": (0, 1000),
    "size_cap": (0, 1000),
    "pair_cap": (0, _MONEY_MAX),
    "book_cap": (0, _MONEY_MAX),
    "liquidity_cap": (0, 1),
    "funding_corr": (0, 1),
    "corr_cap": (0, _MONEY_MAX),
    "drawdown_limit": (1e-6, 1),
    "daily_loss_limit": (1e-6, 1),
}

PARAMS: Final = np.dtype(
    [(name, "i8" if name in _INTEGERS or name in CHOICES else "f8") for name in Parameters.__struct_fields__]
)
"""The fold's image of `Parameters`: same names, choices as int64 codes."""


def parse_settings(settings: Iterable[str], base: Parameters | None = None) -> Parameters:
    """Parameters from `name=value` texts, later ones winning. Raises ParameterError with one clear line."""
    values: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals:
            raise ParameterError(f"'{text}' is not of the form name=value")
        values[name] = _parse_value(name, value)
    return (base or Parameters()).changed(values)


LIMITS_OF_EXECUTION: Final = {"max_unhedged_notional": "max_unhedged_notional", "max_unhedged_s": "deadline_s"}
"""What is looked for here and set elsewhere."""


def _parse_value(name: str, text: str) -> Any:
    if name in LIMITS_OF_EXECUTION:
        limit = LIMITS_OF_EXECUTION[name]
        raise ParameterError(f"{name} is a limit of execution: write {limit} under [execution] in carryfold.toml")
    if name not in Parameters.__struct_fields__:
        raise ParameterError(f"unknown parameter '{name}'; known: {', '.join(Parameters.__struct_fields__)}")
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise ParameterError(f"{name} must be one of {', '.join(CHOICES[name])}, not '{text}'")
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ParameterError(f"{name} = '{text}' is not a decimal number") from None
    if not number.is_finite():
        raise ParameterError(f"{name} = '{text}' is not a finite number")
    if name not in _INTEGERS:
        return float(number)
    low, high = _BOUNDS[name]
    if not low <= number <= high:  # before it becomes an integer: 1e999999999 would take all memory
        raise ParameterError(f"{name} = {text} is out of range: {low:g} to {high:g}")
    if number != number.to_integral_value():
        raise ParameterError(f"{name} = '{text}' must be a whole number")
    return int(number)
