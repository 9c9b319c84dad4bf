"""Reading a log, from any process, without its lock.

Guarantees: every batch returned was committed whole, in order, without a gap. A reader never blocks the owner: it reads
chunks of bounded size, each in a transaction that ends before the chunk is returned. Memory does not grow with the log.
Not checked here: digests (see `verify`).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.env import SharedEnv, acquire, release
from carryfold.eventlog.errors import LogCorrupt, LostTail, NoLog
from carryfold.eventlog.headfile import HEAD_NAME, read_head
from carryfold.eventlog.keytable import decode_key_value
from carryfold.eventlog.metapage import check_size
from carryfold.eventlog.record import SEQ, Batch, Head, decode_record
from carryfold.eventlog.stats import describe
from carryfold.eventlog.wakeup import Sleeper

CHUNK_BATCHES: Final = 64
CHUNK_BYTES: Final = 8 << 20
CHUNK_KEYS: Final = 4_096
RESIDENT_BYTES: Final = 64 << 20  # read in a row before the pages are released
_LAST_SEQ: Final = 2**64 - 1


class LogReader:
    """A reader of one home. Usable from every thread. The readers of a process share one environment."""

    def __init__(self, home: Path, env: SharedEnv) -> None:
        """Use `LogReader.open`."""
        self.home = home
        self._env = env
        self._closed = False

    @classmethod
    def open(cls, home: Path) -> LogReader:
        """Open for reading. Raises NoLog, LostTail, LogTruncated, FormatUnknown or LogCorrupt."""
        if check_size(tables.data_file(home)) is None:
            outside = read_head(home)
            if outside is not None and outside.seq > 0:
                raise LostTail(
                    f"{tables.data_file(home)} is gone or empty, but seq {outside.seq} was committed", home / HEAD_NAME
                )
            raise NoLog(home)
        try:
            env = acquire(tables.log_dir(home), tables.LOG_OPTIONS, writable=False)
        except lmdb.NotFoundError:
            raise NoLog(home) from None
        except lmdb.Error as error:
            raise LogCorrupt(f"{tables.data_file(home)} cannot be opened ({error})") from error
        reader = cls(home, env)
        try:
            env.env.reader_check()
            with env.read() as transaction:
                tables.check_format(transaction, env)
        except Exception:
            reader.close()
            raise
        return reader

    def check_tail(self) -> None:
        """Raise LostTail when the log ends before the head recorded in the head file, as the owner's open does. The
        rest of the log can still be read."""
        outside = read_head(self.home)  # read first: a live writer can only have made the log longer since
        if outside is not None:
            with self._env.read() as transaction:
                tables.check_outside_head(transaction, self._env, outside, self.home)

    @property
    def last(self) -> Head:
        """The end of the log now: seq (0 when empty), digest, recorded_at."""
        with self._env.read() as transaction:
            return tables.last_head(transaction, self._env)

    def read(
        self, after_seq: int = 0, *, limit_batches: int | None = None, limit_events: int | None = None
    ) -> Iterator[Batch]:
        """Batches with events after `after_seq`, up to the end of the log at the time the iterator reaches it.

        Batches are returned whole: if `after_seq` lies inside a batch, that batch comes first and the caller skips its
        events up to `after_seq`. The iterator stops after the batch that reaches a limit.
        """
        batches = events = size = 0
        while part := self._read_chunk(after_seq):
            size += sum(len(batch.payload) for batch in part)
            if size >= RESIDENT_BYTES:
                self._env.release_pages()
                size = 0
            for batch in part:
                yield batch
                batches += 1
                events += batch.last_seq - max(after_seq, batch.first_seq - 1)
                after_seq = batch.last_seq
                if batches == limit_batches or (limit_events is not None and events >= limit_events):
                    return

    def tail(self, after_seq: int, *, stop: threading.Event | None = None, poll_s: float = 0.25) -> Generator[Batch]:
        """Like `read`, but waits for more batches at the end of the log until `stop` is set (noticed within `poll_s`
        seconds).

        A commit wakes the reader through a datagram in about 0.1 ms. Polling is the fallback and needs no owner.
        """
        sleeper = Sleeper(self.home)
        try:
            while stop is None or not stop.is_set():
                for batch in self.read(after_seq):
                    yield batch
                    after_seq = batch.last_seq
                    if stop is not None and stop.is_set():
                        return
                sleeper.wait(poll_s)
        finally:
            sleeper.close()

    def find_key(self, key: bytes) -> int | None:
        """The seq of the event appended under `key`, or None."""
        with self._env.read() as transaction:
            value = transaction.get(key, db=self._env.table(tables.KEYS))
        return None if value is None else _seq_of(key, value)

    def iter_keys(self, prefix: bytes = b"") -> Iterator[tuple[bytes, int]]:
        """(key, seq) of every key that starts with `prefix`, in the order of the keys."""
        for key, value in self.iter_key_values(prefix):
            yield key, _seq_of(key, value)

    def iter_key_values(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """As `iter_keys`, with the stored bytes."""
        start = prefix
        while True:
            part: list[tuple[bytes, bytes]] = []
            with self._env.read() as transaction, transaction.cursor(self._env.table(tables.KEYS)) as cursor:
                found = cursor.set_range(start) if start else cursor.first()
                while found and len(part) < CHUNK_KEYS and cursor.key().startswith(prefix):
                    part.append(cursor.item())
                    found = cursor.next()
            yield from part
            if len(part) < CHUNK_KEYS:
                return
            start = part[-1][0] + b"\x00"  # the smallest key after the last one

    def settings(self) -> dict[str, bytes]:
        """Every setting stored with `EventLog.set_meta`."""
        with self._env.read() as transaction:
            return tables.settings(transaction, self._env)

    def get_meta(self, name: str) -> bytes | None:
        """One setting, or None."""
        with self._env.read() as transaction:
            return tables.get_setting(transaction, self._env, name)

    def stat(self) -> dict[str, int | float]:
        """Size and growth of the log; stats.py lists the names. Times in ns, sizes in bytes."""
        with self._env.read() as transaction:
            return describe(transaction, self._env, tables.data_file(self.home))

    def copy_to(self, folder: Path) -> None:
        """A consistent, compacted copy of the environment into an empty folder, beside a live owner."""
        self._env.env.copy(str(folder), compact=True)

    def check_outside_head(self, outside: Head) -> None:
        """Raise LostTail unless the log has the commit that a head file recorded."""
        with self._env.read() as transaction:
            tables.check_outside_head(transaction, self._env, outside, self.home)

    def close(self) -> None:
        """Close the handle. Harmless when it is closed already."""
        if not self._closed:
            self._closed = True
            release(self._env)

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_chunk(self, after_seq: int) -> list[Batch]:
        part: list[Batch] = []
        size = 0
        with self._env.read() as transaction, transaction.cursor(self._env.table(tables.EVENTS)) as cursor:
            found = seek(cursor, after_seq)
            while found and len(part) < CHUNK_BATCHES and size < CHUNK_BYTES:
                key, value = cursor.item()
                part.append(decode_record(tables.decode_seq(key), value))
                size += len(value)
                found = cursor.next()
        return part


def seek(cursor: lmdb.Cursor[bytes], after_seq: int) -> bool:
    """Move the cursor to the batch with the event after `after_seq`; False when the log ends before it."""
    wanted = min(after_seq + 1, _LAST_SEQ)
    if cursor.set_range(SEQ.pack(wanted)):
        if tables.decode_seq(cursor.key()) == wanted or not cursor.prev():
            return True
    elif not cursor.last():
        return False
    # At the last batch that starts before `wanted`: it contains the event, or the next batch does.
    last_seq = tables.decode_seq(cursor.key()) + decode_record(0, cursor.value()).count - 1
    return last_seq >= wanted or cursor.next()


def _seq_of(key: bytes, value: bytes) -> int:
    found = decode_key_value(key, value)
    if found is None:
        raise LogCorrupt(f"the entry of key {key!r} does not match its checksum")
    return found[0]
