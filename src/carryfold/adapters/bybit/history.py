"""Bybit's history, paged backwards.

When a window holds more rows than a page, Bybit returns the *newest* of them without a warning. Paging therefore never
goes forwards and never guesses from an interval how many rows a window holds. Settlements are requested by their end
alone, each page ending just before the oldest row of the newer page, until a page is empty. Candles are requested by
windows that hold at most a page of them, which their fixed length guarantees. Where the spacing of settlements suggests
that one is missing, the gap is requested by itself once more, and so is a page that is empty or not full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from carryfold.adapters.bybit.client import Answer, RestClient
from carryfold.adapters.bybit.errors import RequestRejected
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.bybit.fields import INDEX_COLUMNS, TRADE_COLUMNS
from carryfold.adapters.bybit.reports import CATEGORY
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE
from carryfold.adapters.venues import Candle, NotServed, Page, PriceKind, Settlement, VenueError
from carryfold.domain.instruments import Instrument

__all__ = ["BybitHistory", "OpenInterest"]

SETTLEMENTS_A_PAGE: Final = 200
CANDLES_A_PAGE: Final = 1_000
INTEREST_A_PAGE: Final = 200

_FUNDING: Final = "public_get_v5_market_funding_history"
_INTEREST: Final = "public_get_v5_market_open_interest"
_CANDLES: Final[dict[PriceKind, tuple[str, int]]] = {
    "trade": ("public_get_v5_market_kline", TRADE_COLUMNS),
    "mark": ("public_get_v5_market_mark_price_kline", INDEX_COLUMNS),
    "index": ("public_get_v5_market_index_price_kline", INDEX_COLUMNS),
    "premium": ("public_get_v5_market_premium_index_price_kline", INDEX_COLUMNS),
}
_DAY: Final = 1_440
_INTEREST_TIMES: Final = {5: "5min", 15: "15min", 30: "30min", 60: "1h", 240: "4h", _DAY: "1d"}


class OpenInterest(NamedTuple):
    """Both sides' sum in coins of the perpetual's symbol, at `at_ms`."""

    at_ms: int
    coins: str


class BybitHistory:
    """Implements the port `History`."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def settlements(self, perp: Instrument, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        """Settled rates. A symbol that the venue has forgotten gives one empty page."""
        symbol = perp.symbol
        upto = until_ms
        after: list[int] = []  # times of the newer page's two oldest rows, to judge the spacing across the border
        while upto > since_ms:
            rows = await self._settlements(symbol, {"endTime": upto - 1}, upto)
            if not rows:  # an empty page ends the paging: it has to come twice
                rows = await self._settlements(symbol, {"endTime": upto - 1}, upto)
            confirmed: set[tuple[int, int]] = set()
            while gaps := _gaps([*(row.at_ms for row in rows), *after]) - confirmed:
                for start, end in gaps:
                    rows += await self._inside(symbol, start, end)
                confirmed |= gaps
            rows = sorted(set(rows))
            oldest = rows[0].at_ms if rows else since_ms
            after = [row.at_ms for row in rows[:2]]
            page_since = max(oldest, since_ms)
            yield Page(page_since, upto, [row for row in rows if row.at_ms >= since_ms])
            upto = page_since

    async def candles(
        self, name: Instrument, price: PriceKind, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        """Candles of any price. A window that is not full is requested once more and then taken as complete: before
        its listing an instrument has no candles."""
        method, width = _CANDLES[price]
        subject = f"the {name.kind if price == 'trade' else price} klines of {name.symbol}"
        params = {
            "category": CATEGORY[name.kind], "symbol": name.symbol, "interval": _interval(minutes),
            "limit": CANDLES_A_PAGE,
        }  # fmt: skip
        for start, end in _windows(since_ms, until_ms, minutes * MS_PER_MINUTE, CANDLES_A_PAGE):
            found = await self._candles(method, params | {"start": start, "end": end - 1}, width, subject)
            if len(found) * minutes * MS_PER_MINUTE < end - start:
                found = await self._candles(method, params | {"start": start, "end": end - 1}, width, subject) | found
            yield Page(start, end, [found[opened] for opened in sorted(found)])

    async def open_interest(
        self, perp: Instrument, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[OpenInterest]]:
        """Open interest every `minutes` (5, 15, 30, 60, 240 or 1440)."""
        subject = f"the open interest of {perp.symbol}"
        params = {
            "category": "linear",
            "symbol": perp.symbol,
            "intervalTime": _INTEREST_TIMES[minutes],
            "limit": INTEREST_A_PAGE,
        }
        for start, end in _windows(since_ms, until_ms, minutes * MS_PER_MINUTE, INTEREST_A_PAGE):
            answer = await self._ask(_INTEREST, params | {"startTime": start, "endTime": end - 1}, subject)
            rows = [_fields(row, "timestamp", "openInterest", subject) for row in answer.rows()]
            yield Page(start, end, sorted(OpenInterest(at, text) for at, text in rows if start <= at < end))

    async def _candles(self, method: str, params: dict[str, Any], width: int, subject: str) -> dict[int, Candle]:
        """Candles of one window by their open."""
        found: dict[int, Candle] = {}
        for row in (await self._ask(method, params, subject)).rows():
            if not isinstance(row, list) or len(row) != width:
                raise _odd(subject)
            opened = _time(row[0], subject)
            if params["start"] <= opened <= params["end"]:
                found.setdefault(opened, Candle(opened, str(row[4]), str(row[6]) if width == TRADE_COLUMNS else ""))
        return found

    async def _ask(self, method: str, params: dict[str, Any], subject: str) -> Answer:
        try:
            return await self._client.get(method, params, subject)
        except RequestRejected as refused:
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
        subject = f"the settled rates of {symbol}"
        params = {"category": "linear", "symbol": symbol, "limit": SETTLEMENTS_A_PAGE, **bounds}
        answer = await self._ask(_FUNDING, params, subject)
        rows = [Settlement(*_fields(row, "fundingRateTimestamp", "fundingRate", subject)) for row in answer.rows()]
        if any(row.at_ms >= before for row in rows):  # paging would never end
            raise _odd(subject)
        return rows


def _gaps(times: Iterable[int]) -> set[tuple[int, int]]:
    """Neighbouring settlement times between which one may be missing: their spacing is no interval of the venue, or it
    is longer than a spacing beside it. A true change of interval costs one more request and changes nothing."""
    ordered = sorted(set(times))
    spacings = [later - earlier for earlier, later in pairwise(ordered)]
    found = set()
    for place, spacing in enumerate(spacings):
        beside = [*spacings[max(place - 1, 0) : place], *spacings[place + 1 : place + 2]]
        if spacing not in FACTS.intervals_ms or any(spacing > other for other in beside):
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
    assert minutes in FACTS.bar_minutes, f"the venue has no candles of {minutes} minutes"
    return str(minutes)


def _fields(row: Any, at: str, value: str, subject: str) -> tuple[int, str]:
    if not isinstance(row, dict) or row.get(value) is None:
        raise _odd(subject)
    return _time(row.get(at), subject), str(row[value])


def _time(value: Any, subject: str) -> int:
    text = str(value)
    if not (text.isdecimal() and text.isascii() and len(text) <= 15):
        raise _odd(subject)
    return int(text)


def _odd(subject: str) -> VenueError:
    return VenueError(
        f"bybit's answer about {subject} is not what it documents: try again, or look for a newer version"
    )
