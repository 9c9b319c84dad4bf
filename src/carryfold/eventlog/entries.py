"""The arguments and the result of `append`.

The submitting thread checks its entries here (`columns`), before a transaction is open. A bad entry is therefore an
error of its own caller alone, and the writer only sees entries that can be stored. Follow-up entries (`Follow`) are
computed inside the transaction, and an error there fails the whole transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

from carryfold.eventlog.errors import AppendRefused
from carryfold.eventlog.record import MAX_BATCH_BYTES, encode_array

MAX_KEY_BYTES: Final = 511  # LMDB's own limit
MAX_EVENT_BYTES: Final = MAX_BATCH_BYTES - 16
MAX_APPEND_EVENTS: Final = 1 << 20
_CHECK_EVENTS: Final = 4_096
_MAX_TIME: Final = 2**63 - 1
_VALUES: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Entry(NamedTuple):
    """One event to append. `payload` is exactly one msgpack value; `known_at` None means live: known from its
    commit."""

    payload: bytes
    key: bytes | None = None
    known_at: int | None = None


AnyEntry = Entry | tuple[bytes] | tuple[bytes, bytes | None] | tuple[bytes, bytes | None, int | None]


class Conflict(msgspec.Struct, frozen=True):
    """An entry whose key is taken by other content. It was not stored; the event at `seq` stays."""

    index: int
    key: bytes
    seq: int


class AppendResult(msgspec.Struct, frozen=True):
    """The outcome of one append. `duplicates` were dropped and `conflicts` not stored; `kept` has the indices of the
    entries that were stored, None for all. With `count` 0 nothing was written: `first_seq` is then the seq of the next
    event, `last_seq` that of the log's last one, and `recorded_at` that of the last commit."""

    first_seq: int
    count: int
    duplicates: int
    conflicts: list[Conflict]
    recorded_at: int
    kept: list[int] | None = None

    @property
    def last_seq(self) -> int:
        """Seq of the last event appended."""
        return self.first_seq + self.count - 1


Follow = Callable[[AppendResult], Sequence[AnyEntry]]
"""Computes follow-up entries from an append that is written and not yet flushed. They are appended right after it, in
the same transaction. The writer thread calls it once, and only if the append wrote something. An error fails the whole
transaction. It runs inside that transaction: it must be quick, and must neither read nor write this log."""


class Columns(NamedTuple):
    """Checked entries, transposed. `keys` and `known_at` are None when no entry has one."""

    payloads: tuple[bytes, ...]
    keys: tuple[bytes | None, ...] | None
    known_at: tuple[int | None, ...] | None
    follow: Follow | None = None


def columns(entries: Sequence[AnyEntry]) -> Columns:
    """Check and transpose entries. Raises AppendRefused with the first bad entry."""
    count = len(entries)
    if count == 0:
        return Columns((), None, None)
    if count > MAX_APPEND_EVENTS:
        raise AppendRefused(f"{count} events in one append, the limit is {MAX_APPEND_EVENTS}: append them in parts")
    try:
        transposed: Any = tuple(zip(*entries, strict=True))
    except ValueError:
        transposed = ()
    if len(transposed) != len(Entry._fields):
        transposed = tuple(zip(*(_complete(index, entry) for index, entry in enumerate(entries)), strict=True))
    payloads, keys, known_at = transposed
    _check_payloads(payloads)
    return Columns(
        payloads,
        None if keys.count(None) == count else _checked_keys(keys),
        None if known_at.count(None) == count else _checked_times(known_at),
    )


def _complete(index: int, entry: Sequence[Any]) -> Entry:
    if not 1 <= len(entry) <= len(Entry._fields):
        raise AppendRefused(f"entry {index} has {len(entry)} fields, expected payload, key, known_at")
    return Entry(*entry)


def _check_payloads(payloads: tuple[bytes, ...]) -> None:
    if set(map(type, payloads)) != {bytes}:
        index = next(index for index, payload in enumerate(payloads) if type(payload) is not bytes)
        raise AppendRefused(f"the payload of entry {index} is not bytes")
    sizes = list(map(len, payloads))
    if max(sizes) > MAX_EVENT_BYTES:
        index = sizes.index(max(sizes))
        raise AppendRefused(f"the payload of entry {index} has {sizes[index]} bytes, the limit is {MAX_EVENT_BYTES}")
    for start in range(0, len(payloads), _CHECK_EVENTS):
        part = payloads[start : start + _CHECK_EVENTS]
        # Decoding the joined array costs a fraction of decoding each event; only a failure looks closer.
        if not _are_values(part, sizes[start : start + _CHECK_EVENTS]):
            index = next(start + offset for offset, one in enumerate(part) if not _are_values((one,), [len(one)]))
            raise AppendRefused(f"the payload of entry {index} is not one msgpack value")


def _are_values(payloads: tuple[bytes, ...], sizes: list[int]) -> bool:
    try:
        values = _VALUES.decode(encode_array(payloads))
    except msgspec.DecodeError:
        return False
    return [memoryview(value).nbytes for value in values] == sizes


def _checked_keys(keys: tuple[bytes | None, ...]) -> tuple[bytes | None, ...]:
    if set(map(type, keys)) == {bytes}:
        sizes = set(map(len, cast("tuple[bytes, ...]", keys)))
        if min(sizes) >= 1 and max(sizes) <= MAX_KEY_BYTES:
            return keys
    for index, key in enumerate(keys):
        if key is not None and (type(key) is not bytes or not 1 <= len(key) <= MAX_KEY_BYTES):
            raise AppendRefused(f"the key of entry {index} is not 1 to {MAX_KEY_BYTES} bytes")
    return keys


def _checked_times(known_at: tuple[int | None, ...]) -> tuple[int | None, ...]:
    for index, at in enumerate(known_at):
        if at is not None and (type(at) is not int or not 0 <= at <= _MAX_TIME):
            raise AppendRefused(f"known_at of entry {index} is not int64 nanoseconds since 1970")
    return known_at
