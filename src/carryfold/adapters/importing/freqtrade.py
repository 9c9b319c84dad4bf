"""Candle files of freqtrade: BTC_USDT_USDT-8h-funding_rate.feather, -1h-futures, -1h-mark, and BTC_USDT-1h for the
spot.

Feather needs pyarrow (the extra `freqtrade`), imported only here and only for such a file. JSON files are arrays of
[date, open, high, low, close, volume], with the date in UTC milliseconds. The rate of a funding file is in its `open`,
settled at its date, without an interval. Volume is in coins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.klines import Candle, KlineKind, KlineStage
from carryfold.adapters.importing.source import MAX_JSON_BYTES, Source
from carryfold.adapters.importing.spacing import MAX_MINUTES
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.domain.symbols import INVERSE

_NAME: Final = re.compile(
    r"(?P<base>[A-Za-z0-9]{1,20})_(?P<quote>[A-Z]{3,5})(_(?P<settle>[A-Z]{3,5}))?-(?P<count>\d{1,3})(?P<unit>[mhdw])"
    r"(-(?P<kind>futures|mark|funding_rate|index|premiumIndex))?\.(feather|json|json\.gz)",
    re.ASCII,
)
_UNIT_MINUTES: Final = {"m": 1, "h": 60, "d": 1_440, "w": 10_080}
_KINDS: Final[dict[str | None, KlineKind]] = {None: "spot", "futures": "perp", "mark": "mark"}
_COLUMNS: Final = ("date", "open", "high", "low", "close", "volume")


class FileName(NamedTuple):
    """The parts of a file's name. `kind` None: spot candles. `is_inverse`: the contract settles in its coin."""

    symbol: str
    minutes: int
    kind: str | None
    is_inverse: bool


def read_name(source: Source) -> FileName:
    """Raises ImportRefused for a name that is not one of freqtrade's."""
    found = _NAME.fullmatch(source.stem)
    if found is None:
        raise ImportRefused(
            f"{source.name}: candles without a header are recognised by freqtrade's file names,"
            " such as BTC_USDT_USDT-1h-futures.json or BTC_USDT_USDT-8h-funding_rate.feather"
        )
    minutes = int(found["count"]) * _UNIT_MINUTES[found["unit"]]
    is_inverse = found["settle"] not in (None, found["quote"])
    return FileName(found["base"] + found["quote"], minutes, found["kind"], is_inverse)


def require_pyarrow(source: Source) -> None:
    """Raises ImportRefused when feather files cannot be read here."""
    try:
        import pyarrow.feather  # noqa: F401
    except ImportError:
        raise ImportRefused(
            f"{source.name}: feather files need pyarrow, install it with: pip install 'carryfold[freqtrade]'"
        ) from None


def read_freqtrade(
    source: Source, feather: bool, context: ImportContext, builder: ReportBuilder, stage: KlineStage
) -> Iterator[LogEntry]:
    """Entries of a file, except the candles that `stage` holds back."""
    name = read_name(source)
    rows = _feather_rows(source) if feather else _json_rows(source)
    builder.report.rows += len(rows)
    if name.kind in ("index", "premiumIndex"):
        builder.ignore(f"{name.kind} candles are not used", len(rows))
        return
    if name.is_inverse:
        _reject_all(rows, INVERSE, builder)
        return
    venue = context.venue_or()
    if name.kind == "funding_rate":
        yield from _settlements(rows, venue, name.symbol, context, builder)
        return
    if not 1 <= name.minutes <= MAX_MINUTES:
        _reject_all(rows, f"candles of {name.minutes} minutes: 1 to {MAX_MINUTES} are possible", builder)
        return
    candles = []
    for row, fields in enumerate(rows, 1):
        try:
            candles.append(_candle(fields, row, context))
        except RowRefused as refused:
            builder.reject(row, str(refused), str(fields))
    yield from stage.take(venue, name.symbol, _KINDS[name.kind], candles, builder, minutes=name.minutes)


def _reject_all(rows: list[Any], reason: str, builder: ReportBuilder) -> None:
    for row, fields in enumerate(rows, 1):
        builder.reject(row, reason, str(fields))


def _settlements(
    rows: list[Any], venue: str, symbol: str, context: ImportContext, builder: ReportBuilder
) -> Iterator[LogEntry]:
    make: Callable[[int, float, float], LogEntry] | None = None
    cap = context.rate_caps.get((venue, symbol), 0.0)
    for row, fields in enumerate(rows, 1):
        try:
            at, rate, *_ = _six(fields)
            settled_ms = checks.time_ms(at, "date", context.now_ms)
            value = checks.rate(rate, "open", cap)
            make = make or context.settlements(venue, symbol)
        except RowRefused as refused:
            builder.reject(row, str(refused), str(fields))
            continue
        yield make(settled_ms, value, 0.0)


def _candle(fields: Any, row: int, context: ImportContext) -> Candle:
    at, _, _, _, close, volume = _six(fields)
    price = checks.price(close, "close")
    coins = checks.amount(volume, "volume")
    return Candle(checks.time_ms(at, "date", context.now_ms), price, coins * price, row)


def _six(fields: Any) -> list[str]:
    if not isinstance(fields, (list, tuple)) or len(fields) != len(_COLUMNS):
        raise RowRefused("row is not [date, open, high, low, close, volume]")
    return ["" if value is None else str(value) for value in fields]


def _json_rows(source: Source) -> list[Any]:
    document = bytearray()
    for chunk in source.chunks():
        document += chunk
        if len(document) > MAX_JSON_BYTES:
            source.error = f"{source.name}: a JSON document of more than {MAX_JSON_BYTES >> 20} MiB"
            return []
    try:
        rows = msgspec.json.decode(bytes(document))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = None
    if not isinstance(rows, list):
        if not source.error:
            source.error = f"{source.name}: is not whole JSON"
        return []
    return rows


def _feather_rows(source: Source) -> list[Any]:
    import pyarrow as pa
    from pyarrow import feather

    try:
        table = feather.read_table(source.path, columns=list(_COLUMNS))
        dates = table["date"].cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64())
        columns = [dates.to_pylist(), *(table[name].to_pylist() for name in _COLUMNS[1:])]
    except (pa.ArrowException, KeyError, OSError, TypeError) as error:
        source.error = f"{source.name}: is not a whole feather file of freqtrade ({str(error).splitlines()[0]})"
        return []
    return list(zip(*columns, strict=True))
