"""The compiled fold against the naive oracle: every decision, fill, payment and 1e-8, on random and real markets."""

import hashlib
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from carryfold.domain.fold import SizeOutOfRange
from carryfold.domain.instruments import Listing, pairs_of
from carryfold.domain.params import Parameters, parse_settings
from tests.domain.compiled import differences, figures, fold_rows, ordered, run_compiled
from tests.oracle import naive
from tests.oracle.majors import major_rows, majors_folder
from tests.oracle.markets import Case, cases, random_case

needs_majors = pytest.mark.skipif(majors_folder() is None, reason="the real Bybit history is not on this machine")


def check(case: Case) -> None:
    """Both simulators agree, also on refusing a size."""
    rows = ordered(case.rows)
    try:
        expected = naive.run(rows, case.listings, case.params, pairs=case.pairs, since=case.since, until=case.until)
    except naive.SizeOutOfRange:
        with pytest.raises(SizeOutOfRange):
            run_compiled(case)
        return
    assert differences(expected, run_compiled(case)) == []


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_fold_equals_the_oracle_on_random_markets(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("block", range(6))
def test_the_fold_equals_the_oracle_on_pinned_seeds(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        check(random_case(seed))


@pytest.mark.parametrize("seed", [446, 602, 742, 825, 1332, 1568, 1847, 2216, 5212])
def test_the_fold_equals_the_oracle_where_it_once_did_not(seed: int) -> None:
    check(random_case(seed))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_the_fold_equals_the_oracle_on_many_more_seeds(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        check(random_case(seed))


@cache
def majors() -> tuple[Any, list[Listing]]:
    folder = majors_folder()
    assert folder is not None
    rows, listings = major_rows(folder)
    return ordered(rows), listings


def majors_folded(params: Parameters) -> dict[str, Any]:
    rows, listings = majors()
    return figures(*fold_rows(rows, [one.instrument for one in listings], pairs_of(listings), params))


@needs_majors
@pytest.mark.parametrize(("strategy", "trades"), [("simple", 59), ("composite", 52), ("hold", 0)])
def test_the_fold_equals_the_oracle_on_the_real_majors(strategy: str, trades: int) -> None:
    params = parse_settings([f"strategy={strategy}"])

    expected = naive.run(*majors(), params)

    assert differences(expected, majors_folded(params)) == []
    assert expected.trades == trades


@needs_majors
def test_golden_decisions_on_the_real_majors() -> None:
    """Counts and amounts pinned once both simulators agreed on them."""

    def run(*sets: str) -> dict[str, Any]:
        return majors_folded(parse_settings(sets))

    plain = run("impact=0")
    assert plain["trades"] == 59
    decisions = [(t, pair.short.symbol, action, lots) for t, pair, action, lots in plain["decisions"]]
    assert decisions[0] == (1628467260000000000, "XRPUSDT", "enter", 1283944276)
    text = "".join(f"{t} {symbol} {action} {lots}\n" for t, symbol, action, lots in decisions)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "5fd948b3d57e9070"
    assert plain["funding_e8"] == 151_287_055_999
    assert plain["fees_e8"] == 18_266_721_742
    tight = run("impact=0", "capital=2000")
    assert (tight["trades"], tight["funding_e8"]) == (20, 41_514_144_436)
    assert run("impact=0", "exit=0.00010000000000000002")["trades"] == 224
    assert run()["funding_e8"] == 151_287_055_999
    assert run("strategy=composite")["trades"] == 52
