"""Signed endpoints of orders and executions."""

from __future__ import annotations

from typing import Any, Final

from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.matching import OrderFault
from carryfold.simexchange.orders import Order
from carryfold.simexchange.request_params import Params, Refused, choice, integer, newest_first, window
from carryfold.simexchange.symbols import CATEGORIES, find

__all__ = ["amend_order", "cancel_all", "cancel_order", "closed_orders", "create_order", "executions", "open_orders"]

_DAY_MS: Final = 86_400_000
_RECENT: Final = 500


def create_order(exchange: Exchange, params: Params, fault: OrderFault | None = None) -> dict[str, Any]:
    """POST /v5/order/create"""
    return _order_ids(exchange.matching.create(params, fault))


def cancel_order(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/cancel"""
    _, spot = find(exchange.market, params)
    order = exchange.orders.find_open(params, spot=spot)
    exchange.matching.cancel(order)
    return _order_ids(order)


def cancel_all(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/cancel-all"""
    category = choice(params, "category", CATEGORIES)
    if category == "linear" and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise Refused(10001, "params error: symbol, baseCoin or settleCoin is required")
    chosen = [order for order in exchange.orders.open if _matches(order, category, params)]
    for order in chosen:
        exchange.matching.cancel(order)
    return {"list": [_order_ids(order) for order in chosen], "success": "1"}


def amend_order(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/amend"""
    _, spot = find(exchange.market, params)
    order = exchange.orders.find_open(params, spot=spot)
    exchange.matching.amend(order, params)
    return _order_ids(order)


def open_orders(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/order/realtime: open orders; recently closed ones too by id or with openOnly=1."""
    category = choice(params, "category", CATEGORIES)
    if category == "linear" and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise Refused(10001, "params error: symbol, baseCoin or settleCoin is required")
    named = bool(params.get("orderId") or params.get("orderLinkId"))
    closed = str(params.get("openOnly") or "0") == "1"
    orders = exchange.orders.all[-_RECENT:] if named or closed else exchange.orders.open
    chosen = [order for order in orders if _matches(order, category, params) and (named or order.open != closed)]
    page, cursor = newest_first(chosen, params, integer(params, "limit", 20, 50))
    return {"list": [order.row() for order in page], "nextPageCursor": cursor, "category": category}


def closed_orders(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/order/history: closed orders; unfilled ones only for a day."""
    category = choice(params, "category", CATEGORIES)
    start_ms, end_ms = window(params, exchange.now_ms, 7 * _DAY_MS)
    status = params.get("orderStatus") or ""
    chosen = [
        order
        for order in exchange.orders.all
        if not order.open
        and start_ms <= order.created_ms <= end_ms
        and _matches(order, category, params)
        and status in ("", order.status)
        and (order.filled or exchange.now_ms - order.updated_ms <= _DAY_MS)
    ]
    page, cursor = newest_first(chosen, params, integer(params, "limit", 20, 50))
    return {"list": [order.row() for order in page], "nextPageCursor": cursor, "category": category}


def executions(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/execution/list"""
    category = choice(params, "category", CATEGORIES)
    start_ms, end_ms = window(params, exchange.now_ms, 7 * _DAY_MS)
    wanted = {
        "symbol": params.get("symbol"),
        "orderId": params.get("orderId"),
        "orderLinkId": params.get("orderLinkId"),
        "execType": params.get("execType"),
    }
    chosen = [
        execution
        for execution in exchange.fills.executions
        if execution.category == category
        and start_ms <= execution.time_ms <= end_ms
        and wanted["symbol"] in (None, "", execution.symbol)
        and wanted["orderId"] in (None, "", execution.order_id)
        and wanted["orderLinkId"] in (None, "", execution.link_id)
        and wanted["execType"] in (None, "", execution.kind)
    ]
    page, cursor = newest_first(chosen, params, integer(params, "limit", 50, 100))
    return {"nextPageCursor": cursor, "category": category, "list": [execution.row() for execution in page]}


def _order_ids(order: Order) -> dict[str, Any]:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def _matches(order: Order, category: str, params: Params) -> bool:
    coin, settle = params.get("baseCoin"), params.get("settleCoin")
    return (
        order.category == category
        and params.get("symbol") in (None, "", order.symbol)
        and params.get("orderId") in (None, "", order.order_id)
        and params.get("orderLinkId") in (None, "", order.link_id)
        and coin in (None, "", order.pair.spot_coin if order.spot else order.pair.coin)
        and settle in (None, "", "USDT")
    )
