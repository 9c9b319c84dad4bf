"""The owner's handle, through which every event is written.

Guarantees: an append is one LMDB transaction, so after any crash the log has all of it or nothing; it returns after the
data is flushed to the disk; seqs are contiguous from 1; recorded_at grows from append to append; every live known_at is
greater than every known_at and recorded_at before it. A failed append leaves the log unchanged, in memory and on the
disk. Not guaranteed: that the wall clock was right (see clock.py), or that the disk honours a flush.
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
from typing import Any, Final

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.batch_writer import BatchWriter, Issued
from carryfold.eventlog.clock import Clock
from carryfold.eventlog.commands import CommandServer
from carryfold.eventlog.entries import AnyEntry, AppendResult, Columns, columns
from carryfold.eventlog.env import SharedEnv, acquire, release
from carryfold.eventlog.errors import DiskFailed, DiskFull, LogClosed, LogCorrupt, MapFull
from carryfold.eventlog.headfile import HeadFile, read_head
from carryfold.eventlog.lock import OwnerLock
from carryfold.eventlog.metapage import check_size
from carryfold.eventlog.record import Head, decode_record, is_intact
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
        """Take the lock and open the log, or create it.

        `map_size` is address space, not disk; it doubles up to `max_map_size` (bytes) as the log grows.
        `command_handler` (command, args) -> seq serves the command socket, on a thread of its own. Checks the digests
        of the last batches only; `verify` checks all of them. Raises OwnerLocked, LogTruncated, LostTail, LogCorrupt
        or FormatUnknown.
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
        """The end of the log: seq (0 when empty), digest, recorded_at."""
        return self._head

    def append(self, entries: Sequence[AnyEntry]) -> AppendResult:
        """Append entries in one transaction and return once they are on the disk.

        All live entries get the commit's recorded_at as their known_at: one append is one instant. A given known_at
        (int64 ns) later than the commit is clamped to it. An entry whose key and content are in the log is dropped and
        counted; one whose key is in the log with other content is reported as a conflict. An append of more than 4,096
        events or 1 MiB becomes several records with the same recorded_at, in one transaction. Raises AppendRefused for
        entries that cannot be stored, and DiskFull, DiskFailed or MapFull without room. The log is unchanged after an
        error.
        """
        return self.append_columns([columns(entries)])[0]

    def append_columns(self, groups: Sequence[Columns]) -> list[AppendResult]:
        """Several appends, in order, with one transaction and one flush. Each is an instant of its own, as if appended
        alone, and so are its follow-up entries."""
        issued = Issued([], {})
        with self._writing:
            while True:
                try:
                    return self._commit(groups, issued)
                except lmdb.MapFullError:
                    self._grow()

    def get_meta(self, name: str) -> bytes | None:
        """A durable setting of this log, or None. Settings are small and not part of the digest chain."""
        env = self._opened()
        with env.read() as transaction:
            return tables.get_setting(transaction, env, name)

    def set_meta(self, name: str, value: bytes) -> None:
        """Store or replace a durable setting. Returns after the flush."""
        env = self._opened()
        with self._writing, env.write() as transaction:
            tables.put_setting(transaction, env, name, value)

    def reader_check(self) -> int:
        """Clear the slots of dead readers and return their number. Call it hourly: a stale slot pins old pages."""
        return self._opened().env.reader_check()

    def close(self) -> None:
        """Stop listening, sync the head, release the lock. Harmless when it is closed already."""
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

    def _commit(self, groups: Sequence[Columns], issued: Issued) -> list[AppendResult]:
        env = self._opened()
        before = self._head
        writer: BatchWriter | None = None
        try:
            with env.write() as transaction:
                writer = BatchWriter(transaction, env, before, self.clock, issued)
                results = [writer.write(number, group) for number, group in enumerate(groups)]
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            self._recover(env, error)
            if writer is None or self._head != writer.head or self._head == before:
                raise self._disk_error(error) from error
        self._head = writer.head
        if self._head != before:
            self._publish_head()
        return results

    def _recover(self, env: SharedEnv, error: lmdb.Error) -> None:
        """After a failed commit only the file shows whether it was stored: reopen it and read its end."""
        try:
            env.reopen()
            with env.read() as transaction:
                self._head = tables.last_head(transaction, env)
            env.env.sync(True)
        except (lmdb.Error, LogCorrupt) as second:
            self._env = None
            raise DiskFailed(
                f"{tables.data_file(self.home)}: the disk refused a write ({error}) and then could not be read"
                f" ({second}): it is unknown whether the last append is stored, open the log again"
            ) from error

    def _publish_head(self) -> None:
        try:
            self._head_file.write(self._head)
            self.head_error = None
        except OSError as error:
            # The commit is stored and must not be reported as failed. A head file that lags is a normal state.
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
        # A full disk causes a short write, which LMDB reports as a plain input/output error.
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
            self._publish_head()


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
