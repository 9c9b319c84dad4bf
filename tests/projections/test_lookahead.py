"""The look-ahead checks pass for the fold, and find runners that were made to leak."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from tests.domain.compiled import ordered
from tests.oracle.market_rows import rows_of
from tests.oracle.markets import shape_of

from carryfold.domain.instruments import Legs, Listing
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.backtest import Backtest, PairRequest, check_lookahead, choose_pairs, listed_ids, run_blocks
from carryfold.projections.backtest.lookahead import Runner, check_runner, poisoned
from carryfold.projections.backtest.run import Blocks

PARAMS = Parameters(enter=0.0002, exit=0.0001, min_age_d=0, stale_s=86400)
HOUR_NS = 3600 * 10**9


def market(seed: int) -> tuple[Rows, list[Listing]]:
    """A random market with trades in it. As in every log, an instrument is listed before its first observation."""
    found, listings = rows_of(shape_of(seed))
    rows = ordered(found)
    listed = np.full(len(listings) + 1, 2**62)
    mine = rows["kind"] == Kind.INSTRUMENT_LISTED
    np.minimum.at(listed, rows["subject"][mine], rows["known_at"][mine])
    listed[-1] = 0  # rows without an instrument
    return rows[rows["known_at"] >= listed[rows["subject"]]], listings


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


def since_all_are_listed(rows: Rows) -> int:
    """From here on the capital is divided between the same venues, whatever comes later."""
    return int(rows["known_at"][rows["kind"] == Kind.INSTRUMENT_LISTED].max(initial=0))


@pytest.mark.parametrize("legs", ["carry", "both"])
@pytest.mark.parametrize("strategy", ["simple", "composite", "hold"])
@pytest.mark.parametrize("seed", range(5))
def test_the_fold_has_no_look_ahead(strategy: str, legs: Legs, seed: int) -> None:
    rows, listings = market(seed)
    params = PARAMS.changed({"strategy": strategy, "legs": legs, "carry_across": legs == "both"})
    request = PairRequest(legs=legs, carry_across=legs == "both")
    since = since_all_are_listed(rows) if legs == "both" else 0

    report = check_lookahead(in_blocks(rows), params, request, listings, since=since, cuts=4, seed=seed)

    assert report.ok, report.first_difference


@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_a_universe_has_no_look_ahead(seed: int, top: int) -> None:
    rows, listings = market(seed)

    report = check_lookahead(in_blocks(rows), PARAMS, PairRequest(universe=top), listings, cuts=4, seed=seed)

    assert report.ok, report.first_difference


def whole(blocks: Blocks) -> Rows:
    return np.concatenate([np.zeros(0, np.dtype(next(iter(blocks())).dtype)), *blocks()])


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


def rules_known_before_they_change(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Lists an instrument with the lot that it gets later."""
    for place in np.flatnonzero(rows["kind"] == Kind.INSTRUMENT_LISTED).tolist():
        same = (rows["subject"] == rows["subject"][place]) & (rows["kind"] == Kind.INSTRUMENT_CHANGED)
        lots = rows["a"][same & (rows["a"] > 0)]
        if len(lots):
            rows["a"][place] = lots[-1]
    return rows, params


