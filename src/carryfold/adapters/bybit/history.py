"""Bybit's history, paged backwards.

Bybit answers a window that holds more rows than a page with the *newest* of them, and says nothing. So nothing here
asks forwards, or guesses from an interval how many rows a window holds: settlements are asked for by their end alone,
each page ending just before the oldest row of the page after it, until a page is empty; candles by windows that hold a
page of them at most, which their fixed length guarantees. Where the spacing of settlements looks as if one were
missing, the hole is asked for by itself once more, and so is whatever comes back empty or not full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from carryfold.adapters.backfill.source import Candle, CandleKind, NotServed, Page, Settlement
from carryfold.adapters.bybit.client import Answer, RestClient
from carryfold.adapters.bybit.errors import QuestionRefused
from carryfold.adapters.importing.bybit import INDEX_COLUMNS, TRADE_COLUMNS
from carryfold.adapters.venue import VenueError

__all__ = ["BybitHistory", "OpenInterest"]

SETTLEMENTS_A_PAGE: Final = 200
CANDLES_A_PAGE: Final = 1_000
INTEREST_A_PAGE: Final = 200
MS_PER_MINUTE: Final = 60_000
HOUR_MS: Final = 3_600_000
USUAL_SPACINGS: Final = frozenset(hours * HOUR_MS for hours in (1, 2, 4, 8))

_FUNDING: Final = "public_get_v5_market_funding_history"
_INTEREST: Final = "public_get_v5_market_open_interest"
_CANDLES: Final[dict[CandleKind, tuple[str, str, int]]] = {
    "spot": ("public_get_v5_market_kline", "spot", TRADE_COLUMNS),
    "perp": ("public_get_v5_market_kline", "linear", TRADE_COLUMNS),
    "mark": ("public_get_v5_market_mark_price_kline", "linear", INDEX_COLUMNS),
    "index": ("public_get_v5_market_index_price_kline", "linear", INDEX_COLUMNS),
    "premium": ("public_get_v5_market_premium_index_price_kline", "linear", INDEX_COLUMNS),
}
_INTERVALS: Final = {1, 3, 5, 15, 30, 60, 120, 240, 360, 720}
_DAY: Final = 1_440
_INTEREST_TIMES: Final = {5: "5min", 15: "15min", 30: "30min", 60: "1h", 240: "4h", _DAY: "1d"}


class OpenInterest(NamedTuple):
    """Both sides' sum in coins of the perpetual's symbol, at `at_ms`."""

    at_ms: int
    coins: str


class BybitHistory:
    """Implements `backfill.source.History`."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        """Settled rates. Of a symbol that the venue has forgotten there is one empty page."""
        upto = until_ms
        after: list[int] = []  # times of the newer page's two oldest rows, to judge the spacing across the border
        while upto > since_ms:
            rows = await self._settlements(symbol, {"endTime": upto - 1}, upto)
            if not rows:  # the one answer that ends the paging is not believed at once
                rows = await self._settlements(symbol, {"endTime": upto - 1}, upto)
            confirmed: set[tuple[int, int]] = set()
            while holes := _holes([*(row.at_ms for row in rows), *after]) - confirmed:
                for start, end in holes:
                    rows += await self._inside(symbol, start, end)
                confirmed |= holes
            rows = sorted(set(rows))
            oldest = rows[0].at_ms if rows else since_ms
            after = [row.at_ms for row in rows[:2]]
            page_since = max(oldest, since_ms)
            yield Page(page_since, upto, [row for row in rows if row.at_ms >= since_ms])
            upto = page_since

    async def candles(
        self, kind: CandleKind, symbol: str, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        """Candles of every price kind. A window that is not full is asked for once more, and then believed: before its
        listing a pair has none."""
        method, category, width = _CANDLES[kind]
        asked = f"the {kind} klines of {symbol}"
        params = {"category": category, "symbol": symbol, "interval": _interval(minutes), "limit": CANDLES_A_PAGE}
        for start, end in _windows(since_ms, until_ms, minutes * MS_PER_MINUTE, CANDLES_A_PAGE):
            found = await self._candles(method, params | {"start": start, "end": end - 1}, width, asked)
            if len(found) * minutes * MS_PER_MINUTE < end - start:
                found = await self._candles(method, params | {"start": start, "end": end - 1}, width, asked) | found
            yield Page(start, end, [found[opened] for opened in sorted(found)])

    async def open_interest(
        self, symbol: str, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[OpenInterest]]:
        """Open interest every `minutes` (5, 15, 30, 60, 240 or 1440)."""
        asked = f"the open interest of {symbol}"
        params = {
            "category": "linear",
            "symbol": symbol,
            "intervalTime": _INTEREST_TIMES[minutes],
            "limit": INTEREST_A_PAGE,
        }
        for start, end in _windows(since_ms, until_ms, minutes * MS_PER_MINUTE, INTEREST_A_PAGE):
            answer = await self._ask(_INTEREST, params | {"startTime": start, "endTime": end - 1}, asked)
            rows = [_fields(row, "timestamp", "openInterest", asked) for row in answer.rows()]
            yield Page(start, end, sorted(OpenInterest(at, text) for at, text in rows if start <= at < end))

    async def _candles(self, method: str, params: dict[str, Any], width: int, asked: str) -> dict[int, Candle]:
        """Candles of one window by their open."""
        found: dict[int, Candle] = {}
        for row in (await self._ask(method, params, asked)).rows():
            if not isinstance(row, list) or len(row) != width:
                raise _odd(asked)
            opened = _time(row[0], asked)
            if params["start"] <= opened <= params["end"]:
                found.setdefault(opened, Candle(opened, str(row[4]), str(row[6]) if width == TRADE_COLUMNS else ""))
        return found

    async def _ask(self, method: str, params: dict[str, Any], asked: str) -> Answer:
        try:
            return await self._client.get(method, params, asked)
        except QuestionRefused as refused:
            raise NotServed(str(refused)) from None

    async def _inside(self, symbol: str, start: int, end: int) -> list[Settlement]:
        """Every settlement strictly between two times."""
        found: list[Settlement] = []
        while end - 1 > start:
            rows = await self._settlements(symbol, {"startTime": start + 1, "endTime": end - 1}, end)
            if not rows:
                break
            found += rows
            end = min(row.at_ms for row in rows)
        return found

    async def _settlements(self, symbol: str, bounds: dict[str, int], before: int) -> list[Settlement]:
        asked = f"the settled rates of {symbol}"
        params = {"category": "linear", "symbol": symbol, "limit": SETTLEMENTS_A_PAGE, **bounds}
        answer = await self._ask(_FUNDING, params, asked)
        rows = [Settlement(*_fields(row, "fundingRateTimestamp", "fundingRate", asked)) for row in answer.rows()]
        if any(row.at_ms >= before for row in rows):  # paging would never end
            raise _odd(asked)
        return rows


def _holes(times: Iterable[int]) -> set[tuple[int, int]]:
    """Neighbouring settlement times between which one may be missing: a spacing that no interval explains, or one
    longer than a spacing beside it. A true change of interval costs one question and stays what it is."""
    ordered = sorted(set(times))
    spacings = [later - earlier for earlier, later in pairwise(ordered)]
    found = set()
    for place, spacing in enumerate(spacings):
        beside = [*spacings[max(place - 1, 0) : place], *spacings[place + 1 : place + 2]]
        if spacing not in USUAL_SPACINGS or any(spacing > other for other in beside):
            found.add((ordered[place], ordered[place + 1]))
    return found


def _windows(since_ms: int, until_ms: int, step_ms: int, rows: int) -> Iterable[tuple[int, int]]:
    """Windows of at most `rows` steps, newest first, that cover [since_ms, until_ms)."""
    assert since_ms % step_ms == until_ms % step_ms == 0, "bounds are multiples of the step"
    end = until_ms
    while end > since_ms:
        start = max(since_ms, end - rows * step_ms)
        yield start, end
        end = start


def _interval(minutes: int) -> str:
    if minutes == _DAY:
        return "D"
    assert minutes in _INTERVALS, f"the venue has no candles of {minutes} minutes"
    return str(minutes)


def _fields(row: Any, at: str, value: str, asked: str) -> tuple[int, str]:
    if not isinstance(row, dict) or row.get(value) is None:
        raise _odd(asked)
    return _time(row.get(at), asked), str(row[value])


def _time(value: Any, asked: str) -> int:
    text = str(value)
    if not (text.isdecimal() and text.isascii() and len(text) <= 15):
        raise _odd(asked)
    return int(text)


def _odd(asked: str) -> VenueError:
    return VenueError(f"bybit's answer about {asked} is not what it documents: try again, or look for a newer version")
