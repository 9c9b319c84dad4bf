"""The owner's handle: the one place where events are written.

Guarantees: an append is one LMDB transaction, so after any crash either all of it is in the log or nothing; it
returns after the data is flushed to the disk; seqs are contiguous from 1; recorded_at grows from append to append;
every live known_at is greater than every known_at and recorded_at before it. A failed append leaves the log as it
was, in memory as well as on the disk. Not guaranteed: that the wall clock was right (see clock.py), or that the disk
honours a flush.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.clock import Clock
from carryfold.eventlog.commands import CommandServer
from carryfold.eventlog.entries import AnyEntry, AppendResult, Columns, Conflict, columns
from carryfold.eventlog.env import SharedEnv, acquire, check_size, release
from carryfold.eventlog.errors import DiskFailed, DiskFull, LogClosed, LogCorrupt, MapFull
from carryfold.eventlog.headfile import HeadFile, read_head
from carryfold.eventlog.keytable import put_keys
from carryfold.eventlog.lock import OwnerLock
from carryfold.eventlog.record import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    PAIR_BYTES,
    SEQ,
    Head,
    decode_record,
    encode_pairs,
    encode_record,
    is_intact,
)
from carryfold.eventlog.wakeup import Waker

TAIL_CHECK_BATCHES: Final = 16
_LOW_DISK_BYTES: Final = 4 << 20

CommandHandler = Callable[[str, dict[str, Any]], int]


class EventLog:
    """The owner of a log. One per home on a machine; usable from every thread of its process. See `open`."""

    def __init__(self, home: Path, clock: Clock, max_map_size: int, resources: ExitStack, env: SharedEnv) -> None:
        """Use `EventLog.open`."""
        self.home = home
        self.clock = clock
        self.head_error: str | None = None
        self._max_map_size = max_map_size
        self._resources = resources
        self._env: SharedEnv | None = env
        self._writing = threading.Lock()
        self._head = Head()
        self._head_file = HeadFile(home)
        resources.callback(self._head_file.close)
        self._waker = Waker(home)
        resources.callback(self._waker.close)

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        map_size: int = tables.LOG_OPTIONS.map_size,
        max_map_size: int = tables.DEFAULT_MAX_MAP_SIZE,
        clock: Clock | None = None,
        command_handler: CommandHandler | None = None,
    ) -> EventLog:
        """Take the lock and open the log, making it when there is none.

        `map_size` is address space, not disk; it doubles up to `max_map_size` (bytes) as the log grows.
        `command_handler` (command, args) -> seq is served on the command socket, on a thread of its own, from the
        moment this returns. Raises OwnerLocked, LogTruncated, LostTail, LogCorrupt or FormatUnknown. The last batches
        are checked against their digests here; `verify` checks all of it.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as resources:
            resources.enter_context(OwnerLock(home))
            meta = check_size(tables.data_file(home))
            size = max(map_size, meta.map_size if meta is not None else 0)
            try:
                env = acquire(tables.log_dir(home), tables.LOG_OPTIONS, writable=True, map_size=size)
            except lmdb.Error as error:
                raise LogCorrupt(f"{tables.data_file(home)} cannot be opened ({error})") from error
            resources.callback(release, env)
            env.env.reader_check()
            log = cls(home, clock or Clock(), max_map_size, resources, env)
            log._stamp_format()
            log._check_tail()
            if command_handler is not None:
                server = CommandServer(home, command_handler)
                resources.callback(server.close)
            log._resources = resources.pop_all()
        return log

    @property
    def last(self) -> Head:
        """Where the log ends: seq (0 when empty), digest, recorded_at."""
        return self._head

    def append(self, entries: Sequence[AnyEntry]) -> AppendResult:
        """Append entries in one transaction and return once they are on the disk.

        All live entries get the commit's recorded_at as their known_at: one append is one instant. A given known_at
        (int64 ns) later than the commit is clamped to it. An entry whose key and content are in the log already is
        dropped and counted; one whose key has other content is reported as a conflict. Over 4,096 events or 1 MiB the
        append takes several records of the same recorded_at, still in one transaction. Raises AppendRefused for
        entries that cannot be stored, DiskFull, DiskFailed or MapFull when there is no room; after each of these the
        log is as it was before the call.
        """
        return self.append_columns([columns(entries)])[0]

    def append_columns(self, groups: Sequence[Columns]) -> list[AppendResult]:
        """Several appends, in order, with one transaction and one flush. Each is its own instant, as if appended
        alone, and so is what follows from it."""
        told = _Told([], {})
        with self._writing:
            while True:
                try:
                    return self._commit(groups, told)
                except lmdb.MapFullError:
                    self._grow()

    def get_meta(self, name: str) -> bytes | None:
        """A durable setting of this log, or None. Settings are small and not part of the digest chain."""
        env = self._opened()
        with env.read() as transaction:
            return tables.get_setting(transaction, env, name)

    def set_meta(self, name: str, value: bytes) -> None:
        """Store or replace a durable setting. Returns once it is on the disk."""
        env = self._opened()
        with self._writing, env.write() as transaction:
            tables.put_setting(transaction, env, name, value)

    def reader_check(self) -> int:
        """Clear the slots of readers that died, and return how many. Call it hourly: a stale slot pins old pages."""
        return self._opened().env.reader_check()

    def close(self) -> None:
        """Stop listening, sync the head, release the lock. Harmless when closed already."""
        with self._writing:
            self._env = None
        self._resources.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> SharedEnv:
        if self._env is None:
            raise LogClosed(f"the log in {self.home} is closed")
        return self._env

    def _commit(self, groups: Sequence[Columns], told: _Told) -> list[AppendResult]:
        env = self._opened()
        before = self._head
        writer: _Writer | None = None
        try:
            with env.write() as transaction:
                writer = _Writer(transaction, env, before, self.clock, told)
                results = [writer.write(number, group) for number, group in enumerate(groups)]
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            self._recover(env, error)
            if writer is None or self._head != writer.head or self._head == before:
                raise self._disk_error(error) from error
        self._head = writer.head
        if self._head != before:
            self._announce()
        return results

    def _recover(self, env: SharedEnv, error: lmdb.Error) -> None:
        """After a failed commit only the file itself can say what happened: open it anew and read where it ends."""
        try:
            env.reopen()
            with env.read() as transaction:
                self._head = tables.last_head(transaction, env)
            env.env.sync(True)
        except (lmdb.Error, LogCorrupt) as second:
            self._env = None
            raise DiskFailed(
                f"{tables.data_file(self.home)}: the disk refused a write ({error}) and then could not be read"
                f" ({second}): whether the last append is kept is unknown, open the log again"
            ) from error

    def _announce(self) -> None:
        try:
            self._head_file.write(self._head)
            self.head_error = None
        except OSError as error:
            # The commit stands, so it must not be reported as failed; the head is behind, which is a normal state.
            self.head_error = str(error)
        self._waker.wake_all()

    def _grow(self) -> None:
        env = self._opened()
        size = env.map_size()
        if size >= self._max_map_size:
            raise MapFull(tables.data_file(self.home), self._max_map_size)
        env.grow(min(2 * size, self._max_map_size))

    def _disk_error(self, error: lmdb.Error) -> DiskFailed:
        path = tables.data_file(self.home)
        code = getattr(error, "code", errno.EIO)  # only errors raised by LMDB itself carry one
        disk = os.statvfs(self.home)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        # LMDB reports a short write, which is how a full disk shows, as a plain input/output error.
        limited = limit != resource.RLIM_INFINITY and path.stat().st_size + _LOW_DISK_BYTES > limit
        full = limited or disk.f_bavail * disk.f_frsize < _LOW_DISK_BYTES
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or full:
            why = "the file-size limit of this process is reached" if limited else "the disk is full"
            return DiskFull(f"{path}: {why}, nothing of this append was written; make room and append again")
        return DiskFailed(f"{path}: the disk refused a write ({error}), nothing of this append was written")

    def _stamp_format(self) -> None:
        env = self._opened()
        with env.read() as transaction:
            stamped = tables.check_format(transaction, env)
        if not stamped:
            with env.write() as transaction:
                tables.write_format(transaction, env)

    def _check_tail(self) -> None:
        env = self._opened()
        outside = read_head(self.home)
        with env.read() as transaction:
            self._head = tables.last_head(transaction, env)
            _check_last_batches(transaction, env)
            if outside is not None:
                tables.check_outside_head(transaction, env, outside, self.home)
        if outside != self._head and self._head.seq > 0:
            self._announce()


