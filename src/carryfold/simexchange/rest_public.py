"""Public endpoints of the current state. History is in rest_history."""

from __future__ import annotations

import time
from typing import Any

from carryfold.simexchange import tickers
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.market import Level
from carryfold.simexchange.request_params import Params, Refused, choice, integer, page_of, required
from carryfold.simexchange.symbols import CATEGORIES, find

__all__ = [
    "borrow_data",
    "index_components",
    "instruments",
    "order_book",
    "price_limit",
    "recent_trades",
    "server_time",
    "tickers_of",
]  # fmt: skip

_STATUSES = ("PreLaunch", "Trading", "Delivering", "Closed")
_BORROW_RATE_PER_HOUR = "0.0000114155"  # 10 % a year


def server_time(exchange: Exchange, _: Params) -> dict[str, Any]:
    """GET /v5/market/time"""
    server_time_ms = exchange.clock.server_time_ms()
    nano = server_time_ms * 1_000_000 + time.time_ns() % 1_000_000
    return {"timeSecond": str(server_time_ms // 1_000), "timeNano": str(nano)}


def instruments(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/instruments-info"""
    category = choice(params, "category", CATEGORIES)
    now_ms = exchange.now_ms
    symbol, coin = params.get("symbol"), params.get("baseCoin")
    if category == "spot":
        rows = [
            pair.spot_row()
            for pair in exchange.market.spots.values()
            if pair.status(now_ms) != "PreLaunch" and symbol in (None, "", pair.spot_symbol)
        ]
        return {"category": category, "list": rows}
    status = params.get("status") or ""
    if status and status not in _STATUSES:
        raise Refused(10001, "params error: status invalid")
    wanted = status or ("Trading" if not symbol else "")
    chosen = [
        pair
        for pair in (exchange.market.pairs if category == "linear" else ())
        if wanted in ("", pair.status(now_ms)) and symbol in (None, "", pair.symbol) and coin in (None, "", pair.coin)
    ]
    page, cursor = page_of(sorted(chosen, key=lambda pair: pair.symbol), params, integer(params, "limit", 500, 1_000))
    rows = [pair.linear_row(now_ms, exchange.state.interval_hours(pair)) for pair in page]
    return {"category": category, "list": rows, "nextPageCursor": cursor}


def tickers_of(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/tickers"""
    category = choice(params, "category", CATEGORIES)
    market, now_ms = exchange.market, exchange.now_ms
    if params.get("symbol"):
        pair, spot = find(exchange.market, params)
        if pair.status(now_ms) == "PreLaunch" or (not spot and pair.status(now_ms) == "Closed"):
            raise Refused(10001, "params error: Symbol Is Invalid")
        chosen = [pair]
    elif category == "spot":
        chosen = [pair for pair in market.spots.values() if pair.status(now_ms) != "PreLaunch"]
    else:
        chosen = [pair for pair in market.pairs if category == "linear" and pair.status(now_ms) == "Trading"]
    row = tickers.spot_row if category == "spot" else tickers.linear_row
    return {"category": category, "list": [row(market, pair, now_ms) for pair in chosen]}


def order_book(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/orderbook"""
    pair, spot = find(exchange.market, params)
    now_ms = exchange.now_ms
    limit = integer(params, "limit", 1 if spot else 25, 200 if spot else 500)
    bids, asks = exchange.depth(pair, limit, spot=spot)
    return {
        "s": pair.spot_symbol if spot else pair.symbol,
        "b": level_texts(pair, bids, spot=spot),
        "a": level_texts(pair, asks, spot=spot),
        "ts": now_ms,
        "u": now_ms // 100,
        "seq": now_ms // 10,
        "cts": now_ms,
    }


def level_texts(pair: ListedPair, levels: list[Level], *, spot: bool) -> list[list[str]]:
    """Levels as [price, size] texts."""
    decimals, places = (pair.spot_decimals, pair.spot_qty_decimals) if spot else (pair.decimals, pair.qty_decimals)
    return [[fixed(level.price, decimals), fixed(level.size, places)] for level in levels]


def recent_trades(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/recent-trade"""
    pair, spot = find(exchange.market, params)
    now_ms = exchange.now_ms
    limit = integer(params, "limit", 60 if spot else 500, 60 if spot else 1_000)
    decimals, places = (pair.spot_decimals, pair.spot_qty_decimals) if spot else (pair.decimals, pair.qty_decimals)
    found = exchange.market.trades(pair, now_ms - 1_000 * limit, now_ms, spot=spot)[-limit:]
    rows = [
        {
            "execId": trade.trade_id,
            "symbol": pair.spot_symbol if spot else pair.symbol,
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
    pair = exchange.market.perps.get(name)
    if pair is None:
        raise Refused(10001, "params error: indexName invalid")
    now_ms = exchange.now_ms
    index = fixed(exchange.market.index(pair, now_ms), pair.decimals)
    spot = fixed(float(exchange.market.frame(now_ms).spot[pair.number]), pair.spot_decimals)
    weights = {"Bybit": "0.4", "Binance": "0.6"} if pair.spot_symbol else {"Binance": "1"}
    components = [
        {
            "exchange": place,
            "spotPair": pair.spot_symbol or name,
            "equivalentPrice": index,
            "multiplier": str(pair.multiplier),
            "price": spot,
            "weight": weight,
        }
        for place, weight in weights.items()
    ]
    return {"indexName": name, "lastPrice": index, "updateTime": str(now_ms), "components": components}


def price_limit(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/price-limit"""
    pair, spot = find(exchange.market, params)
    now_ms = exchange.now_ms
    bid, ask = exchange.market.best(pair, now_ms, spot=spot)
    band, decimals = float(pair.band[1 if spot else 0]), pair.spot_decimals if spot else pair.decimals
    return {
        "symbol": params["symbol"],
        "buyLmt": fixed(ask.price * (1 + band), decimals),
        "sellLmt": fixed(bid.price * (1 - band), decimals),
        "ts": str(now_ms),
    }


def borrow_data(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/spot-margin-trade/data"""
    wanted = params.get("currency")
    coins = ["USDT", *(pair.spot_coin for pair in exchange.market.spots.values() if pair.major)]
    rows = [
        {
            "borrowable": True,
            "collateralRatio": "1" if coin == "USDT" else "0.95",
            "currency": coin,
            "hourlyBorrowRate": _BORROW_RATE_PER_HOUR,
            "liquidationOrder": str(number + 1),
            "marginCollateral": True,
            "maxBorrowingAmount": "1000000" if coin == "USDT" else "100",
        }
        for number, coin in enumerate(coins)
        if wanted in (None, "", coin)
    ]
    return {"vipCoinList": [{"list": rows, "vipLevel": "No VIP"}]}
