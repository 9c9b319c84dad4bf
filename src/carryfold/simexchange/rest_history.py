"""Public endpoints of history: settled rates, candles of every price, open interest. Newest first, as on the venue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.funding import HOUR_MS, MINUTE_MS
from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.request_params import Params, Refused, choice, integer, optional_integer, page_of
from carryfold.simexchange.seeded_random import Ints
from carryfold.simexchange.series import Kind
from carryfold.simexchange.symbols import CATEGORIES, find
from carryfold.simexchange.tickers import rate_text

__all__ = ["candle_rows", "candle_starts", "candles_of", "funding_history", "index_candles", "mark_candles",
           "open_interest", "premium_candles", "trade_candles"]  # fmt: skip

_FUNDING_PAGE: Final = 200
_CANDLE_PAGE: Final = 1_000
_INTEREST_PAGE: Final = 200
_LONGEST_HOURS: Final = 8
_DAY_MINUTES: Final = 1_440
_FIRST_MONDAY: Final = 4 * _DAY_MINUTES  # 1970 began on a Thursday
INTERVALS: Final = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
_INTEREST_MINUTES: Final = {"5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1d": _DAY_MINUTES}


def funding_history(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/funding/history"""
    category = choice(params, "category", CATEGORIES)
    if category not in ("linear", "inverse"):
        raise Refused(10001, "params error: category invalid")
    pair, _ = find(exchange.market, params)
    limit = integer(params, "limit", _FUNDING_PAGE, _FUNDING_PAGE)
    start_ms, end_ms = optional_integer(params, "startTime"), optional_integer(params, "endTime")
    if start_ms is not None and end_ms is None:
        raise Refused(10001, "params error: endTime is required when startTime is given")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise Refused(10001, "params error: startTime is after endTime")
    until_ms = exchange.now_ms - exchange.config.publish_delay_ms
    until_ms = until_ms if end_ms is None else min(end_ms, until_ms)
    # A page reaches no further back than its rows at the longest interval.
    after_ms = until_ms - (limit + 1) * _LONGEST_HOURS * HOUR_MS
    after_ms = after_ms if start_ms is None else max(start_ms - 1, after_ms)
    found = [] if _hidden(exchange, pair) else exchange.market.settlements(pair, after_ms, until_ms)
    rows = [
        {"symbol": pair.symbol, "fundingRate": rate_text(rate), "fundingRateTimestamp": str(at_ms)}
        for at_ms, rate in reversed(found[-limit:])
    ]
    return {"category": category, "list": rows}


