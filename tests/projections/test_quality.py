"""Data quality: what the rules find, row by row and in blocks, and what the log says was refused or contradicted."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.projections.tape_logs import START, Append, Stamped, append_all, appends, cursors, decoded

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument, Listing, nominal_settlement, pairs_of
from carryfold.domain.rows import GROUPS, KINDS, Kind, row_values
from carryfold.eventlog import LogReader
from carryfold.projections import quality_scan
from carryfold.projections.cursor import DAY_NS, HOUR_NS, MINUTE_NS, NOW, SECOND_NS, Cursor, format_time
from carryfold.projections.quality import (
    QUALITY,
    CloseSettlements,
    DataQuality,
    Gap,
    InstrumentQuality,
    IntervalChange,
    PairQuality,
    RejectedSource,
    data_quality,
)
from carryfold.projections.quality_rules import BasisRule, SettlementRule
from carryfold.projections.runner import Projections
from carryfold.projections.tape import Tape

BTC = Instrument("bybit", "BTCUSDT", "perp")
SPOT = Instrument("bybit", "BTCUSDT", "spot")
NAME = ("bybit", "BTCUSDT", 1)
LISTED: Append = [(ev.InstrumentListed(*name, 0, "BTC", "USDT", 1e-6, 5.0), 0) for name in (BTC, SPOT)]


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
    with reading(home, LISTED, *appends) as (projections, tape):
        return data_quality(projections, tape)


def perp_of(found: DataQuality) -> InstrumentQuality:
    (perp,) = (one for one in found.instruments if one.instrument == BTC)
    return perp


def pair_of(found: DataQuality) -> PairQuality:
    (pair,) = found.pairs
    assert (pair.pair, pair.legs) == ("BTCUSDT", (SPOT, BTC))
    return pair


def bars(prices: Sequence[tuple[float, float]], hours: Sequence[int] = (), mark: float = 0.0) -> Append:
    """Hourly bars (spot, perp), each known a second after its close; a price of 0: no bar."""
    closes = [START + hour * HOUR_NS for hour in hours or range(len(prices))]
    return [
        (ev.BarClosed(*name, close, 60, price, mark if name == BTC else 0.0), close + SECOND_NS)
        for close, both in zip(closes, prices, strict=True)
        for name, price in zip((SPOT, BTC), both, strict=True)
        if price
    ]


def settled(hours: Sequence[float], given: float = 0.0) -> Append:
    times = [START + round(hour * HOUR_NS) for hour in hours]
    return [(ev.FundingSettled(*NAME, at, 0.0001, given), at + MINUTE_NS) for at in times]


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
    rule = BasisRule()
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
        said = rule.judge(START + int(hour * HOUR_NS), float(said_hours))
        assert said == (remark == "late", hours, remark.isdigit(), int(remark) if remark.isdigit() else 0)


@pytest.mark.parametrize(("minutes", "hours"), [(9, 8.0), (10, 8.0), (11, 0.0)])
def test_a_spacing_is_a_usual_interval_within_ten_minutes(minutes: int, hours: float) -> None:
    for off in (-minutes, minutes):
        rule = SettlementRule()
        rule.judge(START, 0.0)
        assert rule.judge(START + 8 * HOUR_NS + off * MINUTE_NS, 0.0).hours == hours


# --- the report -------------------------------------------------------------------------------------------------------


def test_clean_data_has_nothing_to_report(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.1)] * 48, mark=100.0), settled([0, 8, 16, 24]))
    assert (found.suspect, found.late, found.settlement_gaps, found.close_settlements) == (0, 0, 0, 0)
    assert found.rejected == []
    assert [(one.instrument, one.price_rows, one.settlements) for one in found.instruments] == [
        (BTC, 48, 4), (SPOT, 48, 0),
    ]  # fmt: skip
    assert all((one.gaps, one.bar_gaps, one.without_mark) == ([], 0, 0) for one in found.instruments)
    pair = pair_of(found)
    assert (pair.rows, pair.without_spot, pair.without_perp) == (48, 0, 0)


def test_gaps_are_listed_with_what_is_missing(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.0)] * 4, [0, 1, 4, 5]), settled([0, 8, 24, 32]))
    bar = Gap("bar", format_time(START + HOUR_NS), format_time(START + 3 * HOUR_NS), 120)
    settlement = Gap("settlement", format_time(START + 8 * HOUR_NS), format_time(START + 24 * HOUR_NS), 1)
    perp, spot = found.instruments
    assert (perp.bar_gaps, perp.missing_bar_minutes) == (spot.bar_gaps, spot.missing_bar_minutes) == (1, 120)
    assert (perp.settlement_gaps, perp.missing_settlements, found.settlement_gaps) == (1, 1, 1)
    assert sorted(perp.gaps, key=lambda gap: gap.what) == [bar, settlement]
    assert spot.gaps == [bar]


def test_a_gap_of_one_leg_is_that_legs_alone(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.0), (0.0, 100.0), (100.0, 100.0), (100.0, 0.0), (100.0, 100.0)]))
    perp, spot = found.instruments
    assert [gap.after for gap in perp.gaps] == [format_time(START + 2 * HOUR_NS)]
    assert [gap.after for gap in spot.gaps] == [format_time(START)]


def test_interval_changes_are_dated(home: Path) -> None:
    assert perp_of(quality_of(home, settled([0, 8, 16, 18, 20, 28, 36]))).interval_changes == [
        IntervalChange(format_time(START + 18 * HOUR_NS), 8.0, 2.0),
        IntervalChange(format_time(START + 36 * HOUR_NS), 2.0, 8.0),
    ]


def test_suspect_and_late_rows_are_counted(home: Path) -> None:
    odd = bars([(100.0, 100.0), (100.0, 120.0), (0.0, 100.0), (100.0, 100.0)])
    late: Append = [
        (ev.BarClosed(*BTC, START, 60, 150.0), None),
        (ev.FundingPredicted(*NAME, START, 0.0, START), None),
        (ev.FundingPredicted(*NAME, START, 0.0, START), None),
        (ev.ActivityObserved(*SPOT, START, 60), None),
        (ev.ActivityObserved(*SPOT, START, 60), None),
    ]
    found = quality_of(home, odd, late)
    perp, spot = found.instruments
    assert (pair_of(found).suspect, pair_of(found).rows) == (1, 3)
    assert (perp.price_rows, spot.price_rows) == (5, 3)
    assert perp.late == {"price": 1, "settled": 0, "predicted": 1, "activity": 0}
    assert spot.late == {"price": 0, "settled": 0, "predicted": 0, "activity": 1}
    assert (found.suspect, found.late) == (1, 3)


def test_the_order_of_rows_inside_an_instant_does_not_matter(home: Path) -> None:
    at_once = [(event, START + DAY_NS) for event, _ in (*bars([(100.0, 100.0)] * 4), *settled([0, 8, 16]))]
    found = quality_of(home, list(reversed(at_once)))
    assert (found.late, found.settlement_gaps, perp_of(found).bar_gaps, pair_of(found).rows) == (0, 0, 0, 1)


# --- what is of pairs -------------------------------------------------------------------------------------------------


def test_quotes_are_judged_by_their_mids(home: Path) -> None:
    quotes: Append = [
        (ev.Quoted(*SPOT, START, 99.0, 101.0), START),
        (ev.Quoted(*BTC, START, 99.0, 101.0), START),
        (ev.Quoted(*BTC, START + 1, 119.0, 121.0), START + 1),
        (ev.Quoted(*SPOT, START + 2, 99.0, 0.0), START + 2),
        (ev.Quoted(*BTC, START + 3, 99.0, 101.0), START + 3),
    ]
    found = quality_of(home, quotes)
    assert (pair_of(found).suspect, pair_of(found).rows, perp_of(found).bar_gaps) == (1, 3, 0)


@pytest.mark.parametrize(("apart_ns", "rows"), [(5 * SECOND_NS, 2), (5 * SECOND_NS + 1, 1)])
def test_prices_more_than_five_seconds_apart_make_no_row(home: Path, apart_ns: int, rows: int) -> None:
    quotes: Append = [
        (ev.Quoted(*SPOT, START, 99.0, 101.0), START),
        (ev.Quoted(*BTC, START + 1, 99.0, 101.0), START + 1),
        (ev.Quoted(*BTC, START + apart_ns, 119.0, 121.0), START + DAY_NS),
    ]
    found = quality_of(home, quotes)
    assert (pair_of(found).rows, pair_of(found).suspect) == (rows, rows - 1)


def test_an_instant_makes_one_row_of_a_pair_with_what_both_legs_show_after_it(home: Path) -> None:
    prices = [(SPOT, 0, 100.0), (SPOT, 1, 120.0), (BTC, 0, 100.0), (BTC, 1, 120.0)]
    at_once: Append = [(ev.Quoted(*name, START + ns, price, price), START + 1) for name, ns, price in prices]
    after: Append = [(ev.Quoted(*BTC, START, 200.0, 200.0), START + 2)]
    found = quality_of(home, at_once, after)
    assert (pair_of(found).rows, pair_of(found).suspect, perp_of(found).late["price"]) == (1, 0, 1)


def test_prices_are_compared_per_coin(home: Path) -> None:
    perp, spot = Instrument("bybit", "1000PEPEUSDT", "perp"), Instrument("bybit", "PEPEUSDT", "spot")
    listed: Append = [
        (ev.InstrumentListed(*perp, START, "PEPE", "USDT", 0.1, 5.0, 1000.0), START),
        (ev.InstrumentListed(*spot, START, "PEPE", "USDT", 100.0, 5.0), START),
        (ev.InstrumentListed(*perp, 0, "PEPE", "USDT", 1e-6, 5.0), START + 1),
    ]
    prices: Append = [
        (ev.BarClosed(*name, START + hour * HOUR_NS, 60, price), START + hour * HOUR_NS + SECOND_NS)
        for hour, *both in ((1, 0.01, 10.0), (2, 0.01, 10.5))
        for name, price in zip((spot, perp), both, strict=True)
    ]
    with reading(home, listed, prices) as (projections, tape):
        (pair,) = data_quality(projections, tape).pairs
    assert (pair.pair, pair.rows, pair.suspect) == ("1000PEPEUSDT", 2, 1)
    assert (pair.symbol, pair.spot_symbol) == ("1000PEPEUSDT", "PEPEUSDT")


def test_a_multiplier_is_in_force_after_the_prices_of_its_instant(home: Path) -> None:
    told: Append = [(ev.InstrumentListed(*BTC, START, "BTC", "USDT", 0.1, 5.0, 1000.0), START + 1)]
    quotes: Append = [
        (ev.Quoted(*name, START + ns, price, price), START + ns)
        for ns, both in ((0, (1.0, 1.0)), (1, (1.0, 1.0)), (2, (1.0, 1000.0)))
        for name, price in zip((SPOT, BTC), both, strict=True)
    ]
    found = quality_of(home, told, quotes)
    assert (pair_of(found).rows, pair_of(found).suspect) == (3, 0)


def test_bars_that_the_other_leg_lacks_are_counted_by_leg(home: Path) -> None:
    prices = [(100.0, 0.0), (100.0, 100.0), (0.0, 100.0), (100.0, 0.0), (0.0, 100.0), (100.0, 100.0), (100.0, 0.0)]
    for scan_rows in (1, 1 << 19):
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.object(quality_scan, "SCAN_ROWS", scan_rows),
            reading(Path(folder), LISTED, bars(prices)) as (projections, tape),
        ):
            pair = pair_of(data_quality(projections, tape))
            later = pair_of(data_quality(projections, tape, since=START + 4 * HOUR_NS))
        # What the spot market did before the perpetual's first bar and after its last one is no fault of the data.
        assert (pair.without_spot, pair.without_perp, pair.rows) == (2, 1, 2)
        assert (later.without_spot, later.without_perp, later.rows) == (1, 0, 1)


def test_a_perpetual_without_a_spot_market_is_no_pair_to_judge(home: Path) -> None:
    bare: Append = [(ev.InstrumentListed(*BTC, 0, "BTC", "USDT", 1e-6, 5.0), 0)]
    with reading(home, bare, bars([(0.0, 100.0)] * 3)) as (projections, tape):
        found = data_quality(projections, tape)
    assert (found.pairs, perp_of(found).price_rows) == ([], 3)


def test_bars_without_a_mark_are_counted_unless_another_source_told_it(home: Path) -> None:
    told: Append = [
        (ev.BarClosed(*BTC, START + hour * HOUR_NS, 60, 0.0, 100.0), START + hour * HOUR_NS + SECOND_NS)
        for hour in (1, 9)
    ]
    found = quality_of(home, bars([(100.0, 100.0)] * 3), bars([(100.0, 100.0)], [3], mark=100.0), told)
    perp, spot = found.instruments
    assert (perp.without_mark, spot.without_mark) == (2, 0)
    assert (perp.price_rows, perp.bar_gaps, sum(perp.late.values())) == (4, 0, 0)


def test_live_a_quote_that_overtakes_the_bar_of_its_hour_makes_no_gap(home: Path) -> None:
    quote: Append = [(ev.Quoted(*BTC, START + HOUR_NS + 1, 99.0, 101.0), START + HOUR_NS + 1)]
    found = quality_of(home, bars([(100.0, 100.0)] * 3), quote)
    assert (perp_of(found).bar_gaps, perp_of(found).late["price"], pair_of(found).without_perp) == (0, 1, 0)


# --- settlements that cannot both be real -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "given", "close"),
    [
        ([0, 8, 16, 24], 0.0, []),
        ([0, 8, 16, 16.5, 24], 0.0, [(16, 16.5)]),
        ([0, 0.25, 8, 16], 0.0, [(0, 0.25)]),  # though no interval was known yet
        ([0, 8, 8.25, 8.5, 16], 0.0, [(8, 8.25), (8, 8.5)]),
        ([0, 8, 12, 16, 24], 0.0, []),  # an interval may become shorter
        ([0, 8, 12, 16, 24], 8.0, [(8, 12)]),  # but the source says that it did not
        ([0, 8, 16 - 1 / 6, 24], 0.0, []),  # within what settlements jitter
        ([0], 0.0, []),
    ],
)
def test_settlements_closer_than_the_shortest_interval_are_listed(
    home: Path, hours: list[float], given: float, close: list[tuple[float, float]]
) -> None:
    found = quality_of(home, settled(hours, given))
    perp = perp_of(found)
    assert perp.close_settlements == found.close_settlements == len(close)
    assert perp.close_together == [
        CloseSettlements(*(format_time(START + round(hour * HOUR_NS)) for hour in both)) for both in close
    ]


def test_two_stamps_of_one_settlement_are_too_close_also_when_one_came_late(home: Path) -> None:
    twice: Append = [(ev.FundingSettled(*NAME, START + 8 * HOUR_NS - 5, 0.0001), None)]
    found = quality_of(home, settled([0, 8, 16]), twice)
    assert (found.close_settlements, perp_of(found).late["settled"], found.settlement_gaps) == (1, 1, 0)


# --- facts of the log -------------------------------------------------------------------------------------------------


def test_contradictions_and_refusals_are_counted_under_the_cursor(home: Path) -> None:
    findings: Append = [
        (ev.FundingRevised(*NAME, START, 0.0002, 0.0001), None),
        (ev.ObservationCorrected(*BTC, START, "BarClosed", (1.0,)), None),
        (ev.ObservationCorrected(*BTC, START, "BarClosed", (2.0,)), None),
        (ev.DataRejected(START, "b.csv", 3, "rate out of range", 2), None),
        (ev.DataRejected(START, "a.csv", 9, "no symbol"), None),
    ]
    more: Append = [(ev.DataRejected(START, "b.csv", 8, "rate out of range"), None)]
    with reading(home, findings, more) as (projections, tape):
        found = data_quality(projections, tape)
        before = data_quality(projections, tape, Cursor(upto_seq=4))
    perp = perp_of(found)
    assert (perp.revised, perp.corrected) == (1, {"BarClosed": 2})
    assert found.rejected == [
        RejectedSource("a.csv", 1, {"no symbol": 1}), RejectedSource("b.csv", 3, {"rate out of range": 3}),
    ]  # fmt: skip
    assert before.rejected == [RejectedSource("b.csv", 2, {"rate out of range": 2})]


def test_an_earlier_row_is_needed_but_not_counted(home: Path) -> None:
    odd = bars([(100.0, 100.0), (100.0, 120.0), (100.0, 100.0), (100.0, 120.0), (100.0, 100.0)])
    with reading(home, LISTED, odd) as (projections, tape):
        found = data_quality(projections, tape, since=START + 2 * HOUR_NS, until=START + 4 * HOUR_NS)
    assert (perp_of(found).price_rows, pair_of(found).suspect, pair_of(found).rows) == (2, 1, 2)


def test_the_report_is_ready_for_json(home: Path) -> None:
    found = quality_of(home, bars([(100.0, 100.0)] * 2, [0, 5]), settled([0, 8, 8.5, 24]))
    again = msgspec.json.decode(msgspec.json.encode(found), type=DataQuality)
    assert again == found


# --- blocks against rows ----------------------------------------------------------------------------------------------

Order = tuple[int, int, float, float, float, int]


def content(event: ev.Event) -> Order:
    """What an event is sorted by within an instant and an instrument."""
    values = row_values(event)
    assert values is not None
    kind, slot, a, b, c = values
    return (event.event_at, kind, -a, b, c, slot)


def nominal(event: ev.InstrumentEvent) -> ev.InstrumentEvent:
    """A settlement at its nominal time."""
    if isinstance(event, ev.FundingSettled | ev.FundingRevised):
        return replace(event, event_at=nominal_settlement(event.event_at))
    return event


class Naive:
    """(suspect, late, settlement gaps, pair rows) by the rules alone, one event after the other."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        self.pairs = [pair for pair in pairs_of(one for one in listings if one.base) if not pair.long.is_assumed]
        self.suspect = self.late = self.gaps = self.rows = 0
        self.newest: dict[tuple[Instrument, str], int] = {}
        self.prices: dict[Instrument, tuple[int, float]] = {}
        self.listed: dict[Instrument, ev.InstrumentListed] = {}
        self.bases: defaultdict[int, BasisRule] = defaultdict(BasisRule)
        self.settlements: defaultdict[Instrument, SettlementRule] = defaultdict(SettlementRule)

    def see(self, stamped: Sequence[Stamped]) -> tuple[int, int, int, int]:
        market = [(at, nominal(event)) for at, event in stamped if isinstance(event, ev.InstrumentEvent)]
        market = [one for one in market if row_values(one[1])]
        for _, instant in groupby(sorted(market, key=itemgetter(0)), key=itemgetter(0)):
            self.see_instant(sorted((event for _, event in instant), key=content))
        return self.suspect, self.late, self.gaps, self.rows

    def see_instant(self, events: Sequence[ev.Event]) -> None:
        told = {
            (event.instrument, event.event_at, event.rate): event.interval_hours
            for event in events
            if isinstance(event, ev.FundingRevised) and event.rate == event.replaces
        }
        priced = {name for event in events if (name := self.see_price(event)) is not None}
        for number, (long, short) in enumerate(self.pairs):
            if priced & {long, short} and {long, short} <= self.prices.keys():
                (at, a), (other_at, b) = self.prices[long], self.prices[short]
                if abs(at - other_at) <= 5 * SECOND_NS:
                    basis = b / self.multiplier(short) / (a / self.multiplier(long)) - 1.0
                    self.suspect += self.bases[number].is_suspect(min(at, other_at), basis)
                    self.rows += 1
        for event in events:
            self.see_other(event, told)

    def multiplier(self, name: Instrument) -> float:
        return self.listed[name].multiplier if name in self.listed else 1.0

    def is_late(self, event: ev.Event, has_price: bool = True) -> bool:
        values = row_values(event)
        assert values is not None
        key = event.instrument, KINDS[Kind(values[0])].group  # type: ignore[union-attr]
        newest = self.newest.get(key, -1)
        self.newest[key] = max(newest, event.event_at)
        self.late += event.event_at < newest or (event.event_at == newest and has_price)
        return event.event_at <= newest

    def see_price(self, event: ev.Event) -> Instrument | None:
        if not isinstance(event, ev.Quoted | ev.BarClosed):
            return None
        price = event.close if isinstance(event, ev.BarClosed) else (event.bid + event.ask) / 2
        if isinstance(event, ev.Quoted) and not event.bid * event.ask:
            price = 0.0
        if self.is_late(event, price > 0) or not price:
            return None
        self.prices[event.instrument] = event.event_at, price
        return event.instrument

    def see_other(self, event: ev.Event, told: dict[tuple[Instrument, int, float], float]) -> None:
        if isinstance(event, ev.FundingPredicted | ev.ActivityObserved):
            self.is_late(event)
        elif isinstance(event, ev.FundingSettled) and not self.is_late(event):
            hours = event.interval_hours or told.get((event.instrument, event.event_at, event.rate), 0.0)
            self.gaps += self.settlements[event.instrument].judge(event.event_at, hours).gap
        elif isinstance(event, ev.InstrumentListed) and (event.event_at or event.instrument not in self.listed):
            self.listed[event.instrument] = event


