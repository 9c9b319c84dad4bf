"""Snapshots of run states, so that a start folds only what the log has since.

A snapshot is the state of one run as of a head of the log. Guarantees: a snapshot that is used gives the same state as
the fold of the whole log. It is used only if it is undamaged, was made by this code, and belongs to this log; and if no
event that was recorded later was known by then, because the fold would have seen such history earlier. Snapshots are
disposable: without one the whole log is folded.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from carryfold.domain.fold import CODE_DIGEST, State
from carryfold.domain.instruments import Listing
from carryfold.eventlog import Checkpoints, Head, LogReader
from carryfold.projections.lineage import has_head

__all__ = ["RunSnapshot", "SnapshotStore", "SnapshotUnusable"]

KEPT: Final = 64
"""Snapshots of the runs that were saved last."""

_PREFIX: Final = "snapshot/run/"
_DIGEST_BYTES: Final = 16


class SnapshotUnusable(Exception):
    """A snapshot that must not be used; the text says why, in a few words."""


class RunSnapshot(NamedTuple):
    """A run's state as of `head`. Every event up to there was known at `head.recorded_at` (UTC ns) at the latest."""

    head: Head
    state: State


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    code: str
    head: Head
    state: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Stored)


class SnapshotStore:
    """The snapshots of one home, by run."""

    def __init__(self, store: Checkpoints) -> None:
        """Use `SnapshotStore.open`."""
        self._store = store

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open the store, or create it."""
        return cls(Checkpoints.open(home))

    def save(self, head: Head, states: Mapping[int, State]) -> None:
        """Replace the snapshots of these runs, all in one transaction. Raises LogError when the disk refuses it."""
        bodies = {run: _ENCODER.encode(_Stored(CODE_DIGEST, head, state.dump())) for run, state in states.items()}
        self._store.put_many({_name(run): _digest(body) + body for run, body in bodies.items()})
        self._forget_old()

    def load(self, run: int, reader: LogReader, listings: Sequence[Listing]) -> RunSnapshot | None:
        """The snapshot of a run of this log, whose instruments are `listings`; None if there is none. Raises
        SnapshotUnusable."""
        stored = self._stored(run)
        if stored is None:
            return None
        if stored.code != CODE_DIGEST:
            raise SnapshotUnusable("it was made by another version of the fold")
        if not has_head(reader, stored.head):
            raise SnapshotUnusable("it belongs to another log")
        known_at = stored.head.recorded_at
        if any(batch.known_min <= known_at for batch in reader.read(stored.head.seq)):
            raise SnapshotUnusable("history was added to the log since")
        state = State.load(stored.state)
        if state.instruments != [one.instrument for one in listings[: len(state.instruments)]]:
            raise SnapshotUnusable("its instruments are not those of the log")
        return RunSnapshot(stored.head, state)

    def close(self) -> None:
        """Close the handle of the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stored(self, run: int) -> _Stored | None:
        data = self._store.get(_name(run))
        if data is None:
            return None
        body = data[_DIGEST_BYTES:]
        if _digest(body) != data[:_DIGEST_BYTES]:
            raise SnapshotUnusable("it is damaged")
        try:
            return _DECODER.decode(body)
        except msgspec.MsgspecError:
            raise SnapshotUnusable("it has another format") from None

    def _forget_old(self) -> None:
        """Delete the snapshots of the oldest runs, so that the store stays bounded."""
        for name in self._store.names(_PREFIX)[:-KEPT]:
            self._store.delete(name)


def _name(run: int) -> str:
    return f"{_PREFIX}{run:019d}"


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()
