"""Properties of the fold over any market: determinism, order, splitting, cutting; and pinned results of `simple`."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryfold.domain.fold import State, Sweep, simulate, simulate_many
from carryfold.domain.fold.codes import ENTER, ENTRY
from carryfold.domain.instruments import Instrument
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind
from tests.domain.build import bar, listed, settled
from tests.domain.compiled import carry, figures, fold_rows, ordered, seen_rows
from tests.oracle.markets import Case, cases, parameters_of

thorough = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

FACTS = [Kind.INSTRUMENT_LISTED, Kind.INSTRUMENT_CHANGED]
"""What is not poisoned but left out: a lot is a decimal number."""

COMPOSITE_ONLY: dict[str, st.SearchStrategy[Any]] = {
    "level_full": st.floats(0.001, 0.01),
    "persist_full": st.floats(0.5, 20),
    "ema_fast": st.integers(1, 50),
    "ema_slow": st.integers(1, 50),
    "w_level": st.floats(0, 5),
    "w_trend": st.floats(0, 5),
    "w_persistence": st.floats(0, 5),
    "w_basis": st.floats(0, 5),
    "w_volume": st.floats(0, 5),
    "conviction_enter": st.floats(0, 0.99),
    "min_age_d": st.floats(0, 100),
    "min_interval_h": st.floats(0, 8),
    "size_floor": st.floats(0, 0.5),
    "size_cap": st.floats(0.5, 3),
    "pair_cap": st.floats(0, 5000),
    "book_cap": st.floats(0, 50000),
    "liquidity_cap": st.floats(0, 1),
    "funding_corr": st.floats(0, 1),
    "corr_cap": st.floats(0, 10000),
    "drawdown_limit": st.floats(0.001, 1),
}


def instruments(case: Case) -> list[Instrument]:
    return [one.instrument for one in case.listings]


def whole(case: Case, params: Parameters | None = None, rows: Sequence[Any] | None = None) -> tuple[State, Any]:
    given_rows = ordered(case.rows if rows is None else rows)
    return fold_rows(given_rows, instruments(case), case.pairs, params or case.params, since=case.since)


def fresh(case: Case, params: Parameters | None = None) -> State:
    return State(params or case.params, instruments(case), case.pairs, start=case.since)


def case_rows(case: Case) -> Any:
    return seen_rows(ordered(case.rows), instruments(case), case.pairs)


@thorough
@given(cases(), st.integers(0, 2**32))
def test_the_order_of_rows_inside_an_instant_changes_nothing(case: Case, seed: int) -> None:
    expected, _ = whole(case)
    rows = list(case.rows)
    Random(seed).shuffle(rows)

    found, _ = whole(case, rows=rows)

    assert found.hash() == expected.hash()


@thorough
@given(cases(), st.integers(0, 2**32))
def test_folding_in_pieces_equals_folding_at_once(case: Case, seed: int) -> None:
    expected, output = whole(case)
    state, rows, draw = fresh(case), case_rows(case), Random(seed)
    bounds = [0, *np.flatnonzero(np.diff(rows["known_at"])) + 1, len(rows)]
    decisions = 0
    first = 0
    while first < len(rows):
        end = next(int(b) for b in bounds if b > first and (b == len(rows) or draw.random() < 0.3))
        decisions += len(simulate(state, rows[first:end]).decisions)
        if draw.random() < 0.1:  # a snapshot and its restart are part of a run
            state = State.load(state.dump())
        first = end

    assert state.hash() == expected.hash()
    assert decisions == len(output.decisions)


@thorough
@given(cases(), st.floats(0, 1))
def test_the_fold_of_a_prefix_is_the_beginning_of_the_full_fold(case: Case, share: float) -> None:
    """What the whole did up to the cut, in one call, is what the prefix did; and the prefix goes on to the same end."""
    rows = case_rows(case)
    cut = int(rows["known_at"][int(share * (len(rows) - 1))])
    expected, output = whole(case)
    state = fresh(case)

    found = simulate(state, rows[rows["known_at"] <= cut])

    for name in ("decisions", "fills"):
        records = getattr(output, name)
        assert getattr(found, name).tobytes() == records[records["t"] <= cut].tobytes(), name
    assert output.days[: len(found.days)].tobytes() == found.days.tobytes()
    simulate(state, rows[rows["known_at"] > cut])
    assert state.hash() == expected.hash()


@thorough
@given(cases(), st.floats(0, 1), st.integers(0, 2**32))
def test_nothing_after_an_instant_changes_a_decision_up_to_it(case: Case, share: float, seed: int) -> None:
    rows = case_rows(case)
    cut = int(rows["known_at"][int(share * (len(rows) - 1))])
    poisoned = rows.copy()
    poisoned = poisoned[(poisoned["known_at"] <= cut) | ~np.isin(poisoned["kind"], FACTS)]
    later = poisoned["known_at"] > cut
    draw = np.random.Generator(np.random.PCG64(seed))
    for value in "abc":
        positive = later & (poisoned[value] > 0)
        poisoned[value][positive] *= np.exp(draw.normal(0, 0.5, int(positive.sum())))

    def decided(of: Any) -> bytes:
        decisions = simulate(fresh(case), of).decisions
        kept: bytes = decisions[decisions["t"] <= cut].tobytes()
        return kept

    assert decided(poisoned) == decided(rows)


@thorough
@given(cases(), st.sampled_from(["simple", "hold"]), st.fixed_dictionaries(COMPOSITE_ONLY))
def test_no_composite_parameter_changes_a_decision_of_the_others(
    case: Case, strategy: str, composite: dict[str, Any]
) -> None:
    plain = case.params.changed({"strategy": strategy, "level_full": 0.001, "size_floor": 0.3, "size_cap": 1.0})
    other = plain.changed(composite)

    expected = figures(*whole(case, plain))

    assert figures(*whole(case, other)) == expected


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.lists(st.integers(0, 10**6), min_size=1, max_size=7), st.integers(1, 3))
def test_many_parameter_sets_at_once_are_bit_equal_to_single_runs(case: Case, seeds: list[int], threads: int) -> None:
    rows = case_rows(case)
    market = {"legs": case.params.legs, "carry_across": case.params.carry_across, "split": case.params.split}
    sets = [parameters_of(seed).changed(market) for seed in seeds]
    states = [fresh(case, params) for params in sets]

    in_blocks = [fresh(case, params) for params in sets]

    simulate_many(states, rows, threads=threads)
    sweep = Sweep(in_blocks, threads=threads)
    for part in np.array_split(np.unique(rows["known_at"]), 4):
        sweep.fold(rows[np.isin(rows["known_at"], part)])
    sweep.finish()

    singles = [fresh(case, params) for params in sets]
    for state in singles:
        simulate(state, rows)
    assert [state.hash() for state in states] == [state.hash() for state in singles]
    assert [state.hash() for state in in_blocks] == [state.hash() for state in singles]


@thorough
@given(cases())
def test_the_attribution_identity_is_exact(case: Case) -> None:
    state, _ = whole(case)
    found = figures(state, whole(case)[1])
    parts = found["funding_e8"] + found["long_pnl_e8"] + found["short_pnl_e8"] - found["fees_e8"] - found["borrow_e8"]
    book, pairs = state.book[0], state.pair

    assert found["equity_e8"] == found["capital_e8"] + parts
    assert found["equity_e8"] == sum(venue["equity"] for venue in found["venues"].values())
    assert found["capital_e8"] == sum(venue["capital"] for venue in found["venues"].values())
    for name in ("long_cost", "long_value", "short_entry", "short_value", "held"):
        assert book[name] == pairs[name].sum(), f"the book's {name} is not the sum of the pairs'"
    assert state.account["margin"].sum() == pairs["long_margin"].sum() + pairs["short_margin"].sum()


def pending(state: State) -> tuple[int, int]:
    """Capital that entries in progress block: (as the accounts, as the pairs have it)."""
    entries = state.pair[state.pair["pending"] == ENTRY]
    by_pair = int(entries["pending_long_e8"].sum() + entries["pending_short_e8"].sum())
    return int(state.account["pending_e8"].sum()), by_pair


@thorough
@given(cases())
def test_accounts_block_what_entries_in_progress_need(case: Case) -> None:
    """Looked at right after each entry is decided, because at the end of a market there is hardly ever one."""
    rows = case_rows(case)
    decisions = whole(case)[1].decisions
    for t in np.unique(decisions["t"][decisions["action"] == ENTER])[:5].tolist():
        state = fresh(case)
        simulate(state, rows[rows["known_at"] <= t])
        of_accounts, of_pairs = pending(state)
        assert of_accounts == of_pairs


def test_entries_in_progress_do_block_capital() -> None:
    instruments, pairs = carry("XUSDT")
    state = State(Parameters(), instruments, pairs)

    simulate(state, ordered([listed(), bar(7.5, 100.0), settled(8, 0.001)]))

    assert pending(state) == (133_330_000_000, 133_330_000_000), "1,000 and a third of it as margin"


@thorough
@given(cases())
def test_no_nan_is_ever_in_the_state(case: Case) -> None:
    state, _ = whole(case)
    for array in (state.market, state.view, state.pair, state.account, state.book):
        for name in array.dtype.names or ():
            if array.dtype[name].base.kind == "f":
                assert np.isfinite(array[name]).all(), name
