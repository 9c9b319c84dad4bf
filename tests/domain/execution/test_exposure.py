"""Measured exposure against sums by hand."""

from decimal import Decimal

from carryfold.domain.execution.process_state import Exposure
from tests.domain.execution.facts import SECOND

D = Decimal


def test_time_and_notional_add_up_over_spells() -> None:
    meter = Exposure()
    for at_s, notional in ((10, 100), (12, 300), (13, 0), (50, 80), (52, 80), (54, 0), (99, 0)):
        meter.observe(at_s * SECOND, D(notional))

    assert meter.since == 0
    assert meter.total_ns == (3 + 4) * SECOND
    assert meter.longest_ns == 4 * SECOND
    assert meter.peak_notional == 300
    assert meter.notional_ns == (100 * 2 + 300 * 1 + 80 * 4) * SECOND


def test_an_observation_that_seems_to_come_from_the_past_takes_no_time_back() -> None:
    meter = Exposure()
    meter.observe(10 * SECOND, D(5))
    meter.observe(9 * SECOND, D(5))
    meter.observe(12 * SECOND, D(0))

    assert meter.total_ns == 2 * SECOND
