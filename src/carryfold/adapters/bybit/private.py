"""Orders, executions and funding of the account as they happen, and notices that positions or balances moved.

The venue repeats nothing after a reconnect and sends no snapshot. After each StreamReport(up=True) the reader therefore
has to query open orders, fills and positions before it relies on the stream. An unreadable message is not skipped: the
stream is reported as down and reconnects, and the reader queries again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from carryfold.adapters.bybit.client import Sleep
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.reports import Multipliers, execution_report, order_report
from carryfold.adapters.bybit.sockets import ConnectionBroken, Message, Socket
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.venues.credentials import Credentials
from carryfold.domain.execution.reports import AccountMoved, PrivateReport, StreamReport
from carryfold.domain.instruments import InstrumentKind

__all__ = ["PrivateStream"]

STATE_TOPICS: Final = ("position", "wallet")
TOPICS: Final = ("order", "execution", *STATE_TOPICS)

MAX_UNREAD: Final = 10_000
"""With one more unread report all are dropped for a StreamReport, after which the reader queries anyway."""

_KINDS: Final[dict[str, InstrumentKind]] = {"spot": "spot", "linear": "perp"}


class PrivateStream:
    """The private stream of one account; `reports` is its one reader."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, multipliers: Multipliers, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._multipliers = multipliers
        self._unread: deque[PrivateReport] = deque()
        self._filled = asyncio.Event()
        self._socket = Socket(
            endpoint,
            endpoint.ws_private,
            [TOPICS],
            take=self._take,
            up=lambda _: self._put(StreamReport(up=True)),
            down=lambda why: self._put(StreamReport(up=False, reason=why)),
            credentials=credentials,
            sleep=sleep,
        )

    async def reports(self) -> AsyncIterator[PrivateReport]:
        """Reports for as long as it is iterated; close it to end the connection. Raises VenueError for a refused
        key."""
        task = asyncio.ensure_future(self._socket.run())
        task.add_done_callback(lambda _: self._filled.set())
        try:
            while True:
                while not self._unread:
                    if task.done():
                        await task
                    self._filled.clear()
                    await self._filled.wait()
                yield self._unread.popleft()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _put(self, report: PrivateReport) -> None:
        if len(self._unread) >= MAX_UNREAD:
            self._unread.clear()
            self._unread.append(StreamReport(up=False, reason=f"{MAX_UNREAD} reports were not read"))
            self._unread.append(StreamReport(up=True))
        self._unread.append(report)
        self._filled.set()

    def _take(self, message: Message) -> None:
        topic = str(message.get("topic")).split(".")[0]
        if topic in STATE_TOPICS:
            if not self._unread or not isinstance(self._unread[-1], AccountMoved):
                self._put(AccountMoved(topic))
            return
        if topic not in TOPICS:
            return
        rows = message.get("data")
        if not isinstance(rows, list):
            raise ConnectionBroken(f"a message of {topic} has no list")
        for row in rows:
            self._take_row(topic, row)

    def _take_row(self, topic: str, row: Any) -> None:
        kind = _KINDS.get(str(row.get("category"))) if isinstance(row, dict) else None
        if kind is None:
            return  # options and inverse contracts are not traded here
        read = order_report if topic == "order" else execution_report
        try:
            report = read(row, kind, self._multipliers)
        except RowRefused as refused:
            raise ConnectionBroken(f"a message of {topic} cannot be read: {refused}") from None
        if report is not None:
            self._put(report)
