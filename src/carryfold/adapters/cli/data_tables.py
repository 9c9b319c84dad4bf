"""What the commands of data.py show to people: tables of what the log holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from carryfold.adapters.terminal import NOTHING, Terminal, clean, count, percent, short_time

if TYPE_CHECKING:
    from carryfold.adapters.importing import ImportReport
    from carryfold.domain.instruments import Instrument
    from carryfold.projections.pairs import PairRecord
    from carryfold.projections.quality import InstrumentQuality, PairQuality, RejectedSource
    from carryfold.projections.rates import RateSeries, RateStatistics
    from carryfold.projections.registry import InstrumentRecord

__all__ = [
    "short_labels", "show_import", "show_instruments", "show_pairs", "show_quality", "show_rates", "show_rejected",
    "show_series",
]  # fmt: skip

SAMPLES_SHOWN: Final = 5  # refused rows of each file

Names = Mapping["Instrument", str]


def short_labels(instruments: Iterable[Instrument]) -> dict[Instrument, str]:
    """How tables name instruments: without the venue where there is only one."""
    instruments = list(instruments)
    several = len({one.venue for one in instruments}) > 1
    return {one: one.label if several else one.label.removeprefix(f"{one.venue}:") for one in instruments}


def show_import(terminal: Terminal, report: ImportReport, last_seq: int) -> None:
    """What became of each file, then of all of them."""
    columns = ["file", "format", "rows", "new events", "known already", "other value", "refused", "not for us"]
    rows = [
        [
            one.file, one.format, count(one.rows), count(one.appended), count(one.duplicates), count(one.conflicts),
            count(one.rejected), count(sum(one.ignored.values())),
        ]
        for one in report.files
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    for file in report.files:
        for reason, number in sorted(file.rejected_by_reason.items(), key=lambda one: -one[1]):
            terminal.say(f"refused in {file.file}: {number:,} x {reason}")
        for sample in file.samples[:SAMPLES_SHOWN]:
            terminal.say(f"  {sample}")
        for reason, number in file.ignored.items():
            terminal.say(f"not for us in {file.file}: {number:,} x {reason}")
    if report.conflicts:
        terminal.say(
            f"{report.conflicts:,} observations are in the log with another value: the first one stays in force"
        )
    terminal.say(f"{report.pairs} pairs, {report.appended:,} new events; the log ends at seq {last_seq:,}.")
    if report.appended:
        terminal.say(
            "Next: `carryfold quality` for what is wrong with the data, `carryfold compare` for what it earns."
        )


def show_pairs(terminal: Terminal, found: Sequence[PairRecord]) -> None:
    """A line for each pair."""
    columns = ["pair", "status", "priced", "lot", "min notional", "known from", "to", "rows"]
    rows = [
        [
            one.pair, one.status, "yes" if one.priced else "no", _figure(one.lot), _figure(one.min_notional),
            short_time(one.first_row_at)[:10], short_time(one.last_row_at)[:10], count(one.rows),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    terminal.say(f"{len(found)} pairs")


def show_instruments(terminal: Terminal, found: Sequence[InstrumentRecord], names: Names) -> None:
    """A line for each instrument; `coins` is what one unit of it stands for."""
    columns = ["instrument", "status", "base", "quote", "coins", "lot", "min notional", "known from", "to", "rows"]
    rows = [
        [
            names[one.instrument], one.status, one.base or NOTHING, one.quote or NOTHING, f"{one.multiplier:g}",
            _figure(one.lot), _figure(one.min_notional), short_time(one.first_row_at)[:10],
            short_time(one.last_row_at)[:10], count(one.rows),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1, 2, 3))
    terminal.say(f"{len(found)} instruments")


def show_rates(terminal: Terminal, found: Sequence[RateStatistics], names: Names) -> None:
    """A line for each perpetual."""
    columns = ["perpetual", "settlements", "sum", "mean", "lowest", "highest", "at 0.0001", "positive", "hours",
               "first", "last", "gaps", "late", "revised"]  # fmt: skip
    rows = [
        [
            names[one.instrument], count(one.count), f"{one.sum:.8f}", f"{one.mean:.6f}", f"{one.minimum:.6f}",
            f"{one.maximum:.6f}", percent(one.share_base), percent(one.share_positive),
            "/".join(f"{i.hours:g}" for i in one.intervals if i.hours), short_time(one.first_settled_at)[:10],
            short_time(one.last_settled_at)[:10], count(one.gaps), count(one.late), count(one.revisions),
        ]
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows)
    terminal.say(f"{len(found)} perpetuals, {sum(one.count for one in found):,} settlements")


def show_series(terminal: Terminal, series: RateSeries, name: str) -> None:
    """A line for each settlement of a perpetual."""
    points = [
        [p.settled_at, f"{p.rate:.8f}", NOTHING if p.interval_hours is None else f"{p.interval_hours:g}",
         "inferred" if p.inferred else "", "late" if p.late else ""]
        for p in series.points
    ]  # fmt: skip
    terminal.table(["settled at", "rate", "hours", "", ""], points, title=name)


def show_quality(
    terminal: Terminal, found: Sequence[InstrumentQuality], of_pairs: Sequence[PairQuality], names: Names
) -> None:
    """Three tables that fit 80 columns: settlements of perpetuals, prices of instruments, and their carry pairs."""
    settled = [
        [
            names[one.instrument], count(one.settlements), count(one.settlement_gaps), count(one.missing_settlements),
            count(one.close_settlements), count(one.late["settled"] + one.late["predicted"]), count(one.revised),
        ]
        for one in found
        if one.settlements or one.revised or one.late["predicted"]
    ]  # fmt: skip
    prices = [
        [
            names[one.instrument], count(one.price_rows), count(one.bar_gaps), f"{one.missing_bar_minutes / 60:,.0f}",
            count(one.without_mark) if one.kind == "perp" else NOTHING,
            count(one.late["price"] + one.late["activity"]), count(sum(one.corrected.values())),
        ]
        for one in found
        if one.price_rows or one.corrected or one.late["price"] or one.late["activity"]
    ]  # fmt: skip
    pairs = [
        [one.pair, count(one.rows), count(one.suspect), count(one.without_spot), count(one.without_perp)]
        for one in of_pairs
        if one.rows or one.without_spot or one.without_perp
    ]
    if settled:
        terminal.table(["perpetual", "settled", "gaps", "missing", "too close", "late", "revised"], settled)
    if prices:
        terminal.table(["instrument", "prices", "bar gaps", "hours", "no mark", "late", "corrected"], prices)
    if pairs:
        terminal.table(["carry pair", "both priced", "suspect", "no spot bar", "no perp bar"], pairs)
    gaps, close = sum(one.settlement_gaps for one in found), sum(one.close_settlements for one in found)
    suspect = sum(one.suspect for one in of_pairs)
    terminal.say(
        f"{len(found)} instruments; settlements missing in {gaps:,} places, too close to be real: {close:,}; suspect"
        f" rows of pairs, never traded on: {suspect:,}. --json lists gaps with their times."
    )


def show_rejected(terminal: Terminal, rejected: Sequence[RejectedSource]) -> None:
    """What was refused, by source."""
    for source in rejected:
        reasons = ", ".join(f"{number:,} x {reason}" for reason, number in source.reasons.items())
        terminal.say(f"refused from {clean(source.source)}: {reasons}")


def _figure(value: Decimal | float | None) -> str:
    return NOTHING if value is None else f"{float(value):g}"
