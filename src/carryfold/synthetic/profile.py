"""The profile of a synthetic pair: a pure function of the seed and its number.

Pairs 0 and 1 are BTCUSDT and ETHUSDT and behave like majors (deep, 8 h, tight caps). Of every eight pairs, one is
listed after the start, one is delisted with five days' notice, and one ends without notice. Intervals are 8, 4, 2 and
1 h.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

NS_PER_DAY: Final = 86_400_000_000_000
NS_PER_HOUR: Final = 3_600_000_000_000
NOTICE_DAYS: Final = 5
ORDER_VALUE: Final = 5.0

_PROFILE_STREAM: Final = 1 << 32  # distinct from the streams of the market (0) and of the pairs (1, 2, ...)
_HOURS: Final = (8, 8, 8, 4, 8, 2, 8, 1)
_CAPS: Final = (0.005, 0.01, 0.02)
_MAJORS: Final = (("BTCUSDT", 42_000.0, 1.0, 2.5e10), ("ETHUSDT", 2_300.0, 1.15, 1.0e10))


class Profile(msgspec.Struct, frozen=True):
    """One pair. Times are UTC ns; `ends_at` 0 means never. Volatilities are per day; turnover is in quote per day."""

    number: int
    symbol: str
    price: float
    decimals: int
    lot: float
    beta: float
    own_volatility: float
    hours: int
    cap: float
    pressure: float
    squeezes_per_day: float
    turnover: float
    launched_at: int
    ends_at: int
    announced: bool
    priced: bool


def make_profile(seed: int, number: int, start: int, *, priced: bool) -> Profile:
    """The profile of pair `number` in a market that starts at `start` (UTC ns)."""
    random = generator(seed, _PROFILE_STREAM, number)
    draws = random.random(8).tolist()
    major = number < len(_MAJORS)
    symbol, price, beta, turnover = (
        _MAJORS[number]
        if major
        else (f"SYN{number:02d}USDT", 10.0 ** (5.0 * draws[0] - 3.0), 0.8 + draws[1], 10.0 ** (6.7 + 2.0 * draws[2]))
    )
    launched_at = start - (200 + int(1_000 * draws[3])) * NS_PER_DAY
    ends_at = 0
    role = number % len(_HOURS)
    if role == 5:
        launched_at = start + int((10 + 50 * draws[4]) * 24) * NS_PER_HOUR
    elif role == 6:
        ends_at = start + int((70 + 90 * draws[4]) * 3) * 8 * NS_PER_HOUR
    elif role == 7:
        ends_at = start + int((80 + 85 * draws[4]) * 24) * NS_PER_HOUR
    return Profile(
        number=number,
        symbol=symbol,
        price=price,
        decimals=int(4 - np.floor(np.log10(price))),
        lot=float(f"1e{int(np.floor(np.log10(ORDER_VALUE / price)))}"),
        beta=beta,
        own_volatility=0.008 if major else 0.02 + 0.03 * draws[5],
        hours=_HOURS[role],
        cap=0.00375 if major else _CAPS[int(3 * draws[6])],
        pressure=1.05 if major else 0.9 + 0.4 * draws[7],
        squeezes_per_day=0.0 if major else 1 / 40,
        turnover=turnover,
        launched_at=launched_at,
        ends_at=ends_at,
        announced=role == 6,
        priced=priced,
    )


def generator(seed: int, stream: int, block: int) -> np.random.Generator:
    """An independent random generator for each stream and block; draws elsewhere never shift it."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream, block))))
