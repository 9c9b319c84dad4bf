"""Time that a busy machine does not run away with.

A test whose exchange runs at hundreds of times real time is at the mercy of whoever else wants the processor: while it
waits for its turn, hours pass at the venue. Here monotonic time goes on in two ways only, while the event loop waits
for nothing but the clock and while it computes: time in which it could have run, but was not let, does not count.
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
    """The monotonic clock of a loop, and the selector that sees it wait."""

    def __init__(self) -> None:
        super().__init__()
        self._processor = time.pthread_getcpuclockid(threading.get_ident())
        self._waited = _real_ns() - time.clock_gettime_ns(self._processor)

    def monotonic_ns(self) -> int:
        """What `time.monotonic_ns` says while this clock rules; from any thread, and never backwards."""
        return self._waited + time.clock_gettime_ns(self._processor)

    def monotonic(self) -> float:
        """What `time.monotonic` says."""
        return self.monotonic_ns() / _NS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as ever; longer than was asked for is not counted."""
        began = _real_ns()
        ready = super().select(timeout)
        waited = _real_ns() - began
        if timeout is not None:
            waited = min(waited, round(max(timeout, 0.0) * _NS))
        self._waited += waited
        return ready


def run(work: Coroutine[Any, Any, T], within_s: float) -> T:
    """A coroutine to its end in an event loop whose time is steady, within so many of its seconds. Raises
    TimeoutError."""
    clock = SteadyTime()

    def new_loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(clock)

    with (
        mock.patch("time.monotonic_ns", clock.monotonic_ns),
        mock.patch("time.monotonic", clock.monotonic),
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        return runner.run(asyncio.wait_for(work, within_s))
