"""Wake-ups across processes: each tailing reader has a unix datagram socket in `wake/`, and the owner sends to all of
them after a commit.

A wake-up is a hint. It is empty, may be lost or come twice, and every reader also polls. So nothing here can delay or
fail a commit. Sockets are named through an open directory handle (`/proc/self/fd/N/name`), because a unix socket path
is limited to 108 bytes and the path of a home is not.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

WAKE_DIR: Final = "wake"

_serial = itertools.count()


class Waker:
    """The owner's side."""

    def __init__(self, home: Path) -> None:
        self._dir = _open_dir(home)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def wake_all(self) -> None:
        """Wake every reader, and remove the sockets of readers that died."""
        for name in os.listdir(self._dir):  # noqa: PTH208 - pathlib has no listing of an open directory
            try:
                self._socket.sendto(b"", f"/proc/self/fd/{self._dir}/{name}")
            except ConnectionRefusedError:  # its process died without removing the socket
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._dir)
            except OSError:
                continue  # its queue is full, or it closes just now: it will poll

    def close(self) -> None:
        """Close the handles."""
        self._socket.close()
        os.close(self._dir)


class Sleeper:
    """A reader's side. Where no socket can be created (a read-only medium), it only waits."""

    def __init__(self, home: Path) -> None:
        self._name = f"{os.getpid()}-{next(_serial)}"
        self._dir: int | None = None
        self._socket: socket.socket | None = None
        try:
            self._dir = _open_dir(home)
            self._socket = _bind(self._dir, self._name)
        except OSError:
            self._socket = None

    @property
    def is_woken(self) -> bool:
        """True if the owner can wake this reader; otherwise it only polls."""
        return self._socket is not None

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a wake-up or the timeout; True when woken. Several pending wake-ups count as one."""
        sockets = [self._socket] if self._socket is not None else []
        ready, _, _ = select.select(sockets, [], [], timeout_s)
        for waiting in ready:
            with suppress(BlockingIOError):
                while True:
                    waiting.recv(1)
        return bool(ready)

    def close(self) -> None:
        """Remove the socket."""
        if self._socket is not None:
            self._socket.close()
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._dir)
        if self._dir is not None:
            os.close(self._dir)
            self._dir = None


def _bind(directory: int, name: str) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        os.fchmod(bound.fileno(), 0o600)  # before bind: the file never exists with wider rights
        bound.bind(f"/proc/self/fd/{directory}/{name}")
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _open_dir(home: Path) -> int:
    path = home / WAKE_DIR
    path.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
