"""One owner per log: an advisory lock on `owner.lock`, holding the owner's process id.

Guarantees: at most one holder on this machine; the kernel releases it when the holder dies, however it dies, so a stale
file never blocks anyone. Not guaranteed: anything over network file systems.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from carryfold.eventlog.errors import OwnerLocked

LOCK_NAME: Final = "owner.lock"


class OwnerLock:
    """Taken at construction. Raises OwnerLocked(pid of the holder) when it is held, here or in another process."""

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

    def release(self) -> None:
        """Give the lock back; harmless when it was given back already. The file stays: removing it would race."""
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
    """The pid of the process that owns the log now, or None when nobody does."""
    try:
        OwnerLock(home).release()
    except OwnerLocked as error:
        return error.pid
    except FileNotFoundError:
        return None
    return None


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
