"""What the daemon tells people: structured log lines, and messages through apprise where that is set up.

A line is one JSON object on standard error. No event, parameter or error of ours holds a secret, and what comes from
the venue was scrubbed at its door.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.projections.cursor import format_time

__all__ = ["NOTIFY_VARIABLE", "Notices"]

NOTIFY_VARIABLE: Final = "CARRYFOLD_NOTIFY"
"""Addresses for apprise, with spaces between them. In the environment, because they hold tokens."""

FAREWELL_S: Final = 5.0
_LOGGER: Final = logging.getLogger("carryfold.daemon")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        return json.dumps(
            {
                "at": format_time(int(record.created * 1e9)),
                "level": record.levelname.lower(),
                "event": record.getMessage(),
            }
            | dict(fields),
            default=str,
        )


class _Stderr(logging.Handler):
    """Whatever standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class Notices:
    """Says things. `alert` is for what a person has to know now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses = os.environ.get(NOTIFY_VARIABLE, "").split()

    @staticmethod
    def to_stderr(*, verbose: bool) -> None:
        """Write lines to standard error."""
        handler = _Stderr()
        handler.setFormatter(_Lines())
        _LOGGER.handlers = [handler]
        _LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)

    def say(self, event: str, **fields: Any) -> None:
        """One line."""
        _LOGGER.info(event, extra={"fields": fields})

    def debug(self, event: str, **fields: Any) -> None:
        """One line for whoever looks closely."""
        _LOGGER.debug(event, extra={"fields": fields})

    def alert(self, code: str, text: str, **fields: Any) -> None:
        """One line, one count, and a message where somebody wants messages."""
        self._metrics.alerted(code)
        _LOGGER.warning(text, extra={"fields": {"code": code} | fields})
        if self._addresses:
            task = asyncio.ensure_future(self._send(code, text))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a little for messages that are on their way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL_S)

    async def _send(self, code: str, text: str) -> None:
        try:
            import apprise
        except ImportError:
            self._addresses = []
            _LOGGER.warning("messages need the optional package: pip install 'carryfold[notify]'")
            return
        messenger = apprise.Apprise()
        for address in self._addresses:
            messenger.add(address)
        if not await messenger.async_notify(title=f"carryfold: {code}", body=text):
            _LOGGER.warning("a message could not be delivered", extra={"fields": {"code": code}})
