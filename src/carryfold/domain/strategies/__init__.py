"""Strategies: one file each, plain functions over the fold's records, compiled together with the fold.

A strategy is a module with

    score(view, params, rate)        how much the pair is wanted, higher first; NOT_WANTED: not at all
    size(view, params, decision)     quote amount of an entry; its caps go into decision.caps
    leaves(view, params, rate)       True: close what is held

and optionally `gates(view, params, decision)` (bits of its own failed gates), `explain(view, params, decision)` (its
scores, into decision.scores) and the constants of `Strategy`. `view` is the pair's record (fold.state.VIEW), `params`
the parameters by name, `rate` the pair's rate estimate (8 h-equivalent), `decision` the record of the decision being
made (fold.state.DECISION). docs/strategies.md is the tutorial.

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
