"""Rates from the premium index: the venue's known answers, and that no minute is used before it closed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.domain.premium import Terms, WeightedPremium, funding_rate, predicted_rates

PREMIUMS = st.lists(st.floats(-0.02, 0.02), min_size=2, max_size=60)


@pytest.mark.parametrize(("hours", "interest"), [(8, 0.0001), (4, 0.00005), (2, 0.000025), (1, 0.0000125)])
def test_the_interest_is_three_hundredths_of_a_percent_a_day(hours: int, interest: float) -> None:
    assert Terms(hours).interest == pytest.approx(interest, rel=1e-15)
    assert funding_rate(0.0, Terms(hours)) == interest


@pytest.mark.parametrize(
    ("premium", "rate"),
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
    premium: float, rate: float
) -> None:
    assert funding_rate(premium, Terms(8)) == rate


def test_the_cap_is_the_last_word() -> None:
    assert funding_rate(0.05, Terms(8, cap=0.00375)) == 0.00375
    assert funding_rate(-0.05, Terms(8, cap=0.00375)) == -0.00375
    assert funding_rate(0.05, Terms(8)) == 0.0495


def test_some_pairs_have_no_interest() -> None:
    assert funding_rate(0.0004, Terms(8, daily_interest=0.0)) == 0.0


def test_late_minutes_weigh_most() -> None:
    seen = WeightedPremium()
    for minute, premium in [(1, 0.006), (2, 0.0), (3, -0.002)]:
        seen.add(minute, premium)

    assert seen.average == 0.0
    seen.add(4, 0.01)
    assert seen.average == pytest.approx(0.004)


def test_the_estimate_of_the_last_minute_is_the_weighted_sum_of_all() -> None:
    rng = random.Random(1)
    premiums = [rng.gauss(0.001, 0.001) for _ in range(480)]
    average = sum(j * p for j, p in enumerate(premiums, 1)) / (480 * 481 / 2)

    *_, (minute, rate) = predicted_rates(enumerate(premiums, 1), Terms(8))

    assert minute == 480
    assert rate == pytest.approx(average - 0.0005, abs=1e-8)


@given(PREMIUMS, st.integers(1, 59), st.floats(-1, 1))
def test_no_estimate_changes_when_a_later_minute_does(premiums: list[float], at: int, other: float) -> None:
    at = min(at, len(premiums) - 1)
    changed = [*premiums[:at], other, *premiums[at + 1 :]]
    before = list(predicted_rates(enumerate(premiums, 1), Terms(1)))[:at]

    assert list(predicted_rates(enumerate(changed, 1), Terms(1)))[:at] == before
    assert list(predicted_rates(enumerate(premiums[:at], 1), Terms(1))) == before


def test_missing_minutes_carry_no_weight() -> None:
    found = list(predicted_rates([(10, 0.002), (30, 0.002)], Terms(1)))

    assert found == [(10, 0.0015), (30, 0.0015)]


@pytest.mark.parametrize("minutes", [[(0, 0.0)], [(61, 0.0)], [(2, 0.0), (2, 0.0)]])
def test_minutes_that_cannot_be_are_a_bug(minutes: list[tuple[int, float]]) -> None:
    with pytest.raises(AssertionError):
        list(predicted_rates(minutes, Terms(1)))
