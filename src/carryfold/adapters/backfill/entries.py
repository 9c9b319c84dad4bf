"""Log entries from pages of history, with the known_at that the log's availability rule gives them.

The same observation from a file and from here makes the same event under the same key: prices of a perpetual on a
thousand coins are divided by a thousand, a bar is stamped with its close, and its lots are those of the spot pair.
Values that cannot be are refused one by one, as in an import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from carryfold.adapters.backfill.source import Candle, CandleKind, History, Settlement
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.availability import Availability
from carryfold.adapters.importing.call import NS_PER_MS, LogEntry
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.adapters.venue import PairSpec
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import ActivityObserved, BarClosed, FundingPredicted, FundingSettled, PairChanged
from carryfold.domain.premium import Terms, predicted_rates

__all__ = ["bar_entries", "closed_bars", "predicted_entries", "priced_entry", "settled_entries"]

MS_PER_MINUTE: Final = 60_000


def settled_entries(spec: PairSpec, rows: Sequence[Settlement], rule: Availability, tally: Tally) -> Iterator[LogEntry]:
    """Settlements, oldest first. The venue does not tell their interval; the fold infers it."""
    pair = spec.listed
    for row in rows:
        tally.report.rows += 1
        try:
            rate = checks.rate(row.rate, "fundingRate", pair.rate_cap)
        except RowRefused as refused:
            tally.reject(row.at_ms // 1_000, str(refused), row.rate)
            continue
        at = row.at_ms * NS_PER_MS
        yield _entry(FundingSettled(pair.venue, pair.symbol, pair.listing, at, rate), at + rule.settlement_delay_ns)


def bar_entries(
    spec: PairSpec,
    minutes: int,
    perp: Sequence[Candle],
    spot: Sequence[Candle],
    mark: Sequence[Candle],
    rule: Availability,
    tally: Tally,
) -> Iterator[LogEntry]:
    """A bar for each candle of the perpetual, with the spot close and the mark of the same time where they exist, and
    the turnover of the spot leg."""
    spots = {candle.open_ms: candle for candle in spot}
    marks = {candle.open_ms: candle for candle in mark}
    for candle in perp:
        tally.report.rows += 1
        try:
            events = _bar(spec, minutes, candle, spots.get(candle.open_ms), marks.get(candle.open_ms))
        except RowRefused as refused:
            tally.reject(candle.open_ms // 1_000, str(refused), candle.close)
            continue
        for event in events:
            yield _entry(event, event.event_at + rule.bar_delay_ns)


async def closed_bars(
    history: History, spec: PairSpec, minutes: int, since_ms: int, until_ms: int
) -> list[BarClosed | ActivityObserved]:
    """The bars that closed in since_ms < time <= until_ms, oldest first, as a backfill would write them; none where the
    venue has none that can be. Both bounds are multiples of the length. Raises VenueError."""
    symbols: list[tuple[CandleKind, str]] = [
        ("perp", spec.listed.symbol), ("spot", spec.listed.spot_symbol), ("mark", spec.listed.symbol)
    ]  # fmt: skip
    legs: list[dict[int, Candle]] = []
    for kind, symbol in symbols:
        pages = [page async for page in history.candles(kind, symbol, minutes, since_ms, until_ms)]
        legs.append({row.open_ms: row for page in pages for row in page.rows})
    perp, spot, mark = legs
    events: list[BarClosed | ActivityObserved] = []
    for at, candle in sorted(perp.items()):
        with suppress(RowRefused):
            events += _bar(spec, minutes, candle, spot.get(at), mark.get(at))
    return events


def _bar(
    spec: PairSpec, minutes: int, perp: Candle, spot: Candle | None, mark: Candle | None
) -> list[BarClosed | ActivityObserved]:
    """Raises RowRefused."""
    pair = spec.listed
    close = checks.price(perp.close, "perp close") / pair.multiplier
    turnover = checks.amount(perp.turnover, "perp turnover")
    spot_close = checks.price(spot.close, "spot close") if spot else 0.0
    mark_close = checks.price(mark.close, "mark close") / pair.multiplier if mark else 0.0
    at = (perp.open_ms + minutes * MS_PER_MINUTE) * NS_PER_MS
    name = pair.venue, pair.symbol, pair.listing, at, minutes
    events: list[BarClosed | ActivityObserved] = [BarClosed(*name, spot_close, close, mark_close, turnover)]
    if spot:
        events.append(ActivityObserved(*name, checks.amount(spot.turnover, "spot turnover")))
    return events


def predicted_entries(
    spec: PairSpec,
    since_ms: int,
    settled_ms: int,
    closes: Sequence[Candle],
    every_minutes: int,
    rule: Availability,
    tally: Tally,
) -> Iterator[LogEntry]:
    """The estimates of one interval (since_ms, settled_ms], from the premium index of its minutes, every so many
    minutes. Each is made of closes before it. The venue's caps of that time are not known and not applied."""
    pair = spec.listed
    terms = Terms((settled_ms - since_ms) / (60 * MS_PER_MINUTE))
    seen: list[tuple[int, float]] = []
    for candle in closes:
        tally.report.rows += 1
        try:
            seen.append(
                ((candle.open_ms - since_ms) // MS_PER_MINUTE + 1, checks.number(candle.close, "premium index"))
            )
        except RowRefused as refused:
            tally.reject(candle.open_ms // 1_000, str(refused), candle.close)
    for minute, rate in predicted_rates(seen, terms):
        if minute % every_minutes == 0 and minute < terms.minutes and abs(rate) <= checks.RATE_GUARD:
            at = (since_ms + minute * MS_PER_MINUTE) * NS_PER_MS
            event = FundingPredicted(
                pair.venue, pair.symbol, pair.listing, at, rate, settled_ms * NS_PER_MS, terms.interval_hours
            )
            yield _entry(event, at + rule.bar_delay_ns)


def priced_entry(spec: PairSpec) -> LogEntry:
    """The fact that a pair has spot prices, as an import states it at a first spot close."""
    pair = spec.listed
    return _entry(PairChanged(pair.venue, pair.symbol, pair.listing, 0, priced=True), 0)


def _entry(
    event: FundingSettled | BarClosed | ActivityObserved | FundingPredicted | PairChanged, known_at: int
) -> LogEntry:
    return encode(event), event_key(event), known_at
