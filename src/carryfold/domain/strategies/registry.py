"""The strategies of this process: the built-in ones, then those of users' files.

Nothing here reads a file: adapters/strategy_files.py does, and passes the source text."""

import sys
from hashlib import blake2b
from types import ModuleType
from typing import Final

import msgspec

from carryfold.domain.strategies import composite, hold, simple

__all__ = ["OWN_MAX", "READS", "Strategy", "StrategyError", "register", "registered", "strategy_named"]

OWN_MAX: Final = 4
"""The most user strategies that one kernel can hold."""

READS: Final = ("averages", "forecast", "basis", "volume")
"""Groups of pair signals beside the rate. The fold keeps a group up to date only if a strategy of the run reads it."""

_FUNCTIONS: Final = {"score": 3, "size": 3, "leaves": 3}
_OPTIONAL: Final = {"gates": 3, "explain": 3}
_NAMES_MAX: Final = 8


class StrategyError(ValueError):
    """A strategy cannot be used; the text is one line with the reason."""


class Strategy(msgspec.Struct, frozen=True):
    """A strategy and the constants of its module.

    `scores`, `caps`, `gates`: names of its values in a decision record. `exempt`: shared gates that do not apply to it.
    `reads`: groups of READS. `once`: a pair is entered at most once. `needs_rate`: no score without a known rate.
    `carry_only`: it does not trade spreads. `by_rate`: its score rises with the rate, so that the fold can stop at the
    first pair that is not wanted. `parameters`: (default, low, high) by name. A built-in strategy has neither `path`
    nor `source`.
    """

    name: str
    module: ModuleType
    path: str = ""
    source: bytes = b""
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


def _strategy(module: ModuleType, name: str, path: str = "", source: bytes = b"") -> Strategy:
    """Read and check the constants and functions of a module. Raises StrategyError."""

    def names(constant: str, allowed: tuple[str, ...] | None = None) -> tuple[str, ...]:
        found = getattr(module, constant, ())
        if not isinstance(found, tuple) or not all(isinstance(one, str) for one in found):
            raise StrategyError(f"{path or name}: {constant} must be a tuple of texts")
        if len(found) > _NAMES_MAX:
            raise StrategyError(f"{path or name}: {constant} has more than {_NAMES_MAX} names")
        unknown = [one for one in found if allowed is not None and one not in allowed]
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
        source=source,
        scores=names("SCORES"),
        caps=names("CAPS"),
        gates=names("GATES"),
        exempt=names("EXEMPT"),
        reads=names("READS", READS),
        once=bool(getattr(module, "ONCE", False)),
        needs_rate=bool(getattr(module, "NEEDS_RATE", True)),
        carry_only=bool(getattr(module, "CARRY_ONLY", False)),
        by_rate=bool(getattr(module, "BY_RATE", False)),
        parameters=parameters,
    )


_BUILT_IN: Final = [_strategy(module, module.NAME) for module in (simple, composite, hold)]
_USER: list[Strategy] = []


def registered() -> list[Strategy]:
    """All strategies, in the order of their codes in the fold."""
    return [*_BUILT_IN, *_USER]


def strategy_named(name: str) -> Strategy:
    """The strategy of this name. Raises StrategyError."""
    for strategy in registered():
        if strategy.name == name:
            return strategy
    known = ", ".join(strategy.name for strategy in registered())
    raise StrategyError(f"no strategy '{name}'; there are {known}, or name a file: ./mine.py")


def register(name: str, source: bytes, path: str) -> Strategy:
    """Add a user's strategy: its source text, and the path of the file that the caller read it from.

    The path stands in error messages and names the code for numba's cache, so the file has to exist. Registering a path
    again changes nothing. Raises StrategyError.
    """
    for strategy in _USER:
        if strategy.path == path:
            return strategy
    file = f"{name}.py"
    if "carryfold.domain.fold" in sys.modules:
        raise StrategyError(f"{file}: strategy files have to be named before the first run of a process")
    if name in {strategy.name for strategy in registered()}:
        raise StrategyError(f"{file}: there is a strategy '{name}' already: give the file another name")
    if not name.isidentifier():
        raise StrategyError(f"{file}: the file's name must be letters, digits and _ alone")
    if len(_USER) >= OWN_MAX:
        raise StrategyError(f"{file}: at most {OWN_MAX} strategy files in one process")
    strategy = _strategy(_load(name, source, path), name, path, source)
    _USER.append(strategy)
    return strategy


def _load(name: str, source: bytes, path: str) -> ModuleType:
    """Run the source as a module named by its content: two versions of one file never share compiled code."""
    file = f"{name}.py"
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise StrategyError(f"{file}{f' line {line}' if line else ''}: {message}") from None
    module = ModuleType(f"carryfold_strategy_{name}_{blake2b(source, digest_size=6).hexdigest()}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # numba and dataclasses look a function's module up by its name
    try:
        exec(code, module.__dict__)  # noqa: S102 - the user's own code, named by the user
    except Exception as error:  # noqa: BLE001 - user code may raise anything; its user gets one line
        del sys.modules[module.__name__]
        raise StrategyError(f"{file}: {type(error).__name__}: {error}") from None
    return module
