"""The compiled fold against the naive oracle: every decision, fill, payment and 1e-8, on random and real markets."""

import hashlib
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from carryfold.domain.fold import SizeOutOfRange
from carryfold.domain.params import parse_settings
from tests.domain.compiled import differences, figures, fold_rows, ordered, run_compiled
from tests.oracle import naive
from tests.oracle.majors import major_rows, majors_folder
from tests.oracle.markets import Case, cases, random_case

needs_majors = pytest.mark.skipif(majors_folder() is None, reason="the real Bybit history is not on this machine")


def check(case: Case) -> None:
    """Both simulators agree, also on refusing a size."""
    bounds = {"since": case.since, "until": case.until, "selected": case.selected, "universe": case.universe}
    try:
        expected = naive.run(ordered(case.rows), case.symbols, case.params, **bounds)  # type: ignore[arg-type]
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


@pytest.mark.parametrize("seed", [1028, 1493])
def test_the_fold_equals_the_oracle_where_it_once_did_not(seed: int) -> None:
    check(random_case(seed))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_the_fold_equals_the_oracle_on_many_more_seeds(block: int) -> None:
    for seed in range(10_000 + 250 * block, 10_250 + 250 * block):
        check(random_case(seed))


@cache
def majors() -> tuple[Any, list[bytes]]:
    folder = majors_folder()
    assert folder is not None
    rows, symbols = major_rows(folder)
    return ordered(rows), symbols


@needs_majors
@pytest.mark.parametrize(("strategy", "trades"), [("simple", 59), ("composite", 52), ("hold", 0)])
def test_the_fold_equals_the_oracle_on_the_real_majors(strategy: str, trades: int) -> None:
    rows, symbols = majors()
    params = parse_settings([f"strategy={strategy}"])

    expected = naive.run(rows, symbols, params)

    assert differences(expected, figures(*fold_rows(rows, symbols, params))) == []
    assert expected.trades == trades


@needs_majors
def test_golden_decisions_on_the_real_majors() -> None:
    """Counts and amounts pinned once both simulators agreed on them."""
    rows, symbols = majors()

    def run(*sets: str) -> dict[str, Any]:
        return figures(*fold_rows(rows, symbols, parse_settings(sets)))

    plain = run("impact=0")
    assert plain["trades"] == 59
    assert plain["decisions"][0] == (1628467260000000000, "XRPUSDT", "enter", 1283944276)
    text = "".join(f"{t} {symbol} {action} {lots}\n" for t, symbol, action, lots in plain["decisions"])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "5fd948b3d57e9070"
    assert plain["funding_e8"] == 151_287_055_999
    assert plain["fees_e8"] == 18_266_721_742
    tight = run("impact=0", "capital=2000")
    assert (tight["trades"], tight["funding_e8"]) == (20, 41_514_144_436)
    assert run("impact=0", "exit=0.00010000000000000002")["trades"] == 224
    assert run()["funding_e8"] == 151_287_055_999
    assert run("strategy=composite")["trades"] == 52
