"""Rates from the premium index: the venue's known answers, and that no sample is used before it closed."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.domain.premium import FundingFormula

BYBIT = FundingFormula()
PREMIUMS = st.lists(st.floats(-0.02, 0.02), min_size=2, max_size=60)


def rate(premium: float, hours: float = 8, cap: float = 0.0, formula: FundingFormula = BYBIT) -> float:
    return float(formula.rates(np.array([premium]), hours, cap)[0])


def running(premiums: list[float], hours: float = 1) -> list[float]:
    return BYBIT.running_rates(np.arange(1, len(premiums) + 1), np.array(premiums), hours).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("hours", "interest"), [(8, 0.0001), (4, 0.00005), (2, 0.000025), (1, 0.0000125)])
def test_the_interest_is_three_hundredths_of_a_percent_a_day(hours: int, interest: float) -> None:
    assert BYBIT.interest(hours) == pytest.approx(interest, rel=1e-15)
    assert rate(0.0, hours) == interest


@pytest.mark.parametrize(
    ("premium", "expected"),
    [
        (-0.0004, 0.0001),
        (0.0, 0.0001),
        (0.0006, 0.0001),
        (0.0007, 0.0002),
        (-0.0005, 0.0),
        (-0.0011, -0.0006),
        (0.003, 0.0025),
    ],
)
def test_the_flat_zone_is_exactly_the_interest_and_beyond_it_the_premium_less_the_dampener(
    premium: float, expected: float
) -> None:
    assert rate(premium) == expected


def test_the_cap_limits_the_rate_last_of_all() -> None:
    assert rate(0.05, cap=0.00375) == 0.00375
    assert rate(-0.05, cap=0.00375) == -0.00375
    assert rate(0.05) == 0.0495


def test_some_pairs_have_no_interest() -> None:
    assert rate(0.0004, formula=FundingFormula(daily_interest=0.0)) == 0.0


def test_a_later_sample_weighs_more() -> None:
    assert running([0.006, 0.0, -0.002], hours=8) == [0.0055, 0.0015, 0.0001]
    assert running([0.006, 0.0, -0.002, 0.01], hours=8)[-1] == 0.0035


def test_the_estimate_after_the_last_sample_is_the_rate_of_the_weighted_average() -> None:
    rng = random.Random(1)
    premiums = [rng.gauss(0.001, 0.001) for _ in range(480)]
    average = sum(j * p for j, p in enumerate(premiums, 1)) / (480 * 481 / 2)

    assert running(premiums, hours=8)[-1] == pytest.approx(average - 0.0005, abs=1e-8)


@given(PREMIUMS, st.integers(1, 59), st.floats(-1, 1))
def test_no_estimate_changes_when_a_later_sample_does(premiums: list[float], at: int, other: float) -> None:
    at = min(at, len(premiums) - 1)
    changed = [*premiums[:at], other, *premiums[at + 1 :]]
    before = running(premiums)[:at]

    assert running(changed)[:at] == before
    assert running(premiums[:at]) == before


def test_several_intervals_at_once_are_those_intervals_one_by_one() -> None:
    first, second = [0.001, 0.002, 0.004], [-0.003, 0.0, 0.02]
    both = BYBIT.running_rates(np.arange(1, 4), np.array([first, second]), 1, 0.01)

    assert both.tolist() == [
        BYBIT.running_rates(np.arange(1, 4), np.array(one), 1, 0.01).tolist() for one in (first, second)
    ]


def test_missing_samples_carry_no_weight() -> None:
    found = BYBIT.running_rates(np.array([10, 30]), np.array([0.002, 0.002]), 1)

    assert found.tolist() == [0.0015, 0.0015]


@pytest.mark.parametrize("samples", [[0], [2, 2], [3, 2]])
def test_samples_that_do_not_ascend_from_one_are_a_bug(samples: list[int]) -> None:
    with pytest.raises(AssertionError):
        BYBIT.running_rates(np.array(samples), np.zeros(len(samples)), 1)
