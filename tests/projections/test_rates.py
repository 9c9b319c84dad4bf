"""Rates are counted exactly, at any cursor, with the interval that was known at the time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from tests.projections.tape_logs import START, Append, append_all, appends, cursors, decoded

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Cursor, format_time
from carryfold.projections.rates import RATES, IntervalSeen, RateRevision, rate_series, rate_statistics
from carryfold.projections.runner import Projections

BTC = Instrument("bybit", "BTCUSDT", "perp")
ETH = Instrument("bybit", "ETHUSDT", "perp")
BTC_NAME = (BTC.venue, BTC.symbol, BTC.listing)
ETH_NAME = (ETH.venue, ETH.symbol, ETH.listing)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@contextmanager
def reading(home: Path, *appends: Append) -> Iterator[Projections]:
    append_all(home, appends)
    with LogReader.open(home) as reader, Projections.open(home, reader, [RATES]) as projections:
        projections.update()
        yield projections


def settled(hours: list[int], rates: list[float], given: float = 0.0) -> Append:
    return [
        (ev.FundingSettled(*BTC_NAME, START + hour * HOUR_NS, rate, given), START + hour * HOUR_NS + MINUTE_NS)
        for hour, rate in zip(hours, rates, strict=True)
    ]


def intervals(projections: Projections, cursor: Cursor = Cursor()) -> list[float | None]:  # noqa: B008 - frozen
    return [point.interval_hours for point in rate_series(projections, BTC, cursor).points]


def test_the_figures_of_a_perpetual(home: Path) -> None:
    rates = [0.0001, 0.0001, -0.0002, 0.0003, 0.00010000000000000002]
    with reading(home, settled([0, 8, 16, 24, 32], rates)) as projections:
        (found,) = rate_statistics(projections)
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "venue": "bybit",
        "symbol": "BTCUSDT",
        "listing": 1,
        "count": 5,
        "sum": float(sum(map(Fraction, rates))),
        "mean": float(sum(map(Fraction, rates))) / 5,
        "minimum": -0.0002,
        "maximum": 0.0003,
        "share_base": 0.4,
        "share_positive": 0.8,
        "first_settled_at": "2022-01-08T00:00:00Z",
        "last_settled_at": "2022-01-09T08:00:00Z",
        "intervals": [{"hours": None, "count": 1}, {"hours": 8.0, "count": 4}],
        "late": 0,
        "gaps": 0,
        "missing": 0,
        "revisions": 0,
    }


def test_sums_do_not_drift(home: Path) -> None:
    rates = [0.0001 * (-1) ** n + 1e-9 * n for n in range(3_000)]
    with reading(home, settled([8 * n for n in range(3_000)], rates)) as projections:
        (found,) = rate_statistics(projections)
    assert found.sum == float(sum(map(Fraction, rates)))


def test_an_interval_is_inferred_from_what_was_known_then(home: Path) -> None:
    hours = [0, 8, 16, 18, 20, 28, 36, 44]
    with reading(home, settled(hours, [0.0001] * 8)) as projections:
        assert intervals(projections) == [None, 8.0, 8.0, 2.0, 2.0, 2.0, 8.0, 8.0]
        early = Cursor(as_of=START + 28 * HOUR_NS + MINUTE_NS)
        assert intervals(projections, early) == [None, 8.0, 8.0, 2.0, 2.0, 2.0]
        (found,) = rate_statistics(projections)
        points = rate_series(projections, BTC).points
    assert (found.gaps, found.missing) == (1, 3)
    assert found.intervals == [IntervalSeen(None, 1), IntervalSeen(2.0, 3), IntervalSeen(8.0, 4)]
    assert all(point.inferred for point in points[1:])


def test_a_given_interval_is_taken(home: Path) -> None:
    with reading(home, settled([0, 1, 5], [0.0001] * 3, given=4.0)) as projections:
        assert intervals(projections) == [4.0, 4.0, 4.0]
        assert not any(point.inferred for point in rate_series(projections, BTC).points)
        assert rate_statistics(projections)[0].gaps == 0


def test_a_late_settlement_is_shown_and_marked(home: Path) -> None:
    late: Append = [(ev.FundingSettled(*BTC_NAME, START + 8 * HOUR_NS, 0.0005), None)]
    with reading(home, settled([0, 16, 24], [0.0001] * 3), late) as projections:
        points = rate_series(projections, BTC).points
        (found,) = rate_statistics(projections)
    assert [(point.late, point.interval_hours) for point in points] == [
        (False, None), (True, None), (False, None), (False, 8.0),
    ]  # fmt: skip
    assert [point.rate for point in points] == [0.0001, 0.0005, 0.0001, 0.0001]
    assert (found.late, found.count) == (1, 4)


def test_a_backfill_known_in_time_is_not_late(home: Path) -> None:
    with reading(home, settled([16, 24], [0.0001] * 2), settled([0, 8], [0.0002] * 2)) as projections:
        assert intervals(projections) == [None, 8.0, 8.0, 8.0]
        assert intervals(projections, Cursor(upto_seq=2)) == [None, 8.0]
        assert rate_statistics(projections, Cursor(upto_seq=0)) == []


def test_a_revision_stands_beside_the_first_rate(home: Path) -> None:
    revised: Append = [(ev.FundingRevised(*BTC_NAME, START, 0.0002, 0.0001), START + DAY_NS)]
    with reading(home, settled([0], [0.0001]), revised) as projections:
        series = rate_series(projections, BTC)
        (found,) = rate_statistics(projections)
        assert rate_series(projections, BTC, Cursor(as_of=START + HOUR_NS)).revisions == []
    assert [point.rate for point in series.points] == [0.0001]
    assert series.revisions == [RateRevision(format_time(START), format_time(START + DAY_NS), 0.0002, 0.0001, 2)]
    assert (found.sum, found.revisions) == (0.0001, 1)


def test_stamps_of_release_0_1_0_are_shown_at_their_nominal_times(home: Path) -> None:
    late_by = [17_000_000, 0, 119 * SECOND_NS]
    stamped: Append = [
        (ev.FundingSettled(*BTC_NAME, START + 8 * n * HOUR_NS + late, 0.0001), START + 8 * n * HOUR_NS + 2 * MINUTE_NS)
        for n, late in enumerate(late_by)
    ]
    with reading(home, stamped) as projections:
        points = rate_series(projections, BTC).points
    assert [(p.settled_at, p.interval_hours) for p in points] == [
        (format_time(START + 8 * n * HOUR_NS), hours) for n, hours in enumerate([None, 8.0, 8.0])
    ]


def test_a_range_of_settlements_is_judged_by_what_came_before_it(home: Path) -> None:
    with reading(home, settled([0, 8, 16, 24], [0.1, 0.2, 0.3, 0.4])) as projections:
        since, until = START + 8 * HOUR_NS, START + 24 * HOUR_NS
        (found,) = rate_statistics(projections, since=since, until=until)
        points = rate_series(projections, BTC, since=since, until=until).points
        assert rate_statistics(projections, since=START + DAY_NS + 1) == []
    assert (found.count, found.sum, found.intervals) == (2, 0.5, [IntervalSeen(8.0, 2)])
    assert [point.rate for point in points] == [0.2, 0.3]


def test_years_are_kept_apart_and_read_together(home: Path) -> None:
    hours = [n * 24 * 100 for n in range(30)]
    eth: Append = [(ev.FundingSettled(*ETH_NAME, START, 0.0001), START)]
    with reading(home, settled(hours, [0.0001] * 30), eth) as projections:
        assert len(projections.view(RATES).shards) > 8
        assert [point.settled_at for point in rate_series(projections, BTC).points] == [
            format_time(START + hour * HOUR_NS) for hour in hours
        ]
        assert [found.symbol for found in rate_statistics(projections)] == ["BTCUSDT", "ETHUSDT"]
        assert [found.symbol for found in rate_statistics(projections, name=ETH)] == ["ETHUSDT"]
        assert rate_series(projections, Instrument("bybit", "BTC", "perp")).points == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(appends=appends, cursor=cursors)
def test_what_is_counted_is_what_the_log_holds_under_the_cursor(appends: list[Append], cursor: Cursor) -> None:
    with tempfile.TemporaryDirectory() as folder, reading(Path(folder), *appends) as projections:
        with LogReader.open(Path(folder)) as reader:
            admitted = [event for known_at, seq, event in decoded(reader) if cursor.admits(known_at, seq)]
        found = {(one.venue, one.symbol, one.listing): one for one in rate_statistics(projections, cursor)}
    expected: dict[tuple[str, str, int], list[float]] = {}
    for event in admitted:
        if isinstance(event, ev.FundingSettled):
            expected.setdefault((event.venue, event.symbol, event.listing), []).append(event.rate)
    assert {pair: one.count for pair, one in found.items()} == {pair: len(rates) for pair, rates in expected.items()}
    for pair, rates in expected.items():
        assert found[pair].sum == pytest.approx(sum(rates), abs=1e-15)
        assert (found[pair].minimum, found[pair].maximum) == (min(rates), max(rates))
        assert sum(seen.count for seen in found[pair].intervals) == len(rates)
