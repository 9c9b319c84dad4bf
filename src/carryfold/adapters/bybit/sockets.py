"""One websocket to Bybit that stays up. ccxt.pro dials, signs, subscribes and pings; what arrives is handed on as is.

Guarantees: `up` comes before the first message of each connection and `down` after the last one; a stream that is
silent though its connection lives counts as down (F21); so does one that sent something unreadable, because nobody
knows what it was. Between `down` and `up` messages may have been missed: whoever keeps a picture starts it anew.
ccxt's own bookkeeping of tickers and orders is not used: it keeps what is stale after a disconnect, and parsing every
field of every ticker costs more than everything else here together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from carryfold.adapters.bybit.client import PRIVATE_RATE_LIMIT_MS, Sleep, configure, release
from carryfold.adapters.bybit.endpoint import Credentials, Endpoint
from carryfold.adapters.bybit.errors import Verdict, judge
from carryfold.adapters.bybit.inbox import Inbox
from carryfold.adapters.venue import VenueError

__all__ = ["Broken", "Message", "Socket", "batches"]

FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0
LOGIN_S: Final = 10.0
_SILENT: Final = "nothing came for {:g} s"

Message = dict[str, Any]


class Broken(Exception):
    """This connection is of no more use; the text says why."""


class Socket:
    """One address and what is subscribed to there, `topics` in the batches the venue takes."""

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
        """`take` gets every message with a topic, `up` the first one of a connection before that. `silence_s`: without
        a message for so long the stream counts as lost; None for one that may rightly be silent. With credentials it
        logs in first."""
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
        self._heard_at = 0.0
        self._end: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Until cancelled. Raises VenueError where no connection can work: a refused key."""
        import ccxt.pro

        failures = 0
        told = False
        while True:
            try:
                await self._session(ccxt.pro)
            except (ccxt.pro.BaseError, OSError, TimeoutError, Broken) as error:
                reason = str(error) if isinstance(error, Broken) else judge(error).reason
                if judge(error).verdict is Verdict.FATAL:
                    self._down(reason)
                    raise VenueError(f"bybit refuses: {reason}") from None
                failures = 0 if self._is_up else failures + 1
                if self._is_up or not told:
                    self._down(reason)
                told = True
                self._is_up = False
            await self._sleep(min(FIRST_PAUSE_S * 2.0**failures, MAX_PAUSE_S))

    def begin_anew(self, why: str) -> None:
        """Give this connection up: what comes over it can no longer be trusted."""
        self._break(Broken(why))

    async def _session(self, ccxt: Any) -> None:
        """One connection, until it breaks: never returns."""
        exchange = configure(ccxt, self._endpoint, self._credentials, PRIVATE_RATE_LIMIT_MS)
        client = exchange.client(self._url)
        inbox = Inbox(
            lambda data: self._arrived(exchange, client, data),
            lambda: self._break(Broken("more comes than can be read")),
        )
        client.handle_text_or_binary_message = inbox.put
        waiting: list[asyncio.Future[Any]] = []
        try:
            self._end = asyncio.get_running_loop().create_future()
            waiting = [self._end]
            if self._credentials is not None:
                await asyncio.wait_for(exchange.authenticate(self._url), LOGIN_S)
            self._heard_at = asyncio.get_running_loop().time()
            for number, args in enumerate(self._topics):
                name = f"subscription {number}"
                request = {"op": "subscribe", "req_id": str(number), "args": list(args)}
                waiting.append(
                    exchange.watch_multiple(self._url, [name], request, [name], {"id": str(number), "topics": args})
                )
            await self._until_broken(waiting)
        finally:
            inbox.close()
            for future in waiting:
                future.cancel()
                if future.done() and not future.cancelled():
                    future.exception()  # looked at, so that nobody logs it
            await release(exchange)

    async def _until_broken(self, waiting: Sequence[asyncio.Future[Any]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            patience = None if self._silence_s is None else self._heard_at + self._silence_s - loop.time()
            done, _ = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                if future.cancelled():
                    raise Broken("the connection was closed")
                future.result()
            if done or (self._silence_s is not None and loop.time() - self._heard_at >= self._silence_s):
                raise Broken(_SILENT.format(self._silence_s or 0.0))

    def _arrived(self, exchange: Any, client: Any, data: str | bytes) -> None:
        """Called for each text that came. Must not raise: nobody there would hear of it."""
        try:
            message = msgspec.json.decode(data)
            if not isinstance(message, dict):
                self._break(Broken("a message is not an object"))
            elif "topic" in message:
                self._heard(message)
                self._take(message)
            elif message.get("op") == "subscribe" and message.get("success") is True:
                if self._credentials is not None:  # an account may rightly have nothing to say for hours
                    self._heard(message)
            elif message.get("op") == "subscribe" and message.get("success") is False:
                self._refused(str(message.get("ret_msg")), str(message.get("req_id")))
            else:
                exchange.handle_message(client, message)
        except msgspec.DecodeError:
            self._break(Broken("a message is not JSON"))
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._break(error)

    def _refused(self, text: str, request: str) -> None:
        """The venue refuses a whole request for one topic it does not have, such as that of a pair just delisted. The
        topic is left out from the next connection on: else no other one would ever come again."""
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
        elif batch:  # it does not say which one: each is asked for by itself
            self._topics = [one for one in self._topics if one is not batch] + [[topic] for topic in batch]
        if not self._topics:
            self._break(VenueError("bybit has none of the streams that were asked for: the pairs may be closed"))
            return
        self._break(Broken("a subscription was refused"))

    def _heard(self, message: Message) -> None:
        self._heard_at = asyncio.get_running_loop().time()
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
