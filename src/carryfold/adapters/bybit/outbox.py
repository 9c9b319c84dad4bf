"""What streams leave for a reader that may be slower than they are: of each thing the latest, in the order of arrival.

Never longer than the number of different keys, however long nobody reads. A thing that is replaced goes to the end: an
older one never overtakes a newer one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Outbox"]

T = TypeVar("T")


class Outbox(Generic[T]):
    """For one reader, in one event loop."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, T] = OrderedDict()
        self._filled = asyncio.Event()
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: Hashable, item: T) -> None:
        """Leave an item; one under the same key that nobody has read yet is forgotten."""
        self._waiting.pop(key, None)
        self._waiting[key] = item
        self._filled.set()

    def fail(self, error: BaseException) -> None:
        """The reader gets what is here, then this error."""
        self._error = error
        self._filled.set()

    async def get(self) -> T:
        """The next item."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popitem(last=False)[1]

    def watch(self, task: asyncio.Task[None]) -> None:
        """Tell the reader when a task that fills this ends in an error."""
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