class _Told(NamedTuple):
    """What a transaction has told others, who cannot be told otherwise when it is begun again in a larger map: the
    times of its records, and what followed from each group."""

    times: list[int]
    followed: dict[int, Columns]


class _Writer:
    """The groups of one transaction, written one after the other. Forgotten when the transaction fails."""

    def __init__(
        self, transaction: lmdb.Transaction[bytes], env: SharedEnv, head: Head, clock: Clock, told: _Told
    ) -> None:
        self.head = head
        self._told = told
        self._count = 0
        self._transaction = transaction
        self._events = env.table(tables.EVENTS)
        self._keys = env.table(tables.KEYS)
        self._clock = clock

    def write(self, number: int, group: Columns) -> AppendResult:
        """One group, and what follows from it."""
        result = self._write(group)
        if group.follow is not None and result.count:
            if number not in self._told.followed:
                self._told.followed[number] = columns(group.follow(result))
            self._write(self._told.followed[number])
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
                group = _chosen(group, keep)
        if not group.payloads:
            return AppendResult(first_seq, 0, duplicates, conflicts, self.head.recorded_at, keep)
        recorded_at = self._next_time()
        for start, end in _cuts(group.payloads):
            self._put(group, start, end, recorded_at)
        return AppendResult(first_seq, len(group.payloads), duplicates, conflicts, recorded_at, keep)

    def _next_time(self) -> int:
        """When the next group is recorded."""
        if self._count == len(self._told.times):
            # known_at never exceeds its commit, so being later than the last commit is being later than everything
            # known.
            self._told.times.append(max(self._clock.now(), self.head.recorded_at + 1))
        self._count += 1
        return self._told.times[self._count - 1]

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
        # LMDB answers a key out of order with a quiet False.
        if not self._transaction.put(key, value, append=True, db=self._events):
            raise AssertionError(f"a record out of order after seq {self.head.seq}")
        self.head = Head(self.head.seq + end - start, digest, recorded_at)


