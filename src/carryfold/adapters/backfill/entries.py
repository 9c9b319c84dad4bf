"""Log entries from pages of history, with the known_at that the log's availability rule gives them.

The same observation from a file and from here makes the same event under the same key: a settlement at its nominal
time, a bar at its close, one bar for each instrument. Values that cannot be are refused one by one, as in an import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from carryfold.adapters.backfill.source import Candle, CandleKind, History, NotServed, Settlement
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.availability import Availability
from carryfold.adapters.importing.call import ASSUMED_LOT, ASSUMED_MIN_NOTIONAL, NS_PER_MS, LogEntry
from carryfold.adapters.importing.names import read_name
from carryfold.adapters.importing.report import RowRefused, Tally
from carryfold.adapters.venue import PairSpec
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import BarClosed, FundingPredicted, FundingSettled, InstrumentListed
from carryfold.domain.instruments import Instrument, nominal_settlement
from carryfold.domain.premium import Terms, predicted_rates

__all__ = [
    "assumed_spot", "bar_entries", "closed_bars", "predicted_entries", "settled_entries", "spot_entry", "spot_leg",
]  # fmt: skip

MS_PER_MINUTE: Final = 60_000


def settled_entries(spec: PairSpec, rows: Sequence[Settlement], rule: Availability, tally: Tally) -> Iterator[LogEntry]:
    """Settlements, oldest first. The venue does not tell their interval; the fold infers it."""
    perp = spec.perp
    for row in rows:
        tally.report.rows += 1
        try:
            rate = checks.rate(row.rate, "fundingRate", perp.rate_cap)
        except RowRefused as refused:
            tally.reject(row.at_ms // 1_000, str(refused), row.rate)
            continue
        at = nominal_settlement(row.at_ms * NS_PER_MS)
        yield _entry(FundingSettled(perp.venue, perp.symbol, perp.listing, at, rate), at + rule.settlement_delay_ns)


def bar_entries(
    spec: PairSpec,
    minutes: int,
    perp: Sequence[Candle],
    spot: Sequence[Candle],
    mark: Sequence[Candle],
    rule: Availability,
    tally: Tally,
) -> Iterator[LogEntry]:
    """A bar of each instrument for each of its candles; that of the perpetual with the mark of the same time."""
    marks = {candle.open_ms: candle for candle in mark}
    found = [(spec.perp.instrument, candle, marks.get(candle.open_ms)) for candle in perp]
    found += [(spot_leg(spec), candle, None) for candle in spot]
    for name, candle, its_mark in found:
        tally.report.rows += 1
        try:
            bar = _bar(name, minutes, candle, its_mark)
        except RowRefused as refused:
            tally.reject(candle.open_ms // 1_000, str(refused), candle.close)
            continue
        yield _entry(bar, bar.event_at + rule.bar_delay_ns)


async def closed_bars(history: History, spec: PairSpec, minutes: int, since_ms: int, until_ms: int) -> list[BarClosed]:
    """The bars of both instruments that closed in since_ms < time <= until_ms, oldest first, as a backfill would write
    them; none where the venue has none that can be. Both bounds are multiples of the length. Raises VenueError."""

    async def asked(kind: CandleKind, symbol: str) -> dict[int, Candle]:
        pages = [page async for page in history.candles(kind, symbol, minutes, since_ms, until_ms)]
        return {row.open_ms: row for page in pages for row in page.rows}

    perp, mark = await asked("perp", spec.symbol), await asked("mark", spec.symbol)
    spot: dict[int, Candle] = {}
    with suppress(NotServed):  # of a spot instrument that has closed
        spot = await asked("spot", spot_leg(spec).symbol)
    bars: list[BarClosed] = []
    for at in sorted({*perp, *spot}):
        if at in perp:
            with suppress(RowRefused):
                bars.append(_bar(spec.perp.instrument, minutes, perp[at], mark.get(at)))
        if at in spot:
            with suppress(RowRefused):
                bars.append(_bar(spot_leg(spec), minutes, spot[at], None))
    return bars


def _bar(name: Instrument, minutes: int, candle: Candle, mark: Candle | None) -> BarClosed:
    """Raises RowRefused."""
    close = checks.price(candle.close, f"{name.kind} close")
    mark_close = checks.price(mark.close, "mark close") if mark else 0.0
    turnover = checks.amount(candle.turnover, f"{name.kind} turnover")
    at = (candle.open_ms + minutes * MS_PER_MINUTE) * NS_PER_MS
    return BarClosed(*name, at, minutes, close, mark_close, turnover)


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
    perp = spec.perp
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
                perp.venue, perp.symbol, perp.listing, at, rate, settled_ms * NS_PER_MS, terms.interval_hours
            )
            yield _entry(event, at + rule.bar_delay_ns)


def spot_leg(spec: PairSpec) -> Instrument:
    """The spot instrument of a pair; where the venue lists none any more, the one that its perpetual's name tells."""
    name = spec.spot.instrument
    if not name.is_assumed:
        return name
    return Instrument(name.venue, read_name(name.venue, spec.symbol).spot_symbol, "spot")


def assumed_spot(spec: PairSpec) -> InstrumentListed:
    """The listing of a spot instrument since an unknown time, with the facts that an import assumes of one."""
    coins = spec.spot.base, spec.spot.quote
    return InstrumentListed(*spot_leg(spec), 0, *coins, ASSUMED_LOT, ASSUMED_MIN_NOTIONAL)


def spot_entry(spec: PairSpec) -> LogEntry:
    """That listing, known from the beginning."""
    return _entry(assumed_spot(spec), 0)


def _entry(event: FundingSettled | BarClosed | FundingPredicted | InstrumentListed, known_at: int) -> LogEntry:
    return encode(event), event_key(event), known_at
