"""What must hold for any market: determinism, order, splitting, cutting, and that `simple` is pinned."""

from random import Random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryfold.domain.fold import State, simulate, simulate_many
from carryfold.domain.params import Parameters
from tests.domain.compiled import figures, fold_rows, ordered
from tests.oracle.markets import Case, cases, parameters_of

thorough = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

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


def whole(case: Case) -> tuple[State, Any]:
    return fold_rows(
        ordered(case.rows),
        case.symbols,
        case.params,
        since=case.since,
        selected=case.selected,
        universe=case.universe or len(case.symbols),
    )


def fresh(case: Case) -> State:
    chosen = case.selected or set(range(len(case.symbols)))
    state = State(case.params, start=case.since, universe=case.universe or len(case.symbols))
    state.add_pairs(case.symbols, [i in chosen for i in range(len(case.symbols))])
    return state


def seen_rows(case: Case) -> Any:
    rows = ordered(case.rows)
    return rows if case.selected is None else rows[np.isin(rows["pair"], [*case.selected, -1])]


@thorough
@given(cases(), st.integers(0, 2**32))
def test_the_order_of_rows_inside_an_instant_changes_nothing(case: Case, seed: int) -> None:
    expected, _ = whole(case)
    rows = list(case.rows)
    Random(seed).shuffle(rows)
    shuffled = Case(rows, case.symbols, case.params, case.since, case.until, case.selected, case.universe)

    found, _ = whole(shuffled)

    assert found.hash() == expected.hash()


@thorough
@given(cases(), st.integers(0, 2**32))
def test_folding_in_pieces_equals_folding_at_once(case: Case, seed: int) -> None:
    expected, output = whole(case)
    state, rows, draw = fresh(case), seen_rows(case), Random(seed)
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
def test_the_fold_of_a_prefix_is_the_state_of_the_full_fold_there(case: Case, share: float) -> None:
    rows = seen_rows(case)
    cut = int(rows["known_at"][int(share * (len(rows) - 1))])
    state = fresh(case)
    simulate(state, rows[rows["known_at"] <= cut])

    full = fresh(case)
    simulate(full, rows[rows["known_at"] <= cut])
    middle = full.hash()
    simulate(full, rows[rows["known_at"] > cut])

    assert state.hash() == middle
    assert full.hash() == whole(case)[0].hash()


@thorough
@given(cases(), st.floats(0, 1), st.integers(0, 2**32))
def test_nothing_after_an_instant_changes_a_decision_up_to_it(case: Case, share: float, seed: int) -> None:
    rows = seen_rows(case)
    cut = int(rows["known_at"][int(share * (len(rows) - 1))])
    poisoned = rows.copy()
    later = poisoned["known_at"] > cut
    draw = np.random.Generator(np.random.PCG64(seed))
    for value in "abcd":
        positive = later & (poisoned[value] > 0)
        poisoned[value][positive] *= np.exp(draw.normal(0, 0.5, int(positive.sum())))

    def decided(of: Any) -> bytes:
        decisions = simulate(fresh(case), of).decisions
        kept: bytes = decisions[decisions["t"] <= cut].tobytes()
        return kept

    assert decided(poisoned) == decided(rows)


@thorough
@given(cases(), st.fixed_dictionaries(COMPOSITE_ONLY))
def test_no_composite_parameter_changes_a_decision_of_simple(case: Case, composite: dict[str, Any]) -> None:
    plain = case.params.changed({"strategy": "simple", "level_full": 0.001, "size_floor": 0.3, "size_cap": 1.0})
    other = plain.changed(composite)
    rows = ordered(case.rows)

    expected = figures(*fold_rows(rows, case.symbols, plain, since=case.since))

    assert figures(*fold_rows(rows, case.symbols, other, since=case.since)) == expected


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.lists(st.integers(0, 10**6), min_size=1, max_size=7), st.integers(1, 3))
def test_many_parameter_sets_at_once_are_bit_equal_to_single_runs(case: Case, seeds: list[int], threads: int) -> None:
    rows = ordered(case.rows)
    sets = [parameters_of(seed) for seed in seeds]
    states = [State(params, universe=len(case.symbols)) for params in sets]
    for state in states:
        state.add_pairs(case.symbols)

    simulate_many(states, rows, threads=threads)

    singles = [fold_rows(rows, case.symbols, params)[0] for params in sets]
    assert [state.hash() for state in states] == [state.hash() for state in singles]


@thorough
@given(cases())
def test_the_attribution_identity_is_exact(case: Case) -> None:
    state, _ = whole(case)
    b = state.book[0]
    spot = b["spot_realised"] + b["spot_value"] - b["spot_cost"]
    perp = b["perp_realised"] + b["perp_entry"] - b["perp_value"]
    pairs = state.pair
    for name in ("spot_cost", "spot_value", "perp_entry", "perp_value", "margin", "held"):
        assert b[name] == pairs[name].sum(), f"the book's {name} is not the sum of the pairs'"
    assert b["pending_e8"] == pairs["pending_e8"].sum()
    equity = b["capital"] + b["funding"] + spot + perp - b["fees"] - b["borrow"]
    assert (
        equity
        == b["capital"]
        + b["funding"]
        + b["spot_realised"]
        + b["perp_realised"]
        - b["fees"]
        - b["borrow"]
        + (pairs["spot_value"] - pairs["spot_cost"] + pairs["perp_entry"] - pairs["perp_value"]).sum()
    )


@thorough
@given(cases())
def test_no_nan_is_ever_in_the_state(case: Case) -> None:
    state, _ = whole(case)
    for array in (state.view, state.pair, state.book):
        for name in array.dtype.names or ():
            if array.dtype[name].base.kind == "f":
                assert np.isfinite(array[name]).all(), name


def test_defaults_are_those_of_the_documentation() -> None:
    params = Parameters()

    assert (params.enter, params.exit, params.notional, params.max_positions) == (0.0003, 0.0001, 1000, 5)
