"""What a fold brought out, as events: the record of a run's decisions and, on paper, of its simulated bookings.

The same functions make the records of a run while it lives and again when it is verified, so that equal folds give
equal bytes. Nothing here is ever folded.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated
from carryfold.domain.fold.codes import ACTIONS, BOOKINGS, REASONS
from carryfold.domain.fold.state import DECISION, FILL, GATES

__all__ = ["decisions_recorded", "fills_recorded"]

Records = npt.NDArray[np.void]

_ENTER: Final = ACTIONS.index("enter")
_EXIT: Final = ACTIONS.index("exit")
_TOLD_ELSEWHERE: Final = frozenset({"t", "pair", "action", "reason", "lots", "size", "failed", "applied"})
_WORKING: Final = tuple(name for name in DECISION.names or () if name not in _TOLD_ELSEWHERE)
_FIGURES: Final = tuple(name for name in FILL.names or () if name not in {"t", "pair", "action", "trade"})


def decisions_recorded(
    run: int, names: Sequence[tuple[str, str, int]], decisions: Records
) -> list[EntryDecided | ExitDecided]:
    """Entries and exits among state.DECISION records, with their full working. `names` are those of the pair ids."""
    events: list[EntryDecided | ExitDecided] = []
    recorded = np.isin(decisions["action"], (_ENTER, _EXIT))
    for d in _by_name(decisions[recorded]):
        venue, symbol, listing = names[d["pair"]]
        about = run, d["t"], venue, symbol, listing, d["lots"]
        if d["action"] == _ENTER:
            events.append(EntryDecided(*about, Decimal(repr(d["size"])), _working(d)))
        else:
            events.append(ExitDecided(*about, REASONS[d["reason"]], _working(d)))
    return events


def fills_recorded(run: int, names: Sequence[tuple[str, str, int]], fills: Records) -> list[FillSimulated]:
    """Every booking of the simulated venue among state.FILL records."""
    events = []
    for f in _by_name(fills):
        venue, symbol, listing = names[f["pair"]]
        action, figures = BOOKINGS[f["action"]], {name: f[name] for name in _FIGURES}
        events.append(FillSimulated(run, f["t"], venue, symbol, listing, action, f["trade"], figures))
    return events


def _by_name(records: Records) -> Iterator[dict[str, Any]]:
    """Records as Python's own values: all at once, because numpy takes long over a single one."""
    fields = records.dtype.names or ()
    return (dict(zip(fields, record, strict=True)) for record in records.tolist())


def _working(d: dict[str, Any]) -> dict[str, Any]:
    """Every figure of a decision by name, and the gates that it passed."""
    passed = [gate for i, gate in enumerate(GATES) if d["applied"] >> i & 1 and not d["failed"] >> i & 1]
    return {name: d[name] for name in _WORKING} | {"passed": passed}
