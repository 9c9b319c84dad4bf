"""Events to rows: the dense ids of instruments, pairs and runs, and the one place where rows are made from events.

Ids are given in seq order, at the first mention by an event that has a row. So they are a pure function of the log:
every process gets the same ones, and those of a shorter log are a prefix of those of a longer one. No id is used again.
"""

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception, named as one
from typing import Any, Final

import numpy as np

from carryfold.domain.events import Event, FundingRevised, FundingSettled, InstrumentListed, RunStarted
from carryfold.domain.instruments import Instrument, Listing, Pair, nominal_settlement
from carryfold.domain.rows import ROW, Role, Rows, Subject, classes_of, role_of, row_values

__all__ = ["MAX_RUNS", "NO_SUBJECT", "UNKNOWN_RUN", "RowBuilder", "RowError"]

NO_SUBJECT: Final = -1
UNKNOWN_RUN: Final = -1
MAX_RUNS: Final = 2**15 - 1

_PACK: Final = Struct("=qqqihhddd")
assert _PACK.size == ROW.itemsize
_OF_INSTRUMENTS: Final = classes_of(Subject.INSTRUMENT)
_OF_PAIRS: Final = classes_of(Subject.PAIR)
_OF_PERPS: Final = frozenset(cls for cls in _OF_INSTRUMENTS if "kind" not in cls.__struct_fields__)  # type: ignore[attr-defined]
_SETTLEMENTS: Final = frozenset({FundingSettled, FundingRevised})
_NO_COIN: Final = ""


class RowError(Exception):
    """An event does not fit into a row; the text is one line that names it."""


class RowBuilder:
    """Turns decoded events into rows. It takes the events in seq order, each one once.

    `listings[id]` names an instrument and its coins ("" before it is listed), `pairs[id]` a pair of trading events;
    `runs[slot]` is the seq of a run's RunStarted, with 0 (no run, seen by every fold) in slot 0. An outcome of a run
    that never started gets slot `UNKNOWN_RUN`, which no fold reads.
    """

    def __init__(
        self, listings: Iterable[Listing] = (), pairs: Iterable[Pair] = (), runs: Iterable[int] = (0,)
    ) -> None:
        self.listings = list(listings)
        self.pairs = list(pairs)
        self.runs = list(runs)
        self._ids: dict[tuple[str, str, str, int], int] = {
            _key(one.instrument): index for index, one in enumerate(self.listings)
        }
        self._pair_ids = {pair: index for index, pair in enumerate(self.pairs)}
        self._slots = {run: slot for slot, run in enumerate(self.runs)}

    def build(self, first_seq: int, batch: Iterable[tuple[int, Event]]) -> Rows:
        """Rows of [(known_at, event)], one seq each, in seq order, without those that have none. Raises RowError."""
        return self.build_stamped((seq, known_at, event) for seq, (known_at, event) in enumerate(batch, first_seq))

    def build_stamped(self, stamped: Iterable[tuple[int, int, Event]]) -> Rows:
        """Rows of (seq, known_at, event), several of which may share a seq. Raises RowError."""
        packed: list[bytes] = []
        add, pack, ids = packed.append, _PACK.pack, self._ids
        seq = 0
        event: Any = None
        try:
            for seq, known_at, event in stamped:
                values = row_values(event)
                cls = type(event)
                if values is None:
                    if cls is RunStarted:
                        self._start_run(seq)
                    continue
                kind, slot, a, b, c = values
                event_at = event.event_at
                subject: int | None = NO_SUBJECT
                if cls in _OF_INSTRUMENTS:
                    name = (event.venue, event.symbol, "perp" if cls in _OF_PERPS else event.kind, event.listing)
                    subject = ids.get(name)
                    if subject is None:
                        subject = self._name_instrument(Instrument(*name))  # type: ignore[arg-type]
                    if cls in _SETTLEMENTS:
                        event_at = nominal_settlement(event_at)
                    elif cls is InstrumentListed and not self.listings[subject].base:
                        self.listings[subject] = Listing(event.instrument, event.base, event.quote)
                else:
                    if cls in _OF_PAIRS and event.pair is not None:
                        subject = self._pair_ids.get(event.pair)
                        if subject is None:
                            subject = self._name_pair(event.pair)
                    if role_of(event) is Role.OUTCOME:
                        slot = self._slots.get(event.run, UNKNOWN_RUN)
                add(pack(known_at, event_at, seq, subject, kind, slot, a, b, c))
        except (StructError, OverflowError) as error:
            raise RowError(f"seq {seq}, {type(event).__name__}, does not fit into a row: {error}") from None
        return np.frombuffer(bytearray().join(packed), ROW)

    def _name_instrument(self, instrument: Instrument) -> int:
        self._ids[_key(instrument)] = number = len(self.listings)
        self.listings.append(Listing(instrument, _NO_COIN, _NO_COIN))
        return number

    def _name_pair(self, pair: Pair) -> int:
        self._pair_ids[pair] = number = len(self.pairs)
        self.pairs.append(pair)
        return number

    def _start_run(self, seq: int) -> None:
        if len(self.runs) > MAX_RUNS:
            raise RowError(f"the log has more than {MAX_RUNS} runs: go on in a new home")
        self._slots[seq] = len(self.runs)
        self.runs.append(seq)


def _key(instrument: Instrument) -> tuple[str, str, str, int]:
    """Its plain names."""
    return instrument.venue, instrument.symbol, instrument.kind, instrument.listing
