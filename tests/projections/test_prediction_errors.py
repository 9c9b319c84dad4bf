"""Predictions are judged against the rate that settled, as they were known some time before."""

from pathlib import Path

import pytest
from tests.projections.tape_logs import START, append_all

from carryfold.domain import events as ev
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, NOW, Cursor
from carryfold.projections.prediction_errors import PredictionErrors, prediction_errors
from carryfold.projections.tape import Tape

BTC = ("bybit", "BTCUSDT", 1)
DUE = START + 8 * HOUR_NS


def predicted(before_min: int, rate: float, due: int = DUE) -> tuple[ev.Event, int]:
    at = due - before_min * MINUTE_NS
    return ev.FundingPredicted(*BTC, at, rate, due), at


def settled(rate: float, due: int = DUE, after_min: int = 1) -> tuple[ev.Event, int]:
    return ev.FundingSettled(*BTC, due, rate, 8.0), due + after_min * MINUTE_NS


def judged(home: Path, *events: tuple[ev.Event, int], cursor: Cursor = NOW, **options: int) -> list[PredictionErrors]:
    if events:
        append_all(home, [list(events)])
    with LogReader.open(home) as reader:
        return prediction_errors(Tape.open(home, reader), cursor, leads_s=(60, 1800), **options)


def test_the_latest_prediction_that_was_known_so_long_before_counts(tmp_path: Path) -> None:
    (one,) = judged(tmp_path, predicted(90, 3e-4), predicted(29, 2e-4), predicted(0, 9e-4), settled(1e-4))

    assert (one.instrument.symbol, one.settlements) == ("BTCUSDT", 1)
    assert [(lead.lead_s, lead.count) for lead in one.leads] == [(60, 1), (1800, 1)]
    assert [lead.bias for lead in one.leads] == pytest.approx([1e-4, 2e-4])


def test_errors_of_several_settlements_are_summed_up(tmp_path: Path) -> None:
    later = DUE + 8 * HOUR_NS
    (one,) = judged(tmp_path, predicted(5, 3e-4), settled(1e-4), predicted(5, -2e-4, later), settled(-1e-4, later))

    (lead,) = one.leads
    assert (lead.lead_s, lead.count) == (60, 2)
    assert lead.bias == pytest.approx(5e-5)
    assert lead.mean_absolute == pytest.approx(1.5e-4)
    assert lead.root_mean_square == pytest.approx((5e-8 / 2) ** 0.5)
    assert lead.largest == pytest.approx(2e-4)


def test_a_prediction_of_a_venue_s_stamp_is_of_the_nominal_settlement(tmp_path: Path) -> None:
    stamp = ev.FundingPredicted(*BTC, DUE - 5 * MINUTE_NS, 2e-4, DUE + 3_000_000_000)
    (one,) = judged(tmp_path, (stamp, DUE - 5 * MINUTE_NS), settled(1e-4))

    assert one.settlements == 1


def test_what_is_outside_the_span_or_the_cursor_does_not_count(tmp_path: Path) -> None:
    events = (predicted(5, 3e-4), settled(1e-4))

    assert judged(tmp_path, *events, since=DUE + 1) == []
    assert judged(tmp_path, until=DUE) == []
    assert judged(tmp_path, cursor=Cursor(as_of=DUE)) == [], "it had not settled yet"
    assert len(judged(tmp_path, since=DUE, until=DUE + 1)) == 1


def test_a_second_rate_of_a_settlement_and_predictions_of_the_past_change_nothing(tmp_path: Path) -> None:
    late = ev.FundingPredicted(*BTC, DUE, 5e-4, DUE), DUE + 2 * MINUTE_NS
    (one,) = judged(tmp_path, predicted(5, 3e-4), settled(1e-4), late, settled(7e-4, after_min=3))

    assert one.settlements == 1
    assert one.leads[0].bias == pytest.approx(2e-4)
