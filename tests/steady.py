"""An event loop whose time excludes waiting for the processor.

A test whose exchange runs hundreds of times faster than real time fails on a busy machine: while the test waits for a
core, hours pass at the venue. Here monotonic time advances only while the event loop computes and while it waits for a
timer. Time in which it was ready but not scheduled does not count.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

__all__ = ["run"]

_real_ns = time.monotonic_ns
_NS = 1_000_000_000
T = TypeVar("T")


class SteadyTime(selectors.DefaultSelector):
    """The monotonic clock of a loop, and the selector that measures its waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._processor = time.pthread_getcpuclockid(threading.get_ident())
        self._waited = _real_ns() - time.clock_gettime_ns(self._processor)

    def monotonic_ns(self) -> int:
        """The replacement of `time.monotonic_ns`. Callable from any thread; never decreases."""
        return self._waited + time.clock_gettime_ns(self._processor)

    def monotonic(self) -> float:
        """The replacement of `time.monotonic`."""
        return self.monotonic_ns() / _NS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as usual; time beyond the timeout is not counted."""
        began = _real_ns()
        ready = super().select(timeout)
        waited = _real_ns() - began
        if timeout is not None:
            waited = min(waited, round(max(timeout, 0.0) * _NS))
        self._waited += waited
        return ready


def run(work: Coroutine[Any, Any, T], within_s: float) -> T:
    """Run a coroutine in such an event loop, for at most `within_s` of its seconds. Raises TimeoutError."""
    clock = SteadyTime()

    def new_loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(clock)

    with (
        mock.patch("time.monotonic_ns", clock.monotonic_ns),
        mock.patch("time.monotonic", clock.monotonic),
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        return runner.run(asyncio.wait_for(work, within_s))
