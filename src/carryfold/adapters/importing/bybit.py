"""Bybit v5 REST responses as the API returns them: one in a file, or one a line.

Funding history and klines are read here, instruments in `instruments.py`. A response says its category but not always
its kind: seven columns are a trade kline (spot or linear), five are a mark, index or premium-index kline, which only
the file's name can tell. Index and premium-index klines are sound and not used; inverse and option data is not for
this program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from carryfold.adapters.importing import checks
from carryfold.adapters.importing.call import Call, LogEntry
from carryfold.adapters.importing.klines import Candle, KlineKind, KlineStage
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.adapters.importing.source import Source

TRADE_COLUMNS: Final = 7
INDEX_COLUMNS: Final = 5
KIND_HINT: Final = "put mark, index or premium into the file's name"

_KINDS: Final[dict[str, KlineKind]] = {"spot": "spot", "linear": "perp", "mark": "mark"}

FUNDING, INSTRUMENTS, KLINES, EMPTY = "funding", "instruments", "klines", "empty"


class Response(NamedTuple):
    """One response that the venue answered well. `row` is the place of its first row in the file."""

    kind: str
    category: str
    symbol: str
    rows: list[Any]
    time_ms: int  # when the venue answered, 0 if it does not say
    row: int


def read_responses(source: Source, tally: Tally | None) -> Iterator[Response]:
    """The good responses of a file; the others are rejected in `tally`, when there is one."""
    row = 1
    for line, document in source.documents():
        try:
            response = _parse(document, row)
        except RowRefused as refused:
            if tally is not None:
                tally.report.rows += 1
                tally.reject(line, str(refused), document[:100].decode("ascii", "backslashreplace"))
            row += 1
            continue
        yield response
        row += len(response.rows)


def kline_kind(response: Response, source: Source) -> str:
    """spot, linear, mark, index or premium. Raises RowRefused when it cannot be told."""
    width = len(response.rows[0])
    if width == TRADE_COLUMNS:
        if response.category in ("spot", "linear"):
            return response.category
        raise RowRefused("category is missing: it tells spot from linear klines")
    if width == INDEX_COLUMNS:
        name = source.name.lower()
        for kind in ("premium", "mark", "index"):
            if kind in name:
                return kind
        raise RowRefused(f"kline kind cannot be told: {KIND_HINT}")
    raise RowRefused("kline has neither 5 nor 7 columns")


def read_bybit(source: Source, call: Call, tally: Tally, stage: KlineStage) -> Iterator[LogEntry]:
    """Entries of the funding history and of the klines in a file, as far as `stage` does not keep these back.
    Instruments were read before."""
    for response in read_responses(source, tally):
        count = len(response.rows)
        if response.kind == INSTRUMENTS:
            continue
        tally.report.rows += count
        if response.category in ("inverse", "option"):
            tally.ignore(f"category {response.category} is not traded here", count)
        elif response.kind == FUNDING:
            yield from _funding(response, call, tally)
        elif response.kind == KLINES:
            yield from _klines(response, source, call, tally, stage)


def _parse(document: bytes, row: int) -> Response:
    try:
        answer = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RowRefused("document is not JSON, or is cut short") from None
    if not isinstance(answer, dict) or "retCode" not in answer:
        raise RowRefused("document is not a Bybit v5 response")
    if answer["retCode"] != 0:
        raise RowRefused(f"venue answered with error {answer['retCode']}")
    result = answer.get("result")
    rows = result.get("list") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(rows, list):
        raise RowRefused("response holds no result.list")
    time = answer.get("time")
    return Response(
        _kind_of(rows),
        str(result.get("category") or ""),
        str(result.get("symbol") or ""),
        rows,
        time if type(time) is int and checks.EARLIEST_MS <= time <= checks.LATEST_MS else 0,
        row,
    )


def _kind_of(rows: list[Any]) -> str:
    if not rows:
        return EMPTY
    first = rows[0]
    if isinstance(first, dict):
        if "fundingRateTimestamp" in first:
            return FUNDING
        if "lotSizeFilter" in first:
            return INSTRUMENTS
    elif isinstance(first, list) and first:
        return KLINES
    raise RowRefused("response is not funding history, klines or instruments")


def text_of(item: dict[str, Any], name: str) -> str:
    """A field as text; numbers stand in quotes in these responses, but not in everybody's copy of them."""
    value = item.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _funding(response: Response, call: Call, tally: Tally) -> Iterator[LogEntry]:
    venue = call.venue or "bybit"
    makers: dict[str, Callable[[int, float, float], LogEntry]] = {}
    for row, item in enumerate(response.rows, response.row):
        try:
            if not isinstance(item, dict):
                raise RowRefused("row is not an object")  # noqa: TRY301
            symbol = checks.symbol(text_of(item, "symbol"))
            at = checks.time_ms(text_of(item, "fundingRateTimestamp"), "fundingRateTimestamp", call.now_ms)
            cap = call.rate_caps.get((venue, symbol), 0.0)
            rate = checks.rate(text_of(item, "fundingRate"), "fundingRate", cap)
            make = makers.get(symbol) or makers.setdefault(symbol, call.settlements(venue, symbol))
        except RowRefused as refused:
            tally.reject(row, str(refused), str(item))
            continue
        yield make(at, rate, 0.0)


def _klines(response: Response, source: Source, call: Call, tally: Tally, stage: KlineStage) -> Iterator[LogEntry]:
    try:
        kind = kline_kind(response, source)
        symbol = checks.symbol(response.symbol)
    except RowRefused as refused:
        for row, item in enumerate(response.rows, response.row):
            tally.reject(row, str(refused), str(item))
        return
    if kind in ("index", "premium"):
        tally.ignore(f"{kind} klines are not used", len(response.rows))
        return
    candles = []
    for row, item in enumerate(response.rows, response.row):
        try:
            candles.append(_candle(item, len(response.rows[0]), call, row))
        except RowRefused as refused:
            tally.reject(row, str(refused), str(item))
    yield from stage.take(
        call.venue or "bybit", symbol, _KINDS[kind], candles, tally, answered_ms=response.time_ms
    )  # fmt: skip


def _candle(item: Any, width: int, call: Call, row: int) -> Candle:
    if not isinstance(item, list) or len(item) != width:
        raise RowRefused("kline has another number of columns than the first")
    fields = [value if isinstance(value, str) else str(value) for value in item]
    turnover = checks.amount(fields[6], "turnover") if width == TRADE_COLUMNS else -1.0
    return Candle(checks.time_ms(fields[0], "startTime", call.now_ms), checks.price(fields[4], "close"), turnover, row)
