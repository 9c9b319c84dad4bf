"""Messages of the venue's own documentation, and figures of recorded history that are known from elsewhere."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

from carryfold.adapters.importing import ImportRefused, import_paths
from carryfold.domain import events as ev
from carryfold.domain.codec import decode_batch
from carryfold.eventlog import EventLog, LogReader


def shared(*parts: str) -> Path:
    """A file of the shared folder, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    path = Path(os.environ.get("CARRYFOLD_SHARED", beside)).joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"this machine has no {'/'.join(parts)}")
    return path


def events_of(home: Path) -> list[ev.Event]:
    """Everything in a log."""
    with LogReader.open(home) as reader:
        return [event for batch in reader.read() for *_, event in decode_batch(batch.payload, batch.first_seq)]


@pytest.mark.parametrize(
    ("name", "kinds", "ignored", "rejected"),
    [
        ("market-history-fund-rate__0", {"InstrumentListed": 1, "FundingSettled": 1}, 0, 0),
        ("market-instrument__0_0", {"InstrumentListed": 1, "InstrumentChanged": 1}, 0, 0),
        ("market-instrument__0_1", {}, 1, 0),  # not launched yet
        ("market-instrument__1", {}, 1, 0),  # options
        (
            "market-instrument__2",
            {"InstrumentListed": 1, "InstrumentChanged": 1},
            0,
            0,
        ),  # spot, listed nobody knows when
        ("market-kline__0", {}, 3, 0),  # inverse
        ("market-index-kline__0", {}, 2, 0),
        ("market-premium-index-kline__0", {}, 2, 0),
        ("market-mark-kline__0", {"InstrumentListed": 1, "BarClosed": 1}, 0, 0),  # of a mark alone
    ],
)
def test_examples_of_the_documentation(
    tmp_path: Path, name: str, kinds: dict[str, int], ignored: int, rejected: int
) -> None:
    path = shared("fixtures", "bybit_docs", f"{name}.json")
    with EventLog.open(tmp_path / "home") as log:
        report = import_paths(log, [path], bar_minutes=60)
        assert (report.ignored, report.rejected, report.errors) == (ignored, rejected, [])
        seq = log.last.seq
        import_paths(log, [path], bar_minutes=60)
        assert log.last.seq == seq
    found: dict[str, int] = defaultdict(int)
    for event in events_of(tmp_path / "home"):
        found[type(event).__name__] += 1
    assert found == kinds


@pytest.mark.parametrize(
    "name", ["market-tickers__0", "market-orderbook__0", "market-open-interest__0", "market-time__0"]
)
def test_other_responses_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = shared("fixtures", "bybit_docs", f"{name}.json")
    with (
        EventLog.open(tmp_path / "home") as log,
        pytest.raises(ImportRefused, match=rf"{name}\.json: response .*known are"),
    ):
        import_paths(log, [path])


def test_instruments_of_both_kinds_have_steps_of_their_own(tmp_path: Path) -> None:
    linear = shared("fixtures", "bybit_docs", "market-instrument__0_0.json")
    spot = shared("fixtures", "bybit_docs", "market-instrument__2.json")
    with EventLog.open(tmp_path / "home") as log:
        import_paths(log, [linear, spot])
    events = events_of(tmp_path / "home")
    perp = next(one for one in events if isinstance(one, ev.InstrumentListed) and one.kind == "perp")
    assert (perp.symbol, perp.base, perp.quote) == ("BTCUSDT", "BTC", "USDT")
    assert (perp.lot, perp.min_notional, perp.multiplier, perp.tick) == (1e-6, 5.0, 1.0, 0.0), "assumed so far"
    assert perp.event_at == 1_585_526_400_000 * 10**6
    changes = [one for one in events if isinstance(one, ev.InstrumentChanged)]
    assert [(one.lot, one.tick) for one in changes if one.kind == "perp"] == [(0.001, 0.1)]
    changed = [one for one in changes if one.kind == "spot"]
    assert {(one.symbol, one.lot, one.min_notional, one.tick) for one in changed} == {("BTCUSDT", 1e-6, 5.0, 0.1)}
    assert [one.event_at for one in changed] == [1_760_027_412_300 * 10**6]


def test_known_figures_of_the_majors(tmp_path: Path) -> None:
    """Counts and sums as the strategies' known answers use them."""
    with EventLog.open(tmp_path / "home") as log:
        import_paths(log, [shared("data", "bybit_majors", "funding.csv.gz")])
    rates = defaultdict(list)
    for event in events_of(tmp_path / "home"):
        if isinstance(event, ev.FundingSettled):
            rates[event.symbol].append(event.rate)
    assert len(rates) == 7
    assert (len(rates["BTCUSDT"]), len(rates["SOLUSDT"])) == (5_770, 4_743)
    assert round(sum(rates["BTCUSDT"]), 8) == 0.78540061
    assert round(sum(rates["SOLUSDT"]), 8) == 0.07250213
    assert round(100 * rates["BTCUSDT"].count(0.0001) / 5_770, 2) == 46.53
