"""Signed endpoints: orders, executions, positions, the account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from carryfold.adapters.simexchange.account import position_row, wallet_row
from carryfold.adapters.simexchange.answers import Params, Refused, choice, integer, optional_integer, required
from carryfold.adapters.simexchange.checks import amount
from carryfold.adapters.simexchange.instrument import fixed, plain
from carryfold.adapters.simexchange.orders import Order
from carryfold.adapters.simexchange.rest_public import CATEGORIES, find

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.desk import Restraint
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = [
    "account_info", "amend_order", "cancel_all", "cancel_order", "closed_orders", "coin_info", "create_order",
    "executions", "fee_rates", "key_info", "open_orders", "positions", "set_leverage", "switch_mode",
    "transaction_log", "wallet_balance",
]  # fmt: skip

_DAY_MS: Final = 86_400_000
_LONGEST_WINDOW_MS: Final = 7 * _DAY_MS
_RECENT: Final = 500
_USER: Final = 592324


class _Numbered(Protocol):
    @property
    def seq(self) -> int: ...


T = TypeVar("T", bound=_Numbered)


def create_order(exchange: Exchange, params: Params, restraint: Restraint | None = None) -> dict[str, Any]:
    """POST /v5/order/create"""
    return _named(exchange.desk.create(params, restraint))


def cancel_order(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/cancel"""
    _, spot = find(exchange, params)
    order = exchange.desk.find_open(params, spot=spot)
    exchange.desk.cancel(order)
    return _named(order)