def delistings_known_in_advance(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
    """Avoids instruments that will be delisted."""
    gone = set(rows["subject"][rows["kind"] == Kind.INSTRUMENT_DELISTED].tolist())
    return rows[~(np.isin(rows["subject"], list(gone)) & (rows["kind"] == Kind.FUNDING_SETTLED))], params


LEAKS = [
    next_rate_instead_of_this,
    bars_known_at_their_open,
    settlements_known_before_they_happen,
    threshold_from_the_whole_sample,
    rules_known_before_they_change,
    delistings_known_in_advance,
]


def leaking(listings: Sequence[Listing], leak: Callable[[Rows, Parameters], tuple[Rows, Parameters]]) -> Runner:
    """Runs over rows and parameters that the leak has changed."""

    def run(blocks: Blocks, cuts: Sequence[int]) -> Backtest:
        rows, params = leak(whole(blocks), PARAMS)
        selection = choose_pairs(PairRequest(), listings, listed_ids(blocks()))
        return run_blocks(in_blocks(rows), params, selection, cuts=cuts)

    return run


def first_finding(runner: Callable[[Sequence[Listing]], Runner], markets: int = 8) -> str:
    """The first difference on any of a few markets; a leak that changes nothing there is none."""
    for seed in range(markets):
        rows, listings = market(seed)
        report = check_runner(runner(listings), in_blocks(rows), cuts=8, seed=seed)
        if report.first_difference is not None:
            assert not report.ok
            return report.first_difference
    return ""


@pytest.mark.parametrize("leak", LEAKS)
def test_a_strategy_that_leaks_is_found(leak: Callable[[Rows, Parameters], tuple[Rows, Parameters]]) -> None:
    assert first_finding(lambda listings: leaking(listings, leak)), "the leak was not noticed on any market"


def test_a_leak_into_the_state_alone_is_found() -> None:
    """Turnover is known an hour early. No decision of `simple` depends on it, so only the states differ."""

    def early_turnover(rows: Rows, params: Parameters) -> tuple[Rows, Parameters]:
        activity = np.flatnonzero((rows["kind"] == Kind.ACTIVITY_OBSERVED) | (rows["kind"] == Kind.BAR_CLOSED))
        early = rows.copy()
        for place in activity[:-1].tolist():
            value = "c" if rows["kind"][place] == Kind.BAR_CLOSED else "a"
            later = activity[(rows["subject"][activity] == rows["subject"][place]) & (activity > place)]
            same = later[rows["kind"][later] == rows["kind"][place]]
            if len(same) and rows[value][place] >= 0 and rows[value][same[0]] >= 0:
                early[value][place] = rows[value][same[0]]
        return early, params.changed({"impact": 0.0})

    finding = first_finding(lambda listings: leaking(listings, early_turnover))

    assert "the state of instrument" in finding and "turnover" in finding


def test_a_choice_of_pairs_by_hindsight_is_found() -> None:
    """The pair with the greatest turnover of the whole history, traded from its beginning."""

    def by_turnover(listings: Sequence[Listing]) -> Runner:
        def run(blocks: Blocks, cuts: Sequence[int]) -> Backtest:
            rows = whole(blocks)
            totals = {
                number: float(rows["c"][(rows["kind"] == Kind.BAR_CLOSED) & (rows["subject"] == number)].sum())
                for number, one in enumerate(listings)
                if one.instrument.kind == "perp"
            }
            best = listings[max(totals, key=lambda number: totals[number])]
            selection = choose_pairs(PairRequest(), listings, listed_ids(blocks()))
            selection.pairs = [pair for pair in selection.pairs if pair.short == best.instrument]
            return run_blocks(blocks, PARAMS, selection, cuts=cuts)

        return run

    assert first_finding(by_turnover, markets=16)


def test_choosing_parameters_by_hindsight_is_found() -> None:
    """The best of several parameter sets over the whole history, reported as if it had been known."""

    def best_of(listings: Sequence[Listing]) -> Runner:
        def run(blocks: Blocks, cuts: Sequence[int]) -> Backtest:
            selection = choose_pairs(PairRequest(), listings, listed_ids(blocks()))
            runs = [
                run_blocks(blocks, PARAMS.changed({"enter": enter}), selection, cuts=cuts)
                for enter in (0.0001, 0.0002, 0.0005)
            ]
            return max(runs, key=lambda r: int(r.book["funding"]) - int(r.book["fees"]))

        return run

    assert first_finding(best_of, markets=12)


def test_a_pair_that_was_not_listed_at_the_cut_is_not_asked_for_there() -> None:
    """Pairs by name are looked for among the instruments under the cut too, and none of them is no error."""
    rows, listings = market(0)
    listed = (rows["kind"] == Kind.INSTRUMENT_LISTED) & (rows["known_at"] > rows["known_at"][len(rows) // 3])
    late = {listings[number].instrument.symbol for number in rows["subject"][listed].tolist()}
    symbols = tuple(sorted(late or {listings[0].instrument.symbol}))

    report = check_lookahead(in_blocks(rows), PARAMS, PairRequest(symbols=symbols), listings, cuts=6)

    assert report.ok, report.first_difference


def test_poison_changes_rows_of_every_kind_after_the_cut_and_none_before() -> None:
    untouched = {Kind.CLOCK_TICKED, Kind.FEED_CONNECTED, Kind.FEED_LOST}  # say nothing but that they happened
    changed: set[int] = set()
    seen: set[int] = set()
    for seed in range(30):
        rows, _ = market(seed)
        cut = int(rows["known_at"][len(rows) // 4])
        found = whole(lambda rows=rows, cut=cut, seed=seed: poisoned(in_blocks(rows), cut, seed))
        later = rows["known_at"] > cut
        assert (found["known_at"] == rows["known_at"]).all() and (found["kind"] == rows["kind"]).all()
        assert (found[~later] == rows[~later]).all()
        differs = found != rows
        changed |= set(rows["kind"][differs].tolist())
        seen |= set(rows["kind"][later].tolist())

    assert seen - changed <= untouched
    assert {Kind.INSTRUMENT_LISTED, Kind.INSTRUMENT_CHANGED, Kind.INSTRUMENT_DELISTED} <= changed
    assert {Kind.FUNDING_REVISED, Kind.ACTIVITY_OBSERVED, Kind.QUOTED, Kind.FUNDING_SETTLED} <= changed
