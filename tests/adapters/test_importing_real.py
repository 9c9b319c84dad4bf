"""Recorded history of exchanges: what is in the log is what is in the files, read here by other means."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from math import fsum
from pathlib import Path

import pytest

from carryfold.adapters.importing import import_paths
from carryfold.domain import events as ev
from carryfold.domain.codec import decode_batch
from carryfold.eventlog import EventLog, LogReader

MINUTE_NS, HOUR_NS = 60_000_000_000, 3_600_000_000_000

Rates = dict[str, list[tuple[int, float, float]]]


def shared(*parts: str) -> Path:
    """A file of the shared history, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    path = Path(os.environ.get("CARRYFOLD_SHARED", beside)).joinpath("data", *parts)
    if not path.is_file():
        pytest.skip(f"this machine has no {'/'.join(parts)}")
    return path


def rates_of_file(path: Path) -> Rates:
    """(nominal time ns, rate, interval) by symbol, ascending. All stamps are whole minutes; those up to five after an
    hour are late ones of the hour."""
    rates: Rates = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            hours = float(row.get("interval_hours") or 0.0)
            minutes = int(row["settled_at_ms"]) // 60_000
            nominal = minutes - minutes % 60 if minutes % 60 <= 5 else minutes
            rates[row["symbol"]].append((nominal * MINUTE_NS, float(row["rate"]), hours))
    return {symbol: sorted(of_symbol) for symbol, of_symbol in rates.items()}


def rates_of_log(home: Path) -> Rates:
    """The same from a log; every settlement is known a minute after it."""
    rates: Rates = defaultdict(list)
    with LogReader.open(home) as reader:
        for batch in reader.read():
            for _, known_at, event in decode_batch(batch.payload, batch.first_seq):
                if isinstance(event, ev.FundingSettled):
                    assert known_at == event.event_at + MINUTE_NS
                    assert (event.venue, event.listing) == ("bybit", 1)
                    rates[event.symbol].append((event.event_at, event.rate, event.interval_hours))
    return {symbol: sorted(of_symbol) for symbol, of_symbol in rates.items()}


def test_settlements_of_seven_majors(tmp_path: Path) -> None:
    path = shared("bybit_majors", "funding.csv.gz")
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path])
        assert (report.rows, report.appended, report.rejected, report.pairs) == (33_191, 33_191, 0, 7)
        seq = log.last.seq
        again = import_paths(log, [path])
        assert (again.appended, again.duplicates, again.conflicts, log.last.seq) == (0, 33_191, 0, seq)
    rates = rates_of_log(tmp_path / "home")
    assert rates == rates_of_file(path)
    sums = {symbol: (len(rows), round(fsum(rate for _, rate, _ in rows), 8)) for symbol, rows in rates.items()}
    assert sums["BTCUSDT"] == (5_770, 0.78540061)
    assert sums["SOLUSDT"] == (4_743, 0.07250213)
    usual = sum(rate == 0.0001 for _, rate, _ in rates["BTCUSDT"])
    assert round(100 * usual / 5_770, 2) == 46.53
    assert {hours for _, _, hours in rates["SOLUSDT"]} == {2.0, 6.0, 8.0}


def test_bars_of_seven_majors(tmp_path: Path) -> None:
    path = shared("bybit_majors", "bars_1h.csv.gz")
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path])
        assert (report.rows, report.rejected, report.conflicts, report.pairs) == (256_660, 0, 0, 7)
        seq = log.last.seq
        assert import_paths(log, [path]).appended == 0
        assert log.last.seq == seq
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    closes = [(row, int(row["open_at_ms"]) * 10**6 + HOUR_NS) for row in rows]
    expected = {
        (row["symbol"], "perp", at, float(row["perp_close"]), float(row["mark_close"] or 0.0),
         float(row["perp_turnover_usdt"] or -1.0))
        for row, at in closes
    }  # fmt: skip
    expected |= {
        (row["symbol"], "spot", at, float(row["spot_close"]), 0.0, -1.0) for row, at in closes if row["spot_close"]
    }
    interests = {
        (row["symbol"], at, float(row["open_interest_coin"])) for row, at in closes if row["open_interest_coin"]
    }
    bars, held, listed = set(), set(), set()
    with LogReader.open(tmp_path / "home") as reader:
        for batch in reader.read():
            for _, known_at, event in decode_batch(batch.payload, batch.first_seq):
                if isinstance(event, ev.BarClosed):
                    assert (event.minutes, known_at) == (60, event.event_at + 10**9)
                    bars.add((event.symbol, event.kind, event.event_at, event.close, event.mark, event.turnover))
                elif isinstance(event, ev.ActivityObserved):
                    assert (event.kind, event.turnover) == ("perp", -1.0)
                    held.add((event.symbol, event.event_at, event.open_interest))
                elif isinstance(event, ev.InstrumentListed):
                    listed.add((event.symbol, event.kind, event.base, event.quote, known_at))
    assert bars == expected
    assert held == interests
    assert report.appended == len(bars) + len(held)
    assert listed == {
        (row["symbol"], kind, row["symbol"].removesuffix("USDT"), "USDT", 0)
        for row in rows
        for kind in ("perp", "spot")
        if row["spot_close"] or kind == "perp"
    }


@pytest.mark.soak
def test_settlements_of_all_of_hyperliquid(tmp_path: Path) -> None:
    path = shared("hyperliquid", "funding_1h.csv.gz")
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path])
        assert (report.rows, report.appended, report.rejected, report.pairs) == (1_562_750, 1_562_750, 0, 146)
        assert import_paths(log, [path]).appended == 0
    assert rates_of_log(tmp_path / "home") == rates_of_file(path)


def test_bars_of_all_of_hyperliquid_have_no_spot(tmp_path: Path) -> None:
    path = shared("hyperliquid", "bars_8h.csv.gz")
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path])
    assert (report.rows, report.appended, report.rejected) == (195_355, 195_355, 0)
    with LogReader.open(tmp_path / "home") as reader:
        for batch in reader.read():
            for *_, event in decode_batch(batch.payload, batch.first_seq):
                assert isinstance(event, (ev.BarClosed, ev.InstrumentListed))
                assert event.kind == "perp"
                assert isinstance(event, ev.InstrumentListed) or event.minutes == 480
