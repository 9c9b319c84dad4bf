"""halt, resume and flatten, as they come through the owner's socket while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
from carryfold.domain.events import Event, FlattenRequested, Halted, Resumed
from carryfold.eventlog import CommandRefused

__all__ = ["Commands"]

_EVERY_RUN: Final = 0
_EVENTS: Final[dict[str, Callable[[int, int, str], Event]]] = {
    "halt": Halted,
    "resume": Resumed,
    "flatten": FlattenRequested,
}
ANSWER_WITHIN_S: Final = 8.0


class Commands:
    """The handler of the command socket. It is called on a thread of its own; the loop does the work."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._attached: tuple[asyncio.AbstractEventLoop, Engine, Pace] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, engine: Engine, pace: Pace) -> None:
        """From here on commands can be obeyed."""
        self._attached = loop, engine, pace

    def handle(self, command: str, args: dict[str, Any]) -> int:
        """Obey, and return the seq of the event it became. Raises CommandRefused."""
        if command not in _EVENTS:
            raise CommandRefused(f"there is no command '{command}': {', '.join(_EVENTS)}")
        if self._attached is None:
            raise CommandRefused("the daemon is still starting: ask again in a moment")
        loop, _, _ = self._attached
        reason = str(args.get("reason", ""))[:200]
        return asyncio.run_coroutine_threadsafe(self._obey(command, reason), loop).result(ANSWER_WITHIN_S)

    async def _obey(self, command: str, reason: str) -> int:
        assert self._attached is not None
        _, engine, pace = self._attached
        result = await engine.record([_EVENTS[command](_EVERY_RUN, pace.now(), reason)])
        self._notices.alert(command, f"{command}: {reason or 'no reason given'}", seq=result.first_seq)
        return result.first_seq
