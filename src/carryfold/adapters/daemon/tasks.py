"""Asyncio helpers: blocking work in a thread, and work that a stop interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["in_thread", "unless_stopped"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """The result of `work`. A cancelled caller still waits for its end, because a thread cannot be stopped and its
    files must stay open until then."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait([task])


async def unless_stopped(work: Coroutine[Any, Any, T], stopping: asyncio.Event) -> T | None:
    """The result of `work`; None if `stopping` is set before that, and then `work` is cancelled."""
    working = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stop):
            task.cancel()
        await asyncio.gather(working, stop, return_exceptions=True)