def trade_candles(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/kline"""
    category = choice(params, "category", ("spot", "linear", "inverse"))
    return candles_of(exchange, params, "spot" if category == "spot" else "perp", category)


def mark_candles(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/mark-price-kline"""
    return candles_of(exchange, params, "mark", choice(params, "category", ("linear", "inverse")))


def index_candles(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/index-price-kline"""
    return candles_of(exchange, params, "index", choice(params, "category", ("linear", "inverse")))


def premium_candles(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/premium-index-price-kline"""
    return candles_of(exchange, params, "premium", choice(params, "category", ("linear",)))


def candles_of(exchange: Exchange, params: Params, kind: Kind, category: str) -> dict[str, Any]:
    """Candles of one price. With only a start, the oldest ones from there; otherwise the newest ones of the window."""
    pair, _ = find(exchange.market, params)
    interval = choice(params, "interval", INTERVALS)
    limit = integer(params, "limit", 200, _CANDLE_PAGE)
    start_ms, end_ms = optional_integer(params, "start"), optional_integer(params, "end")
    until_ms = exchange.now_ms
    if pair.delivery_ms and kind != "spot":
        until_ms = min(until_ms, pair.delivery_ms)
    last = (until_ms - 1 if end_ms is None else min(end_ms, until_ms - 1)) // MINUTE_MS
    launch = pair.launch_ms // MINUTE_MS
    rows: list[list[str]] = []
    if launch <= last and not (kind != "spot" and _hidden(exchange, pair)):
        start = None if start_ms is None else -(-start_ms // MINUTE_MS)
        starts = candle_starts(interval, launch, start, last, limit, forward=end_ms is None)
        if len(starts) > 1:
            rows = candle_rows(exchange, pair, kind, starts, until_ms)
    return {"symbol": params["symbol"], "category": category, "list": rows}


def candle_rows(exchange: Exchange, pair: ListedPair, kind: Kind, starts: Ints, until_ms: int) -> list[list[str]]:
    """Candle rows in the venue's format, newest first, without data before the launch or after `until_ms`."""
    listed_starts = np.maximum(starts, pair.launch_ms // MINUTE_MS)
    candles = exchange.market.series.candles(pair.number, kind, listed_starts, until_ms)
    decimals = {"spot": pair.spot_decimals, "premium": 8}.get(kind, pair.decimals)
    columns = [[str(at * MINUTE_MS) for at in starts[: len(candles.open)].tolist()]]
    prices = (candles.open, candles.high, candles.low, candles.close)
    columns += [[fixed(value, decimals) for value in column.tolist()] for column in prices]
    if kind in ("spot", "perp"):
        places = pair.spot_qty_decimals if kind == "spot" else pair.qty_decimals
        columns.append([fixed(value, places) for value in candles.volume.tolist()])
        columns.append([fixed(value, 4) for value in candles.turnover.tolist()])
    return [list(row) for row in zip(*columns, strict=True)][::-1]


def candle_starts(interval: str, launch: int, start: int | None, last: int, limit: int, *, forward: bool) -> Ints:
    """The starts of at most `limit` candles and the end of the last one, in minutes.

    Candles lie between the launch and `last`, and at or after `start` if it is given. They are the oldest of these when
    `forward`, else the newest. The candle that contains the launch is included.
    """
    if interval == "M":
        month, end = _month_of(launch), _month_of(last)
        if start is not None:
            month = max(month, _month_of(start - 1) + 1)
        bounds = _page(month, end, limit, forward=forward and start is not None)
        return np.array([_month_start(number) for number in bounds], np.int64)
    length = {"D": _DAY_MINUTES, "W": 7 * _DAY_MINUTES}.get(interval) or int(interval)
    offset = _FIRST_MONDAY if interval == "W" else 0
    begin, end = (launch - offset) // length, (last - offset) // length
    if start is not None:
        begin = max(begin, -(-(start - offset) // length))
    bounds = _page(begin, end, limit, forward=forward and start is not None)
    return np.array(bounds, np.int64) * length + offset


def _page(begin: int, end: int, limit: int, *, forward: bool) -> range:
    """The numbers of at most `limit` candles, and the one after the last."""
    if forward:
        end = min(end, begin + limit - 1)
    else:
        begin = max(begin, end - limit + 1)
    return range(begin, end + 2) if begin <= end else range(0)


def open_interest(exchange: Exchange, params: Params) -> dict[str, Any]:
    """GET /v5/market/open-interest"""
    category = choice(params, "category", ("linear", "inverse"))
    pair, _ = find(exchange.market, params)
    step_ms = _INTEREST_MINUTES[choice(params, "intervalTime", tuple(_INTEREST_MINUTES))] * MINUTE_MS
    start_ms, end_ms = optional_integer(params, "startTime"), optional_integer(params, "endTime")
    now_ms = min(exchange.now_ms, pair.delivery_ms) if pair.delivery_ms else exchange.now_ms
    last = min(now_ms, now_ms if end_ms is None else end_ms) // step_ms
    first = -(-max(pair.launch_ms, start_ms or 0) // step_ms)
    page, cursor = page_of(range(last, first - 1, -1), params, integer(params, "limit", 50, _INTEREST_PAGE))
    rows = []
    for number in page:
        held = exchange.market.open_interest(pair, number * step_ms)
        text = fixed(held, pair.qty_decimals)
        rows.append({"openInterest": text, "singleOpenInterest": text, "timestamp": str(number * step_ms)})
    return {"symbol": pair.symbol, "category": category, "list": rows, "nextPageCursor": cursor}


def _hidden(exchange: Exchange, pair: ListedPair) -> bool:
    return not exchange.config.closed_history and pair.status(exchange.now_ms) == "Closed"


def _month_of(minute: int) -> int:
    at = datetime.fromtimestamp(minute * 60, UTC)
    return at.year * 12 + at.month - 1


def _month_start(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) // 60
