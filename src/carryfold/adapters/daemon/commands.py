"""Handles halt, resume and flatten from the owner's socket while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.domain.events import Event, FlattenRequested, Halted, Resumed
from carryfold.eventlog import CommandRefused, CommandUnanswered

__all__ = ["Commands"]

_EVERY_RUN: Final = 0
_EVENTS: Final[dict[str, Callable[[int, int, str], Event]]] = {
    "halt": Halted,
    "resume": Resumed,
    "flatten": FlattenRequested,
}
ANSWER_WITHIN_S: Final = 8.0
REASON_MAX: Final = 200


class Commands:
    """The handler of the command socket. It is called on the socket's thread and works on the event loop."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._attached: tuple[asyncio.AbstractEventLoop, Engine, DaemonClock] | None = None
        self._is_over = False

    def attach(self, loop: asyncio.AbstractEventLoop, engine: Engine, clock: DaemonClock) -> None:
        """Execute commands from here on."""
        self._attached = loop, engine, clock

    def detach(self) -> None:
        """Refuse commands from here on."""
        self._attached = None
        self._is_over = True

    def handle(self, command: str, args: dict[str, Any]) -> int:
        """Execute a command and return the seq of its event. Raises CommandRefused, or CommandUnanswered if the outcome
        is not known in time."""
        if command not in _EVENTS:
            raise CommandRefused(f"there is no command '{command}': {', '.join(_EVENTS)}")
        attached = self._attached
        if attached is None:
            stopping, starting = "stopping: give the command again after that", "still starting: try again in a moment"
            raise CommandRefused(f"the daemon is {stopping if self._is_over else starting}")
        loop, engine, clock = attached
        reason = str(args.get("reason", ""))[:REASON_MAX]
        executed = asyncio.run_coroutine_threadsafe(self._execute(engine, clock, command, reason), loop)
        try:
            return executed.result(ANSWER_WITHIN_S)
        except TimeoutError:
            raise CommandUnanswered(
                f"no answer from the daemon within {ANSWER_WITHIN_S:g} s: carryfold log tail shows whether it obeyed"
            ) from None

    async def _execute(self, engine: Engine, clock: DaemonClock, command: str, reason: str) -> int:
        result = await engine.record([_EVENTS[command](_EVERY_RUN, clock.now(), reason)])
        self._notices.alert(command, f"{command}: {reason or 'no reason given'}", seq=result.first_seq)
        return result.first_seq
