"""The format of a file, recognised from its first bytes and header before anything is imported."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from carryfold.adapters.importing import bars, freqtrade, funding
from carryfold.adapters.importing.bybit import EMPTY, KLINES, kline_kind, read_responses
from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.source import HEAD_BYTES, Source
from carryfold.adapters.importing.table import Header, read_header
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.report import ReportBuilder

KNOWN: Final = (
    "known are CSV with symbol,settled_at_ms,rate[,interval_hours] or"
    " symbol,open_at_ms,[spot_close],[mark_close],[perp_close],[perp_turnover_usdt|perp_volume_coin],"
    "[open_interest_coin],"
    " Bybit v5 JSON (funding history, klines, instruments), Binance fundingRate CSV, freqtrade JSON and feather"
)
_SHOWN: Final = 60


class Format(IntEnum):
    """In the order in which the files of one import are read: where two of them have the same event, the one with more
    values comes first, whatever the order on the command line."""

    BYBIT = 1
    FUNDING = 2
    BINANCE = 3
    BARS = 4
    FREQTRADE_JSON = 5
    FREQTRADE_FEATHER = 6

    @property
    def label(self) -> str:
        """Its name in the report."""
        return _LABELS[self]


_LABELS: Final = {
    Format.BYBIT: "bybit json",
    Format.FUNDING: "funding csv",
    Format.BINANCE: "binance funding csv",
    Format.BARS: "bars csv",
    Format.FREQTRADE_JSON: "freqtrade json",
    Format.FREQTRADE_FEATHER: "freqtrade feather",
}


class Recognised(NamedTuple):
    """A source and how to read it. `header` is that of the CSV formats."""

    source: Source
    format: Format
    header: Header | None = None

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """The sort key of the files of an import."""
        has_intervals = self.header is not None and "interval_hours" in self.header.names
        return self.format, 0 if has_intervals else 1, self.source.name, str(self.source.path)


def recognise(source: Source) -> Recognised:
    """Raises ImportRefused for an unknown format."""
    head = source.head()
    if source.error and not head:
        raise ImportRefused(f"{source.name}: cannot be read ({source.error})")
    if head.startswith((b"ARROW1", b"FEA1")):
        freqtrade.read_name(source)
        freqtrade.require_pyarrow(source)
        return Recognised(source, Format.FREQTRADE_FEATHER)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ImportRefused(f"{source.name} is UTF-16 text: save it as UTF-8")
    if b"\0" in head.partition(b"\n")[0]:  # in a later line it makes only that line malformed
        raise ImportRefused(f"{source.name} is a binary file: {KNOWN}")
    start = head.lstrip()
    if not start:
        raise ImportRefused(f"{source.name} is empty")
    if start.startswith((b"{", b"[")):
        return _recognise_json(source, start)
    return _recognise_table(source, head)


def _recognise_table(source: Source, head: bytes) -> Recognised:
    line, newline, _ = head.partition(b"\n")
    if not newline and len(head) >= HEAD_BYTES:
        raise ImportRefused(f"{source.name}: the first line alone is longer than {HEAD_BYTES} bytes: {KNOWN}")
    try:
        text = line.decode("utf-8").strip()
        header = read_header(text, source.name)
    except UnicodeDecodeError:
        raise ImportRefused(f"{source.name} is not UTF-8 text: {KNOWN}") from None
    except RowRefused as refused:
        raise ImportRefused(f"{source.name}: {refused} in the header") from None
    names = set(header.names)
    for columns, any_of, kind in (
        (funding.COLUMNS, names, Format.FUNDING), (bars.COLUMNS, bars.CLOSES, Format.BARS),
        (funding.BINANCE_COLUMNS, names, Format.BINANCE),
    ):  # fmt: skip
        if names.issuperset(columns) and not names.isdisjoint(any_of):
            if kind is Format.BINANCE:
                funding.binance_symbol(source)
            return Recognised(source, kind, header)
    shown = ascii(text[:_SHOWN])[1:-1] + ("..." if len(text) > _SHOWN else "")
    raise ImportRefused(f"{source.name}: format not known, its first line is '{shown}': {KNOWN}")


def _recognise_json(source: Source, start: bytes) -> Recognised:
    if start.startswith(b"["):
        freqtrade.read_name(source)
        return Recognised(source, Format.FREQTRADE_JSON)
    builder = ReportBuilder(source.name, "")
    for response in read_responses(source, builder):
        if response.kind == KLINES and response.category not in ("inverse", "option"):
            try:
                kline_kind(response, source)
            except RowRefused as refused:
                raise ImportRefused(f"{source.name}: {refused}") from None
        if response.kind != EMPTY:
            break
    else:
        samples = builder.report.samples
        if samples or source.error:
            raise ImportRefused(source.error or f"{source.name}: {samples[0].reason}: {KNOWN}")
    return Recognised(source, Format.BYBIT)
