"""Messages that a socket received and that have not been handled yet.

ccxt reads everything that has arrived at once, and thousands of messages may arrive together: after a pause of the
network, or when a venue sends the changes of all its markets. Handling them all at once would block the event loop, and
with it a finished commit or an order. They are queued here and handled in short time slices, with other tasks in
between.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["ReceiveQueue"]

TIME_SLICE_S: Final = 0.0005
MAX_QUEUED: Final = 50_000
"""Ten seconds of a flood of 5,000 messages a second."""

Data = str | bytes


class ReceiveQueue:
    """Calls `handle` with every message that is put, in order and soon. Belongs to one event loop."""

    def __init__(self, handle: Callable[[Data], None], overflow: Callable[[], None]) -> None:
        """`handle` must not raise. When the queue is full, `overflow` is called and the message is dropped."""
        self._handle = handle
        self._overflow = overflow
        self._queued: deque[Data] = deque()
        self._next: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._queued)

    def put(self, data: Data) -> None:
        """Add a message."""
        if len(self._queued) >= MAX_QUEUED:
            self._overflow()
            return
        self._queued.append(data)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._work)

    def close(self) -> None:
        """Drop all queued messages."""
        self._queued.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _work(self) -> None:
        self._next = None
        end = time.perf_counter() + TIME_SLICE_S
        while self._queued:
            self._handle(self._queued.popleft())
            if time.perf_counter() >= end:
                break
        if self._queued:
            self._next = asyncio.get_running_loop().call_soon(self._work)