def naive(home: Path, listings: Sequence[Listing], cursor: Cursor = NOW) -> tuple[int, int, int, int]:
    with LogReader.open(home) as reader:
        stamped = [(known_at, event) for known_at, seq, event in decoded(reader) if cursor.admits(known_at, seq)]
    return Naive(listings).see(stamped)


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
        rows = sum(pair.rows for pair in found.pairs)
        assert (found.suspect, found.late, found.settlement_gaps, rows) == naive(Path(folder), tape.instruments, cursor)


SECOND_SPOT = Instrument("bybit", "BTCUSDC", "spot")


def _observed(name: Instrument, seconds: int, delay: int, price: float, which: int) -> tuple[ev.Event, int]:
    at = START + seconds * SECOND_NS
    kinds: list[ev.Event] = [
        ev.Quoted(*name, at, price, price),
        ev.Quoted(*name, at, price, price),
        ev.BarClosed(*name, at, 1, price),
        ev.BarClosed(*name, at, 1, 0.0, price),
        ev.Quoted(*name, at, price, 0.0),
        ev.InstrumentListed(*name, delay, "BTC", "USDT" if name == BTC else "USDC", 1e-6, 5.0, price / 100.0),
    ]
    return kinds[which], at + delay * SECOND_NS


_seconds = st.builds(lambda hours, seconds: 9 * 3600 * hours + seconds, st.integers(0, 3), st.integers(0, 15))
_delays = st.sampled_from([0, 0, 0, 1, 7])
_observations = st.builds(
    _observed, st.sampled_from([BTC, SPOT, SECOND_SPOT]), _seconds, _delays,
    st.sampled_from([100.0, 100.0, 102.0, 104.0, 140.0]), st.integers(0, 5),
)  # fmt: skip
markets = st.lists(_observations, min_size=20, max_size=80)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(market=markets, scan_rows=st.sampled_from([1, 5, 1 << 19]))
def test_rows_of_pairs_are_found_wherever_blocks_end(market: Append, scan_rows: int) -> None:
    listed: Append = [*LISTED, (ev.InstrumentListed(*SECOND_SPOT, 0, "BTC", "USDC", 1e-6, 5.0), 0)]
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(quality_scan, "SCAN_ROWS", scan_rows),
        reading(Path(folder), listed, market) as (projections, tape),
    ):
        found = data_quality(projections, tape)
        rows = sum(pair.rows for pair in found.pairs)
        assert len(found.pairs) == 2
        assert (found.suspect, found.late, found.settlement_gaps, rows) == naive(Path(folder), tape.instruments)


