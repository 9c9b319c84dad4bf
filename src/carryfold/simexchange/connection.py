"""One websocket connection: its subscriptions, its send queue, and the faults on its pushes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from carryfold.simexchange.faults import Fault, Faults

__all__ = ["Connection", "Kind"]

Kind = Literal["linear", "spot", "private", "trade"]

_HELD_MS: Final = 1_000  # a push held back by a reorder fault waits no longer for the next push
_MAX_WAITING: Final = 20_000  # messages; a slower client is disconnected


class Connection:
    """A client's websocket. One task sends the queued messages in order; a slow client delays no other."""

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
        self.authenticated = False
        self.topics: dict[str, None] = {}
        self._faults = faults
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._held: list[tuple[int, bytes]] = []
        self._late: list[tuple[int, bytes]] = []
        self._silent: list[tuple[str, int]] = []
        self._broken = False

    def answer(self, message: dict[str, Any]) -> None:
        """Send a reply. Faults do not affect replies."""
        self._enqueue(msgspec.json.encode(message))

    def push(self, topic: str, message: bytes, attributes: dict[str, Any], now_ms: int) -> None:
        """Send a message of a topic, subject to faults. Faults are matched against `attributes` (category, symbol)."""
        if any(now_ms < until_ms and fnmatchcase(topic, where) for where, until_ms in self._silent):
            return
        fault = self._faults.trigger("push", topic, attributes)
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
            self._enqueue(corrupted(message, fault))
        else:
            assert fault.name == "drop"
        self._send_held()

    def release(self, now_ms: int) -> None:
        """Send delayed pushes that are due, and held pushes that have waited long enough."""
        if self._held and now_ms - self._held[0][0] >= _HELD_MS:
            self._send_held()
        due = [message for at_ms, message in self._late if at_ms <= now_ms]
        self._late = [(at_ms, message) for at_ms, message in self._late if at_ms > now_ms]
        for message in due:
            self._enqueue(message)

    def break_off(self) -> None:
        """Abort the connection without a close message. Queued messages are lost."""
        self._broken = True
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    async def write(self, closed: Callable[[], bool]) -> None:
        """Send queued messages until the connection ends. `closed` returns whether the reading side has ended."""
        while not closed():
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._broken:
                await self.socket.send_str(self._waiting.popleft())
            if self._broken:
                return

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for _, message in held:
            self._enqueue(message)

    def _enqueue(self, message: bytes) -> None:
        self._waiting.append(message.decode())
        if len(self._waiting) > _MAX_WAITING:
            self.break_off()
        self._wake.set()


def corrupted(message: bytes, fault: Fault) -> bytes:
    """The message cut in half, or with every number replaced by the fault's text."""
    if not fault.text:
        return message[: len(message) // 2]
    return msgspec.json.encode(_replaced(msgspec.json.decode(message), fault.text))


def _replaced(value: Any, text: str) -> Any:
    """The value with every number in text form replaced by `text`."""
    if isinstance(value, dict):
        return {name: _replaced(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, text) for item in value]
    if isinstance(value, str) and value.replace(".", "", 1).replace("-", "", 1).isdigit():
        return text
    return value
