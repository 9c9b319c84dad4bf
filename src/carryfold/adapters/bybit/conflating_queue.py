"""A queue between streams and a slower reader: it keeps the latest item of each key, in the order of arrival.

It is never longer than the number of different keys, however long nobody reads. A replaced item goes to the end, so an
older item never overtakes a newer one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["ConflatingQueue"]

T = TypeVar("T")


class ConflatingQueue(Generic[T]):
    """Has one reader. Belongs to one event loop."""

    def __init__(self) -> None:
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._filled = asyncio.Event()
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: Hashable, item: T) -> None:
        """Add an item; an unread item under the same key is dropped."""
        self._items.pop(key, None)
        self._items[key] = item
        self._filled.set()

    def fail(self, error: BaseException) -> None:
        """Let the reader get the items that are here, then this error."""
        self._error = error
        self._filled.set()

    async def get(self) -> T:
        """The next item; waits for one. Raises the error of `fail` after the last item."""
        while not self._items:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        return self._items.popitem(last=False)[1]

    def watch(self, task: asyncio.Task[None]) -> None:
        """Pass the error of a task that fills this queue on to the reader."""
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
