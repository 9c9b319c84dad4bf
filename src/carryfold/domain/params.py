"""Strategy and simulation parameters: one frozen value, validated once, and its image for the compiled fold.

Numbers given as text are read as decimals and converted once to the nearest double, so `exit = 0.0001` is exactly the
double that a venue's "0.0001" becomes. Parameters never change inside a run. A user's strategy brings parameters of its
own, which are named and set like all others and kept in `own`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import InstrumentKind, Legs
from carryfold.domain.strategies.registry import READS, Strategy, StrategyError, registered, strategy_named

__all__ = [
    "LIMITS_OF_EXECUTION", "SHARED_GATES", "SIZES", "ParameterError", "Parameters", "Size", "parameter_names",
    "params_dtype", "parse_settings",
]  # fmt: skip

RateSource = Literal["settled", "predicted", "blend"]
FillRule = Literal["next", "same"]
Account = Literal["uta", "split"]
Size = float | str
"""An amount in quote, or a share of the capital as text: `10%`."""


class ParameterError(ValueError):
    """A parameter is unknown, malformed or out of range; the text says which and what is allowed."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every parameter of the built-in strategies and of the simulated venue. Units are in the names: `_bp` basis
    points, `_s` seconds, `_ms` milliseconds, `_d` days, `_h` hours; rates are 8 h-equivalent fractions, amounts are
    quote. A `Size` is kept as it was written, so that a share follows the capital; `in_quote` resolves it.
    `fees`: taker fees in bp that differ, as `venue:kind=bp,...`; `split`: shares of the capital by venue, as
    `venue=share,...` (default: equal ones); `own`: parameters of a user's strategy."""

    strategy: str = "simple"
    enter: float = 0.0003
    exit: float = 0.0001
    notional: Size = 1000.0
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
    pair_cap: Size = 1000.0
    book_cap: Size = 5000.0
    liquidity_cap: float = 0.001
    funding_corr: float = 0.45
    corr_cap: Size = 3750.0
    drawdown_limit: float = 0.05
    daily_loss_limit: float = 0.02
    legs: Legs = "carry"
    carry_across: bool = False
    leg_skew_s: int = 5
    fees: str = ""
    split: str = ""
    own: dict[str, float] = {}

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = self.in_quote(name) if name in SIZES else getattr(self, name)
            if not low <= value <= high:
                shown = f"{value:g}" if abs(value) < _SHOWN_MAX else "a number of more than 300 digits"
                raise ParameterError(f"{name} = {shown} is out of range: {low:g} to {high:g}")
        for later, earlier in (("enter", "exit"), ("level_full", "exit"), ("size_cap", "size_floor")):
            if getattr(self, later) < getattr(self, earlier):
                raise ParameterError(f"{later} must not be below {earlier}")
        if self.level_full == self.exit:
            raise ParameterError("level_full must be above exit")
        try:
            strategy_named(self.strategy)
        except StrategyError as error:
            raise ParameterError(str(error)) from None
        bounds = _own_bounds()
        for name, value in self.own.items():
            if name not in bounds:
                raise ParameterError(f"unknown parameter '{name}'; known: {', '.join(parameter_names())}")
            _, low, high = bounds[name]
            if not low <= value <= high:
                raise ParameterError(f"{name} = {value:g} is out of range: {low:g} to {high:g}")
        self.taker_bp("", "spot")
        self.shares([])

    def in_quote(self, name: str) -> float:
        """The size `name` in quote, a share taken of the capital. Raises ParameterError."""
        value: Size = getattr(self, name)
        if isinstance(value, str):
            return float(_share(name, value) * Decimal(repr(self.capital)))
        return value

    def taker_bp(self, venue: str, kind: InstrumentKind) -> float:
        """The taker fee of an instrument of this venue and kind, in bp."""
        given = _by_name(self.fees, "fees", "venue:kind=bp", -100.0, 1000.0)
        for name in given:
            if name.partition(":")[2] not in ("spot", "perp"):
                raise ParameterError(f"fees: '{name}' is not of the form venue:spot or venue:perp")
        return given.get(f"{venue}:{kind}", self.spot_taker_bp if kind == "spot" else self.perp_taker_bp)

    def shares(self, venues: Sequence[str]) -> list[int]:
        """The capital in 1e-8 by venue (in byte order): by `split`, or in equal parts; what rounding leaves goes to the
        first. Raises ParameterError for a split over other venues."""
        capital = round(self.capital * 1e8)
        given = _by_name(self.split, "split", "venue=share", 0.0, 1.0)
        if given and venues:
            if set(given) != set(venues):
                raise ParameterError(f"split must give the share of each venue of the run: {', '.join(venues)}")
            if abs(sum(given.values()) - 1.0) > 1e-9:
                raise ParameterError("split: the shares must add up to 1")
        parts = [int(capital * given[venue]) if given else capital // len(venues) for venue in venues]
        if parts:
            parts[0] += capital - sum(parts)
        return parts

    def record(self) -> npt.NDArray[np.void]:
        """The parameters as an array of one `PARAMS` record, for the fold; choices become their index."""
        image = np.zeros(1, params_dtype())
        for name in _IMAGED:
            value = self.in_quote(name) if name in SIZES else getattr(self, name)
            image[name] = CHOICES[name].index(value) if name in CHOICES else value
        for name, (default, _, _) in _own_bounds().items():
            image[name] = self.own.get(name, default)
        strategies = registered()
        strategy = strategy_named(self.strategy)
        image["strategy"] = strategies.index(strategy)
        image["once"], image["needs_rate"] = strategy.once, strategy.needs_rate
        image["carry_only"], image["by_rate"] = strategy.carry_only, strategy.by_rate
        image["reads"] = sum(1 << READS.index(word) for word in strategy.reads)
        image["explains"] = bool(strategy.scores or strategy.caps or strategy.gates)
        image["applied"] = _applied(strategy)
        return image

    @property
    def view_parameters(self) -> tuple[object, ...]:
        """What views and rate estimates depend on: runs that agree in it and began with equal views can share them."""
        strategy = strategy_named(self.strategy)
        averages = (self.enter, self.ema_fast, self.ema_slow) if "averages" in strategy.reads else ()
        ages = self.stale_s, self.dead_s  # what the market shows of a pair is too old at these
        return self.rate_source, self.leg_skew_s, *ages, *strategy.reads, *averages

    def changed(self, settings: Mapping[str, Any]) -> "Parameters":
        """A copy with `settings` (already typed values) replaced."""
        return msgspec.structs.replace(self, **settings)


CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "rate_source": get_args(RateSource),
    "fill": get_args(FillRule),
    "account": get_args(Account),
    "legs": get_args(Legs),
}
"""Parameters that are a choice of words, and the words in the order of their code in the fold."""

