"""Bybit's instruments-info in files: listings, delistings and trading rules of its perpetuals and spot markets in USDT.

A snapshot says what holds when it was taken. A perpetual's listing becomes InstrumentListed at its launch time, with
assumed trading rules. What the snapshot says of the rules and of an announced delisting is an InstrumentChanged at the
time of the snapshot, so earlier decisions cannot know it, and later snapshots add only what changed. The venue does not
say since when a spot market trades: its listing is the assumed one, of unknown time. A snapshot without a time says no
rules, because nobody can tell since when they were known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from carryfold.adapters.bybit.fields import Fields, text_of
from carryfold.adapters.bybit.instruments_info import (
    CLOSED,
    QUOTE,
    InstrumentInfo,
    lots_of,
    read_perp,
    read_spot,
    unsupported_perp,
)
from carryfold.adapters.importing.bybit import Response
from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import NS_PER_MS, LogEntry, log_entry
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.domain.events import InstrumentChanged, InstrumentDelisted
from carryfold.domain.instruments import Instrument
from carryfold.domain.listings import DELISTED, assumed_listing
from carryfold.domain.symbols import read_symbol, unsupported_contract

__all__ = ["InstrumentBook"]


class _Row(NamedTuple):
    """One row of a snapshot taken at `time_ms` (0: not told)."""

    time_ms: int
    number: int
    fields: Fields
    builder: ReportBuilder
    is_spot: bool

    @property
    def symbol(self) -> str:
        return text_of(self.fields, "symbol")


class InstrumentBook:
    """The instruments of one import, gathered before anything else is read because their caps confirm rates."""

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._venue = context.venue_or()
        self._rows: list[_Row] = []

    def add(self, response: Response, builder: ReportBuilder) -> None:
        """One response. Copies of an answer may lack the category; the lot filter tells a spot market."""
        builder.report.rows += len(response.rows)
        if response.category in ("inverse", "option"):
            builder.ignore(f"category {response.category} is not traded here", len(response.rows))
            return
        is_late = response.time_ms > self._context.now_ms + checks.FUTURE_MS
        for number, fields in enumerate(response.rows, response.row):
            if is_late:
                builder.reject(number, "time of the response is in the future", str(fields))
                continue
            if not isinstance(fields, dict) or not isinstance(fields.get("lotSizeFilter"), dict):
                builder.reject(number, "instrument has no lotSizeFilter", str(fields))
                continue
            is_spot = "basePrecision" in lots_of(fields)
            self._rows.append(_Row(response.time_ms, number, fields, builder, is_spot))

    def resolve(self) -> Iterator[tuple[LogEntry, ReportBuilder]]:
        """Entries, earliest snapshot first, each with the report of its file. Fills the import's rate caps too."""
        for row in sorted(self._rows, key=lambda one: (one.time_ms, one.symbol, one.is_spot)):
            try:
                reason = _unsupported_spot(row) if row.is_spot else unsupported_perp(row.fields)
                if reason:
                    row.builder.ignore(f"instrument {reason}")
                    continue
                entries = self._spot(row) if row.is_spot else self._perp(row)
            except RowRefused as refused:
                row.builder.reject(row.number, str(refused), row.symbol)
                continue
            for entry in entries:
                yield entry, row.builder

    def _spot(self, row: _Row) -> list[LogEntry]:
        info = read_spot(row.fields)
        name = Instrument(self._venue, info.symbol, "spot")
        self._context.instruments.meet(name)
        return [_observed_rules(name, info, row.time_ms)]

    def _perp(self, row: _Row) -> list[LogEntry]:
        now_ms = self._context.now_ms
        checks.time_ms(text_of(row.fields, "launchTime"), "launchTime", now_ms)
        info = read_perp(row.fields)
        _check_times(info, now_ms)
        if reason := unsupported_contract(self._venue, info.symbol):
            raise RowRefused(reason)
        if info.rate_cap:
            key = (self._venue, info.symbol)
            self._context.rate_caps[key] = max(info.rate_cap, self._context.rate_caps.get(key, 0.0))
        return list(self._perp_entries(info, row.time_ms))

    def _perp_entries(self, info: InstrumentInfo, time_ms: int) -> Iterator[LogEntry]:
        name = Instrument(self._venue, info.symbol, "perp")
        parts = read_symbol(self._venue, info.symbol)
        launch = info.launch_ms * NS_PER_MS
        yield log_entry(assumed_listing(name, launch, parts.base, parts.quote, parts.multiplier), launch)
        if info.delivery_ms and (info.status == CLOSED or (time_ms and info.delivery_ms <= time_ms)):
            ended = info.delivery_ms * NS_PER_MS
            yield log_entry(InstrumentDelisted(*name, ended, DELISTED), ended)
        elif time_ms:
            yield _observed_rules(name, info, time_ms)


def _observed_rules(name: Instrument, info: InstrumentInfo, time_ms: int) -> LogEntry:
    at = time_ms * NS_PER_MS
    changed = InstrumentChanged(
        *name,
        at,
        float(info.lot),
        float(info.min_notional),
        float(info.tick) or None,
        info.delivery_ms * NS_PER_MS if name.kind == "perp" else None,
        info.interval_hours or None,
        info.rate_cap or None,
    )
    return log_entry(changed, at)


def _unsupported_spot(row: _Row) -> str:
    if text_of(row.fields, "quoteCoin") != QUOTE and not row.symbol.endswith(QUOTE):
        return f"is not quoted in {QUOTE}"
    return "" if row.time_ms else "is a spot market in a response without a time: its rules would have no date"


def _check_times(info: InstrumentInfo, now_ms: int) -> None:
    """Raises RowRefused for a life that is not possible."""
    if info.delivery_ms and info.delivery_ms <= info.launch_ms:
        raise RowRefused("deliveryTime is not after launchTime")
    if info.status == CLOSED and info.delivery_ms > now_ms + checks.FUTURE_MS:
        raise RowRefused("deliveryTime is in the future though the instrument is closed")
