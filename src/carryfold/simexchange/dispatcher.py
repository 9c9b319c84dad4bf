"""Dispatch of one request: address limit, faults before it, signature and rate limit, endpoint, faults after it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from carryfold.simexchange import rest_orders
from carryfold.simexchange.auth import Authenticator
from carryfold.simexchange.connection import corrupted
from carryfold.simexchange.endpoints import PRIVATE, PUBLIC
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.faults import Fault, Faults
from carryfold.simexchange.limits import TOO_MANY, Allowance, RateLimits
from carryfold.simexchange.matching import OrderFault
from carryfold.simexchange.request_params import Params, Refused

__all__ = ["RequestDispatcher"]

Route = tuple[str, str]
Answer = dict[str, Any]

_CREATE: Final = ("POST", "/v5/order/create")
_TRADE_OPERATIONS: Final = {
    "order.create": _CREATE,
    "order.amend": ("POST", "/v5/order/amend"),
    "order.cancel": ("POST", "/v5/order/cancel"),
}


class RequestDispatcher:
    """Answers REST requests and orders sent over the trade websocket."""

    def __init__(self, exchange: Exchange, authenticator: Authenticator, limits: RateLimits, faults: Faults) -> None:
        self._exchange = exchange
        self._authenticator = authenticator
        self._limits = limits
        self._faults = faults

    async def answer(self, request: web.Request) -> web.Response:
        """The response to a request. Some faults break the connection instead."""
        body = await request.read()
        if not self._limits.admit_address():
            return web.Response(status=403, text="access too frequent")
        if body and request.method == "GET":
            return web.Response(status=403, text="Forbidden")
        route = (request.method, request.path)
        if route not in PUBLIC and route not in PRIVATE:
            return web.Response(status=404)
        payload = body.decode(errors="replace") if request.method == "POST" else request.rel_url.raw_query_string
        params = _params(request.method, payload)
        where = request.path.removeprefix("/v5/")
        fault = self._faults.trigger("before", where, params)
        if fault is not None:
            return await self._before(request, fault)
        allowance = None
        try:
            if route in PRIVATE:
                self._authenticator.check_request(request.headers, request.path, payload)
                allowance = self._limits.count(request.path, str(params.get("category") or ""))
                allowance.check()
            answer = self._ok(self._call(route, params))
        except Refused as refused:
            answer = self._refusal(refused)
        fault = self._faults.trigger("after", where, params)
        if fault is not None:
            return await self._after(request, fault, answer, params)
        return _response(answer, allowance)

    def answer_trade_message(self, operation: str, request: dict[str, Any]) -> Answer:
        """The answer to an order operation of the trade websocket."""
        route = _TRADE_OPERATIONS.get(operation, ("", ""))
        params = _scalars(request["args"][0])
        try:
            self._authenticator.check_rights(route[1])
            self._limits.count(route[1], str(params.get("category") or "")).check()
            answer = self._ok(self._call(route, params))
        except Refused as refused:
            answer = self._refusal(refused)
        return {
            "reqId": request.get("reqId", ""),
            "retCode": answer["retCode"],
            "retMsg": answer["retMsg"],
            "op": operation,
            "data": answer["result"],
            "retExtInfo": {},
            "header": {"Timenow": str(self._exchange.server_time_ms)},
        }

    def _call(self, route: Route, params: Params) -> dict[str, Any]:
        exchange = self._exchange
        if route == _CREATE:
            fault = self._faults.trigger("order", "order/create", params)
            return rest_orders.create_order(exchange, params, _order_fault(fault))
        handler = PUBLIC.get(route) or PRIVATE.get(route)
        if handler is None:
            raise Refused(10001, "params error: op invalid")
        return handler(exchange, params)

    def _ok(self, result: dict[str, Any]) -> Answer:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self._exchange.server_time_ms}

    def _refusal(self, refused: Refused) -> Answer:
        server_time_ms = self._exchange.server_time_ms
        return {
            "retCode": refused.code,
            "retMsg": refused.message,
            "result": {},
            "retExtInfo": {},
            "time": server_time_ms,
        }

    async def _before(self, request: web.Request, fault: Fault) -> web.Response:
        """Apply a fault to a request that is not executed."""
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
        """Apply a fault to the answer of a request that was executed."""
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
            answer["result"] = {name: [] if name == "list" else value for name, value in answer["result"].items()}
        else:
            assert fault.name == "corrupt"
            return web.Response(body=corrupted(msgspec.json.encode(answer), fault), content_type="application/json")
        return _response(answer, None)


def _params(method: str, payload: str) -> dict[str, Any]:
    """The scalar parameters of a request. A body that is not a JSON object has none; the endpoint then refuses it for
    the missing ones."""
    if method != "POST":
        return dict(parse_qsl(payload, keep_blank_values=True))
    try:
        decoded = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return _scalars(decoded)


def _scalars(decoded: Any) -> dict[str, Any]:
    given = decoded if isinstance(decoded, dict) else {}
    return {name: value for name, value in given.items() if isinstance(value, (str, int, float))}


def _order_fault(fault: Fault | None) -> OrderFault | None:
    if fault is None:
        return None
    if fault.name == "late_reject":
        return OrderFault(reject=fault.text or "EC_Others")
    return OrderFault(share=Decimal(str(fault.number(0.5))))


def _broken(request: web.Request) -> web.Response:
    """Abort the connection. The returned response never reaches the client."""
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
