"""One websocket to Bybit that stays up. ccxt.pro connects, signs, subscribes and pings; messages are passed on
unchanged.

Guarantees: `up` comes before the first message of each connection and `down` after the last one. A stream that is
silent although its connection lives counts as down (F21), and so does one that sent an unreadable message, because its
content is unknown. Between `down` and `up` messages may have been missed: a consumer that keeps state has to build it
anew. ccxt's own state of tickers and orders is not used: it keeps stale values after a disconnect, and parsing every
field of every ticker costs more than all the rest of this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from carryfold.adapters.bybit.client import PRIVATE_RATE_LIMIT_MS, Sleep, configure, release
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.errors import ErrorKind, classify
from carryfold.adapters.bybit.receive_queue import ReceiveQueue
from carryfold.adapters.venues import VenueError
from carryfold.adapters.venues.credentials import Credentials

__all__ = ["ConnectionBroken", "Message", "Socket", "batches"]

FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0
LOGIN_S: Final = 10.0
_SILENT: Final = "nothing came for {:g} s"

Message = dict[str, Any]


class ConnectionBroken(Exception):
    """This connection is of no more use; the text is the reason."""


class Socket:
    """One address and the topics subscribed to there, in batches of the size that the venue accepts."""

    def __init__(
        self,
        endpoint: Endpoint,
        url: str,
        topics: Sequence[Sequence[str]],
        *,
        take: Callable[[Message], None],
        up: Callable[[Message], None],
        down: Callable[[str], None],
        credentials: Credentials | None = None,
        silence_s: float | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`take` is called with every message that has a topic, `up` with the first one of a connection before that.
        `silence_s`: after so long without a message the stream counts as lost; None for a stream that may rightly be
        silent. With credentials it logs in first."""
        self._endpoint = endpoint
        self._url = url
        self._topics = [list(batch) for batch in topics]
        self._take = take
        self._up = up
        self._down = down
        self._credentials = credentials
        self._silence_s = silence_s
        self._sleep = sleep
        self.refused: set[str] = set()
        self._is_up = False
        self._last_message_at = 0.0
        self._end: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Runs until it is cancelled. Raises VenueError where no connection can work, for example with a refused
        key."""
        import ccxt.pro

        failures = 0
        is_reported = False
        while True:
            try:
                await self._session(ccxt.pro)
            except (ccxt.pro.BaseError, OSError, TimeoutError, ConnectionBroken) as error:
                reason = str(error) if isinstance(error, ConnectionBroken) else classify(error).reason
                if classify(error).kind is ErrorKind.FATAL:
                    self._down(reason)
                    raise VenueError(f"bybit refuses: {reason}") from None
                failures = 0 if self._is_up else failures + 1
                if self._is_up or not is_reported:
                    self._down(reason)
                is_reported = True
                self._is_up = False
            await self._sleep(min(FIRST_PAUSE_S * 2.0**failures, MAX_PAUSE_S))

    def reconnect(self, why: str) -> None:
        """End this connection and open a new one, because its messages can no longer be trusted."""
        self._break(ConnectionBroken(why))

    async def _session(self, ccxt: Any) -> None:
        """One connection, until it breaks: never returns."""
        exchange = configure(ccxt, self._endpoint, self._credentials, PRIVATE_RATE_LIMIT_MS)
        client = exchange.client(self._url)
        queue = ReceiveQueue(
            lambda data: self._arrived(exchange, client, data),
            lambda: self._break(ConnectionBroken("messages arrive faster than they can be handled")),
        )
        client.handle_text_or_binary_message = queue.put
        pending: list[asyncio.Future[Any]] = []
        try:
            self._end = asyncio.get_running_loop().create_future()
            pending = [self._end]
            if self._credentials is not None:
                await asyncio.wait_for(exchange.authenticate(self._url), LOGIN_S)
            self._last_message_at = asyncio.get_running_loop().time()
            for number, args in enumerate(self._topics):
                name = f"subscription {number}"
                request = {"op": "subscribe", "req_id": str(number), "args": list(args)}
                pending.append(
                    exchange.watch_multiple(self._url, [name], request, [name], {"id": str(number), "topics": args})
                )
            await self._until_broken(pending)
        finally:
            queue.close()
            for future in pending:
                future.cancel()
                if future.done() and not future.cancelled():
                    future.exception()  # retrieved, so that asyncio does not log it
            await release(exchange)

    async def _until_broken(self, pending: Sequence[asyncio.Future[Any]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            timeout = None if self._silence_s is None else self._last_message_at + self._silence_s - loop.time()
            done, _ = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                if future.cancelled():
                    raise ConnectionBroken("the connection was closed")
                future.result()
            if done or (self._silence_s is not None and loop.time() - self._last_message_at >= self._silence_s):
                raise ConnectionBroken(_SILENT.format(self._silence_s or 0.0))

    def _arrived(self, exchange: Any, client: Any, data: str | bytes) -> None:
        """Called for each message. Must not raise, because nothing would catch it there."""
        try:
            message = msgspec.json.decode(data)
            if not isinstance(message, dict):
                self._break(ConnectionBroken("a message is not an object"))
            elif "topic" in message:
                self._note_message(message)
                self._take(message)
            elif message.get("op") == "subscribe" and message.get("success") is True:
                if self._credentials is not None:  # an account may rightly be silent for hours
                    self._note_message(message)
            elif message.get("op") == "subscribe" and message.get("success") is False:
                self._refused(str(message.get("ret_msg")), str(message.get("req_id")))
            else:
                exchange.handle_message(client, message)
        except msgspec.DecodeError:
            self._break(ConnectionBroken("a message is not JSON"))
        except Exception as error:  # noqa: BLE001 - it is raised in `_until_broken`
            self._break(error)

    def _refused(self, text: str, request: str) -> None:
        """The venue refuses a whole request for one topic that it does not have, such as that of a pair just delisted.
        That topic is left out from the next connection on, so that the others come again."""
        if self._credentials is not None:
            self._break(VenueError("bybit refuses the account's streams: the key may lack the permission to read"))
            return
        named = {topic for batch in self._topics for topic in batch if topic in text.replace(",", " ").split()}
        batch = self._topics[int(request)] if request.isdecimal() and int(request) < len(self._topics) else []
        if not named and len(batch) == 1:
            named = {batch[0]}
        if named:
            self.refused |= named
            self._topics = [left for batch in self._topics if (left := [one for one in batch if one not in named])]
        elif batch:  # the refusal does not name the topic: each gets a request of its own
            self._topics = [one for one in self._topics if one is not batch] + [[topic] for topic in batch]
        if not self._topics:
            self._break(VenueError("bybit has none of the requested streams: the pairs may be closed"))
            return
        self._break(ConnectionBroken("a subscription was refused"))

    def _note_message(self, message: Message) -> None:
        self._last_message_at = asyncio.get_running_loop().time()
        if not self._is_up:
            self._is_up = True
            self._up(message)

    def _break(self, error: Exception) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)


def batches(topics: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Topics in groups of at most `size`."""
    for start in range(0, len(topics), size):
        yield topics[start : start + size]
