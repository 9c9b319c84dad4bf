"""The look-ahead checks pass for the fold, and catch strategies that were made to leak."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.domain.compiled import ordered
from tests.oracle.market_rows import rows_of
from tests.oracle.markets import shape_of

from carryfold.domain.instruments import Legs, pairs_of
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.backtest import Backtest, Selection, check_lookahead, run_blocks
from carryfold.projections.backtest.lookahead import check_runner
from carryfold.projections.backtest.run import Blocks

PARAMS = Parameters(enter=0.0002, exit=0.0001, min_age_d=0, stale_s=86400)


def market(seed: int, legs: Legs = "carry") -> tuple[Rows, Selection]:
    """A random market with trades in it."""
    rows, listings = rows_of(shape_of(seed))
    return ordered(rows), Selection(listings, pairs_of(listings, legs, carry_across=legs == "both"))


def in_blocks(rows: Rows, size: int = 500) -> Blocks:
    """Blocks of whole instants."""

    def blocks() -> Iterator[Rows]:
        first = 0
        while first < len(rows):
            end = min(first + size, len(rows))
            while end < len(rows) and rows["known_at"][end] == rows["known_at"][end - 1]:
                end += 1
            yield rows[first:end].copy()
            first = end

    return blocks


@pytest.mark.parametrize("legs", ["carry", "both"])
@pytest.mark.parametrize("strategy", ["simple", "composite", "hold"])
@pytest.mark.parametrize("seed", range(5))
def test_the_fold_has_no_look_ahead(strategy: str, legs: Legs, seed: int) -> None:
    rows, selection = market(seed, legs)
    params = PARAMS.changed({"strategy": strategy, "legs": legs, "carry_across": legs == "both"})

    report = check_lookahead(in_blocks(rows), params, selection, cuts=4, seed=seed)

    assert report.ok, report.first_difference


def whole(blocks: Blocks) -> Rows:
    return np.concatenate(list(blocks()))


def next_rate_instead_of_this(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Decides on the rate that settles one interval later."""
    for subject in np.unique(rows["subject"]):
        mine = np.flatnonzero((rows["subject"] == subject) & (rows["kind"] == Kind.FUNDING_SETTLED))
        rows["a"][mine[:-1]] = rows["a"][mine[1:]]
    return rows, params


def bars_known_at_their_open(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Sees each bar's close an hour early."""
    bars = (rows["kind"] == Kind.BAR_CLOSED) | (rows["kind"] == Kind.QUOTED)
    rows["known_at"][bars] -= 3600 * 10**9
    return rows[np.argsort(rows["known_at"], kind="stable")], params


def settlements_known_before_they_happen(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Uses the rate paid at T for a decision an hour before T."""
    settled = rows["kind"] == Kind.FUNDING_SETTLED
    rows["known_at"][settled] -= 3600 * 10**9
    return rows[np.argsort(rows["known_at"], kind="stable")], params


def threshold_from_the_whole_sample(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Chooses its threshold as a quantile of all rates there will be."""
    rates = rows["a"][rows["kind"] == Kind.FUNDING_SETTLED]
    level = float(np.quantile(rates, 0.6)) if len(rates) else 0.0
    return rows, params.changed({"enter": min(max(level, params.exit), 0.01)})


LEAKS = [
    next_rate_instead_of_this,
    bars_known_at_their_open,
    settlements_known_before_they_happen,
    threshold_from_the_whole_sample,
]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_strategy_that_leaks_is_caught(leak: Callable[[Rows, Parameters], tuple[Rows, Parameters]]) -> None:
    """On at least one of a few markets; a leak that changes no decision there is none."""

    def leaking(selection: Selection) -> Callable[[Blocks], Backtest]:
        def run(blocks: Blocks) -> Backtest:
            rows, params = leak(whole(blocks), PARAMS)
            return run_blocks(in_blocks(rows), params, selection)

        return run

    found = []
    for seed in range(8):
        rows, selection = market(seed)
        report = check_runner(leaking(selection), in_blocks(rows), cuts=8, seed=seed)
        if not report.ok:
            found.append(report.first_difference)
            break

    assert found, "the leak was not noticed on any market"


def test_choosing_parameters_by_hindsight_is_caught() -> None:
    """The best of several parameter sets over the whole history, reported as if it had been known."""

    def run_best(selection: Selection) -> Callable[[Blocks], Backtest]:
        def run(blocks: Blocks) -> Backtest:
            runs = [
                run_blocks(blocks, PARAMS.changed({"enter": enter}), selection) for enter in (0.0001, 0.0002, 0.0005)
            ]
            return max(runs, key=lambda r: int(r.book["funding"]) - int(r.book["fees"]))

        return run

    noticed = False
    for seed in range(12):
        rows, selection = market(seed)
        noticed = noticed or not check_runner(run_best(selection), in_blocks(rows), cuts=8, seed=seed).ok

    assert noticed
