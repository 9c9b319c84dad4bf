"""The one place where the fold calls a strategy: by its code, the built-in ones and those of users' files alike.

numba cannot call what it does not know while it compiles. So there is a fixed number of places for users' files; an
empty one is filled by a built-in strategy, whose code no run has there.
"""

from functools import cache
from types import ModuleType
from typing import Any, Final

import numba

from carryfold.domain.fold._compile import compile_module, compiled
from carryfold.domain.fold.state import DECISION, VIEW
from carryfold.domain.params import params_dtype
from carryfold.domain.strategies import composite, hold, simple
from carryfold.domain.strategies.registry import OWN_MAX, Strategy, StrategyError, registered


class CompileFailed(StrategyError):
    """A user's strategy cannot be compiled; the text is one line that names the file, the function and why."""


_REASON_MAX: Final = 200


@compiled
def _no_gates(view: Any, params: Any, decision: Any) -> int:
    """For a strategy without gates of its own."""
    return 0


@compiled
def _no_words(view: Any, params: Any, decision: Any) -> None:
    """For a strategy without scores."""


def _completed(module: ModuleType) -> Any:
    """A strategy's module, compiled, with every function that the fold may call."""
    for name, default in (("gates", _no_gates), ("explain", _no_words)):
        if not hasattr(module, name):
            setattr(module, name, default)
    return compile_module(module)


_own: Final = [strategy.module for strategy in registered() if strategy.path]
_simple, _composite, _hold, _own0, _own1, _own2, _own3 = (
    _completed(module) for module in (simple, composite, hold, *_own, *[simple] * (OWN_MAX - len(_own)))
)
score0, score1, score2 = _simple.score, _composite.score, _hold.score
score3, score4, score5, score6 = _own0.score, _own1.score, _own2.score, _own3.score
size0, size1, size2 = _simple.size, _composite.size, _hold.size
size3, size4, size5, size6 = _own0.size, _own1.size, _own2.size, _own3.size
leaves0, leaves1, leaves2 = _simple.leaves, _composite.leaves, _hold.leaves
leaves3, leaves4, leaves5, leaves6 = _own0.leaves, _own1.leaves, _own2.leaves, _own3.leaves
gates1, gates3, gates4, gates5, gates6 = _composite.gates, _own0.gates, _own1.gates, _own2.gates, _own3.gates
explain1, explain3, explain4 = _composite.explain, _own0.explain, _own1.explain
explain5, explain6 = _own2.explain, _own3.explain


@cache
def compile_own() -> None:
    """Compile the functions of users' files by themselves, so that what is wrong in one is told by its name and not
    from the middle of the kernel. Raises CompileFailed."""
    view, params, decision = (numba.from_dtype(dtype) for dtype in (VIEW, params_dtype(), DECISION))
    of_a_rate, of_a_decision = (view, params, numba.float64), (view, params, decision)
    arguments = dict.fromkeys(("score", "leaves"), of_a_rate) | dict.fromkeys(("size", "gates"), of_a_decision)
    for strategy in registered():
        if strategy.path:
            for name, types in arguments.items():
                returned = _compiled_alone(strategy, name, types)
                if not isinstance(returned, numba.types.Number | numba.types.Boolean):
                    raise CompileFailed(f"{strategy.name}.py: {name} must give a number always, not {returned}")
            _compiled_alone(strategy, "explain", of_a_decision)


def _compiled_alone(strategy: Strategy, name: str, types: tuple[Any, ...]) -> Any:
    """Compile one function of a user's file; gives the type that it returns."""
    function = getattr(strategy.module, name)
    try:
        function.compile(types)
    except KeyError as error:
        raise CompileFailed(f"{strategy.name}.py: {name} reads a field that there is not: {error}") from None
    except Exception as error:  # noqa: BLE001 - numba raises its own and Python's
        told = [line.strip() for line in str(error).splitlines() if not line.startswith("Failed in nopython")]
        reason = next(filter(None, told), type(error).__name__)
        raise CompileFailed(f"{strategy.name}.py: {name} cannot be compiled: {reason[:_REASON_MAX]}") from None
    return function.overloads[types].signature.return_type


@compiled
def score(view: Any, params: Any, rate: float) -> float:
    """How much the pair is wanted; NOT_WANTED: not at all."""
    if params.strategy == 0:
        return score0(view, params, rate)
    if params.strategy == 1:
        return score1(view, params, rate)
    if params.strategy == 2:
        return score2(view, params, rate)
    if params.strategy == 3:
        return float(score3(view, params, rate))
    if params.strategy == 4:
        return float(score4(view, params, rate))
    if params.strategy == 5:
        return float(score5(view, params, rate))
    return float(score6(view, params, rate))


@compiled
def entry_size(view: Any, params: Any, decision: Any) -> float:
    """Quote amount of an entry."""
    if params.strategy == 0:
        return size0(view, params, decision)
    if params.strategy == 1:
        return size1(view, params, decision)
    if params.strategy == 2:
        return size2(view, params, decision)
    if params.strategy == 3:
        return float(size3(view, params, decision))
    if params.strategy == 4:
        return float(size4(view, params, decision))
    if params.strategy == 5:
        return float(size5(view, params, decision))
    return float(size6(view, params, decision))


@compiled
def leaves(view: Any, params: Any, rate: float) -> bool:
    """True if what is held is to be closed."""
    if params.strategy == 0:
        return leaves0(view, params, rate)
    if params.strategy == 1:
        return leaves1(view, params, rate)
    if params.strategy == 2:
        return leaves2(view, params, rate)
    if params.strategy == 3:
        return bool(leaves3(view, params, rate))
    if params.strategy == 4:
        return bool(leaves4(view, params, rate))
    if params.strategy == 5:
        return bool(leaves5(view, params, rate))
    return bool(leaves6(view, params, rate))


@compiled
def own_gates(view: Any, params: Any, decision: Any) -> int:
    """The strategy's own gates that fail, as bits from 0."""
    if params.strategy == 1:
        return gates1(view, params, decision)
    if params.strategy == 3:
        return int(gates3(view, params, decision))
    if params.strategy == 4:
        return int(gates4(view, params, decision))
    if params.strategy == 5:
        return int(gates5(view, params, decision))
    if params.strategy == 6:
        return int(gates6(view, params, decision))
    return 0


@compiled
def explain(view: Any, params: Any, decision: Any) -> None:
    """The strategy's scores, into the decision record."""
    if params.strategy == 1:
        explain1(view, params, decision)
    elif params.strategy == 3:
        explain3(view, params, decision)
    elif params.strategy == 4:
        explain4(view, params, decision)
    elif params.strategy == 5:
        explain5(view, params, decision)
    elif params.strategy == 6:
        explain6(view, params, decision)
