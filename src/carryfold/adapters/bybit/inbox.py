"""What a socket brought and nobody has looked at yet.

ccxt reads everything that has arrived in one go, and thousands of messages may arrive at once: after a pause of the
network, or where a venue sends the changes of all its markets together. Looked at in that same go they would hold up
the event loop, and with it a commit that is done, or an order. So they wait here, and are looked at for a short while
at a time, with everything else having its turn in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Inbox"]

SLICE_S: Final = 0.0005
MOST_WAITING: Final = 50_000
"""Ten seconds of a flood of 5,000 messages a second."""

Data = str | bytes


class Inbox:
    """`take` gets everything that is `put`, in this order, soon. Lives in one event loop."""

    def __init__(self, take: Callable[[Data], None], overflow: Callable[[], None]) -> None:
        """`take` must not raise. `overflow` is called, instead of keeping a message, when too many wait."""
        self._take = take
        self._overflow = overflow
        self._waiting: deque[Data] = deque()
        self._next: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: Data) -> None:
        """Leave a message."""
        if len(self._waiting) >= MOST_WAITING:
            self._overflow()
            return
        self._waiting.append(data)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._look)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self._next = None
        end = time.perf_counter() + SLICE_S
        while self._waiting:
            self._take(self._waiting.popleft())
            if time.perf_counter() >= end:
                break
        if self._waiting:
            self._next = asyncio.get_running_loop().call_soon(self._look)
