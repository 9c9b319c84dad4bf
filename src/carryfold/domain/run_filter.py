"""The rows of a log that the fold of one run takes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.domain.fold import State
from carryfold.domain.instruments import Pair
from carryfold.domain.rows import KINDS, Kind, Rows, Subject

__all__ = ["RunFilter"]

_OPERATOR: Final = (Kind.HALTED, Kind.RESUMED, Kind.FLATTEN_REQUESTED)
_OF_PAIRS: Final = np.array([kind for kind, spec in KINDS.items() if spec.subject is Subject.PAIR], np.int16)


class RunFilter:
    """Selects the rows of one run: inputs of its instruments and of none, the operator's commands to it or to all, and,
    if it is live, the outcomes of its own orders, with its own numbers of the pairs."""

    def __init__(self, instruments: int, state: State, pairs: Sequence[Pair], slot: int, *, live: bool) -> None:
        """`instruments`: their number in the log; `pairs`: those of the log's trading events by id, which may grow."""
        legs = {leg for pair in state.pairs for leg in pair}
        self._wanted = np.zeros(instruments + 1, np.bool_)
        for number, instrument in enumerate(state.instruments):
            self._wanted[number] = instrument in legs
        self._wanted[-1] = True  # of no instrument
        self._own = {pair: number for number, pair in enumerate(state.pairs)}
        self._pairs = pairs
        self._slots = np.array([0, slot], np.int64)
        self._live = live

    def __call__(self, rows: Rows) -> Rows:
        kinds = rows["kind"]
        outcome = kinds >= Kind.ORDER_ACCEPTED
        subjects = rows["subject"]
        if not outcome.any():
            return self._kept(rows, self._is_wanted(subjects))
        addressed = np.isin(rows["slot"], self._slots) & (self._live | np.isin(kinds, _OPERATOR))
        wanted = self._is_wanted(np.where(outcome, -1, subjects)) & (~outcome | addressed)
        kept = rows[wanted]
        for place in np.flatnonzero(np.isin(kept["kind"], _OF_PAIRS) & (kept["subject"] >= 0)).tolist():
            kept["subject"][place] = self._own.get(self._pairs[kept["subject"][place]], -1)
        return kept

    def _is_wanted(self, subjects: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """By row; False for an instrument that is newer than the run."""
        beyond = subjects >= len(self._wanted) - 1
        if beyond.any():
            wanted: npt.NDArray[np.bool_] = self._wanted[np.where(beyond, 0, subjects)] & ~beyond
            return wanted
        return self._wanted[subjects]

    @staticmethod
    def _kept(rows: Rows, wanted: npt.NDArray[np.bool_]) -> Rows:
        return rows if wanted.all() else rows[wanted]
