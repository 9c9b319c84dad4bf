"""What the name of an instrument says: its coins, how many of them are one unit, and the spot market it belongs to.

The rules know no list of instruments: they give the same answer whatever else has been imported. Known are

    BTCUSDT, 1000PEPEUSDT, SHIB1000USDT    coin, thousands, quote coin (1INCHUSDT has no thousand in it)
    BTCPERP                                Bybit's perpetuals in USDC
    BTC, kPEPE                             a bare coin, quoted in USD; k is a thousand
    BTC/USDT, BTC/USDT:USDT                the unified names of ccxt

Contracts that are no linear perpetuals are refused where the name alone says so.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from carryfold.adapters.importing.report import RowRefused
from carryfold.domain.legacy import coin_of, spot_of

__all__ = ["Name", "read_name", "refuse_other_contracts", "spot_of"]

INVERSE: Final = "symbol is an inverse contract: only spot and linear perpetuals are traded here"
DATED: Final = "symbol is a dated contract: only spot and linear perpetuals are traded here"

_THOUSAND: Final = re.compile(r"k([A-Z]{2}[A-Z0-9]*)", re.ASCII)
_HYPERLIQUID_THOUSAND: Final = re.compile(r"k([A-Z][A-Z0-9]*)", re.ASCII)
_UNIFIED: Final = re.compile(r"([^/:]+)/([^/:-]+)(?::([^/:-]+)(-.*)?)?", re.ASCII)
_DATED: Final = re.compile(r".+(-\d{1,2}[A-Z]{3}\d{2}|[-_]\d{6})(-.*)?", re.ASCII)
_COIN_MARGINED: Final = re.compile(r"[A-Z0-9]+USD_PERP", re.ASCII)
_BYBIT_INVERSE: Final = re.compile(r"[A-Z0-9]+USD", re.ASCII)
_BYBIT_INVERSE_DATED: Final = re.compile(r"[A-Z0-9]+USD[FGHJKMNQUVXZ]\d{2}", re.ASCII)


class Name(NamedTuple):
    """What a name says. One unit of quantity is `multiplier` coins of `base`; `spot_symbol` is the spot market of a
    perpetual, priced per coin."""

    base: str
    quote: str
    multiplier: float
    spot_symbol: str


def read_name(venue: str, symbol: str) -> Name:
    """Any symbol means something; one of no known form is a coin."""
    unified = _UNIFIED.fullmatch(symbol)
    if unified is not None:
        base, multiplier = spot_of(unified[1])
        return Name(base, unified[2], multiplier, f"{base}/{unified[2]}")
    thousand = (_HYPERLIQUID_THOUSAND if venue == "hyperliquid" else _THOUSAND).fullmatch(symbol)
    if thousand is not None:
        return Name(thousand[1], "USD", 1_000.0, thousand[1])
    spot_symbol, multiplier = spot_of(symbol)
    if venue == "bybit" and spot_symbol.endswith("PERP") and spot_symbol != "PERP":
        spot_symbol = spot_symbol.removesuffix("PERP") + "USDC"
    return Name(*coin_of(spot_symbol), multiplier, spot_symbol)


def refuse_other_contracts(venue: str, symbol: str) -> None:
    """Raise RowRefused for the name of a contract that is inverse or ends on a day."""
    unified = _UNIFIED.fullmatch(symbol)
    if unified is not None and unified[3] not in (None, unified[2]):
        raise RowRefused(INVERSE)
    if _DATED.fullmatch(symbol) or (venue == "bybit" and _BYBIT_INVERSE_DATED.fullmatch(symbol)):
        raise RowRefused(DATED)
    if _COIN_MARGINED.fullmatch(symbol) or (venue == "bybit" and _BYBIT_INVERSE.fullmatch(symbol)):
        raise RowRefused(INVERSE)
