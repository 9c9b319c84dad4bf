"""Records: a run's decisions and, on paper, its simulated bookings, as events.

The same functions create them live and in verification, so that equal folds give equal bytes. Records are never folded.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated
from carryfold.domain.fold import State
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, LEGS, REASONS
from carryfold.domain.fold.state import DECISION, FILL, GATES
from carryfold.domain.strategies import Strategy, strategy_named

__all__ = ["decisions_recorded", "fills_recorded", "gate_names", "named_scores"]

Records = npt.NDArray[np.void]

_ENTER: Final = ACTIONS.index("enter")
_EXIT: Final = ACTIONS.index("exit")
_ELSEWHERE: Final = frozenset({"t", "pair", "action", "reason", "lots", "size", "failed", "applied", "scores", "caps"})
_WORKING: Final = tuple(name for name in DECISION.names or () if name not in _ELSEWHERE)
_FIGURES: Final = tuple(name for name in FILL.names or () if name not in {"t", "pair", "action", "trade", "leg"})


def decisions_recorded(run: int, state: State, decisions: Records) -> list[EntryDecided | ExitDecided]:
    """The entries and exits among state.DECISION records of a run's `state`, with their full working."""
    strategy = strategy_named(state.params.strategy)
    events: list[EntryDecided | ExitDecided] = []
    recorded = np.isin(decisions["action"], (_ENTER, _EXIT))
    for d in _by_name(decisions[recorded]):
        about = run, d["t"], state.pairs[d["pair"]], d["lots"]
        if d["action"] == _ENTER:
            events.append(EntryDecided(*about, Decimal(repr(d["size"])), _working(strategy, d)))
        else:
            events.append(ExitDecided(*about, REASONS[d["reason"]], _working(strategy, d)))
    return events


def fills_recorded(run: int, state: State, fills: Records) -> list[FillSimulated]:
    """Every booking of the simulated venue among state.FILL records."""
    events = []
    for f in _by_name(fills):
        figures = {"leg": LEGS[f["leg"]]} | {name: f[name] for name in _FIGURES}
        events.append(FillSimulated(run, f["t"], state.pairs[f["pair"]], BOOKINGS[f["action"]], f["trade"], figures))
    return events


def gate_names(strategy: Strategy) -> tuple[str, ...]:
    """The gates of a run, in the order of their bits."""
    return (*GATES, *strategy.gates)


def named_scores(strategy: Strategy, scores: Sequence[float], caps: Sequence[float]) -> dict[str, dict[str, Any]]:
    """A strategy's scores and caps by name; -1 (unknown, or not applicable) becomes None."""
    named = {"scores": zip(strategy.scores, scores, strict=False), "caps": zip(strategy.caps, caps, strict=False)}
    return {kind: {name: None if value == -1.0 else float(value) for name, value in of} for kind, of in named.items()}


def _by_name(records: Records) -> Iterator[dict[str, Any]]:
    """Records as Python values. All are converted at once, because numpy is slow for single records."""
    fields = records.dtype.names or ()
    return (dict(zip(fields, record, strict=True)) for record in records.tolist())


def _working(strategy: Strategy, d: dict[str, Any]) -> dict[str, Any]:
    """The figures of a decision by name, the strategy's scores and caps, and the gates that it passed."""
    gates = gate_names(strategy)
    passed = [gate for i, gate in enumerate(gates) if d["applied"] >> i & 1 and not d["failed"] >> i & 1]
    named = named_scores(strategy, d["scores"], d["caps"])
    return {name: d[name] for name in _WORKING} | named | {"passed": passed}
