"""What the quality report counts is what the fold counts: suspect, late, gaps and settlements of every carry pair.

The rules are written twice, once to be compiled and once to be read, and these tests hold the two together: on random
markets, on random logs under any cursor, and on the recorded majors.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain.build import bar, listed, settled
from tests.domain.compiled import carry, ordered, seen_rows
from tests.oracle.majors import major_rows, majors_folder
from tests.oracle.markets import Case, cases, random_case
from tests.projections.tape_logs import Append, append_all, appends, cursors, small_sizes

from carryfold.domain.fold import State, simulate
from carryfold.domain.instruments import Listing, Pair, pairs_of
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Rows, in_canonical_order
from carryfold.eventlog import LogReader
from carryfold.projections.backtest import Selection
from carryfold.projections.backtest.run import market_rows
from carryfold.projections.cursor import MAX, NOW, Cursor
from carryfold.projections.quality import QUALITY, data_quality
from carryfold.projections.quality_scan import Scans, scan_tape
from carryfold.projections.runner import Projections
from carryfold.projections.tape import Tape
from carryfold.projections.tape_merge import end_of_instant

Counts = dict[str, int]
COUNTED = ("suspect", "late", "gaps", "settlements")
thorough = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class RowsTape:
    """A tape that has nothing but its rows, handed out `block_rows` at a time."""

    def __init__(self, rows: Rows, listings: Sequence[Listing], block_rows: int) -> None:
        self.instruments = list(listings)
        self._rows = rows
        self._block_rows = block_rows

    def blocks(self, cursor: Cursor, *, until: int, block_rows: int) -> Iterator[Rows]:
        assert cursor == NOW
        rows = self._rows[self._rows["known_at"] < until]
        start = 0
        while start < len(rows):
            stop = min(start + min(block_rows, self._block_rows), len(rows))
            stop = end_of_instant(rows, stop)
            yield rows[start:stop].copy()
            start = stop


def counts_of_scans(scans: Scans, pair: Pair) -> Counts:
    """What was counted of a pair and of its legs."""
    legs = [scans.instruments[leg] for leg in pair if leg in scans.instruments]
    return {
        "suspect": scans.pairs[pair].suspect if pair in scans.pairs else 0,
        "late": sum(sum(leg.late.values()) for leg in legs),
        "gaps": sum(leg.settlement_gaps for leg in legs),
        "settlements": sum(leg.settlements for leg in legs),
    }


def counts_of_book(book: Any) -> Counts:
    return {name: int(book[name]) for name in COUNTED}


def folded(rows: Rows, listings: Sequence[Listing], pair: Pair, params: Parameters, since: int) -> Counts:
    """The fold's counters over the rows of one pair's legs and of no instrument."""
    instruments = [one.instrument for one in listings]
    state = State(params, instruments, [pair], start=since)
    simulate(state, seen_rows(rows, instruments, [pair]))
    return counts_of_book(state.book[0])


class Given(NamedTuple):
    """A market that is not random."""

    rows: list[Any]
    listings: list[Listing]
    params: Parameters
    pairs: list[Pair]
    since: int
    until: int | None


def check_market(case: Case | Given, block_rows: int) -> Counter[str]:
    """Both count alike in every carry pair of one venue; gives the sums."""
    rows = in_canonical_order(ordered(case.rows))
    tape = cast("Tape", RowsTape(rows, case.listings, block_rows))
    until = MAX if case.until is None else case.until
    scans = scan_tape(tape, NOW, case.since, until)
    params = Parameters(strategy=case.params.strategy)
    totals: Counter[str] = Counter()
    for pair in pairs_of(case.listings):
        found = counts_of_scans(scans, pair)
        assert found == folded(rows[rows["known_at"] < until], case.listings, pair, params, case.since), pair.name
        totals.update(found)
    return totals


@thorough
@given(cases(), st.integers(1, 5_000))
def test_quality_counts_what_the_fold_counts_on_random_markets(case: Case, block_rows: int) -> None:
    check_market(case, block_rows)


HOURS = st.sampled_from([1.0, 8.0, 23.0, 24.0, 24.5, 48.0])
BASES = st.sampled_from([0.0, 0.03, 0.030001, 0.06, 0.06001, 0.09, -0.03, -0.5])
SPACINGS_H = st.sampled_from([1.0, 2.0, 8.0, 16.0, 8 + 1 / 6, 8 - 1 / 6, 8.2, 1 + 1 / 6, 3.0, 0.0])


@thorough
@given(
    st.lists(st.tuples(HOURS, BASES), max_size=12),
    st.lists(st.tuples(SPACINGS_H, st.sampled_from([0.0, 0.0, 1.0, 8.0])), max_size=12),
)
def test_quality_counts_what_the_fold_counts_at_the_bounds_of_the_rules(
    prices: list[tuple[float, float]], settlements: list[tuple[float, float]]
) -> None:
    """Exactly 24 h later, exactly 10 minutes off, exactly 3 %, and just beside them."""
    bar_hours = accumulate(hours for hours, _ in prices)
    settled_hours = accumulate(hours for hours, _ in settlements)
    rows = [
        listed(),
        *(bar(at, 100.0, 100.0 * (1 + basis)) for at, (_, basis) in zip(bar_hours, prices, strict=True)),
        *(settled(at, 0.0001, interval_h=h) for at, (_, h) in zip(settled_hours, settlements, strict=True)),
    ]
    instruments, pairs = carry("XUSDT")
    listings = [Listing(one, "X", "USDT") for one in instruments]
    check_market(Given(list(map(tuple, ordered(rows).tolist())), listings, Parameters(), pairs, 0, None), 5)


def test_quality_counts_what_the_fold_counts_on_pinned_seeds() -> None:
    totals: Counter[str] = Counter()
    for seed in range(60):
        totals += check_market(random_case(seed), 700)
    assert all(totals[name] > 50 for name in ("suspect", "late", "gaps")), f"these markets show too little: {totals}"


@thorough
@given(appends, cursors, st.sampled_from([Parameters(), Parameters(strategy="composite")]))
def test_quality_counts_what_the_fold_counts_on_random_logs(
    log: list[Append], cursor: Cursor, params: Parameters
) -> None:
    with tempfile.TemporaryDirectory() as folder, small_sizes():
        home = Path(folder)
        append_all(home, log)
        with LogReader.open(home) as reader, Projections.open(home, reader, [QUALITY]) as projections:
            projections.update()
            tape = Tape.open(home, reader)
            quality = data_quality(projections, tape, cursor)
            of_legs = {one.instrument: one for one in quality.instruments}
            suspect = {one.legs: one.suspect for one in quality.pairs}
            listings = [one for one in tape.instruments if one.base]
            for pair in pairs_of(listings):
                selection = Selection(tape.instruments, [pair])
                state = State(params, selection.instruments, selection.pairs)
                for rows in tape.blocks(cursor, instrument_ids=selection.instrument_ids):  # a backtest withholds some
                    simulate(state, market_rows(rows))
                legs = [of_legs[leg] for leg in pair if leg in of_legs]
                assert counts_of_book(state.book[0]) == {
                    "suspect": suspect.get(pair, 0),
                    "late": sum(sum(leg.late.values()) for leg in legs),
                    "gaps": sum(leg.settlement_gaps for leg in legs),
                    "settlements": sum(leg.settlements for leg in legs),
                }, pair.name


@pytest.mark.skipif(majors_folder() is None, reason="the real Bybit history is not on this machine")
def test_quality_counts_what_the_fold_counts_on_the_real_majors() -> None:
    folder = majors_folder()
    assert folder is not None
    rows, listings = major_rows(folder)
    since = 1_640_995_200 * 10**9  # 2022: what came before is looked at and not counted
    totals = [check_market(Given(rows, listings, Parameters(), [], start, None), 1 << 19) for start in (0, since)]

    assert totals[0]["suspect"] > 0
    assert totals[0]["settlements"] == 33_191 > totals[1]["settlements"] > 0
