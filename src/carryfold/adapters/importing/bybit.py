"""Bybit v5 REST responses as the API returns them: one in a file, or one a line.

Funding history and klines are read here, instruments in `instruments.py`. A response says its category but not always
its kind: seven columns are a kline of traded prices (spot or linear), five are a mark, index or premium-index kline,
which only the file's name can tell. Index and premium-index klines are well formed and not used; inverse and option
data is not supported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from carryfold.adapters.bybit.fields import INDEX_COLUMNS, TRADE_COLUMNS, text_of
from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.klines import Candle, KlineKind, KlineStage
from carryfold.adapters.importing.source import Source
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder

KIND_HINT: Final = "put mark, index or premium into the file's name"

_KINDS: Final[dict[str, KlineKind]] = {"spot": "spot", "linear": "perp", "mark": "mark"}

FUNDING, INSTRUMENTS, KLINES, EMPTY = "funding", "instruments", "klines", "empty"


class Response(NamedTuple):
    """One successful response. `row` is the place of its first row in the file."""

    kind: str
    category: str
    symbol: str
    rows: list[Any]
    time_ms: int  # when the venue answered, 0 if it does not say
    row: int


def read_responses(source: Source, builder: ReportBuilder | None) -> Iterator[Response]:
    """The successful responses of a file; the others are rejected in `builder`, when there is one."""
    row = 1
    for line, document in source.documents():
        try:
            response = _parse(document, row)
        except RowRefused as refused:
            if builder is not None:
                builder.report.rows += 1
                builder.reject(line, str(refused), document[:100].decode("ascii", "backslashreplace"))
            row += 1
            continue
        yield response
        row += len(response.rows)


def kline_kind(response: Response, source: Source) -> str:
    """spot, linear, mark, index or premium. Raises RowRefused when neither columns nor name tell it."""
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


def read_bybit(source: Source, context: ImportContext, builder: ReportBuilder, stage: KlineStage) -> Iterator[LogEntry]:
    """Entries of the funding history and of the klines in a file, except the klines that `stage` keeps back.
    Instruments were read before."""
    for response in read_responses(source, builder):
        count = len(response.rows)
        if response.kind == INSTRUMENTS:
            continue
        builder.report.rows += count
        if response.category in ("inverse", "option"):
            builder.ignore(f"category {response.category} is not traded here", count)
        elif response.kind == FUNDING:
            yield from _funding(response, context, builder)
        elif response.kind == KLINES:
            yield from _klines(response, source, context, builder, stage)


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


def _funding(response: Response, context: ImportContext, builder: ReportBuilder) -> Iterator[LogEntry]:
    venue = context.venue_or()
    factories: dict[str, Callable[[int, float, float], LogEntry]] = {}
    for row, item in enumerate(response.rows, response.row):
        try:
            if not isinstance(item, dict):
                raise RowRefused("row is not an object")  # noqa: TRY301
            symbol = checks.symbol(text_of(item, "symbol"))
            at = checks.time_ms(text_of(item, "fundingRateTimestamp"), "fundingRateTimestamp", context.now_ms)
            cap = context.rate_caps.get((venue, symbol), 0.0)
            rate = checks.rate(text_of(item, "fundingRate"), "fundingRate", cap)
            make = factories.get(symbol) or factories.setdefault(symbol, context.settlements(venue, symbol))
        except RowRefused as refused:
            builder.reject(row, str(refused), str(item))
            continue
        yield make(at, rate, 0.0)


def _klines(
    response: Response, source: Source, context: ImportContext, builder: ReportBuilder, stage: KlineStage
) -> Iterator[LogEntry]:
    try:
        kind = kline_kind(response, source)
        symbol = checks.symbol(response.symbol)
    except RowRefused as refused:
        for row, item in enumerate(response.rows, response.row):
            builder.reject(row, str(refused), str(item))
        return
    if kind in ("index", "premium"):
        builder.ignore(f"{kind} klines are not used", len(response.rows))
        return
    candles = []
    for row, item in enumerate(response.rows, response.row):
        try:
            candles.append(_candle(item, len(response.rows[0]), context, row))
        except RowRefused as refused:
            builder.reject(row, str(refused), str(item))
    yield from stage.take(
        context.venue_or(), symbol, _KINDS[kind], candles, builder, answered_ms=response.time_ms
    )  # fmt: skip


def _candle(item: Any, width: int, context: ImportContext, row: int) -> Candle:
    if not isinstance(item, list) or len(item) != width:
        raise RowRefused("kline has another number of columns than the first")
    fields = [value if isinstance(value, str) else str(value) for value in item]
    turnover = checks.amount(fields[6], "turnover") if width == TRADE_COLUMNS else -1.0
    return Candle(
        checks.time_ms(fields[0], "startTime", context.now_ms), checks.price(fields[4], "close"), turnover, row
    )
