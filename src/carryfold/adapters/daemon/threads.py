"""Work on the log in a thread, which nobody leaves behind: the log may be closed right after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns. Whoever is cancelled meanwhile waits for its end all the same: a thread cannot be stopped,
    and the files it reads must stay open."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait([task])
