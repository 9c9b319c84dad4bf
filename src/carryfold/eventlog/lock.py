"""One owner per log: an advisory lock on `owner.lock`, which holds the owner's process id.

Guarantees: at most one owner on this machine; the kernel releases the lock when the owner dies, so a stale file blocks
nobody; asking who owns the log takes no lock, so it can never refuse an owner. Not guaranteed: anything over network
file systems.

Two kernel locks lie on the one file. `flock` admits the owner, as in every release. An open-file-description lock
beside it can be queried without being taken, which `flock` cannot. The filelock package offers no such query, and it
falls back to a marker file where `flock` is missing, which a killed owner would leave behind.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final

from carryfold.eventlog.errors import OwnerLocked

LOCK_NAME: Final = "owner.lock"

_LOCK_REQUEST: Final = Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_WRITE_LOCK: Final = _LOCK_REQUEST.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_PID_BYTES: Final = 32


class OwnerLock:
    """Taken at construction. Raises OwnerLocked(pid of the owner) when it is held, here or in another process."""

    def __init__(self, home: Path) -> None:
        # A handle from os.open is not inherited by spawned processes, so a child cannot keep the lock alive.
        self._fd: int | None = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read_pid(self._fd)
            self.release()
            raise OwnerLocked(home, pid) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _WRITE_LOCK)  # after the pid: whoever sees the lock can read it

    def release(self) -> None:
        """Release the lock; harmless when it is released already. The file stays: removing it would race."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> OwnerLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def owner_pid(home: Path) -> int | None:
    """The process id of the log's owner, or None without one. Takes no lock and writes nothing."""
    try:
        fd = os.open(home / LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WRITE_LOCK)
        is_owned = _LOCK_REQUEST.unpack(answer)[0] != fcntl.F_UNLCK
        return _read_pid(fd) if is_owned else None
    finally:
        os.close(fd)


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, _PID_BYTES, 0).strip()
    return int(text) if text.isdigit() else None
