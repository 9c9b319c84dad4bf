"""Tables of the market data of a log."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from carryfold.adapters.terminal import EMPTY, Terminal, clean, count, percent, short_time

if TYPE_CHECKING:
    from carryfold.adapters.importing import ImportReport
    from carryfold.domain.instruments import Instrument
    from carryfold.projections.queries import Instruments, Pairs, Predictions, Quality, Rates, Settlements

__all__ = [
    "show_import", "show_instruments", "show_pairs", "show_predictions", "show_quality", "show_rates", "show_series",
]  # fmt: skip

SAMPLES_SHOWN: Final = 5  # refused rows of each file


def _short_labels(instruments: Iterable[Instrument]) -> dict[Instrument, str]:
    """The names of instruments in tables: without the venue where there is only one."""
    instruments = list(instruments)
    several = len({one.venue for one in instruments}) > 1
    return {one: one.label if several else one.label.removeprefix(f"{one.venue}:") for one in instruments}


def show_import(terminal: Terminal, report: ImportReport, last_seq: int) -> None:
    """A line for each file, then the totals."""
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
            terminal.print(f"refused in {file.file}: {number:,} x {reason}")
        for sample in file.samples[:SAMPLES_SHOWN]:
            terminal.print(f"  {sample}")
        for reason, number in file.ignored.items():
            terminal.print(f"not for us in {file.file}: {number:,} x {reason}")
    if report.conflicts:
        terminal.print(
            f"{report.conflicts:,} observations are in the log with another value: the first one stays in force"
        )
    terminal.print(f"{report.pairs} pairs, {report.appended:,} new events; the log ends at seq {last_seq:,}.")
    if report.appended:
        terminal.print(
            "Next: `carryfold quality` for what is wrong with the data, `carryfold compare` for what it earns."
        )


def show_pairs(terminal: Terminal, found: Pairs) -> None:
    """A line for each pair."""
    columns = ["pair", "status", "priced", "lot", "min notional", "known from", "to", "rows"]
    rows = [
        [
            one.pair, one.status, "yes" if one.priced else "no", _figure(one.lot), _figure(one.min_notional),
            short_time(one.first_row_at)[:10], short_time(one.last_row_at)[:10], count(one.rows),
        ]
        for one in found.pairs
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1))
    terminal.print(f"{len(found.pairs)} pairs")


def show_instruments(terminal: Terminal, found: Instruments) -> None:
    """A line for each instrument; `coins` are those of one unit of its quantity."""
    names = _short_labels(one.instrument for one in found.instruments)
    columns = ["instrument", "status", "base", "quote", "coins", "lot", "min notional", "known from", "to", "rows"]
    rows = [
        [
            names[one.instrument], one.status, one.base or EMPTY, one.quote or EMPTY, f"{one.multiplier:g}",
            _figure(one.lot), _figure(one.min_notional), short_time(one.first_row_at)[:10],
            short_time(one.last_row_at)[:10], count(one.rows),
        ]
        for one in found.instruments
    ]  # fmt: skip
    terminal.table(columns, rows, left=(0, 1, 2, 3))
    terminal.print(f"{len(found.instruments)} instruments")


def show_rates(terminal: Terminal, found: Rates) -> None:
    """A line for each perpetual."""
    names = _short_labels(one.instrument for one in found.instruments)
    columns = ["perpetual", "settlements", "sum", "mean", "lowest", "highest", "at 0.0001", "positive", "hours",
               "first", "last", "gaps", "late", "revised"]  # fmt: skip
    rows = [
        [
            names[one.instrument], count(one.count), f"{one.sum:.8f}", f"{one.mean:.6f}", f"{one.minimum:.6f}",
            f"{one.maximum:.6f}", percent(one.share_base), percent(one.share_positive),
            "/".join(f"{i.hours:g}" for i in one.intervals if i.hours), short_time(one.first_settled_at)[:10],
            short_time(one.last_settled_at)[:10], count(one.gaps), count(one.late), count(one.revisions),
        ]
        for one in found.instruments
    ]  # fmt: skip
    terminal.table(columns, rows)
    settlements = sum(one.count for one in found.instruments)
    terminal.print(f"{len(found.instruments)} perpetuals, {settlements:,} settlements")


def show_series(terminal: Terminal, found: Settlements) -> None:
    """A table for each perpetual, with a line for each of its settlements."""
    names = _short_labels(one.instrument for one in found.instruments)
    for series in found.instruments:
        points = [
            [p.settled_at, f"{p.rate:.8f}", EMPTY if p.interval_hours is None else f"{p.interval_hours:g}",
             "inferred" if p.inferred else "", "late" if p.late else ""]
            for p in series.points
        ]  # fmt: skip
        terminal.table(["settled at", "rate", "hours", "", ""], points, title=names[series.instrument])


def show_predictions(terminal: Terminal, found: Predictions) -> None:
    """A line for each perpetual and time before its settlements; rates in basis points."""
    names = _short_labels(one.instrument for one in found.instruments)
    rows = [
        [
            names[one.instrument], f"{lead.lead_s / 60:g} min", count(lead.count), f"{lead.bias * 1e4:.4f}",
            f"{lead.mean_absolute * 1e4:.4f}", f"{lead.root_mean_square * 1e4:.4f}", f"{lead.largest * 1e4:.4f}",
        ]
        for one in found.instruments
        for lead in one.leads
    ]  # fmt: skip
    terminal.table(["perpetual", "before", "settlements", "mean bp", "absolute", "rms", "largest"], rows)
    terminal.print(f"{len(found.instruments)} perpetuals with predictions")


def show_quality(terminal: Terminal, found: Quality) -> None:
    """Three tables that fit 80 columns: settlements of perpetuals, prices of instruments, and their carry pairs; then
    what was refused, by source."""
    names = _short_labels(one.instrument for one in found.instruments)
    settled = [
        [
            names[one.instrument], count(one.settlements), count(one.settlement_gaps), count(one.missing_settlements),
            count(one.close_settlements), count(one.late["settled"] + one.late["predicted"]), count(one.revised),
        ]
        for one in found.instruments
        if one.settlements or one.revised or one.late["predicted"]
    ]  # fmt: skip
    prices = [
        [
            names[one.instrument], count(one.price_rows), count(one.bar_gaps), f"{one.missing_bar_minutes / 60:,.0f}",
            count(one.without_mark) if one.kind == "perp" else EMPTY,
            count(one.late["price"] + one.late["activity"]), count(sum(one.corrected.values())),
        ]
        for one in found.instruments
        if one.price_rows or one.corrected or one.late["price"] or one.late["activity"]
    ]  # fmt: skip
    pairs = [
        [one.pair, count(one.rows), count(one.suspect), count(one.without_spot), count(one.without_perp)]
        for one in found.pairs
        if one.rows or one.without_spot or one.without_perp
    ]
    if settled:
        terminal.table(["perpetual", "settled", "gaps", "missing", "too close", "late", "revised"], settled)
    if prices:
        terminal.table(["instrument", "prices", "bar gaps", "hours", "no mark", "late", "corrected"], prices)
    if pairs:
        terminal.table(["carry pair", "both priced", "suspect", "no spot bar", "no perp bar"], pairs)
    gaps = sum(one.settlement_gaps for one in found.instruments)
    close = sum(one.close_settlements for one in found.instruments)
    suspect = sum(one.suspect for one in found.pairs)
    terminal.print(
        f"{len(found.instruments)} instruments; settlements missing in {gaps:,} places, too close to be real:"
        f" {close:,}; suspect rows of pairs, never traded on: {suspect:,}. --json lists gaps with their times."
    )
    for source in found.rejected:
        reasons = ", ".join(f"{number:,} x {reason}" for reason, number in source.reasons.items())
        terminal.print(f"refused from {clean(source.source)}: {reasons}")


def _figure(value: Decimal | float | None) -> str:
    return EMPTY if value is None else f"{float(value):g}"