SIZES: Final = ("notional", "pair_cap", "book_cap", "corr_cap")
"""Parameters that are an amount in quote or a share of the capital."""

_INTEGERS: Final = frozenset(
    {"max_positions", "cadence_s", "latency_ms", "stale_s", "dead_s", "ema_fast", "ema_slow", "leg_skew_s"}
)
_BOOLEANS: Final = frozenset({"carry_across"})
_TEXTS: Final = frozenset({"strategy", "fees", "split"})
_IMAGED: Final = tuple(name for name in Parameters.__struct_fields__ if name not in _TEXTS and name != "own")
_DERIVED: Final = ("strategy", "once", "needs_rate", "carry_only", "by_rate", "reads", "explains", "applied")

SHARED_GATES: Final = (
    "listed", "prices", "stale_price", "stale_rate", "halted", "delisting", "daily_loss", "margin", "capital",
    "min_notional", "slots", "busy", "universe",
)  # fmt: skip
"""The gates that all strategies share, in the order of their bits; a strategy's own follow."""

_MONEY_MAX: Final = 1e12
_PERCENT_MAX: Final = 1_000_000
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
    "leg_skew_s": (0, 86400),
}


def params_dtype() -> np.dtype[np.void]:
    """The fold's image of `Parameters`: same names, choices as int64 codes; then what the strategy says of itself, and
    the parameters of users' strategies."""
    return _image_dtype(tuple(_own_bounds()))


