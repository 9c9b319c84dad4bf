"""The records of one append transaction: keys looked up, events cut into batches, batches chained and stored.

Guarantees: seqs and digests continue from the given head; each group has one recorded_at, later than every known_at
before it. The caller owns the transaction and decides whether it is committed or retried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.clock import Clock
from carryfold.eventlog.entries import AppendResult, Columns, Conflict, columns
from carryfold.eventlog.env import SharedEnv
from carryfold.eventlog.keytable import put_keys
from carryfold.eventlog.record import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    PAIR_BYTES,
    SEQ,
    Head,
    encode_pairs,
    encode_record,
)


class Issued(NamedTuple):
    """The record times and follow-up entries of a transaction. Callers have seen them already when the transaction is
    retried in a larger map, so the retry uses them again."""

    times: list[int]
    followed: dict[int, Columns]


class BatchWriter:
    """Writes the groups of one transaction, one after the other. Discarded when the transaction fails."""

    def __init__(
        self, transaction: lmdb.Transaction[bytes], env: SharedEnv, head: Head, clock: Clock, issued: Issued
    ) -> None:
        self.head = head
        self._issued = issued
        self._count = 0
        self._transaction = transaction
        self._events = env.table(tables.EVENTS)
        self._keys = env.table(tables.KEYS)
        self._clock = clock

    def write(self, number: int, group: Columns) -> AppendResult:
        """Write one group and its follow-up entries."""
        result = self._write(group)
        if group.follow is not None and result.count:
            if number not in self._issued.followed:
                self._issued.followed[number] = columns(group.follow(result))
            self._write(self._issued.followed[number])
        return result

    def _write(self, group: Columns) -> AppendResult:
        first_seq = self.head.seq + 1
        duplicates = 0
        conflicts: list[Conflict] = []
        keep = None
        if group.keys is not None:
            with self._transaction.cursor(self._keys) as cursor:
                kept = put_keys(cursor, group.keys, group.payloads, first_seq)
            keep, duplicates, conflicts = kept
            if keep is not None:
                group = _select(group, keep)
        if not group.payloads:
            return AppendResult(first_seq, 0, duplicates, conflicts, self.head.recorded_at, keep)
        recorded_at = self._next_time()
        for start, end in _record_bounds(group.payloads):
            self._put(group, start, end, recorded_at)
        return AppendResult(first_seq, len(group.payloads), duplicates, conflicts, recorded_at, keep)

    def _next_time(self) -> int:
        """The recorded_at of the next group."""
        if self._count == len(self._issued.times):
            # known_at never exceeds its commit, so a time after the last commit is after every known_at.
            self._issued.times.append(max(self._clock.now(), self.head.recorded_at + 1))
        self._count += 1
        return self._issued.times[self._count - 1]

    def _put(self, group: Columns, start: int, end: int, recorded_at: int) -> None:
        payloads = group.payloads[start:end]
        if group.known_at is None:
            known_min = known_max = recorded_at
            payload = encode_pairs(payloads, recorded_at)
        else:
            known = [recorded_at if at is None or at > recorded_at else at for at in group.known_at[start:end]]
            known_min, known_max = min(known), max(known)
            payload = encode_pairs(payloads, known)
        value, digest = encode_record(end - start, recorded_at, known_min, known_max, self.head.digest, payload)
        key = SEQ.pack(self.head.seq + 1)
        # LMDB returns False for a key out of order; it raises nothing.
        if not self._transaction.put(key, value, append=True, db=self._events):
            raise AssertionError(f"a record out of order after seq {self.head.seq}")
        self.head = Head(self.head.seq + end - start, digest, recorded_at)


def _select(group: Columns, keep: list[int]) -> Columns:
    known_at = group.known_at
    return Columns(
        tuple([group.payloads[index] for index in keep]),
        None,
        None if known_at is None else tuple([known_at[index] for index in keep]),
    )


def _record_bounds(payloads: Sequence[bytes]) -> list[tuple[int, int]]:
    """The records of an append: [start, end) of each."""
    count = len(payloads)
    sizes = list(map(len, payloads))
    if count <= MAX_BATCH_EVENTS and sum(sizes) + PAIR_BYTES * count <= MAX_BATCH_BYTES:
        return [(0, count)]
    bounds = []
    start = size = 0
    for index, one in enumerate(sizes):
        if index - start == MAX_BATCH_EVENTS or (size + one + PAIR_BYTES > MAX_BATCH_BYTES and index > start):
            bounds.append((start, index))
            start, size = index, 0
        size += one + PAIR_BYTES
    return [*bounds, (start, count)]
