"""The table of REST endpoints: the handler of each method and path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from carryfold.simexchange import rest_account, rest_history, rest_orders, rest_public
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.request_params import Params

__all__ = ["PRIVATE", "PUBLIC", "Handler"]

Handler = Callable[[Exchange, Params], dict[str, Any]]

PUBLIC: Final[dict[tuple[str, str], Handler]] = {
    ("GET", "/v5/market/time"): rest_public.server_time,
    ("GET", "/v5/market/instruments-info"): rest_public.instruments,
    ("GET", "/v5/market/tickers"): rest_public.tickers_of,
    ("GET", "/v5/market/orderbook"): rest_public.order_book,
    ("GET", "/v5/market/recent-trade"): rest_public.recent_trades,
    ("GET", "/v5/market/index-price-components"): rest_public.index_components,
    ("GET", "/v5/market/price-limit"): rest_public.price_limit,
    ("GET", "/v5/spot-margin-trade/data"): rest_public.borrow_data,
    ("GET", "/v5/market/funding/history"): rest_history.funding_history,
    ("GET", "/v5/market/kline"): rest_history.trade_candles,
    ("GET", "/v5/market/mark-price-kline"): rest_history.mark_candles,
    ("GET", "/v5/market/index-price-kline"): rest_history.index_candles,
    ("GET", "/v5/market/premium-index-price-kline"): rest_history.premium_candles,
    ("GET", "/v5/market/open-interest"): rest_history.open_interest,
}

PRIVATE: Final[dict[tuple[str, str], Handler]] = {
    ("POST", "/v5/order/create"): rest_orders.create_order,
    ("POST", "/v5/order/cancel"): rest_orders.cancel_order,
    ("POST", "/v5/order/cancel-all"): rest_orders.cancel_all,
    ("POST", "/v5/order/amend"): rest_orders.amend_order,
    ("GET", "/v5/order/realtime"): rest_orders.open_orders,
    ("GET", "/v5/order/history"): rest_orders.closed_orders,
    ("GET", "/v5/execution/list"): rest_orders.executions,
    ("GET", "/v5/position/list"): rest_account.positions,
    ("POST", "/v5/position/set-leverage"): rest_account.set_leverage,
    ("POST", "/v5/position/switch-mode"): rest_account.switch_mode,
    ("GET", "/v5/account/wallet-balance"): rest_account.wallet_balance,
    ("GET", "/v5/account/info"): rest_account.account_info,
    ("GET", "/v5/account/fee-rate"): rest_account.fee_rates,
    ("GET", "/v5/account/transaction-log"): rest_account.transaction_log,
    ("GET", "/v5/user/query-api"): rest_account.key_info,
    ("GET", "/v5/asset/coin/query-info"): rest_account.coin_info,
}