@cache
def _image_dtype(own: tuple[str, ...]) -> np.dtype[np.void]:
    """Cached because the compiled fold recognises a type by its identity. Two equal types would be compared field by
    field, which takes as long as folding a row."""
    whole = _INTEGERS | _BOOLEANS | set(CHOICES)
    fields = [(name, "i8" if name in whole else "f8") for name in _IMAGED]
    return np.dtype([*fields, *((name, "i8") for name in _DERIVED), *((name, "f8") for name in own)])


def parameter_names() -> tuple[str, ...]:
    """Everything that can be set by name."""
    return (*(name for name in Parameters.__struct_fields__ if name != "own"), *_own_bounds())


def _own_bounds() -> dict[str, tuple[float, float, float]]:
    """(default, low, high) of every parameter of users' strategies. Raises ParameterError for a name that is taken."""
    bounds: dict[str, tuple[float, float, float]] = {}
    for strategy in registered():
        for name, found in strategy.parameters.items():
            if name in Parameters.__struct_fields__ or name in _DERIVED or bounds.get(name, found) != found:
                raise ParameterError(f"{strategy.name}: there is a parameter '{name}' already: give it another name")
            bounds[name] = found
    return bounds


def _applied(strategy: Strategy) -> int:
    """The gates that apply to a strategy, as bits. Raises ParameterError for an exemption from a gate there is not."""
    unknown = [gate for gate in strategy.exempt if gate not in SHARED_GATES]
    if unknown:
        raise ParameterError(f"{strategy.name}: there is no gate '{unknown[0]}'; known: {', '.join(SHARED_GATES)}")
    shared = sum(1 << i for i, gate in enumerate(SHARED_GATES) if gate not in strategy.exempt)
    return shared | ((1 << len(strategy.gates)) - 1) << len(SHARED_GATES)


def _by_name(text: str, name: str, form: str, low: float, high: float) -> dict[str, float]:
    """Numbers by name in `a=1,b=2`. Raises ParameterError."""
    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        number = _number(value.strip())
        if not equals or not key.strip() or number is None or not low <= number <= high:
            raise ParameterError(f"{name}: '{part}' is not of the form {form}, from {low:g} to {high:g}")
        found[key.strip()] = float(number)
    return found


def _share(name: str, text: str) -> Decimal:
    """The fraction that `10%` says. Raises ParameterError."""
    number = _number(text.removesuffix("%").strip())
    if not text.endswith("%") or number is None or not 0 <= number <= _PERCENT_MAX:
        raise ParameterError(f"{name} = '{text}' is neither an amount nor a share of the capital such as 10%")
    return number / 100


def _number(text: str) -> Decimal | None:
    """A finite decimal, or None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def parse_settings(settings: Iterable[str], base: Parameters | None = None) -> Parameters:
    """Parameters from `name=value` texts, later ones winning. Raises ParameterError with one clear line."""
    base = base or Parameters()
    values: dict[str, Any] = {}
    own = dict(base.own)
    for text in settings:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals:
            raise ParameterError(f"'{text}' is not of the form name=value")
        if name in _own_bounds():
            own[name] = _parse_value(name, value)
        else:
            values[name] = _parse_value(name, value)
    return base.changed(values | {"own": own})


LIMITS_OF_EXECUTION: Final = {"max_unhedged_notional": "max_unhedged_notional", "max_unhedged_s": "deadline_s"}
"""Limits that users look for among the parameters, and their name in [execution]."""


def _parse_value(name: str, text: str) -> Any:
    if name in LIMITS_OF_EXECUTION:
        limit = LIMITS_OF_EXECUTION[name]
        raise ParameterError(f"{name} is a limit of execution: write {limit} under [execution] in carryfold.toml")
    if name not in parameter_names():
        raise ParameterError(f"unknown parameter '{name}'; known: {', '.join(parameter_names())}")
    if name in _TEXTS:
        return text
    if name in _BOOLEANS:
        if text not in ("true", "false"):
            raise ParameterError(f"{name} must be true or false, not '{text}'")
        return text == "true"
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise ParameterError(f"{name} must be one of {', '.join(CHOICES[name])}, not '{text}'")
        return text
    if name in SIZES and text.endswith("%"):
        return f"{(_share(name, text) * 100).normalize():f}%"
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
