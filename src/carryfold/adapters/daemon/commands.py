"""halt, resume and flatten, as they come through the owner's socket while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from carryfold.adapters.daemon.engine import Engine
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.pace import Pace
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
    """The handler of the command socket. It is called on a thread of its own; the loop does the work."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._attached: tuple[asyncio.AbstractEventLoop, Engine, Pace] | None = None
        self._is_over = False

    def attach(self, loop: asyncio.AbstractEventLoop, engine: Engine, pace: Pace) -> None:
        """From here on commands can be obeyed."""
        self._attached = loop, engine, pace

    def detach(self) -> None:
        """From here on none is."""
        self._attached = None
        self._is_over = True

    def handle(self, command: str, args: dict[str, Any]) -> int:
        """Obey, and return the seq of the event it became. Raises CommandRefused, or CommandUnanswered where it is not
        known yet what becomes of it."""
        if command not in _EVENTS:
            raise CommandRefused(f"there is no command '{command}': {', '.join(_EVENTS)}")
        attached = self._attached
        if attached is None:
            state = "stopping: when it has, give the command again" if self._is_over else "still starting: ask again"
            raise CommandRefused(f"the daemon is {state} in a moment")
        loop, engine, pace = attached
        reason = str(args.get("reason", ""))[:REASON_MAX]
        obeyed = asyncio.run_coroutine_threadsafe(self._obey(engine, pace, command, reason), loop)
        try:
            return obeyed.result(ANSWER_WITHIN_S)
        except TimeoutError:
            raise CommandUnanswered(
                f"the daemon did not come to it within {ANSWER_WITHIN_S:g} s: carryfold log tail shows whether it did"
            ) from None

    async def _obey(self, engine: Engine, pace: Pace, command: str, reason: str) -> int:
        result = await engine.record([_EVENTS[command](_EVERY_RUN, pace.now(), reason)])
        self._notices.alert(command, f"{command}: {reason or 'no reason given'}", seq=result.first_seq)
        return result.first_seq