def _chosen(group: Columns, keep: list[int]) -> Columns:
    known_at = group.known_at
    return Columns(
        tuple([group.payloads[index] for index in keep]),
        None,
        None if known_at is None else tuple([known_at[index] for index in keep]),
    )


def _cuts(payloads: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where to cut an append into records: [start, end) of each."""
    count = len(payloads)
    sizes = list(map(len, payloads))
    if count <= MAX_BATCH_EVENTS and sum(sizes) + PAIR_BYTES * count <= MAX_BATCH_BYTES:
        return [(0, count)]
    cuts = []
    start = size = 0
    for index, one in enumerate(sizes):
        if index - start == MAX_BATCH_EVENTS or (size + one + PAIR_BYTES > MAX_BATCH_BYTES and index > start):
            cuts.append((start, index))
            start, size = index, 0
        size += one + PAIR_BYTES
    return [*cuts, (start, count)]


def _check_last_batches(transaction: lmdb.Transaction[bytes], env: SharedEnv) -> None:
    with transaction.cursor(env.table(tables.EVENTS)) as cursor:
        found = cursor.last()
        for _ in range(TAIL_CHECK_BATCHES):
            if not found:
                return
            batch = decode_record(tables.decode_seq(cursor.key()), cursor.value())
            if not is_intact(batch):
                raise LogCorrupt("the digest of the batch does not match its bytes", batch.first_seq)
            found = cursor.prev()
