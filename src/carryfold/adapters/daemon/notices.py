"""The daemon's log lines, and messages through apprise where addresses are configured.

A line on standard error is one JSON object, or plain text on a terminal. No event, parameter or error of ours holds a
secret, and the venue's adapter removes secrets from the texts of its errors.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from carryfold.adapters.daemon.metrics import Metrics
from carryfold.projections.cursor import format_time

__all__ = ["NOTIFY_VARIABLE", "Notices"]

NOTIFY_VARIABLE: Final = "CARRYFOLD_NOTIFY"
"""The environment variable with addresses for apprise, separated by spaces. They hold tokens."""

CLOSE_WITHIN_S: Final = 5.0
_LOGGER: Final = logging.getLogger("carryfold.daemon")


def _stamp(_: Any, level: str, event: EventDict) -> EventDict:
    """Time, level and text come first on each line."""
    return {"at": format_time(time.time_ns()), "level": level, "event": event.pop("event"), **event}


_LOG: Final[structlog.stdlib.BoundLogger] = structlog.wrap_logger(
    _LOGGER,
    processors=[structlog.stdlib.filter_by_level, _stamp, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
)


class _Stderr(logging.Handler):
    """Writes to standard error as it is at the time of each line."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class Notices:
    """Writes log lines. `alert` is for what a person has to know now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses = os.environ.get(NOTIFY_VARIABLE, "").split()

    @staticmethod
    def to_stderr(*, verbose: bool) -> None:
        """Write lines to standard error: JSON, or text in columns on a terminal."""
        renderer: Processor = structlog.processors.JSONRenderer(default=str)
        if sys.stderr.isatty():
            renderer = structlog.dev.ConsoleRenderer(timestamp_key="at")
        handler = _Stderr()
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
            )
        )
        _LOGGER.handlers = [handler]
        _LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)

    def info(self, event: str, **fields: Any) -> None:
        """One line."""
        _LOG.info(event, **fields)

    def debug(self, event: str, **fields: Any) -> None:
        """One line that is written with --verbose only."""
        _LOG.debug(event, **fields)

    def alert(self, code: str, text: str, **fields: Any) -> None:
        """One line, one count in the metrics, and a message to the configured addresses."""
        self._metrics.alerted(code)
        _LOG.warning(text, code=code, **fields)
        if self._addresses:
            task = asyncio.ensure_future(self._send(code, text))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a few seconds for messages that are being sent."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN_S)

    async def _send(self, code: str, text: str) -> None:
        try:
            import apprise
        except ImportError:
            self._addresses = []
            _LOG.warning("messages need the optional package: pip install 'carryfold[notify]'")
            return
        messenger = apprise.Apprise()
        for address in self._addresses:
            messenger.add(address)
        if not await messenger.async_notify(title=f"carryfold: {code}", body=text):
            _LOG.warning("a message could not be delivered", code=code)
