"""Events to rows: the dense ids of pairs and runs, and the one place where rows are made from a log.

Ids are given in seq order at first mention by an event that has a row, so they are a pure function of the log, the same
in every process, and those of a shorter log are a prefix of those of a longer one. They are never used again.
"""

import sys
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception, named as one
from typing import Any, Final, NamedTuple

import numpy as np

from carryfold.domain import codec, events, rows
from carryfold.domain.events import Event, RunStarted
from carryfold.domain.rows import KIND_OF, KINDS, PAIR_KINDS, ROW, Role, Rows, row_values

__all__ = ["MAX_RUNS", "NO_PAIR", "UNKNOWN_RUN", "PairName", "RowBuilder", "TapeError", "code_digest"]

NO_PAIR: Final = -1
UNKNOWN_RUN: Final = -1
MAX_RUNS: Final = 2**15 - 1

_PACK: Final = Struct("=qqqihhdddd")
assert _PACK.size == ROW.itemsize


class TapeError(Exception):
    """The tape cannot be made or read; the text is one line that says why and what to do."""


class PairName(NamedTuple):
    """What a dense pair id stands for. A relisting under an old symbol has the next `listing` number, and an id of
    its own."""

    venue: str
    symbol: str
    listing: int


class _Naming(NamedTuple):
    names_pair: bool
    names_run: bool


_NAMING: Final = {cls: _Naming(kind in PAIR_KINDS, KINDS[kind].role is Role.OUTCOME) for cls, kind in KIND_OF.items()}


class RowBuilder:
    """Turns decoded batches into rows. Give it the batches in seq order, each one once.

    `pairs[id]` names a pair; `runs[slot]` is the seq of a run's RunStarted, with 0 (no run, seen by every fold) in
    slot 0. An outcome of a run that never started gets slot `UNKNOWN_RUN`, which no fold listens to.
    """

    def __init__(self, pairs: Iterable[PairName] = (), runs: Iterable[int] = (0,)) -> None:
        self.pairs = list(pairs)
        self.runs = list(runs)
        self._ids: dict[tuple[str, str, int], int] = {pair: index for index, pair in enumerate(self.pairs)}
        self._slots = {run: slot for slot, run in enumerate(self.runs)}

    def build(self, first_seq: int, batch: Iterable[tuple[int, Event]]) -> Rows:
        """Rows of [(known_at, event)], in seq order, without those that have none. Raises TapeError."""
        packed: list[bytes] = []
        add, pack, ids = packed.append, _PACK.pack, self._ids
        seq = first_seq
        event: Any = None
        try:
            for seq, (known_at, event) in enumerate(batch, first_seq):
                values = row_values(event)
                if values is None:
                    if type(event) is RunStarted:
                        self._start_run(seq)
                    continue
                kind, slot, a, b, c, d = values
                names_pair, names_run = _NAMING[type(event)]
                pair: int | None = NO_PAIR
                if names_pair:
                    name = (event.venue, event.symbol, event.listing)
                    pair = ids.get(name)
                    if pair is None:
                        pair = self._name_pair(name)
                if names_run:
                    slot = self._slots.get(event.run, UNKNOWN_RUN)
                add(pack(known_at, event.event_at, seq, pair, kind, slot, a, b, c, d))
        except (StructError, OverflowError) as error:
            raise TapeError(f"seq {seq}, {type(event).__name__}, does not fit into a row: {error}") from None
        return np.frombuffer(bytearray().join(packed), ROW)

    def _name_pair(self, name: tuple[str, str, int]) -> int:
        if not name[1]:  # an event of the whole account, such as a correction of cash
            return NO_PAIR
        self._ids[name] = pair = len(self.pairs)
        self.pairs.append(PairName(*name))
        return pair

    def _start_run(self, seq: int) -> None:
        if len(self.runs) > MAX_RUNS:
            raise TapeError(f"the log has more than {MAX_RUNS} runs: go on in a new home")
        self._slots[seq] = len(self.runs)
        self.runs.append(seq)


def code_digest() -> bytes:
    """Stands for the code and the layout that make rows: rows made under another digest must be made again."""
    state = blake2b(f"{sys.byteorder} {ROW.descr}".encode(), digest_size=16)
    for source in (events.__file__, codec.__file__, rows.__file__, __file__):
        state.update(Path(source).read_bytes())
    return state.digest()
