"""One request, from the door to the answer: limits, faults, signature, endpoint, and faults again."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from carryfold.adapters.simexchange import rest_orders
from carryfold.adapters.simexchange.answers import Params, Refused
from carryfold.adapters.simexchange.auth import Door
from carryfold.adapters.simexchange.connection import spoiled
from carryfold.adapters.simexchange.desk import Restraint
from carryfold.adapters.simexchange.endpoints import PRIVATE, PUBLIC
from carryfold.adapters.simexchange.exchange import Exchange
from carryfold.adapters.simexchange.faults import Fault, Faults
from carryfold.adapters.simexchange.limits import TOO_MANY, Allowance, Limits

__all__ = ["Counter"]

Call = tuple[str, str]
Answer = dict[str, Any]

_CREATE: Final = ("POST", "/v5/order/create")
_BY_SOCKET: Final = {
    "order.create": _CREATE,
    "order.amend": ("POST", "/v5/order/amend"),
    "order.cancel": ("POST", "/v5/order/cancel"),
}


class Counter:
    """Answers requests."""

    def __init__(self, exchange: Exchange, door: Door, limits: Limits, faults: Faults) -> None:
        self._exchange = exchange
        self._door = door
        self._limits = limits
        self._faults = faults

    async def answer(self, request: web.Request) -> web.Response:
        """The response to a request, or a broken connection where a fault wants that."""
        body = await request.read()
        if not self._limits.admits_address():
            return web.Response(status=403, text="access too frequent")
        if body and request.method == "GET":
            return web.Response(status=403, text="Forbidden")
        call = (request.method, request.path)
        if call not in PUBLIC and call not in PRIVATE:
            return web.Response(status=404)
        payload = body.decode(errors="replace") if request.method == "POST" else request.rel_url.raw_query_string
        params = _params(request.method, payload)
        where = request.path.removeprefix("/v5/")
        fault = self._faults.strike("before", where, params)
        if fault is not None:
            return await self._before(request, fault)
        allowance = None
        try:
            if call in PRIVATE:
                self._door.check_request(request.headers, request.path, payload)
                allowance = self._limits.take(request.path, str(params.get("category") or ""))
                allowance.check()
            answer = self._ok(self._done(call, params))
        except Refused as refused:
            answer = self._refusal(refused)
        fault = self._faults.strike("after", where, params)
        if fault is not None:
            return await self._after(request, fault, answer, params)
        return _response(answer, allowance)

    def by_socket(self, operation: str, request: dict[str, Any]) -> Answer:
        """An order sent over the trade websocket."""
        call = _BY_SOCKET.get(operation, ("", ""))
        params = _plain_values(request["args"][0])
        try:
            self._door.check_rights(call[1])
            self._limits.take(call[1], str(params.get("category") or "")).check()
            answer = self._ok(self._done(call, params))
        except Refused as refused:
            answer = self._refusal(refused)
        return {
            "reqId": request.get("reqId", ""),
            "retCode": answer["retCode"],
            "retMsg": answer["retMsg"],
            "op": operation,
            "data": answer["result"],
            "retExtInfo": {},
            "header": {"Timenow": str(self._exchange.told_ms)},
        }

    def _done(self, call: Call, params: Params) -> dict[str, Any]:
        exchange = self._exchange
        if call == _CREATE:
            fault = self._faults.strike("order", "order/create", params)
            return rest_orders.create_order(exchange, params, _restraint(fault))
        handler = PUBLIC.get(call) or PRIVATE.get(call)
        if handler is None:
            raise Refused(10001, "params error: op invalid")
        return handler(exchange, params)

    def _ok(self, result: dict[str, Any]) -> Answer:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self._exchange.told_ms}

    def _refusal(self, refused: Refused) -> Answer:
        told_ms = self._exchange.told_ms
        return {"retCode": refused.code, "retMsg": refused.message, "result": {}, "retExtInfo": {}, "time": told_ms}

    async def _before(self, request: web.Request, fault: Fault) -> web.Response:
        """Nothing is done."""
        if fault.name == "drop_request":
            return _broken(request)
        if fault.name == "timeout_before":
            await asyncio.sleep(fault.seconds)
            return _broken(request)
        if fault.name == "http_error":
            return web.Response(status=int(fault.number(503)), text="")
        if fault.name == "ip_ban":
            self._limits.ban(fault.seconds)
            return web.Response(status=403, text="access too frequent")
        if fault.name == "rate_limit":
            return _response(self._refusal(Refused(10006, TOO_MANY)), None)
        assert fault.name == "refuse"
        code = int(fault.number(10016))
        return _response(self._refusal(Refused(code, fault.text or "System error. Please try again later.")), None)

    async def _after(self, request: web.Request, fault: Fault, answer: Answer, params: Params) -> web.Response:
        """It is done, whatever the client will believe."""
        if fault.name == "lose_response":
            return _broken(request)
        if fault.name == "timeout_after":
            await asyncio.sleep(fault.seconds)
            return _broken(request)
        if fault.name == "slow":
            await asyncio.sleep(fault.seconds)
        elif fault.name == "error_after":
            text = fault.text or "System error. Please try again later."
            answer = self._refusal(Refused(int(fault.number(10016)), text))
        elif fault.name == "create_timeout":
            spot = params.get("category") == "spot"
            answer = self._refusal(
                Refused(170146, "Order creation timeout.") if spot else Refused(10000, "Server Timeout")
            )
        elif fault.name == "stale":
            answer["result"] = {name: [] if name == "list" else one for name, one in answer["result"].items()}
        else:
            assert fault.name == "corrupt"
            return web.Response(body=spoiled(msgspec.json.encode(answer), fault), content_type="application/json")
        return _response(answer, None)


def _params(method: str, payload: str) -> dict[str, Any]:
    """What was sent, without what is neither text nor number nor truth; a body that cannot be understood has nothing
    in it, and is refused for what it lacks."""
    if method != "POST":
        return dict(parse_qsl(payload, keep_blank_values=True))
    try:
        decoded = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return _plain_values(decoded)


def _plain_values(decoded: Any) -> dict[str, Any]:
    given = decoded if isinstance(decoded, dict) else {}
    return {name: value for name, value in given.items() if isinstance(value, (str, int, float))}


def _restraint(fault: Fault | None) -> Restraint | None:
    if fault is None:
        return None
    if fault.name == "late_reject":
        return Restraint(reject=fault.text or "EC_Others")
    return Restraint(share=Decimal(str(fault.number(0.5))))


def _broken(request: web.Request) -> web.Response:
    """Break the connection: what is returned after that reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def _response(answer: Answer, allowance: Allowance | None) -> web.Response:
    headers = {}
    if allowance is not None:
        headers = {
            "X-Bapi-Limit": str(allowance.limit),
            "X-Bapi-Limit-Status": str(allowance.left),
            "X-Bapi-Limit-Reset-Timestamp": str(allowance.reset_ms),
        }
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=headers)
