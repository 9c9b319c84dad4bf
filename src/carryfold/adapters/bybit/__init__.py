"""Bybit over ccxt: the market without a key (market.py), the account with one (trading.py), both described in venue.py.

Nothing is imported here, so that file imports can read Bybit's formats without loading a client.
"""
