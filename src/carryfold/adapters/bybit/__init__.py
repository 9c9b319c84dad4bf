"""Bybit over ccxt: the market without a key, the account with one. Start at market.py and trading.py."""

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import (
    DEMO,
    MAINNET,
    TESTNET,
    Credentials,
    Endpoint,
    load_credentials,
    parse_endpoint,
)
from carryfold.adapters.bybit.history import BybitHistory
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.trading import BybitTrading

__all__ = [
    "DEMO",
    "MAINNET",
    "TESTNET",
    "BybitHistory",
    "BybitMarket",
    "BybitTrading",
    "Credentials",
    "Endpoint",
    "RestClient",
    "load_credentials",
    "parse_endpoint",
]
