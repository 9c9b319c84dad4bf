"""The websockets of the exchange: subscriptions, logins and pushes.

A message is encoded once, however many connections receive it. Public topics are updated every `push_ms`; private rows
are pushed as soon as they are published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from carryfold.simexchange.auth import Authenticator
from carryfold.simexchange.connection import Connection, Kind
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.faults import Faults
from carryfold.simexchange.request_params import Refused
from carryfold.simexchange.topics import Message, Topic, open_topic

__all__ = ["WebsocketStreams"]

_PRIVATE: Final = ("order", "execution", "position", "wallet")
_SPOT_ARGS: Final = 10
_CHARACTERS: Final = 21_000
_USER: Final = "592324"


class WebsocketStreams:
    """All websockets of one exchange. `trade` answers the operations of the trade websocket."""

    def __init__(self, exchange: Exchange, authenticator: Authenticator, faults: Faults) -> None:
        self._exchange = exchange
        self._authenticator = authenticator
        self._faults = faults
        self._connections: list[Connection] = []
        self._opened = 0
        self._pushed = 0
        self._topics: dict[tuple[bool, str], Topic] = {}
        self._pending: list[tuple[str, dict[str, Any]]] = []
        self.trade: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None
        exchange.state.listeners.append(lambda topic, row: self._pending.append((topic, row)))

    @property
    def connections(self) -> int:
        """Number of open websockets."""
        return len(self._connections)

    async def serve(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        """Serve one websocket until it ends."""
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20, timeout=1.0)
        await socket.prepare(request)
        if self._faults.trigger("connect", kind, {}) is not None:
            await socket.close()
            return socket
        self._opened += 1
        connection = Connection(socket, request.transport, kind, self._opened, self._faults)
        self._connections.append(connection)
        writer = asyncio.ensure_future(connection.write(lambda: socket.closed))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._handle(connection, message.data)
        finally:
            self._connections.remove(connection)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def publish(self) -> None:
        """Push all changes since the last call, and delayed pushes that are due."""
        now_ms = self._exchange.now_ms
        self.flush()
        wanted = {
            (connection.kind == "spot", name)
            for connection in self._connections
            if connection.kind in ("linear", "spot")
            for name in connection.topics
        }
        for key in [key for key in self._topics if key not in wanted]:
            del self._topics[key]
        for (spot, name), topic in list(self._topics.items()):
            for message in topic.changes(self._exchange):
                self._send(message, name, spot=spot)
        for connection in self._connections:
            connection.release(now_ms)

    def flush(self) -> None:
        """Push the private rows published since the last call."""
        pending, self._pending = self._pending, []
        for topic, row in pending:
            self._pushed += 1
            message = {
                "id": f"{_USER}_{self._pushed}",
                "topic": topic,
                "creationTime": self._exchange.server_time_ms,
                "data": [row],
            }
            category = row.get("category", "")
            attributes = {"category": category, "symbol": row.get("symbol", "")}
            encoded = None
            for connection in self._connections:
                name = topic if topic in connection.topics else f"{topic}.{category}"
                if connection.kind == "private" and name in connection.topics:
                    encoded = encoded or msgspec.json.encode({**message, "topic": name})
                    self._push_delayed(connection, name, encoded, attributes)

    def break_all(self) -> None:
        """Break every connection."""
        for connection in self._connections:
            connection.break_off()

    def _push_delayed(self, connection: Connection, name: str, message: bytes, attributes: dict[str, Any]) -> None:
        delay_ms, now_ms = self._exchange.config.reply_ms, self._exchange.now_ms
        if delay_ms:
            asyncio.get_running_loop().call_later(delay_ms / 1_000, connection.push, name, message, attributes, now_ms)
        else:
            connection.push(name, message, attributes, now_ms)

    def _send(self, message: Message, name: str, *, spot: bool) -> None:
        encoded = msgspec.json.encode(message)
        kind: Kind = "spot" if spot else "linear"
        attributes = {"category": kind, "symbol": name.rpartition(".")[2]}
        for connection in self._connections:
            if connection.kind == kind and name in connection.topics:
                connection.push(name, encoded, attributes, self._exchange.now_ms)

    def _handle(self, connection: Connection, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
            assert isinstance(request, dict)
        except (msgspec.DecodeError, AssertionError):
            connection.answer({"success": False, "ret_msg": "error:request is not JSON", "conn_id": connection.conn_id})
            return
        operation = request.get("op")
        given = request.get("args")
        arguments = given if isinstance(given, list) else []
        if operation == "ping":
            self._pong(connection, request)
        elif operation == "auth":
            self._login(connection, request, arguments)
        elif operation == "subscribe":
            self._subscribe(connection, request, [str(name) for name in arguments])
        elif operation == "unsubscribe":
            for name in arguments:
                connection.topics.pop(str(name), None)
            connection.answer(_reply(connection, request))
        elif connection.kind == "trade" and self.trade is not None and connection.authenticated and arguments:
            connection.answer({**self.trade(str(operation), request), "connId": connection.conn_id})
            self.flush()
        else:
            connection.answer(_reply(connection, request, f"error:invalid op {operation}"))

    def _pong(self, connection: Connection, request: dict[str, Any]) -> None:
        if connection.kind in ("linear", "spot"):
            connection.answer({**_reply(connection, request), "ret_msg": "pong"})
            return
        pong = {"op": "pong", "args": [str(self._exchange.server_time_ms)], "conn_id": connection.conn_id}
        connection.answer({"req_id": request["req_id"], **pong} if "req_id" in request else pong)

    def _login(self, connection: Connection, request: dict[str, Any], arguments: list[Any]) -> None:
        try:
            self._authenticator.check_login([] if connection.kind in ("linear", "spot") else arguments)
        except Refused as refused:
            failed = {"retCode": refused.code, "retMsg": refused.message}
            connection.answer({**_reply(connection, request, refused.message), **failed})
            return
        connection.authenticated = True
        answer = _reply(connection, request)
        if connection.kind == "trade":
            answer = {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": connection.conn_id}
        connection.answer(answer)

    def _subscribe(self, connection: Connection, request: dict[str, Any], names: list[str]) -> None:
        spot = connection.kind == "spot"
        if spot and len(names) > _SPOT_ARGS:
            connection.answer(_reply(connection, request, "args size >10"))
            return
        if sum(map(len, [*connection.topics, *names])) > _CHARACTERS:
            connection.answer(_reply(connection, request, "args is too long"))
            return
        if connection.kind == "private":
            self._subscribe_private(connection, request, names)
            return
        opened: list[tuple[str, Topic]] = []
        for name in names:
            topic = self._topics.get((spot, name)) or open_topic(self._exchange, name, spot=spot)
            if topic is None:
                connection.answer(_reply(connection, request, f"error:handler not found,topic:{name}"))
                return
            opened.append((name, topic))
        connection.answer(_reply(connection, request))
        for name, topic in opened:
            connection.topics[name] = None
            self._topics[spot, name] = topic
            attributes = {"category": connection.kind, "symbol": name.rpartition(".")[2]}
            for message in topic.snapshot(self._exchange):
                connection.push(name, msgspec.json.encode(message), attributes, self._exchange.now_ms)

    def _subscribe_private(self, connection: Connection, request: dict[str, Any], names: list[str]) -> None:
        if not connection.authenticated:
            connection.answer(_reply(connection, request, "Request not authorized"))
            return
        for name in names:
            kind, _, category = name.partition(".")
            if kind not in _PRIVATE or category not in ("", "linear", "spot"):
                connection.answer(_reply(connection, request, f"error:handler not found,topic:{name}"))
                return
        connection.topics |= dict.fromkeys(names)
        connection.answer(_reply(connection, request))


def _reply(connection: Connection, request: dict[str, Any], error: str = "") -> dict[str, Any]:
    answer = {
        "success": not error,
        "ret_msg": error,
        "conn_id": connection.conn_id,
        "req_id": request.get("req_id", ""),
        "op": request.get("op", ""),
    }
    if error:
        answer["request"] = {name: request.get(name) for name in ("req_id", "op", "args")}
    return answer
