"""Data quality: what the rules find, row by row and in blocks, and what the log says was refused or contradicted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.projections.tape_logs import START, Append, Row, append_all, appends, cursors, expected_rows

from carryfold.domain import events as ev
from carryfold.domain.rows import GROUPS, KINDS, Kind
from carryfold.eventlog import LogReader
from carryfold.projections import quality_scan
from carryfold.projections.cursor import DAY_NS, HOUR_NS, MINUTE_NS, NOW, SECOND_NS, Cursor, format_time
from carryfold.projections.quality import QUALITY, DataQuality, Gap, IntervalChange, RejectedSource, data_quality
from carryfold.projections.quality_rules import PriceRule, SettlementRule
from carryfold.projections.runner import Projections
from carryfold.projections.tape import PairName, Tape

BTC = PairName("bybit", "BTCUSDT", 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def reading(home: Path, *appends: Append) -> Iterator[tuple[Projections, Tape]]:
    append_all(home, appends)
    with LogReader.open(home) as reader, Projections.open(home, reader, [QUALITY]) as projections:
        projections.update()
        yield projections, Tape.open(home, reader)


def quality_of(home: Path, *appends: Append) -> DataQuality:
    with reading(home, *appends) as (projections, tape):
        return data_quality(projections, tape)


def bars(prices: list[tuple[float, float]], hours: list[int] | None = None) -> Append:
    """Hourly bars (spot, perp), each known a second after its close."""
    closes = [START + hour * HOUR_NS for hour in hours or range(len(prices))]
    return [
        (ev.BarClosed(*BTC, close, 60, *price), close + SECOND_NS) for close, price in zip(closes, prices, strict=True)
    ]


def settled(hours: list[int], given: float = 0.0) -> Append:
    times = [START + hour * HOUR_NS for hour in hours]
    return [(ev.FundingSettled(*BTC, at, 0.0001, given), at + MINUTE_NS) for at in times]


# --- the rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "suspect"),
    [
        ([(0, 0.5)], [False]),  # the first row is believed
        ([(0, 0.0), (1, 0.03)], [False, False]),  # small enough
        ([(0, 0.0), (1, 0.05)], [False, True]),  # a jump
        ([(0, 0.0), (1, 0.05), (2, 0.06)], [False, True, False]),  # seen twice
        ([(0, 0.0), (1, 0.05), (2, 0.09)], [False, True, True]),  # twice, but not alike
        ([(0, 0.0), (1, 0.05), (2, 0.0), (3, 0.05)], [False, True, False, True]),  # not twice in a row
        ([(0, 0.025), (1, 0.05)], [False, False]),  # near the last accepted one
        ([(0, 0.0), (24, 0.05)], [False, True]),
        ([(0, 0.0), (25, 0.05)], [False, False]),  # nothing to compare with for more than a day
        ([(0, 0.0), (1, -0.5), (2, -0.5), (3, 0.0), (4, -0.5)], [False, True, False, False, True]),
    ],
)
def test_suspect_prices(rows: list[tuple[int, float]], suspect: list[bool]) -> None:
    rule = PriceRule()
    assert [rule.is_suspect(START + hour * HOUR_NS, basis) for hour, basis in rows] == suspect


@pytest.mark.parametrize(
    ("settlements", "seen"),
    [
        ([(0, 0)], [(0, "")]),
        ([(0, 0), (8, 0), (8, 0)], [(0, ""), (8, ""), (0, "late")]),  # the same again is late
        ([(0, 0), (8, 0), (9, 0)], [(0, ""), (8, ""), (1, "")]),  # shorter: at once
        ([(0, 0), (1, 0), (9, 0), (17, 0)], [(0, ""), (1, ""), (1, "7"), (8, "")]),  # longer: at the second time
        ([(0, 0), (1, 0), (9, 0), (10, 0), (18, 0)], [(0, ""), (1, ""), (1, "7"), (1, ""), (1, "7")]),
        ([(0, 0), (1, 0), (9, 0), (12, 0), (20, 0)], [(0, ""), (1, ""), (1, "7"), (1, "2"), (1, "7")]),
        ([(0, 0), (3, 0), (11, 0)], [(0, ""), (0, ""), (8, "")]),  # 3 h is no usual interval
        ([(0, 3), (3, 0), (6, 3), (9, 0)], [(3, "")] * 4),  # but may be given
        ([(0, 4), (4, 0), (12, 0)], [(4, ""), (4, ""), (4, "1")]),
        ([(0, 8), (24, 8)], [(8, ""), (8, "2")]),
        ([(0, 1), (1.25, 0), (2, 0)], [(1, ""), (1, "0"), (1, "")]),  # a gap, though nothing is missing
    ],
)
def test_settlements(settlements: list[tuple[float, int]], seen: list[tuple[float, str]]) -> None:
    rule = SettlementRule()
    for (hour, said_hours), (hours, remark) in zip(settlements, seen, strict=True):
        said = rule.see(START + int(hour * HOUR_NS), float(said_hours))
        assert said == (remark == "late", hours, remark.isdigit(), int(remark) if remark.isdigit() else 0)


@pytest.mark.parametrize(("minutes", "hours"), [(9, 8.0), (10, 8.0), (11, 0.0)])
def test_a_spacing_is_a_usual_interval_within_ten_minutes(minutes: int, hours: float) -> None:
    for off in (-minutes, minutes):
        rule = SettlementRule()
        rule.see(START, 0.0)
        assert rule.see(START + 8 * HOUR_NS + off * MINUTE_NS, 0.0).hours == hours


# --- the report -------------------------------------------------------------------------------------------------------


def test_clean_data_has_nothing_to_report(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.1)] * 48), settled([0, 8, 16, 24]))
    (pair,) = found.pairs
    assert (found.suspect, found.late, found.settlement_gaps, found.rejected) == (0, 0, 0, [])
    assert (pair.price_rows, pair.settlements, pair.gaps, pair.one_legged) == (48, 4, [], 0)


def test_gaps_are_listed_with_what_is_missing(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.0)] * 4, [0, 1, 4, 5]), settled([0, 8, 24, 32]))
    (pair,) = found.pairs
    assert (pair.bar_gaps, pair.missing_bar_minutes) == (1, 120)
    assert (pair.settlement_gaps, pair.missing_settlements, found.settlement_gaps) == (1, 1, 1)
    assert sorted(pair.gaps, key=lambda gap: gap.what) == [
        Gap("bar", format_time(START + HOUR_NS), format_time(START + 3 * HOUR_NS), 120),
        Gap("settlement", format_time(START + 8 * HOUR_NS), format_time(START + 24 * HOUR_NS), 1),
    ]


def test_interval_changes_are_dated(home: Path) -> None:
    (pair,) = quality_of(home, settled([0, 8, 16, 18, 20, 28, 36])).pairs
    assert pair.interval_changes == [
        IntervalChange(format_time(START + 18 * HOUR_NS), 8.0, 2.0),
        IntervalChange(format_time(START + 36 * HOUR_NS), 2.0, 8.0),
    ]


def test_suspect_late_and_one_legged_rows_are_counted(home: Path) -> None:
    odd = bars([(100.0, 100.0), (100.0, 120.0), (0.0, 100.0), (100.0, 100.0)])
    late: Append = [
        (ev.BarClosed(*BTC, START, 60, 100.0, 150.0), None),
        (ev.FundingPredicted(*BTC, START, 0.0, START), None),
        (ev.FundingPredicted(*BTC, START, 0.0, START), None),
        (ev.ActivityObserved(*BTC, START, 60), None),
    ]
    found = quality_of(home, odd, late)
    (pair,) = found.pairs
    assert (pair.suspect, pair.one_legged, pair.price_rows) == (1, 1, 5)
    assert pair.late == {"price": 1, "settled": 0, "predicted": 1, "activity": 0}
    assert (found.suspect, found.late) == (1, 2)


def test_the_order_of_rows_inside_an_instant_does_not_matter(home: Path) -> None:
    at_once = [(event, START + DAY_NS) for event, _ in (*bars([(100.0, 100.0)] * 4), *settled([0, 8, 16]))]
    found = quality_of(home, list(reversed(at_once)))
    assert (found.late, found.settlement_gaps, found.pairs[0].bar_gaps) == (0, 0, 0)


def test_quotes_are_judged_by_their_mids(home: Path) -> None:
    quotes: Append = [
        (ev.Quoted(*BTC, START, 99.0, 101.0, 99.0, 101.0), START),
        (ev.Quoted(*BTC, START + 1, 99.0, 101.0, 119.0, 121.0), START + 1),
        (ev.Quoted(*BTC, START + 2, 99.0, 0.0, 99.0, 101.0), START + 2),
    ]
    (pair,) = quality_of(home, quotes).pairs
    assert (pair.suspect, pair.one_legged, pair.bar_gaps) == (1, 1, 0)


def test_contradictions_and_refusals_are_counted_under_the_cursor(home: Path) -> None:
    findings: Append = [
        (ev.FundingRevised(*BTC, START, 0.0002, 0.0001), None),
        (ev.ObservationCorrected(*BTC, START, "BarClosed", (1.0,)), None),
        (ev.ObservationCorrected(*BTC, START, "BarClosed", (2.0,)), None),
        (ev.DataRejected(START, "b.csv", 3, "rate out of range", 2), None),
        (ev.DataRejected(START, "a.csv", 9, "no symbol"), None),
    ]
    more: Append = [(ev.DataRejected(START, "b.csv", 8, "rate out of range"), None)]
    with reading(home, findings, more) as (projections, tape):
        found = data_quality(projections, tape)
        before = data_quality(projections, tape, Cursor(upto_seq=4))
    (pair,) = found.pairs
    assert (pair.revised, pair.corrected) == (1, {"BarClosed": 2})
    assert found.rejected == [
        RejectedSource("a.csv", 1, {"no symbol": 1}), RejectedSource("b.csv", 3, {"rate out of range": 3}),
    ]  # fmt: skip
    assert before.rejected == [RejectedSource("b.csv", 2, {"rate out of range": 2})]


def test_an_earlier_row_is_needed_but_not_counted(home: Path) -> None:
    odd = bars([(100.0, 100.0), (100.0, 120.0), (100.0, 100.0), (100.0, 120.0), (100.0, 100.0)])
    with reading(home, odd) as (projections, tape):
        (pair,) = data_quality(projections, tape, since=START + 2 * HOUR_NS, until=START + 4 * HOUR_NS).pairs
    assert (pair.price_rows, pair.suspect) == (2, 1)


def test_the_report_is_ready_for_json(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.0)] * 2, [0, 5]), settled([0, 8, 24]))
    again = msgspec.json.decode(msgspec.json.encode(found), type=DataQuality)
    assert again == found


# --- blocks against rows ----------------------------------------------------------------------------------------------


def naive(rows: list[Row]) -> tuple[int, int, int]:
    """(suspect, late, settlement gaps) by the rules alone, one row after the other."""
    suspect = late = gaps = 0
    newest: dict[tuple[int, str], int] = {}
    prices: dict[int, PriceRule] = {}
    settlements: dict[int, SettlementRule] = {}
    for row in sorted(rows, key=lambda row: (row[0], row[1], *row[4:5], *row[6:], row[5])):
        _, event_at, _, pair, kind, _, a, b, c, d = row
        group = KINDS[Kind(kind)].group
        if not group:
            continue
        if event_at <= newest.get((pair, group), -1):
            late += 1
            continue
        newest[pair, group] = event_at
        if group == "settled":
            gaps += settlements.setdefault(pair, SettlementRule()).see(event_at, b).gap
        if group == "price":
            spot, perp = (a, b) if kind == Kind.BAR_CLOSED else ((a + b) / 2 * (a * b > 0), (c + d) / 2 * (c * d > 0))
            if spot > 0 and perp > 0:
                suspect += prices.setdefault(pair, PriceRule()).is_suspect(event_at, perp / spot - 1)
    return suspect, late, gaps


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(appends=appends, cursor=cursors, scan_rows=st.sampled_from([1, 5, 1 << 19]))
def test_scanning_blocks_finds_what_the_rules_say_of_each_row(
    appends: list[Append], cursor: Cursor, scan_rows: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(quality_scan, "SCAN_ROWS", scan_rows),
        reading(Path(folder), *appends) as (projections, tape),
    ):
        found = data_quality(projections, tape, cursor)
        with LogReader.open(Path(folder)) as reader:
            rows = expected_rows(reader, cursor)
    assert (found.suspect, found.late, found.settlement_gaps) == naive(rows)


prices = st.lists(st.sampled_from([95.0, 99.0, 100.0, 102.0, 104.0, 108.0, 140.0]), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(prices=prices, scan_rows=st.sampled_from([1, 3, 1 << 19]))
def test_suspect_rows_are_found_wherever_blocks_end(prices: list[float], scan_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(quality_scan, "SCAN_ROWS", scan_rows):
        home = Path(folder)
        found = quality_of(home, bars([(100.0, price) for price in prices]))
        with LogReader.open(home) as reader:
            assert found.suspect == naive(expected_rows(reader))[0]
    assert found.pairs[0].price_rows == len(prices)
    assert set(found.pairs[0].late) == set(GROUPS)
    assert NOW.admits(START + DAY_NS, 1)
