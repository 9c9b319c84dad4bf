"""The owner's command socket: `owner.sock` in the home, mode 0600, one JSON object per line.

    -> {"command": "halt", "args": {...}}
    <- {"ok": true, "seq": 17}    or    {"ok": false, "error": "one line"}

File permissions decide who may send commands. The log does not interpret them; a handler does. Requests are served one
after the other, so the handler never runs twice at once. The socket is bound and reached through an open directory
handle, because a unix socket path is limited to 108 bytes.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from carryfold.eventlog.errors import CommandRefused, CommandUnanswered, LogError, NoOwner

SOCKET_NAME: Final = "owner.sock"
MAX_LINE_BYTES: Final = 64 << 10
READ_TIMEOUT_S: Final = 2.0  # a client that connects and sends nothing must not hold up the others for long
_BACKLOG: Final = 16


class Request(msgspec.Struct, frozen=True):
    """One command."""

    command: str
    args: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The owner's answer: the seq of the command's event, or the reason why there is none."""

    ok: bool
    seq: int | None = None
    error: str | None = None


class CommandServer:
    """Serves the socket on a thread until closed. The caller holds the owner lock, so an old socket file is stale."""

    def __init__(self, home: Path, handler: Callable[[str, dict[str, Any]], int]) -> None:
        self._handler = handler
        self._path = home / SOCKET_NAME
        self._closing = False
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.fchmod(self._socket.fileno(), 0o600)  # before bind: the file never exists with wider rights
        with _Folder(home) as folder:
            self._socket.bind(folder.path(SOCKET_NAME))
        self._socket.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._serve, name="owner-commands", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, let a running command finish, remove the socket file."""
        self._closing = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread from accept
        self._thread.join(READ_TIMEOUT_S * 2)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the client has disconnected
                connection.settimeout(READ_TIMEOUT_S)
                connection.sendall(msgspec.json.encode(self._answer(connection)) + b"\n")

    def _answer(self, connection: socket.socket) -> Reply:
        try:
            request = msgspec.json.decode(_read_line(connection), type=Request)
            return Reply(ok=True, seq=self._handler(request.command, request.args))
        except (msgspec.MsgspecError, TimeoutError):
            return Reply(ok=False, error='a command is one line of JSON: {"command": "...", "args": {...}}')
        except LogError as error:
            return Reply(ok=False, error=str(error))
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is the answer
            return Reply(ok=False, error=f"{type(error).__name__}: {error}")


def send_command(home: Path, command: str, args: Mapping[str, Any] | None = None, timeout: float = 10.0) -> int:
    """Send a command to the owner and return the seq of its event.

    `timeout` is in seconds for each step. Raises NoOwner when no process listens, CommandRefused when the owner
    refused, and CommandUnanswered without an answer: the command may or may not have been carried out.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            with _Folder(home) as folder:
                connection.connect(folder.path(SOCKET_NAME))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoOwner(home) from None
        try:
            connection.sendall(msgspec.json.encode(Request(command, dict(args or {}))) + b"\n")
            reply = msgspec.json.decode(_read_line(connection), type=Reply)
        except (OSError, msgspec.MsgspecError) as error:
            raise CommandUnanswered(
                f"the owner of {home} did not answer {command!r} ({error or 'timeout'}): it may still carry it out"
            ) from error
    if not reply.ok or reply.seq is None:
        raise CommandRefused(reply.error or "the owner gave no reason")
    return reply.seq


def _read_line(connection: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
        part = connection.recv(MAX_LINE_BYTES)
        if not part:
            break
        line += part
    return bytes(line)


class _Folder:
    """An open directory, and short paths into it."""

    def __init__(self, home: Path) -> None:
        self._fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY)

    def path(self, name: str) -> str:
        return f"/proc/self/fd/{self._fd}/{name}"

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
