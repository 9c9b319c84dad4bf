"""The one reducer: events up to a cursor in, state and decisions out. Live, paper and backtest are this same code."""

from carryfold.domain.fold._compile import CODE_DIGEST, cache_folder, is_compiled
from carryfold.domain.fold.dispatch import CompileFailed
from carryfold.domain.fold.run import Output, SizeOutOfRange, State, Sweep, fold, simulate, simulate_many

__all__ = [
    "CODE_DIGEST",
    "CompileFailed",
    "Output",
    "SizeOutOfRange",
    "State",
    "Sweep",
    "cache_folder",
    "fold",
    "is_compiled",
    "simulate",
    "simulate_many",
]
