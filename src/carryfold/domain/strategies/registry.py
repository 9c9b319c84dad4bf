"""Which strategies there are: the built-in ones, and the files that a user named."""

import ast
import importlib.util
import sys
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from carryfold.domain.strategies import composite, hold, simple

__all__ = ["OWN_MAX", "READS", "Strategy", "StrategyError", "register", "registered", "strategy_named"]

OWN_MAX: Final = 4
"""So many files of users can be compiled into one kernel."""

READS: Final = ("averages", "forecast", "basis", "volume")
"""What a strategy may read of a pair beside its rate; only what some strategy of a run reads is kept up to date."""

_FUNCTIONS: Final = {"score": 3, "size": 3, "leaves": 3}
_OPTIONAL: Final = {"gates": 3, "explain": 3}
_NAMES_MAX: Final = 8


class StrategyError(ValueError):
    """A strategy file cannot be used; the text is one line that says why."""


class Strategy(msgspec.Struct, frozen=True):
    """A strategy as its module says it.

    `scores`, `caps` and `gates` name what it leaves in a decision record; `exempt`: shared gates that do not apply to
    it; `reads`: of READS; `once`: a pair is entered at most once; `needs_rate`: no score without a known rate;
    `carry_only`: spreads are not for it; `by_rate`: of two pairs the one with the higher rate has the higher score, and
    where one is not wanted no pair with a lower rate is (the fold then need not ask for every pair); `parameters`: its
    own, (default, low, high) by name.
    """

    name: str
    module: ModuleType
    path: str = ""
    scores: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    once: bool = False
    needs_rate: bool = True
    carry_only: bool = False
    by_rate: bool = False
    parameters: dict[str, tuple[float, float, float]] = {}


def _strategy(module: ModuleType, name: str, path: str = "") -> Strategy:
    """What a module says. Raises StrategyError."""

    def words(constant: str, allowed: tuple[str, ...] | None = None) -> tuple[str, ...]:
        found = getattr(module, constant, ())
        if not isinstance(found, tuple) or not all(isinstance(word, str) for word in found):
            raise StrategyError(f"{path or name}: {constant} must be a tuple of texts")
        if len(found) > _NAMES_MAX:
            raise StrategyError(f"{path or name}: {constant} has more than {_NAMES_MAX} names")
        unknown = [word for word in found if allowed is not None and word not in allowed]
        if unknown:
            raise StrategyError(f"{path or name}: {constant} names '{unknown[0]}'; known: {', '.join(allowed or ())}")
        return found

    for function, count in (_FUNCTIONS | _OPTIONAL).items():
        found = getattr(module, function, None)
        if found is None and function in _OPTIONAL:
            continue
        code = getattr(found, "__code__", None)
        if code is None or code.co_argcount != count:
            raise StrategyError(f"{path or name}: a strategy needs a function {function} with {count} arguments")
    parameters: dict[str, tuple[float, float, float]] = {}
    for parameter, bounds in dict(getattr(module, "PARAMETERS", {})).items():
        if not str(parameter).isidentifier() or not isinstance(bounds, tuple) or len(bounds) != 3:
            raise StrategyError(f"{path or name}: PARAMETERS must give (default, low, high) by name")
        default, low, high = (float(value) for value in bounds)
        if not low <= default <= high:
            raise StrategyError(f"{path or name}: the default of {parameter} is not within its bounds")
        parameters[str(parameter)] = default, low, high
    return Strategy(
        name=name,
        module=module,
        path=path,
        scores=words("SCORES"),
        caps=words("CAPS"),
        gates=words("GATES"),
        exempt=words("EXEMPT"),
        reads=words("READS", READS),
        once=bool(getattr(module, "ONCE", False)),
        needs_rate=bool(getattr(module, "NEEDS_RATE", True)),
        carry_only=bool(getattr(module, "CARRY_ONLY", False)),
        by_rate=bool(getattr(module, "BY_RATE", False)),
        parameters=parameters,
    )


_BUILT_IN: Final = [_strategy(module, module.NAME) for module in (simple, composite, hold)]
_OWN: list[Strategy] = []


def registered() -> list[Strategy]:
    """All strategies, in the order of their codes in the fold."""
    return [*_BUILT_IN, *_OWN]


def strategy_named(name: str) -> Strategy:
    """One of them. Raises StrategyError."""
    for strategy in registered():
        if strategy.name == name:
            return strategy
    known = ", ".join(strategy.name for strategy in registered())
    raise StrategyError(f"no strategy '{name}'; there are {known}, or name a file: ./mine.py")


def register(path: Path) -> Strategy:
    """Take a user's file in, under its own stem as name. The same file again changes nothing. Raises StrategyError."""
    path = path.resolve()
    for strategy in _OWN:
        if strategy.path == str(path):
            return strategy
    name = path.stem
    if "carryfold.domain.fold" in sys.modules:
        raise StrategyError(f"{path.name}: strategy files have to be named before the first run of a process")
    if name in {strategy.name for strategy in registered()}:
        raise StrategyError(f"{path.name}: there is a strategy '{name}' already: give the file another name")
    if not name.isidentifier():
        raise StrategyError(f"{path.name}: the file's name must be letters, digits and _ alone")
    if len(_OWN) >= OWN_MAX:
        raise StrategyError(f"{path.name}: at most {OWN_MAX} strategy files in one process")
    strategy = _strategy(_loaded(path), name, str(path))
    _OWN.append(strategy)
    return strategy


def _loaded(path: Path) -> ModuleType:
    """The module of a file, under a name of its content: two versions of one file never share compiled code."""
    try:
        source = path.read_bytes()
        ast.parse(source, path.name)
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise StrategyError(f"{path.name}{f' line {line}' if line else ''}: {error}") from None
    unique = f"carryfold_strategy_{path.stem}_{blake2b(source, digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a user's file does wrong is told in one line
        raise StrategyError(f"{path.name}: {type(error).__name__}: {error}") from None
    return module  # type: ignore[no-any-return]
