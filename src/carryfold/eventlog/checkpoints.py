"""Two small key-value stores beside the log, in environments of their own so that their churn never holds up the log.

`Checkpoints` (`derived/`): snapshots, projections, caches. All of it can be rebuilt from the log. A power loss may lose
the last write, never half of one. A store that cannot be opened is deleted and started anew. `Research` (`research/`):
trials and jobs, as durable as the log and part of its backups. Several processes may use both at once; writers wait for
each other.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

import lmdb

from carryfold.eventlog.entries import MAX_KEY_BYTES
from carryfold.eventlog.env import GIB, Options, SharedEnv, acquire, release
from carryfold.eventlog.errors import AppendRefused, DiskFailed, LogCorrupt, MapFull, NameTaken

_ITEMS: Final = b"items"
_DAMAGED: Final = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.NotFoundError)


class _Store:
    """Names to bytes in one LMDB environment. Names are text of at most 511 bytes in UTF-8."""

    FOLDER: ClassVar[str]
    OPTIONS: ClassVar[Options]

    def __init__(self, env: SharedEnv) -> None:
        """Use `open`."""
        self._env = env
        self._closed = False

    @classmethod
    def open(cls, home: Path, *, map_size: int | None = None) -> Self:
        """Open the store of this home, or create it. `map_size` in bytes is its largest size."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = acquire(home / cls.FOLDER, cls.OPTIONS, writable=True, map_size=map_size)
        env.env.reader_check()
        return cls(env)

    def get(self, name: str) -> bytes | None:
        """The bytes stored under `name`, or None."""
        with self._env.read() as transaction:
            return transaction.get(_key(name), db=self._env.table(_ITEMS))

    def put(self, name: str, data: bytes) -> None:
        """Store or replace. Raises MapFull or DiskFailed; the old value then stays."""
        self.put_many({name: data})

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store or replace several values in one transaction: all of them or none."""
        self._put({_key(name): data for name, data in items.items()}, overwrite=True)

    def delete(self, name: str) -> bool:
        """Delete `name`; False when it was not there."""
        with self._env.write() as transaction:
            return transaction.delete(_key(name), db=self._env.table(_ITEMS))

    def names(self, prefix: str = "") -> list[str]:
        """The stored names that start with `prefix`, in byte order."""
        start = prefix.encode()
        found: list[str] = []
        with self._env.read() as transaction, transaction.cursor(self._env.table(_ITEMS)) as cursor:
            more = cursor.set_range(start) if start else cursor.first()
            while more and (key := cursor.key()).startswith(start):
                found.append(key.decode())
                more = cursor.next()
        return found

    def close(self) -> None:
        """Close the handle. Harmless when it is closed already."""
        if not self._closed:
            self._closed = True
            release(self._env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, items: Mapping[bytes, bytes], *, overwrite: bool) -> None:
        table = self._env.table(_ITEMS)
        try:
            with self._env.write() as transaction:
                for key, data in items.items():
                    if not transaction.put(key, data, overwrite=overwrite, db=table):
                        raise NameTaken(key.decode())
        except lmdb.MapFullError:
            raise MapFull(self._env.path, self._env.map_size()) from None
        except lmdb.Error as error:
            self._env.reopen()
            raise DiskFailed(f"{self._env.path}: the disk refused a write ({error}), nothing was stored") from error


class Checkpoints(_Store):
    """Disposable: deleting the folder costs only time."""

    FOLDER = "derived"
    OPTIONS = Options(tables=(_ITEMS,), map_size=64 * GIB, metasync=False)

    @classmethod
    def open(cls, home: Path, *, map_size: int | None = None) -> Self:
        """Open the store. One that cannot be opened is deleted and started anew."""
        try:
            return super().open(home, map_size=map_size)
        except _DAMAGED:
            shutil.rmtree(home / cls.FOLDER)
            return super().open(home, map_size=map_size)


class Research(_Store):
    """Durable: flushed at every write, copied by `backup`, never rebuilt."""

    FOLDER = "research"
    OPTIONS = Options(tables=(_ITEMS,), map_size=16 * GIB)

    @classmethod
    def open(cls, home: Path, *, map_size: int | None = None) -> Self:
        """Open the store, or create it. Raises LogCorrupt when it cannot be opened."""
        try:
            return super().open(home, map_size=map_size)
        except _DAMAGED as error:
            raise LogCorrupt(f"{home / cls.FOLDER} cannot be opened ({error})") from error

    def put_new(self, name: str, data: bytes) -> None:
        """Store under a new name. Raises NameTaken; the first value then stays."""
        self._put({_key(name): data}, overwrite=False)

    def copy_to(self, folder: Path) -> None:
        """A consistent, compacted copy into an empty folder."""
        self._env.env.copy(str(folder), compact=True)


def _key(name: str) -> bytes:
    key = name.encode()
    if not 1 <= len(key) <= MAX_KEY_BYTES:
        raise AppendRefused(f"the name {name[:40]!r} is not 1 to {MAX_KEY_BYTES} bytes long")
    return key
