"""The registry shows what was known of each instrument at any cursor, and which pairs they form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.projections.tape_logs import START, Append, append_all

from carryfold.domain import events as ev
from carryfold.domain import legacy
from carryfold.domain.instruments import Instrument, Listing
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import DAY_NS, HOUR_NS, NOW, SECOND_NS, Cursor, format_time
from carryfold.projections.pairs import PairRecord, pair_records
from carryfold.projections.registry import (
    REGISTRY,
    InstrumentChange,
    InstrumentRecord,
    MarketSpan,
    listings_of,
    market_spans,
    registry,
)
from carryfold.projections.runner import Projections
from carryfold.projections.tape import Tape

BTC = Instrument("bybit", "BTCUSDT", "perp")
SPOT = Instrument("bybit", "BTCUSDT", "spot")
ETH = Instrument("bybit", "ETHUSDT", "perp")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def reading(home: Path, *appends: Append) -> Iterator[tuple[Projections, Tape]]:
    append_all(home, appends)
    with LogReader.open(home) as reader, Projections.open(home, reader, [REGISTRY]) as projections:
        projections.update()
        yield projections, Tape.open(home, reader)


def only(records: list[InstrumentRecord]) -> InstrumentRecord:
    assert len(records) == 1
    return records[0]


def listed(name: Instrument, at: int = 0, lot: float = 1e-6, least: float = 5.0) -> ev.InstrumentListed:
    return ev.InstrumentListed(*name, at, name.symbol[:3], "USDT", lot, least)


def test_an_instrument_is_shown_with_its_listing(home: Path) -> None:
    event = ev.InstrumentListed(*BTC, START, "BTC", "USDT", 0.001, 5.0, 1.0, 0.5, 8.0, 0.00375)
    with reading(home, [(event, START + 1)]) as (projections, _):
        record = only(registry(projections))
    assert record.instrument == BTC
    assert msgspec.json.decode(msgspec.json.encode(record)) == {
        "venue": "bybit",
        "symbol": "BTCUSDT",
        "kind": "perp",
        "listing": 1,
        "status": "listed",
        "listed_at": "2022-01-08T00:00:00Z",
        "known_from": "2022-01-08T00:00:00.000000001Z",
        "base": "BTC",
        "quote": "USDT",
        "multiplier": 1.0,
        "lot": 0.001,
        "min_notional": 5.0,
        "tick": 0.5,
        "interval_hours": 8.0,
        "rate_cap": 0.00375,
        "rules_known_from": "2022-01-08T00:00:00.000000001Z",
        "delist_at": None,
        "delisted_at": None,
        "delisted_reason": "",
        "changes": [],
        "first_row_at": None,
        "last_row_at": None,
        "rows": None,
    }


def test_a_cursor_shows_the_instrument_as_it_was_known_then(home: Path) -> None:
    day = [START + n * DAY_NS for n in range(4)]
    life: Append = [
        (listed(BTC, day[0], 0.001), day[0]),
        (ev.InstrumentChanged(*BTC, day[1], lot=0.01, interval_hours=4.0), day[1]),
        (ev.InstrumentChanged(*BTC, day[1], delist_at=day[3]), day[2]),
        (ev.InstrumentDelisted(*BTC, day[3], "merged"), day[3]),
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
        InstrumentChange("lot", 0.01, format_time(day[1]), format_time(day[1]), 2),
        InstrumentChange("interval_hours", 4.0, format_time(day[1]), format_time(day[1]), 2),
    ]


def test_a_delisting_can_be_withdrawn(home: Path) -> None:
    announced: Append = [(ev.InstrumentChanged(*BTC, START, delist_at=START + DAY_NS), START)]
    withdrawn: Append = [(ev.InstrumentChanged(*BTC, START + 1, delist_at=0), START + 1)]
    with reading(home, [(listed(BTC), 0)], announced, withdrawn) as (projections, _):
        record = only(registry(projections))
    assert (record.status, record.delist_at) == ("listed", None)
    assert [change.value for change in record.changes] == [format_time(START + DAY_NS), None]


def test_an_assumed_listing_never_overrides_another(home: Path) -> None:
    real, assumed = listed(BTC, START, 0.001, 10.0), listed(BTC)
    real_eth, late_assumed = listed(ETH, START, 0.01, 10.0), listed(ETH)
    with reading(home, [(real, START), (real_eth, 0)], [(assumed, 0), (late_assumed, START)]) as (projections, _):
        btc, eth = registry(projections)
    assert (btc.lot, btc.min_notional, btc.listed_at) == (0.001, 10.0, format_time(START))
    assert btc.known_from is None, "a known_at of 0 is no time"
    assert (eth.lot, eth.listed_at) == (0.01, format_time(START))


def test_spot_and_perpetual_of_one_symbol_and_a_relisting_are_instruments_of_their_own(home: Path) -> None:
    again = BTC._replace(listing=2)
    listings: Append = [(listed(name, START), START) for name in (again, SPOT, BTC)]
    with reading(home, listings) as (projections, _):
        assert [record.instrument for record in registry(projections)] == [BTC, again, SPOT]


def test_a_change_of_what_was_never_listed_makes_nothing_that_could_be_traded(home: Path) -> None:
    with reading(home, [(ev.InstrumentChanged(*SPOT, START, lot=1.0), START)]) as (projections, _):
        records = registry(projections)
    assert (only(records).status, only(records).lot, listings_of(records)) == ("unlisted", 1.0, [])


def test_a_pair_of_an_older_log_is_shown_as_its_instruments(home: Path) -> None:
    pair = ("bybit", "SHIB1000USDT", 1)
    facts: Append = [
        (legacy.PairListed(*pair, START, 100.0, 5.0, multiplier=1000.0, interval_hours=8.0), START),
        (legacy.PairChanged(*pair, 0, priced=True), START + 1),
        (legacy.PairChanged(*pair, START, lot=1000.0), START + 2),
    ]
    with reading(home, facts) as (projections, _):
        perp, spot = registry(projections)
        before = only(registry(projections, Cursor(upto_seq=1)))
        listings = listings_of(registry(projections))
    assert (before.instrument, before.lot, before.multiplier) == (perp.instrument, 0.1, 1000.0)
    assert (perp.lot, [(c.value, c.seq) for c in perp.changes]) == (1.0, [(1.0, 3)])
    assert (spot.lot, [(c.value, c.seq) for c in spot.changes]) == (1000.0, [(1000.0, 3)])
    assert listings == [
        Listing(Instrument("bybit", "SHIB1000USDT", "perp"), "SHIB", "USDT"),
        Listing(Instrument("bybit", "SHIBUSDT", "spot"), "SHIB", "USDT"),
    ]


def test_the_tape_adds_since_when_and_until_when_there_are_rows(home: Path) -> None:
    market: Append = [
        (ev.BarClosed(*name, START + n * HOUR_NS, 60, 1.0), START + n * HOUR_NS + SECOND_NS)
        for n in range(30)
        for name in (BTC, ETH)
    ]
    ticks: Append = [(ev.ClockTicked(START), START), (ev.InstrumentDelisted(*ETH, START + 40 * HOUR_NS), None)]
    with reading(home, [(listed(BTC), 0)], market, ticks) as (projections, tape):
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


# --- pairs ------------------------------------------------------------------------------------------------------------

BARE = Instrument("hyperliquid", "BTC", "perp")


def test_pairs_are_shown_by_name_with_what_both_legs_allow(home: Path) -> None:
    facts: Append = [
        (listed(BTC, START, 0.001, 5.0), START),
        (listed(SPOT, START, 0.0004, 10.0), START),
        (listed(ETH, START), START),
        (ev.InstrumentChanged(*SPOT, START, delist_at=START + DAY_NS), START),
        (ev.BarClosed(*BTC, START, 60, 1.0), START + SECOND_NS),
        (ev.BarClosed(*SPOT, START + 1, 60, 1.0), START + 1),
    ]
    with reading(home, facts) as (projections, tape):
        btc, eth = pair_records(registry(projections, tape=tape)).values()
        (undated, _) = pair_records(registry(projections)).values()
    assert btc == PairRecord(
        "BTCUSDT", "bybit:spot:BTCUSDT", "bybit:BTCUSDT", "bybit", "BTCUSDT", 1, "delisting", True, Decimal("0.002"),
        10.0, format_time(START + 1), format_time(START + SECOND_NS), 2,
    )  # fmt: skip
    assert (eth.pair, eth.priced, eth.lot, eth.rows) == ("ETHUSDT", False, Decimal("0.000001"), 0)
    assert (undated.first_row_at, undated.last_row_at, undated.rows) == (None, None, None)


def test_spreads_are_pairs_of_two_venues_in_both_directions(home: Path) -> None:
    facts: Append = [(listed(name, START), START) for name in (BTC, SPOT, BARE)]
    with reading(home, facts) as (projections, _):
        records = registry(projections)
    carry, spread = pair_records(records), pair_records(records, "spread")
    assert [one.pair for one in carry.values()] == ["hyperliquid:BTC", "bybit:BTCUSDT"]
    assert [one.pair for one in spread.values()] == ["bybit:BTCUSDT>hyperliquid:BTC", "hyperliquid:BTC>bybit:BTCUSDT"]
    assert {**carry, **spread}.keys() == pair_records(records, "both").keys()
    across = pair_records(records, carry_across=True)
    assert [one.pair for one in across.values() if one.pair not in {two.pair for two in carry.values()}] == [
        "bybit:spot:BTCUSDT>hyperliquid:BTC"
    ]


def test_trading_rules_are_assumed_until_they_are_observed(home: Path) -> None:
    observed = ev.InstrumentChanged(*BTC, START + DAY_NS, 0.001, 5.0, 0.5)
    announced = ev.InstrumentChanged(*BTC, START + HOUR_NS, delist_at=START + 9 * DAY_NS)
    appends: Append = [(listed(BTC, START), START), (announced, START + HOUR_NS), (observed, START + DAY_NS)]
    with reading(home, appends) as (projections, _):
        before = only(registry(projections, Cursor(as_of=START + DAY_NS - 1)))
        after = only(registry(projections))

    assert (before.lot, before.rules_known_from) == (1e-6, None)
    assert (after.lot, after.rules_known_from) == (0.001, format_time(START + DAY_NS))
