"""Signed endpoints of the account: positions, balances, fees, the key, the transaction log."""

from __future__ import annotations

from typing import Any, Final

from carryfold.simexchange.account import position_row, wallet_row
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.listed_pair import fixed, plain
from carryfold.simexchange.order_checks import amount
from carryfold.simexchange.request_params import (
    Params,
    Refused,
    choice,
    integer,
    newest_first,
    page_of,
    required,
    window,
)
from carryfold.simexchange.symbols import CATEGORIES, find

__all__ = ["account_info", "coin_info", "fee_rates", "key_info", "positions", "set_leverage", "switch_mode",
           "transaction_log", "wallet_balance"]  # fmt: skip

_DAY_MS: Final = 86_400_000
_USER: Final = 592324


def positions(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/position/list: one row for a named symbol, even without a position; otherwise the open positions."""
    category = choice(params, "category", CATEGORIES)
    rows: list[dict[str, Any]] = []
    if category == "linear":
        if not params.get("symbol") and not params.get("settleCoin"):
            raise Refused(10001, "params error: symbol or settleCoin is required")
        held = exchange.account.held
        if params.get("symbol"):
            held = [exchange.account.position(find(exchange.market, params)[0], exchange.now_ms)]
        health = exchange.state.health()
        for position in held:
            mark = fixed(exchange.market.mark(position.pair, exchange.now_ms), position.pair.decimals)
            rows.append(position_row(position, mark, health))
    page, cursor = page_of(rows, params, integer(params, "limit", 20, 200))
    return {"list": page, "nextPageCursor": cursor, "category": category}


def set_leverage(exchange: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/position/set-leverage"""
    pair, spot = find(exchange.market, params)
    buy, sell = amount(params, "buyLeverage"), amount(params, "sellLeverage")
    if spot or buy != sell or not 1 <= buy <= pair.max_leverage:
        raise Refused(10001, "params error: leverage invalid")
    position = exchange.account.position(pair, exchange.now_ms)
    if position.leverage == buy:
        raise Refused(110043, "leverage not modified")
    position.leverage = buy
    return {}


def switch_mode(_: Exchange, params: Params) -> dict[str, Any]:
    """POST /v5/position/switch-mode: only one-way mode exists."""
    choice(params, "category", ("linear", "inverse"))
    if str(required(params, "mode")) != "0":
        raise Refused(10001, "params error: hedge mode is not supported here")
    raise Refused(110025, "Position mode is not modified")


def wallet_balance(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/account/wallet-balance"""
    choice(params, "accountType", ("UNIFIED",))
    row = wallet_row(exchange.ledger, exchange.state.health(), exchange.orders.locked(), exchange.state.spot_prices())
    coins = str(params.get("coin") or "")
    if coins:
        row["coin"] = [coin for coin in row["coin"] if coin["coin"] in coins.split(",")]
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
    assert rights is not None, "a revoked key fails authentication"
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
    """GET /v5/account/fee-rate; all linear symbols when no category is given."""
    category = str(params.get("category") or "linear")
    config, market = exchange.config, exchange.market
    if category not in ("spot", "linear"):
        return {"list": []}
    spot = category == "spot"
    symbols = list(market.spots if spot else market.perps)
    if params.get("symbol"):
        find(exchange.market, {**params, "category": category})
        symbols = [str(params["symbol"])]
    taker, maker = (config.spot_taker, config.spot_maker) if spot else (config.perp_taker, config.perp_maker)
    rows = [
        {"symbol": symbol, "takerFeeRate": plain(taker), "makerFeeRate": plain(maker), "baseCoin": ""}
        for symbol in symbols
    ]
    return {"list": rows}


def transaction_log(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/account/transaction-log: the last day unless a window is given."""
    start_ms, end_ms = window(params, exchange.now_ms, _DAY_MS)
    category, currency, kind = (params.get(name) or "" for name in ("category", "currency", "type"))
    chosen = [
        entry
        for entry in exchange.ledger.entries
        if start_ms <= entry.time_ms <= end_ms
        and category in ("", entry.category)
        and currency in ("", entry.currency)
        and kind in ("", entry.kind)
    ]
    page, cursor = newest_first(chosen, params, integer(params, "limit", 20, 50))
    return {"nextPageCursor": cursor, "list": [entry.row(_USER) for entry in page]}


def coin_info(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/asset/coin/query-info"""
    wanted = params.get("coin")
    coins = ["USDT", *(pair.spot_coin for pair in exchange.market.spots.values())]
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
