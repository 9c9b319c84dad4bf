"""What an earlier run still has on, by its own events."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from carryfold.adapters.daemon.earlier_holdings import EarlierRun, earlier_run
from carryfold.adapters.venues import VenueError
from carryfold.domain.codec import encode
from carryfold.domain.events import (
    Event,
    Halted,
    HoldingAdopted,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    ReconciliationCorrected,
    Resumed,
    RunStarted,
)
from carryfold.domain.instruments import Leg, Pair, carry_pair
from carryfold.domain.legacy import OldOrderFilled, OldRunStarted
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.runs import list_runs

D = Decimal
PAIR = carry_pair("bybit", "AAAUSDT", 1, "AAAUSDT")
UNIT = D("0.00000001")  # of a lot of 0.01 coins
RUN = 1


def started(adopts: int = 0) -> RunStarted:
    return RunStarted(5, "live", {}, "code", "", (PAIR,), adopts)


def filled(
    leg: Leg, coins: str, price: str, *, fill_id: str, fee: str = "0", run: int = RUN, pair: Pair = PAIR
) -> OrderFilled:
    """Coins bought (> 0) or sold; a fee in coins."""
    gross = D(coins)
    net = gross - D(fee)
    units = int(net / UNIT)
    value = (abs(net) * D(price)).quantize(D("1e-8"))
    return OrderFilled(
        run, 9, pair, leg, "", fill_id, units, value, D(0), fee_coin="AAA" if D(fee) else "", qty=gross, fee_qty=D(fee)
    )  # fmt: skip


def found(home: Path, *events: Event) -> EarlierRun | None:
    with EventLog.open(home) as log:
        log.append([(encode(event), None, None) for event in (started(), *events)])
    with LogReader.open(home) as reader:
        return earlier_run(reader, list_runs(reader))


def adopted(home: Path, *events: Event) -> list[tuple[str, int, float, Decimal]]:
    earlier = found(home, *events)
    assert earlier is not None
    taken = [one for one in earlier.adopted_by(77, 10) if isinstance(one, HoldingAdopted)]
    return [(one.leg, one.units, one.unit, one.value) for one in taken]


def test_what_is_left_is_adopted_at_average_cost_in_the_units_it_was_counted_in(tmp_path: Path) -> None:
    legs = adopted(
        tmp_path,
        filled("long", "10", "100", fill_id="a", fee="0.01"),
        filled("short", "-9.99", "101", fill_id="b"),
        filled("long", "5", "130", fill_id="c"),
        filled("long", "-7.495", "90", fill_id="d"),
    )

    bought = D("999") + D("650")
    assert legs == [
        ("long", 749_500_000, 1e-8, (bought / 2).quantize(D("1e-8"))),
        ("short", 999_000_000, 1e-8, D("1008.99")),
    ]


def test_every_event_of_an_adoption_names_the_runs_and_what_it_follows_from(tmp_path: Path) -> None:
    earlier = found(tmp_path, filled("long", "1", "100", fill_id="a"))

    assert earlier is not None
    (event,) = earlier.adopted_by(77, 10)
    assert event == HoldingAdopted(77, 10, PAIR, "long", RUN, 100_000_000, 1e-8, D(100), 77)
    assert earlier.pairs == (PAIR,)


def test_a_fill_that_was_logged_twice_counts_once_and_other_runs_do_not(tmp_path: Path) -> None:
    one = filled("long", "1", "100", fill_id="a")
    legs = adopted(tmp_path, one, one, filled("long", "4", "100", fill_id="b", run=55))

    assert legs == [("long", 100_000_000, 1e-8, D(100))]


def test_what_nobody_could_explain_is_worth_what_the_rest_is(tmp_path: Path) -> None:
    legs = adopted(
        tmp_path,
        filled("long", "2", "100", fill_id="a"),
        filled("short", "-2", "100", fill_id="b"),
        ReconciliationCorrected(RUN, 9, PAIR, -50_000_000, 100_000_000, D(0)),
    )

    assert legs == [("long", 150_000_000, 1e-8, D(150)), ("short", 300_000_000, 1e-8, D(300))]


def test_the_unit_is_that_of_the_holding_and_not_of_an_earlier_one(tmp_path: Path) -> None:
    coarse = OrderFilled(RUN, 9, PAIR, "short", "", "c", -200_000, D(200), D(0), qty=D("-2"))  # units of 0.00001
    legs = adopted(
        tmp_path,
        filled("short", "-1", "100", fill_id="a"),
        filled("short", "1", "100", fill_id="b"),
        coarse,
    )

    assert legs == [("short", 200_000, 1e-5, D(200))]


def test_a_perpetual_that_went_long_is_owed_what_was_paid_for_it(tmp_path: Path) -> None:
    legs = adopted(
        tmp_path,
        filled("short", "-1", "100", fill_id="a"),
        filled("short", "3", "110", fill_id="b"),
    )

    assert legs == [("short", -200_000_000, 1e-8, D(-220))]


def test_a_run_that_is_flat_has_nothing_on_and_one_with_an_order_without_an_end_has(tmp_path: Path) -> None:
    intent = OrderIntended(RUN, 9, PAIR, "long", "t-1-5e-s1", "buy", D(1), D(1))
    flat = filled("long", "1", "100", fill_id="a"), filled("long", "-1", "90", fill_id="b")

    assert found(tmp_path / "flat", *flat) is None
    assert found(tmp_path / "ended", intent, OrderRejected(RUN, 9, PAIR, "long", "t-1-5e-s1", "no")) is None
    ordered = found(tmp_path / "ordered", intent)
    assert ordered is not None
    assert (ordered.pairs, ordered.adopted_by(77, 10)) == ((PAIR,), [])


def test_a_run_that_was_taken_over_has_nothing_on_any_more(tmp_path: Path) -> None:
    bought = filled("long", "1", "100", fill_id="a")
    taken = HoldingAdopted(3, 10, PAIR, "long", RUN, 100_000_000, 1e-8, D(100), 3)
    earlier = found(tmp_path, bought, started(adopts=RUN), taken)

    assert earlier is not None
    assert earlier.run == 3
    (again,) = earlier.adopted_by(77, 10)
    assert isinstance(again, HoldingAdopted)
    assert (again.from_run, again.units, again.unit, again.value) == (3, 100_000_000, 1e-8, D(100))


def test_a_run_that_was_halted_hands_its_halt_on_until_a_person_resumes(tmp_path: Path) -> None:
    bought, halted = filled("long", "1", "100", fill_id="a"), Halted(RUN, 9, "a bug")

    cases: list[tuple[list[Event], list[Event]]] = [
        ([bought, halted], [Halted(77, 10, "run 1 was halted: a bug")]),
        ([bought, halted, Resumed(0, 9)], []),
        ([bought, Halted(0, 9, "lunch"), Halted(55, 9, "another run")], []),
    ]
    for number, (events, expected) in enumerate(cases):
        earlier = found(tmp_path / f"{number}", *events)
        assert earlier is not None
        assert [event for event in earlier.adopted_by(77, 10) if isinstance(event, Halted)] == expected


def test_a_run_of_release_0_1_is_read_like_any_other(tmp_path: Path) -> None:
    old = "bybit", "1000AAAUSDT", 1
    fills = [
        OldOrderFilled(RUN, 9, *old, "t-1-5e-s1", "a", "spot", 100_000_000, D(100), D(0), qty=D(1)),
        OldOrderFilled(RUN, 9, *old, "t-1-5e-p1", "b", "perp", -100_000_000, D(101), D(0), qty=D(-1)),
    ]
    began = OldRunStarted(5, "live", {}, "code", "", ("bybit/1000AAAUSDT/1",))
    with EventLog.open(tmp_path) as log:
        log.append([(encode(event), None, None) for event in (began, *fills)])
    with LogReader.open(tmp_path) as reader:
        earlier = earlier_run(reader, list_runs(reader))

    assert earlier is not None
    assert earlier.pairs == (carry_pair("bybit", "1000AAAUSDT", 1, "AAAUSDT"),)
    taken = [one for one in earlier.adopted_by(77, 10) if isinstance(one, HoldingAdopted)]
    assert [(one.leg, one.units, one.unit, one.value) for one in taken] == [
        ("long", 100_000_000, 1e-8, D(100)), ("short", 100_000_000, 1e-8, D(101))
    ]  # fmt: skip


def test_two_runs_that_have_something_on_are_refused(tmp_path: Path) -> None:
    later = filled("long", "1", "100", fill_id="b", run=3)
    with pytest.raises(VenueError, match="runs 1 and 3 both have open positions or orders"):
        found(tmp_path, filled("long", "1", "100", fill_id="a"), started(), later)
