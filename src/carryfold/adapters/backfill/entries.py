"""Log entries from pages of history, with the known_at that the log's availability rule gives them.

An observation from a file and the same one from here make the same event under the same key: a settlement at its
nominal time, a bar at its close, one bar for each instrument. Malformed values are refused one by one, as in an import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.bars import bar_of
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE, NS_PER_MS, LogEntry, log_entry
from carryfold.adapters.marketdata.listings import spot_leg
from carryfold.adapters.marketdata.report import ReportBuilder
from carryfold.adapters.venues import Candle, PairSpec, Settlement
from carryfold.domain.availability import Availability
from carryfold.domain.events import FundingPredicted, FundingSettled
from carryfold.domain.instruments import nominal_settlement
from carryfold.domain.premium import FundingFormula

__all__ = ["bar_entries", "predicted_entries", "settled_entries"]


def settled_entries(
    spec: PairSpec, rows: Sequence[Settlement], rule: Availability, builder: ReportBuilder
) -> Iterator[LogEntry]:
    """Settlements, oldest first. History does not give their interval; the fold infers it."""
    perp = spec.perp
    for row in rows:
        builder.report.rows += 1
        try:
            rate = checks.rate(row.rate, "fundingRate", perp.rate_cap)
        except RowRefused as refused:
            builder.reject(row.at_ms // 1_000, str(refused), row.rate)
            continue
        at = nominal_settlement(row.at_ms * NS_PER_MS)
        yield log_entry(FundingSettled(perp.venue, perp.symbol, perp.listing, at, rate), at + rule.settlement_delay_ns)


def bar_entries(
    spec: PairSpec,
    minutes: int,
    perp: Sequence[Candle],
    spot: Sequence[Candle],
    mark: Sequence[Candle],
    rule: Availability,
    builder: ReportBuilder,
) -> Iterator[LogEntry]:
    """A bar for each candle of either instrument; a perpetual's bar has the mark of the same time."""
    marks = {candle.open_ms: candle for candle in mark}
    found = [(spec.perp.instrument, candle, marks.get(candle.open_ms)) for candle in perp]
    found += [(spot_leg(spec), candle, None) for candle in spot]
    for name, candle, its_mark in found:
        builder.report.rows += 1
        try:
            bar = bar_of(name, minutes, candle, its_mark)
        except RowRefused as refused:
            builder.reject(candle.open_ms // 1_000, str(refused), candle.close)
            continue
        yield log_entry(bar, bar.event_at + rule.bar_delay_ns)


def predicted_entries(
    spec: PairSpec,
    formula: FundingFormula,
    since_ms: int,
    settled_ms: int,
    closes: Sequence[Candle],
    every_minutes: int,
    rule: Availability,
    builder: ReportBuilder,
) -> Iterator[LogEntry]:
    """The estimates of one interval (since_ms, settled_ms] from the premium index of its minutes, one every
    `every_minutes`. Each uses earlier closes only. The venue's caps of that time are not known and not applied."""
    perp = spec.perp
    length_minutes = (settled_ms - since_ms) // MS_PER_MINUTE
    hours = length_minutes / 60
    minutes: list[int] = []
    premiums: list[float] = []
    for candle in closes:
        builder.report.rows += 1
        try:
            premiums.append(checks.number(candle.close, "premium index"))
        except RowRefused as refused:
            builder.reject(candle.open_ms // 1_000, str(refused), candle.close)
            continue
        minutes.append((candle.open_ms - since_ms) // MS_PER_MINUTE + 1)
    if not minutes:
        return
    rates = formula.running_rates(np.array(minutes, np.int64), np.array(premiums), hours).tolist()
    for minute, rate in zip(minutes, rates, strict=True):
        if minute % every_minutes == 0 and minute < length_minutes and abs(rate) <= checks.RATE_GUARD:
            at = (since_ms + minute * MS_PER_MINUTE) * NS_PER_MS
            settles_at = settled_ms * NS_PER_MS
            event = FundingPredicted(perp.venue, perp.symbol, perp.listing, at, rate, settles_at, hours)
            yield log_entry(event, at + rule.bar_delay_ns)
