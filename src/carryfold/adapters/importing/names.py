"""Which spot pair a perpetual belongs to, told from its name alone.

A perpetual on a thousand coins has the thousand in its name: 1000PEPEUSDT, 1000000MOGUSDT, SHIB1000USDT. Only a one
with at least three zeros counts, so 1INCHUSDT is what it says. The rule knows no list of pairs: it gives the same
answer whatever else has been imported.
"""

from __future__ import annotations

import re
from typing import Final

_BEFORE: Final = re.compile(r"(10{3,})([A-Z][A-Z0-9]*)", re.ASCII)
_BEHIND: Final = re.compile(r"([A-Z][A-Z0-9]*[A-Z])(10{3,})(USDT)", re.ASCII)


def spot_of(symbol: str) -> tuple[str, float]:
    """(spot symbol, coins of the spot pair in one coin of the perpetual)."""
    before = _BEFORE.fullmatch(symbol)
    if before is not None:
        return before[2], float(before[1])
    behind = _BEHIND.fullmatch(symbol)
    if behind is not None:
        return behind[1] + behind[3], float(behind[2])
    return symbol, 1.0