prices = st.lists(st.sampled_from([95.0, 99.0, 100.0, 102.0, 104.0, 108.0, 140.0]), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(prices=prices, scan_rows=st.sampled_from([1, 3, 1 << 19]))
def test_suspect_rows_are_found_wherever_blocks_end(prices: list[float], scan_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(quality_scan, "SCAN_ROWS", scan_rows):
        home = Path(folder)
        with reading(home, LISTED, bars([(100.0, price) for price in prices])) as (projections, tape):
            found = data_quality(projections, tape)
            assert found.suspect == naive(home, tape.instruments)[0]
    assert (perp_of(found).price_rows, pair_of(found).rows) == (len(prices), len(prices))
    assert set(perp_of(found).late) == set(GROUPS)
    assert NOW.admits(START + DAY_NS, 1)


legs = st.lists(st.sampled_from(["both", "spot", "perp", "neither"]), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(which=legs, scan_rows=st.sampled_from([1, 3, 1 << 19]))
def test_bars_that_lack_the_other_leg_are_found_wherever_blocks_end(which: list[str], scan_rows: int) -> None:
    both = [(100.0 * (leg in ("both", "spot")), 100.0 * (leg in ("both", "perp"))) for leg in which]
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(quality_scan, "SCAN_ROWS", scan_rows),
        reading(Path(folder), LISTED, bars(both)) as (projections, tape),
    ):
        pair = pair_of(data_quality(projections, tape))
    of_perp = [place for place, leg in enumerate(which) if leg in ("both", "perp")]
    within = which[of_perp[0] : of_perp[-1]] if of_perp else []
    assert (pair.without_spot, pair.without_perp) == (which.count("perp"), within.count("spot"))
