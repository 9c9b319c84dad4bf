"""One websocket: what it listens to, what waits to be sent, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from carryfold.adapters.simexchange.faults import Fault, Faults

__all__ = ["Connection", "Kind"]

Kind = Literal["linear", "spot", "private", "trade"]

_HELD_MS: Final = 1_000  # so long a push that is out of order waits for a next one
_MAX_WAITING: Final = 20_000  # messages; who reads slower than that is cut off


class Connection:
    """A client's websocket. Messages leave in order, through one task, however slowly the client reads."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        kind: Kind,
        number: int,
        faults: Faults,
    ) -> None:
        self.socket = socket
        self._transport = transport
        self.kind = kind
        self.conn_id = f"sim-{number:08d}"
        self.known = False
        self.topics: dict[str, None] = {}
        self._faults = faults
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._held: list[tuple[int, bytes]] = []
        self._late: list[tuple[int, bytes]] = []
        self._silent: list[tuple[str, int]] = []
        self._broken = False

    def answer(self, message: dict[str, Any]) -> None:
        """Send a reply; faults leave replies alone."""
        self._enqueue(msgspec.json.encode(message))

    def push(self, topic: str, message: bytes, about: dict[str, Any], now_ms: int) -> None:
        """Send a message of a topic, unless a fault has it otherwise. `about` is what faults choose by."""
        if any(now_ms < until_ms and fnmatchcase(topic, where) for where, until_ms in self._silent):
            return
        fault = self._faults.strike("push", topic, about)
        if fault is None:
            self._enqueue(message)
        elif fault.name == "disconnect":
            self.break_off()
        elif fault.name == "duplicate":
            for _ in range(int(fault.number(2))):
                self._enqueue(message)
        elif fault.name == "reorder":
            self._held.append((now_ms, message))
            return
        elif fault.name == "late":
            self._late.append((now_ms + int(fault.seconds * 1_000), message))
        elif fault.name == "silence":
            self._silent.append((fault.where, now_ms + int(fault.seconds * 1_000)))
        elif fault.name == "corrupt_push":
            self._enqueue(spoiled(message, fault))
        else:
            assert fault.name == "drop"
        self._let_go()

    def release(self, now_ms: int) -> None:
        """Send what is late and due, and what waits for a next push that does not come."""
        if self._held and now_ms - self._held[0][0] >= _HELD_MS:
            self._let_go()
        due = [message for at_ms, message in self._late if at_ms <= now_ms]
        self._late = [(at_ms, message) for at_ms, message in self._late if at_ms > now_ms]
        for message in due:
            self._enqueue(message)

    def break_off(self) -> None:
        """Break the connection without a goodbye; what waits to be sent is lost."""
        self._broken = True
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    async def write(self, closed: Callable[[], bool]) -> None:
        """Send what waits until the connection ends. `closed` says whether the reading side has ended."""
        while not closed():
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._broken:
                await self.socket.send_str(self._waiting.popleft())
            if self._broken:
                return

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for _, message in held:
            self._enqueue(message)

    def _enqueue(self, message: bytes) -> None:
        self._waiting.append(message.decode())
        if len(self._waiting) > _MAX_WAITING:
            self.break_off()
        self._wake.set()


def spoiled(message: bytes, fault: Fault) -> bytes:
    """A message that no client should trust."""
    if not fault.text:
        return message[: len(message) // 2]
    return msgspec.json.encode(_replaced(msgspec.json.decode(message), fault.text))


def _replaced(value: Any, text: str) -> Any:
    """Every number, written as text, becomes another text."""
    if isinstance(value, dict):
        return {name: _replaced(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, text) for one in value]
    if isinstance(value, str) and value.replace(".", "", 1).replace("-", "", 1).isdigit():
        return text
    return value
