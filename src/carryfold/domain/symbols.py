"""What a symbol says about its instrument: base and quote coin, coins in one unit, and the spot market it belongs to.

The rules know no list of instruments, so the answer never depends on what else has been imported. These forms are
known:

    BTCUSDT, 1000PEPEUSDT, SHIB1000USDT    coin, multiplier, quote coin (1INCHUSDT has no multiplier)
    BTCPERP                                Bybit's perpetuals in USDC
    BTC, kPEPE                             a bare coin, quoted in USD; k stands for 1000
    BTC/USDT, BTC/USDT:USDT                the unified names of ccxt
"""

import re
from typing import Final, NamedTuple

from carryfold.domain.legacy import coin_of, spot_of

__all__ = ["INVERSE", "SymbolParts", "coin_of", "read_symbol", "spot_of", "unsupported_contract"]

INVERSE: Final = "symbol is an inverse contract: only spot and linear perpetuals are traded here"
DATED: Final = "symbol is a dated contract: only spot and linear perpetuals are traded here"

_THOUSAND: Final = re.compile(r"k([A-Z]{2}[A-Z0-9]*)", re.ASCII)
_HYPERLIQUID_THOUSAND: Final = re.compile(r"k([A-Z][A-Z0-9]*)", re.ASCII)
_UNIFIED: Final = re.compile(r"([^/:]+)/([^/:-]+)(?::([^/:-]+)(-.*)?)?", re.ASCII)
_DATED: Final = re.compile(r".+(-\d{1,2}[A-Z]{3}\d{2}|[-_]\d{6})(-.*)?", re.ASCII)
_COIN_MARGINED: Final = re.compile(r"[A-Z0-9]+USD_PERP", re.ASCII)
_BYBIT_INVERSE: Final = re.compile(r"[A-Z0-9]+USD", re.ASCII)
_BYBIT_INVERSE_DATED: Final = re.compile(r"[A-Z0-9]+USD[FGHJKMNQUVXZ]\d{2}", re.ASCII)


class SymbolParts(NamedTuple):
    """The parts of a symbol. One unit of quantity is `multiplier` coins of `base`; `spot_symbol` is the spot market of
    a perpetual, priced per coin."""

    base: str
    quote: str
    multiplier: float
    spot_symbol: str


def read_symbol(venue: str, symbol: str) -> SymbolParts:
    """The parts of any symbol; one of no known form is taken as a bare coin."""
    unified = _UNIFIED.fullmatch(symbol)
    if unified is not None:
        base, multiplier = spot_of(unified[1])
        return SymbolParts(base, unified[2], multiplier, f"{base}/{unified[2]}")
    thousand = (_HYPERLIQUID_THOUSAND if venue == "hyperliquid" else _THOUSAND).fullmatch(symbol)
    if thousand is not None:
        return SymbolParts(thousand[1], "USD", 1_000.0, thousand[1])
    spot_symbol, multiplier = spot_of(symbol)
    if venue == "bybit" and spot_symbol.endswith("PERP") and spot_symbol != "PERP":
        spot_symbol = spot_symbol.removesuffix("PERP") + "USDC"
    return SymbolParts(*coin_of(spot_symbol), multiplier, spot_symbol)


def unsupported_contract(venue: str, symbol: str) -> str:
    """Why the contract of this symbol is not supported, as far as the symbol tells: it is inverse, or it expires. Empty
    for a spot market or a linear perpetual."""
    unified = _UNIFIED.fullmatch(symbol)
    if unified is not None and unified[3] not in (None, unified[2]):
        return INVERSE
    if _DATED.fullmatch(symbol) or (venue == "bybit" and _BYBIT_INVERSE_DATED.fullmatch(symbol)):
        return DATED
    if _COIN_MARGINED.fullmatch(symbol) or (venue == "bybit" and _BYBIT_INVERSE.fullmatch(symbol)):
        return INVERSE
    return ""
