"""The CSV readers have a quick way and a careful one; a row in quotes takes the careful one. Both must agree."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from carryfold.adapters.importing.bars import read_bars
from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.funding import read_funding
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import read_header
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.entries import LogEntry
from carryfold.adapters.marketdata.report import ReportBuilder

MIDNIGHT = 1_700_006_400_000
NOW = 1_750_000_000_000
FUNDING = "symbol,settled_at_ms,rate,interval_hours"
BARS = "symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt,open_interest_coin,perp_volume_coin"

symbols = st.sampled_from(["AAA", "B_B", "kPEPE", "", "-", " AAA", "A A", "é"])
times = st.sampled_from([str(MIDNIGHT), f"{MIDNIGHT}.0", f"{MIDNIGHT // 1000}", f" {MIDNIGHT}", "1_700_006_400_000",
                         "+1700006400000", str(NOW + 1_000), str(NOW + 1_001), "", "1.7e12", "١"])  # fmt: skip
numbers = st.one_of(
    st.sampled_from(["", " ", "0", "-0", "1_0", "nan", "inf", "1e400", "1e-400", "0x1", "1e12", "1e-12", " 5 ", ".5",
                     "5.", "1e18", "٣", "infinity", "0.04", "-0.04", "0.0400000001"]),
    st.floats(allow_nan=True).map(repr),
    st.text("0123456789.eE+-_ ", max_size=8),
)  # fmt: skip
hours = st.one_of(st.sampled_from(["8", "8.0", "08", " 1", "24", "25", "0", "1.5", "", "-1"]), st.integers().map(str))


def read(header: str, lines: list[str]) -> tuple[list[LogEntry], dict[str, int], list[tuple[int, str]]]:
    """(entries, rejections by reason, line and reason of the first ones) of a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        context = ImportContext(now_ns=NOW * 10**6, bar_minutes=60)
        builder = ReportBuilder("f.csv", "csv")
        columns = read_header(header, "f.csv")
        if header == FUNDING:
            entries = list(read_funding(Source(path), columns, context, builder))
        else:
            entries = list(read_bars(Source(path), columns, context, builder, {}))
    report = builder.report
    return entries, report.rejected_by_reason, [(one.line, one.reason) for one in report.samples]


def quoted(row: tuple[str, ...]) -> str:
    return ",".join(f'"{field}"' for field in row)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(symbols, times, numbers, hours), min_size=1, max_size=8))
def test_a_settlement_is_read_the_same_both_ways(rows: list[tuple[str, ...]]) -> None:
    warm = f"AAA,{MIDNIGHT},0.0001,8"  # after it, rows of AAA take the quick way
    plain = read(FUNDING, [warm, *(",".join(row) for row in rows)])
    careful = read(FUNDING, [warm, *map(quoted, rows)])
    assert plain == careful


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(symbols, times, *[numbers] * 6), min_size=1, max_size=8))
def test_a_bar_is_read_the_same_both_ways(rows: list[tuple[str, ...]]) -> None:
    warm = f"AAA,{MIDNIGHT},,,1,,,"
    plain = read(BARS, [warm, *(",".join(row) for row in rows)])
    careful = read(BARS, [warm, *map(quoted, rows)])
    assert plain == careful


def test_the_quick_table_of_intervals_is_that_of_the_careful_way() -> None:
    assert all(checks.interval_hours(text, "") == value for text, value in checks.HOURS_OF.items())
