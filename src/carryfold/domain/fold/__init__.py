"""The one reducer: events up to a cursor in, state and decisions out. Live, paper and backtest are this same code."""

from carryfold.domain.fold._compile import CODE_DIGEST, cache_folder, is_compiled
from carryfold.domain.fold.run import Output, SizeOutOfRange, State, fold, simulate, simulate_many

__all__ = [
    "CODE_DIGEST",
    "Output",
    "SizeOutOfRange",
    "State",
    "cache_folder",
    "fold",
    "is_compiled",
    "simulate",
    "simulate_many",
]
