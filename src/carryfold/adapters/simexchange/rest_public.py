"""Public endpoints that tell what is now. History is in rest_history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from carryfold.adapters.simexchange import tickers
from carryfold.adapters.simexchange.answers import Params, Refused, choice, integer, page_of, required
from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.market import Level

if TYPE_CHECKING:
    from carryfold.adapters.simexchange.exchange import Exchange

__all__ = [
    "CATEGORIES",
    "borrow_data",
    "find",
    "index_components",
    "instruments",
    "order_book",
    "price_limit",
    "recent_trades",
    "server_time",
    "tickers_of",
]  # fmt: skip

CATEGORIES = ("spot", "linear", "inverse", "option")
_STATUSES = ("PreLaunch", "Trading", "Delivering", "Closed")
_BORROW_A_HOUR = "0.0000114155"  # 10 % a year


def server_time(exchange: Exchange, _: Params) -> dict[str, Any]:
    """GET /v5/market/time"""
    told_ms = exchange.clock.told_ms()
    nano = told_ms * 1_000_000 + time.time_ns() % 1_000_000
    return {"timeSecond": str(told_ms // 1_000), "timeNano": str(nano)}


def find(exchange: Exchange, params: Params) -> tuple[Instrument, bool]:
    """(the instrument that category and symbol name, whether it is its spot leg)."""
    category = choice(params, "category", CATEGORIES)
    symbol = required(params, "symbol")
    market = exchange.market
    one = (market.spots if category == "spot" else market.perps if category == "linear" else {}).get(symbol)
    if one is None:
        raise Refused(
            10001, f"Not supported symbols {symbol}" if category == "spot" else "params error: Symbol Is Invalid"
        )
    return one, category == "spot"


def instruments(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/instruments-info"""
    category = choice(params, "category", CATEGORIES)
    now_ms = exchange.now_ms
    symbol, coin = params.get("symbol"), params.get("baseCoin")
    if category == "spot":
        rows = [
            one.spot_row()
            for one in exchange.market.spots.values()
            if one.status(now_ms) != "PreLaunch" and symbol in (None, "", one.spot_symbol)
        ]
        return {"category": category, "list": rows}
    status = params.get("status") or ""
    if status and status not in _STATUSES:
        raise Refused(10001, "params error: status invalid")
    wanted = status or ("Trading" if not symbol else "")
    chosen = [
        one
        for one in (exchange.market.instruments if category == "linear" else ())
        if wanted in ("", one.status(now_ms)) and symbol in (None, "", one.symbol) and coin in (None, "", one.coin)
    ]
    page, cursor = page_of(sorted(chosen, key=lambda one: one.symbol), params, integer(params, "limit", 500, 1_000))
    rows = [one.linear_row(now_ms, exchange.hours(one)) for one in page]
    return {"category": category, "list": rows, "nextPageCursor": cursor}


def tickers_of(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/tickers"""
    category = choice(params, "category", CATEGORIES)
    market, now_ms = exchange.market, exchange.now_ms
    if params.get("symbol"):
        one, spot = find(exchange, params)
        if one.status(now_ms) == "PreLaunch" or (not spot and one.status(now_ms) == "Closed"):
            raise Refused(10001, "params error: Symbol Is Invalid")
        chosen = [one]
    elif category == "spot":
        chosen = [one for one in market.spots.values() if one.status(now_ms) != "PreLaunch"]
    else:
        chosen = [one for one in market.instruments if category == "linear" and one.status(now_ms) == "Trading"]
    row = tickers.spot_row if category == "spot" else tickers.linear_row
    return {"category": category, "list": [row(market, one, now_ms) for one in chosen]}


def order_book(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/orderbook"""
    one, spot = find(exchange, params)
    now_ms = exchange.now_ms
    limit = integer(params, "limit", 1 if spot else 25, 200 if spot else 500)
    bids, asks = exchange.depth(one, limit, spot=spot)
    return {
        "s": one.spot_symbol if spot else one.symbol,
        "b": level_texts(one, bids, spot=spot),
        "a": level_texts(one, asks, spot=spot),
        "ts": now_ms,
        "u": now_ms // 100,
        "seq": now_ms // 10,
        "cts": now_ms,
    }


def level_texts(one: Instrument, levels: list[Level], *, spot: bool) -> list[list[str]]:
    """Levels as [price, size] texts."""
    decimals, places = (one.spot_decimals, one.spot_qty_decimals) if spot else (one.decimals, one.qty_decimals)
    return [[fixed(level.price, decimals), fixed(level.size, places)] for level in levels]


def recent_trades(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/recent-trade"""
    one, spot = find(exchange, params)
    now_ms = exchange.now_ms
    limit = integer(params, "limit", 60 if spot else 500, 60 if spot else 1_000)
    decimals, places = (one.spot_decimals, one.spot_qty_decimals) if spot else (one.decimals, one.qty_decimals)
    found = exchange.market.trades(one, now_ms - 1_000 * limit, now_ms, spot=spot)[-limit:]
    rows = [
        {
            "execId": trade.trade_id,
            "symbol": one.spot_symbol if spot else one.symbol,
            "price": fixed(trade.price, decimals),
            "size": fixed(trade.size, places),
            "side": "Buy" if trade.buy else "Sell",
            "time": str(trade.time_ms),
            "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(trade.time_ms // 10),
        }
        for trade in reversed(found)
    ]
    return {"category": "spot" if spot else "linear", "list": rows}


def index_components(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/index-price-components"""
    name = required(params, "indexName")
    one = exchange.market.perps.get(name)
    if one is None:
        raise Refused(10001, "params error: indexName invalid")
    now_ms = exchange.now_ms
    index = fixed(exchange.market.index(one, now_ms), one.decimals)
    spot = fixed(float(exchange.market.frame(now_ms).spot[one.number]), one.spot_decimals)
    weights = {"Bybit": "0.4", "Binance": "0.6"} if one.spot_symbol else {"Binance": "1"}
    components = [
        {
            "exchange": place,
            "spotPair": one.spot_symbol or name,
            "equivalentPrice": index,
            "multiplier": str(one.multiplier),
            "price": spot,
            "weight": weight,
        }
        for place, weight in weights.items()
    ]
    return {"indexName": name, "lastPrice": index, "updateTime": str(now_ms), "components": components}


def price_limit(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/price-limit"""
    one, spot = find(exchange, params)
    now_ms = exchange.now_ms
    bid, ask = exchange.market.best(one, now_ms, spot=spot)
    band, decimals = float(one.band[1 if spot else 0]), one.spot_decimals if spot else one.decimals
    return {
        "symbol": params["symbol"],
        "buyLmt": fixed(ask.price * (1 + band), decimals),
        "sellLmt": fixed(bid.price * (1 - band), decimals),
        "ts": str(now_ms),
    }


def borrow_data(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/spot-margin-trade/data"""
    wanted = params.get("currency")
    coins = ["USDT", *(one.spot_coin for one in exchange.market.spots.values() if one.major)]
    rows = [
        {
            "borrowable": True,
            "collateralRatio": "1" if coin == "USDT" else "0.95",
            "currency": coin,
            "hourlyBorrowRate": _BORROW_A_HOUR,
            "liquidationOrder": str(number + 1),
            "marginCollateral": True,
            "maxBorrowingAmount": "1000000" if coin == "USDT" else "100",
        }
        for number, coin in enumerate(coins)
        if wanted in (None, "", coin)
    ]
    return {"vipCoinList": [{"list": rows, "vipLevel": "No VIP"}]}