def cancel_all(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/cancel-all"""
    category = choice(params, "category", CATEGORIES)
    if category == "linear" and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise Refused(10001, "params error: symbol, baseCoin or settleCoin is required")
    chosen = [order for order in exchange.desk.open_orders if _matches(order, category, params)]
    for order in chosen:
        exchange.desk.cancel(order)
    return {"list": [_named(order) for order in chosen], "success": "1"}


def amend_order(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/order/amend"""
    _, spot = find(exchange, params)
    order = exchange.desk.find_open(params, spot=spot)
    exchange.desk.amend(order, params)
    return _named(order)


def open_orders(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/order/realtime: open orders; the last closed ones too when asked for by name or with openOnly=1."""
    category = choice(params, "category", CATEGORIES)
    if category == "linear" and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
        raise Refused(10001, "params error: symbol, baseCoin or settleCoin is required")
    named = bool(params.get("orderId") or params.get("orderLinkId"))
    closed = str(params.get("openOnly") or "0") == "1"
    orders = exchange.desk.orders[-_RECENT:] if named or closed else exchange.desk.open_orders
    chosen = [order for order in orders if _matches(order, category, params) and (named or order.open != closed)]
    page, cursor = _page(chosen, params, integer(params, "limit", 20, 50))
    return {"list": [order.row() for order in page], "nextPageCursor": cursor, "category": category}


def closed_orders(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/order/history: closed orders; those that never filled are forgotten after a day."""
    category = choice(params, "category", CATEGORIES)
    start_ms, end_ms = _window(exchange, params, _LONGEST_WINDOW_MS)
    status = params.get("orderStatus") or ""
    chosen = [
        order
        for order in exchange.desk.orders
        if not order.open
        and start_ms <= order.created_ms <= end_ms
        and _matches(order, category, params)
        and status in ("", order.status)
        and (order.filled or exchange.now_ms - order.updated_ms <= _DAY_MS)
    ]
    page, cursor = _page(chosen, params, integer(params, "limit", 20, 50))
    return {"list": [order.row() for order in page], "nextPageCursor": cursor, "category": category}


def executions(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/execution/list"""
    category = choice(params, "category", CATEGORIES)
    start_ms, end_ms = _window(exchange, params, _LONGEST_WINDOW_MS)
    wanted = {
        "symbol": params.get("symbol"),
        "orderId": params.get("orderId"),
        "orderLinkId": params.get("orderLinkId"),
        "execType": params.get("execType"),
    }
    chosen = [
        one
        for one in exchange.fills.executions
        if one.category == category
        and start_ms <= one.time_ms <= end_ms
        and wanted["symbol"] in (None, "", one.symbol)
        and wanted["orderId"] in (None, "", one.order_id)
        and wanted["orderLinkId"] in (None, "", one.link_id)
        and wanted["execType"] in (None, "", one.kind)
    ]
    page, cursor = _page(chosen, params, integer(params, "limit", 50, 100))
    return {"nextPageCursor": cursor, "category": category, "list": [one.row() for one in page]}


def positions(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/position/list: one row for a symbol that is named, even without a position; else those that are open."""
    category = choice(params, "category", CATEGORIES)
    rows: list[dict[str, Any]] = []
    if category == "linear":
        if not params.get("symbol") and not params.get("settleCoin"):
            raise Refused(10001, "params error: symbol or settleCoin is required")
        held = exchange.account.held
        if params.get("symbol"):
            held = [exchange.account.position(find(exchange, params)[0], exchange.now_ms)]
        health = exchange.health()
        for position in held:
            mark = fixed(exchange.market.mark(position.one, exchange.now_ms), position.one.decimals)
            rows.append(position_row(position, mark, health))
    limit = integer(params, "limit", 20, 200)
    first = int(str(params.get("cursor") or "0")) if str(params.get("cursor") or "0").isdigit() else 0
    page = rows[first : first + limit]
    cursor = str(first + limit) if first + limit < len(rows) else ""
    return {"list": page, "nextPageCursor": cursor, "category": category}


def set_leverage(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/position/set-leverage"""
    one, spot = find(exchange, params)
    buy, sell = amount(params, "buyLeverage"), amount(params, "sellLeverage")
    if spot or buy != sell or not 1 <= buy <= one.max_leverage:
        raise Refused(10001, "params error: leverage invalid")
    position = exchange.account.position(one, exchange.now_ms)
    if position.leverage == buy:
        raise Refused(110043, "leverage not modified")
    position.leverage = buy
    return {}


def switch_mode(_: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/position/switch-mode: one-way is all there is."""
    choice(params, "category", ("linear", "inverse"))
    if str(required(params, "mode")) != "0":
        raise Refused(10001, "params error: hedge mode is not supported here")
    raise Refused(110025, "Position mode is not modified")


def wallet_balance(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/account/wallet-balance"""
    choice(params, "accountType", ("UNIFIED",))
    row = wallet_row(exchange.ledger, exchange.health(), exchange.desk.locked(), exchange.spot_prices())
    coins = str(params.get("coin") or "")
    if coins:
        row["coin"] = [one for one in row["coin"] if one["coin"] in coins.split(",")]
    return {"list": [row]}


def account_info(exchange: Exchange, _: Params) -> dict[str, Any]:
    """GET /v5/account/info"""
    return {
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": str(exchange.clock.start_ms),
        "unifiedMarginStatus": 6,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def key_info(exchange: Exchange, _: Params) -> dict[str, Any]:
    """GET /v5/user/query-api"""
    rights = exchange.rights
    assert rights is not None, "a revoked key does not come this far"
    wallet = ["AccountTransfer", "SubMemberTransfer"] + (["Withdraw"] if rights.withdraw else [])
    none = ("Options", "CopyTrading", "BlockTrade", "NFT", "Affiliate", "Earn")
    return {
        "id": str(exchange.config.seed),
        "note": "simexchange",
        "apiKey": "",
        "readOnly": int(rights.read_only),
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if rights.trade else [],
            "Spot": ["SpotTrade"] if rights.trade else [],
            "Wallet": wallet,
            "Derivatives": ["DerivativesTrade"] if rights.trade else [],
            "Exchange": ["ExchangeHistory"],
            **{name: [] for name in none},
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 90,
        "expiredAt": "2030-01-01T00:00:00Z",
        "createdAt": "2024-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": _USER,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }


def fee_rates(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/account/fee-rate; all linear symbols when no category is named."""
    category = str(params.get("category") or "linear")
    config, market = exchange.config, exchange.market
    if category not in ("spot", "linear"):
        return {"list": []}
    spot = category == "spot"
    symbols = list(market.spots if spot else market.perps)
    if params.get("symbol"):
        find(exchange, {**params, "category": category})
        symbols = [str(params["symbol"])]
    taker, maker = (config.spot_taker, config.spot_maker) if spot else (config.perp_taker, config.perp_maker)
    rows = [
        {"symbol": symbol, "takerFeeRate": plain(taker), "makerFeeRate": plain(maker), "baseCoin": ""}
        for symbol in symbols
    ]
    return {"list": rows}


def transaction_log(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/account/transaction-log: the last day unless a window is named."""
    start_ms, end_ms = _window(exchange, params, _DAY_MS)
    category, currency, kind = (params.get(name) or "" for name in ("category", "currency", "type"))
    chosen = [
        one
        for one in exchange.ledger.entries
        if start_ms <= one.time_ms <= end_ms
        and category in ("", one.category)
        and currency in ("", one.currency)
        and kind in ("", one.kind)
    ]
    page, cursor = _page(chosen, params, integer(params, "limit", 20, 50))
    return {"nextPageCursor": cursor, "list": [one.row(_USER) for one in page]}


def coin_info(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/asset/coin/query-info"""
    wanted = params.get("coin")
    coins = ["USDT", *(one.spot_coin for one in exchange.market.spots.values())]
    return {"rows": [_coin(coin) for coin in coins if wanted in (None, "", coin)]}


def _coin(coin: str) -> dict[str, Any]:
    chain = {
        "chainType": coin,
        "confirmation": "6",
        "withdrawFee": "1",
        "depositMin": "0",
        "withdrawMin": "1",
        "chain": coin,
        "chainDeposit": "1",
        "chainWithdraw": "1",
        "minAccuracy": "8",
        "withdrawPercentageFee": "0",
        "contractAddress": "",
        "safeConfirmNumber": "6",
    }
    return {"name": coin, "coin": coin, "remainAmount": "1000000", "chains": [chain]}


def _named(order: Order) -> dict[str, Any]:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def _matches(order: Order, category: str, params: Params) -> bool:
    coin, settle = params.get("baseCoin"), params.get("settleCoin")
    return (
        order.category == category
        and params.get("symbol") in (None, "", order.symbol)
        and params.get("orderId") in (None, "", order.order_id)
        and params.get("orderLinkId") in (None, "", order.link_id)
        and coin in (None, "", order.one.spot_coin if order.spot else order.one.coin)
        and settle in (None, "", "USDT")
    )


def _window(exchange: Exchange, params: Params, default_ms: int) -> tuple[int, int]:
    """(start, end) in ms. Raises Refused for one longer than a week."""
    start_ms, end_ms = optional_integer(params, "startTime"), optional_integer(params, "endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > _LONGEST_WINDOW_MS:
        raise Refused(10001, "params error: startTime and endTime must be within 7 days")
    if start_ms is None:
        end_ms = exchange.now_ms if end_ms is None else end_ms
        return end_ms - default_ms, end_ms
    return start_ms, start_ms + default_ms if end_ms is None else end_ms


def _page(rows: Sequence[T], params: Params, limit: int) -> tuple[list[T], str]:
    """(newest first, cursor). The cursor names the last row by its number, so that what comes in meanwhile shifts
    nothing."""
    cursor = str(params.get("cursor") or "")
    if cursor and not cursor.isdigit():
        raise Refused(10001, "params error: cursor is invalid")
    left = [row for row in rows if not cursor or row.seq < int(cursor)]
    page = left[-limit:][::-1]
    return page, str(page[-1].seq) if len(left) > limit else ""
