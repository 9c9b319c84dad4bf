"""Feather files of freqtrade, with and without the library that reads them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.importing import ImportRefused, import_paths
from carryfold.domain import events as ev
from carryfold.domain.codec import decode_batch
from carryfold.eventlog import EventLog, LogReader

START = datetime(2024, 3, 1, tzinfo=UTC)
START_NS = int(START.timestamp()) * 10**9
HOUR_NS = 3_600 * 10**9


def feather(path: Path, values: list[float | None], *, unit: str = "ms", **columns: Any) -> Path:
    """Hourly candles whose five values are all the same."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather as format_

    dates = pa.array([START + timedelta(hours=n) for n in range(len(values))], pa.timestamp(unit, tz="UTC"))
    same = pa.array(values, pa.float64())
    table = {"date": dates, **dict.fromkeys(("open", "high", "low", "close", "volume"), same), **columns}
    format_.write_feather(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return path


def events_of(home: Path) -> list[ev.Event]:
    """Everything in a log."""
    with LogReader.open(home) as reader:
        return [event for batch in reader.read() for *_, event in decode_batch(batch.payload, batch.first_seq)]


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_feather_files_are_read(tmp_path: Path, unit: str) -> None:
    files = [
        feather(tmp_path / "BTC_USDT_USDT-8h-funding_rate.feather", [0.0001, -0.0002], unit=unit),
        feather(tmp_path / "BTC_USDT_USDT-1h-futures.feather", [10.0, 11.0], unit=unit),
        feather(tmp_path / "BTC_USDT_USDT-1h-mark.feather", [10.5, 11.5], unit=unit),
    ]
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, files)
        assert (report.rows, report.appended, report.rejected, report.errors) == (6, 4, 0, [])
        assert import_paths(log, files[::-1]).appended == 0
    events = events_of(tmp_path / "home")
    assert ev.FundingSettled("bybit", "BTCUSDT", 1, START_NS, 0.0001) in events
    assert ev.BarClosed("bybit", "BTCUSDT", "perp", 1, START_NS + HOUR_NS, 60, 10.0, 10.5, 100.0) in events


def test_empty_and_impossible_values_are_rejected_one_by_one(tmp_path: Path) -> None:
    path = feather(tmp_path / "BTC_USDT_USDT-1h-futures.feather", [10.0, None, float("nan"), -1.0, 12.0])
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path])
    file = report.files[0]
    assert (file.rows, file.rejected, report.appended) == (5, 3, 2)
    assert [(one.line, one.reason) for one in file.samples] == [
        (2, "close is empty"),
        (3, "close is not finite"),
        (4, "close is not positive"),
    ]


def test_a_damaged_feather_file_is_one_line(tmp_path: Path) -> None:
    whole = feather(tmp_path / "BTC_USDT_USDT-1h-mark.feather", [1.0] * 100).read_bytes()
    path = tmp_path / "BTC_USDT_USDT-1h-futures.feather"
    path.write_bytes(whole[: len(whole) // 2])
    lacking = feather(tmp_path / "ETH_USDT_USDT-1h-futures.feather", [1.0, 2.0], close=None)
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path, lacking])
        assert log.last.seq == 0
    assert len(report.errors) == 2
    assert all("is not a whole feather file of freqtrade" in error and "\n" not in error for error in report.errors)


def test_without_the_library_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = feather(tmp_path / "BTC_USDT_USDT-1h-futures.feather", [1.0, 2.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.feather", None)
    with EventLog.open(tmp_path / "home") as log, pytest.raises(ImportRefused, match=r"carryfold\[freqtrade\]"):
        import_paths(log, [path])
