"""LMDB environments, opened once per process and shared by everyone in it.

LMDB forbids a second open of the same environment in one process, forbids growing the map while a transaction is open,
and must not be carried across a fork. `SharedEnv` enforces these three rules for the rest of the package. Transactions
run inside `read()` and `write()`; they are short (the longest, a commit of the daemon, lasts as long as the folds of
its runs) and never held across a yield. Exclusive operations (grow, adopt another process's growth, release pages,
reopen after a failed commit) wait until no transaction of this process is open.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from carryfold.eventlog.errors import LogClosed, LogCorrupt, LogError

GIB: Final = 1 << 30
DATA_NAME: Final = "data.mdb"
MAX_READERS: Final = 256

_OPEN_TRIES: Final = 50  # opening can fail while another process is creating the environment (py-lmdb #289, #309)
_OPEN_PAUSE_S: Final = 0.02


class Options(NamedTuple):
    """The options in which environments differ; `_open` sets the common ones."""

    tables: tuple[bytes, ...]
    map_size: int
    metasync: bool = True


class SharedEnv:
    """One open environment. Use `acquire` and `release`; do not construct."""

    def __init__(self, path: Path, options: Options, *, writable: bool, map_size: int) -> None:
        self.path = path
        self._options = options
        self._writable = writable
        self._holders = 1
        self._pid = os.getpid()
        self._idle = threading.Condition()
        self._users = 0
        self._exclusive = False
        self._open(map_size)

    @property
    def env(self) -> lmdb.Environment:
        """For calls that need no transaction (info, reader_check, copy)."""
        if self._env is None:
            raise LogClosed(f"{self.path} is closed")
        if self._pid != os.getpid():
            raise LogClosed(
                f"{self.path} was opened by process {self._pid}: start processes by spawning, not by forking"
            )
        return self._env

    def table(self, name: bytes) -> lmdb._Database:
        """The handle of a table; valid inside the transaction it is used in, not longer."""
        return self._tables[name]

    @contextmanager
    def read(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A read transaction. Adopts a map that another process has grown.

        Only a damaged file can cause LMDB's own errors here, so they become LogCorrupt.
        """
        self._enter()
        try:
            try:
                transaction = self.env.begin()
            except lmdb.MapResizedError:
                transaction = None
            if transaction is not None:
                with transaction:
                    yield transaction
                return
        except lmdb.ReadersFullError as error:
            raise LogError(f"{self.path} has {MAX_READERS} readers already: close some") from error
        except lmdb.Error as error:
            raise LogCorrupt(f"{self.path / DATA_NAME} cannot be read ({error})") from error
        finally:
            self._leave()
        self.adopt_map_size()
        with self.read() as transaction:
            yield transaction

    @contextmanager
    def write(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A write transaction: committed at the end of the block, aborted when the block raises."""
        self._enter()
        try:
            with self.env.begin(write=True) as transaction:
                yield transaction
        finally:
            self._leave()

    def grow(self, map_size: int) -> None:
        """Enlarge the map. Only the process that owns the log may call this (py-lmdb #269)."""
        with self._exclusive_access():
            self.env.set_mapsize(map_size)

    def adopt_map_size(self) -> None:
        """Adopt the size of a map that another process has grown."""
        with self._exclusive_access():
            self.env.set_mapsize(0)

    def release_pages(self) -> None:
        """Map the file anew, so that the pages read so far no longer count as memory of this process. They stay in the
        system's cache and are mapped again when they are read again."""
        with self._exclusive_access():
            self.env.set_mapsize(self.env.info()["map_size"] if self._writable else 0)

    def reopen(self) -> None:
        """Close and open again: after a failed commit LMDB's state in memory cannot be trusted."""
        with self._exclusive_access():
            map_size = self.env.info()["map_size"]
            self.env.close()
            self._open(map_size)

    def map_size(self) -> int:
        """Bytes of address space the environment may fill."""
        return self.env.info()["map_size"]

    def _make_writable(self, map_size: int) -> None:
        with self._exclusive_access():
            self.env.close()
            self._writable = True
            self._open(map_size)

    def _open(self, map_size: int) -> None:
        self._env: lmdb.Environment | None = None
        for attempt in range(_OPEN_TRIES):
            try:
                self._env, self._tables = _open(self.path, self._options, self._writable, map_size)
            except (lmdb.Error, FileNotFoundError):
                if attempt == _OPEN_TRIES - 1 or self._writable:
                    raise
                time.sleep(_OPEN_PAUSE_S)
            else:
                return

    def _close(self) -> None:
        with self._exclusive_access():
            if self._env is not None:
                self._env.close()
                self._env = None

    def _enter(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: not self._exclusive)
            self._users += 1

    def _leave(self) -> None:
        with self._idle:
            self._users -= 1
            if self._users == 0:
                self._idle.notify_all()

    @contextmanager
    def _exclusive_access(self) -> Iterator[None]:
        with self._idle:
            self._idle.wait_for(lambda: not self._exclusive)
            self._exclusive = True
            self._idle.wait_for(lambda: self._users == 0)
        try:
            yield
        finally:
            with self._idle:
                self._exclusive = False
                self._idle.notify_all()


_shared: dict[Path, SharedEnv] = {}
_shared_lock = threading.Lock()


def acquire(path: Path, options: Options, *, writable: bool, map_size: int | None = None) -> SharedEnv:
    """The environment at `path`, opened if nobody in this process has it open. Pair with `release`."""
    key = path.resolve()
    wanted = options.map_size if map_size is None else map_size
    with _shared_lock:
        shared = _shared.get(key)
        if shared is None or shared._pid != os.getpid():
            shared = _shared[key] = SharedEnv(key, options, writable=writable, map_size=wanted)
            return shared
        if writable and not shared._writable:
            shared._make_writable(wanted)
        shared._holders += 1
        return shared


def release(shared: SharedEnv) -> None:
    """Undo one `acquire`; the last one closes the environment."""
    with _shared_lock:
        shared._holders -= 1
        if shared._holders == 0:
            shared._close()
            if _shared.get(shared.path) is shared:
                del _shared[shared.path]


def _open(
    path: Path, options: Options, writable: bool, map_size: int
) -> tuple[lmdb.Environment, dict[bytes, lmdb._Database]]:
    # The fixes for hostile files exist only in the LMDB that py-lmdb bundles and patches, not in a system library.
    if lmdb.version(subpatch=True)[3] != 1:
        raise AssertionError("py-lmdb must use the LMDB it bundles and patches")
    env = lmdb.open(
        str(path),
        map_size=map_size if writable else 0,  # 0: readers take the size from the file
        subdir=True,
        readonly=not writable,
        metasync=options.metasync,
        sync=True,
        map_async=False,
        mode=0o700,  # the files become 0600
        create=writable,
        readahead=True,
        writemap=False,  # with writemap a full disk is SIGBUS, and a stray write damages the file
        meminit=True,  # without it heap leftovers, keys among them, could reach the disk
        max_readers=MAX_READERS,
        max_dbs=len(options.tables),
        max_spare_txns=0,
        lock=True,
    )
    try:
        tables = {name: env.open_db(name, create=writable) for name in options.tables}
    except lmdb.Error:
        env.close()
        raise
    return env, tables
