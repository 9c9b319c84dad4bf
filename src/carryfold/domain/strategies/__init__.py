"""Strategies: one file each, plain functions over the fold's records, compiled together with the fold.

A strategy is a module with

    score(v, p, q)      how much the pair is wanted, higher first; NOT_WANTED: not at all
    size(v, p, d)       quote amount of an entry; its caps go into d.caps
    leaves(v, p, q)     True: close what is held

and, where it has them, `gates(v, p, d)` (bits of its own failed gates), `explain(v, p, d)` (its scores, into d.scores)
and the constants of `Strategy`. v is the pair's record (fold.state.VIEW), p the parameters by name, q the pair's rate
estimate (8 h-equivalent), d the decision record under way (fold.state.DECISION). docs/strategies.md leads through one.

Built-in ones and files of users are the same to the fold. Files have to be registered before a process folds for the
first time, because they are compiled into the one kernel.
"""

from carryfold.domain.strategies.library import NOT_WANTED
from carryfold.domain.strategies.registry import (
    OWN_MAX,
    READS,
    Strategy,
    StrategyError,
    register,
    registered,
    strategy_named,
)

__all__ = ["NOT_WANTED", "OWN_MAX", "READS", "Strategy", "StrategyError", "register", "registered", "strategy_named"]
