"""The registry shows what was known of each pair at any cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.projections.tape_logs import START, Append, append_all

from carryfold.domain import events as ev
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import DAY_NS, HOUR_NS, NOW, SECOND_NS, Cursor, format_time
from carryfold.projections.registry import REGISTRY, MarketSpan, PairChange, PairRecord, market_spans, registry
from carryfold.projections.runner import Projections
from carryfold.projections.tape import PairName, Tape

BTC = PairName("bybit", "BTCUSDT", 1)
ETH = PairName("bybit", "ETHUSDT", 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def reading(home: Path, *appends: Append) -> Iterator[tuple[Projections, Tape]]:
    append_all(home, appends)
    with LogReader.open(home) as reader, Projections.open(home, reader, [REGISTRY]) as projections:
        projections.update()
        yield projections, Tape.open(home, reader)


def only(records: list[PairRecord]) -> PairRecord:
    assert len(records) == 1
    return records[0]


def test_a_pair_is_shown_with_its_listing(home: Path) -> None:
    listed = ev.PairListed(*BTC, START, 0.001, 5.0, 10, True, 1.0, 8.0, "BTCUSDT", 0.00375)
    with reading(home, [(listed, START + 1)]) as (projections, _):
        record = only(registry(projections))
    assert msgspec.json.decode(msgspec.json.encode(record)) == {
        "venue": "bybit",
        "symbol": "BTCUSDT",
        "listing": 1,
        "status": "listed",
        "listed_at": "2022-01-08T00:00:00Z",
        "known_from": "2022-01-08T00:00:00.000000001Z",
        "lot": 0.001,
        "min_notional": 5.0,
        "lot_units": 10,
        "priced": True,
        "multiplier": 1.0,
        "interval_hours": 8.0,
        "spot_symbol": "BTCUSDT",
        "rate_cap": 0.00375,
        "delist_at": None,
        "delisted_at": None,
        "delisted_reason": "",
        "changes": [],
        "first_row_at": None,
        "last_row_at": None,
        "rows": None,
    }


def test_a_cursor_shows_the_pair_as_it_was_known_then(home: Path) -> None:
    day = [START + n * DAY_NS for n in range(4)]
    life: Append = [
        (ev.PairListed(*BTC, day[0], 0.001, 5.0), day[0]),
        (ev.PairChanged(*BTC, day[1], lot=0.01, interval_hours=4.0), day[1]),
        (ev.PairChanged(*BTC, day[1], delist_at=day[3]), day[2]),
        (ev.PairDelisted(*BTC, day[3], "merged"), day[3]),
    ]
    with reading(home, *([fact] for fact in life)) as (projections, _):
        seen = {name: only(registry(projections, Cursor(as_of=day[n]))) for n, name in enumerate("abcd")}
        assert registry(projections, Cursor(as_of=day[0] - 1)) == []
        assert registry(projections, Cursor(upto_seq=0)) == []
        assert only(registry(projections, Cursor(upto_seq=3))) == seen["c"]
    assert [record.status for record in seen.values()] == ["listed", "listed", "delisting", "delisted"]
    assert [record.lot for record in seen.values()] == [0.001, 0.01, 0.01, 0.01]
    assert [record.interval_hours for record in seen.values()] == [None, 4.0, 4.0, 4.0]
    assert seen["c"].delist_at == format_time(day[3])
    assert (seen["d"].delisted_at, seen["d"].delisted_reason) == (format_time(day[3]), "merged")
    assert seen["b"].changes == [
        PairChange("lot", 0.01, format_time(day[1]), format_time(day[1]), 2),
        PairChange("interval_hours", 4.0, format_time(day[1]), format_time(day[1]), 2),
    ]


def test_a_delisting_can_be_withdrawn(home: Path) -> None:
    announced: Append = [(ev.PairChanged(*BTC, START, delist_at=START + DAY_NS), START)]
    withdrawn: Append = [(ev.PairChanged(*BTC, START + 1, delist_at=0), START + 1)]
    with reading(home, [(ev.PairListed(*BTC, 0, 1e-6, 5.0), 0)], announced, withdrawn) as (projections, _):
        record = only(registry(projections))
    assert (record.status, record.delist_at) == ("listed", None)
    assert [change.value for change in record.changes] == [format_time(START + DAY_NS), None]


def test_an_assumed_listing_never_overrides_another(home: Path) -> None:
    real = ev.PairListed(*BTC, START, 0.001, 10.0)
    assumed = ev.PairListed(*BTC, 0, 1e-6, 5.0, priced=True)
    late_assumed = ev.PairListed(*ETH, 0, 1e-6, 5.0)
    real_eth = ev.PairListed(*ETH, START, 0.01, 10.0)
    with reading(home, [(real, START), (real_eth, 0)], [(assumed, 0), (late_assumed, START)]) as (projections, _):
        btc, eth = registry(projections)
    assert (btc.lot, btc.min_notional, btc.listed_at, btc.priced) == (0.001, 10.0, format_time(START), True)
    assert btc.known_from == "1970-01-01T00:00:00Z"
    assert (eth.lot, eth.listed_at) == (0.01, format_time(START))


def test_a_relisting_is_another_pair(home: Path) -> None:
    again = PairName("bybit", "BTCUSDT", 2)
    listings: Append = [(ev.PairListed(*pair, START, 1.0, 5.0), START) for pair in (again, BTC)]
    with reading(home, listings) as (projections, _):
        assert [record.listing for record in registry(projections)] == [1, 2]


def test_the_tape_adds_since_when_and_until_when_there_are_rows(home: Path) -> None:
    market: Append = [
        (ev.BarClosed(*pair, START + n * HOUR_NS, 60, 1.0, 1.0), START + n * HOUR_NS + SECOND_NS)
        for n in range(30)
        for pair in (BTC, ETH)
    ]
    ticks: Append = [(ev.ClockTicked(START), START), (ev.PairDelisted(*ETH, START + 40 * HOUR_NS), None)]
    with reading(home, [(ev.PairListed(*BTC, 0, 1e-6, 5.0), 0)], market, ticks) as (projections, tape):
        spans = market_spans(tape)
        cut = Cursor(as_of=START + 9 * HOUR_NS + SECOND_NS)
        btc, eth = registry(projections, cut, tape=tape)
        assert market_spans(tape, Cursor(as_of=START)) == {}
        assert only(registry(projections, Cursor(as_of=START), tape=tape)).rows == 0
    assert spans[BTC] == spans[ETH] == MarketSpan(START + SECOND_NS, START + 29 * HOUR_NS + SECOND_NS, 30)
    assert (btc.rows, btc.last_row_at) == (10, format_time(START + 9 * HOUR_NS + SECOND_NS))
    assert btc.first_row_at == format_time(START + SECOND_NS)
    assert (eth.status, eth.rows, eth.lot, eth.listed_at) == ("unlisted", 10, None, None)
    assert NOW.admits(spans[BTC].last_known, 1)
