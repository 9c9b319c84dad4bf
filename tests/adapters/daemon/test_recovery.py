"""Recovery of a live run from its log."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from carryfold.adapters.daemon.recovery import Logged, interrupted_processes, last_repair, run_events
from carryfold.domain.events import (
    EntryDecided,
    Event,
    HedgeEnded,
    HoldingAdopted,
    OrderFilled,
    OrderIntended,
    RunStarted,
)
from carryfold.domain.execution import ExecutionLimits, run_tag
from carryfold.domain.instruments import Leg
from carryfold.domain.params import Parameters
from carryfold.eventlog import LogReader
from carryfold.projections.runs import RunInfo
from tests.adapters.daemon.world import events_of
from tests.domain.execution.facts import LOT, PAIR, RUN, SECOND, START

TAG = run_tag(START)
INFO = RunInfo(RUN, START, "live", Parameters(), "", "", (), RUN)


def log(*events: Event) -> list[Logged]:
    """Events one second apart, seqs from 100."""
    return [Logged(100 + i, START + i * SECOND, event) for i, event in enumerate(events)]


def intended(name: str, leg: Leg, purpose: str) -> OrderIntended:
    """An order of a process."""
    name = f"{TAG}-{RUN}-{name}"
    return OrderIntended(RUN, START, PAIR.pair, leg, name, "buy", Decimal(1), Decimal(9), purpose=purpose)


def ended(process: str) -> HedgeEnded:
    """The end of a process."""
    return HedgeEnded(RUN, START, PAIR.pair, f"{TAG}-{RUN}-{process}", "entry", "opened")


def filled(units: int, leg: Leg) -> OrderFilled:
    """A fill of units, bought > 0."""
    return OrderFilled(RUN, START, PAIR.pair, leg, "", f"f{units}{leg}", units, Decimal(100), Decimal(0))


def restored(own: list[Logged]) -> list[Any]:
    """The specs of what is taken up."""
    return [one.spec for one in interrupted_processes(INFO, {PAIR.name: PAIR}, own, ExecutionLimits())]


def test_a_process_with_an_end_is_over_and_one_without_is_taken_up_as_it_began() -> None:
    decided = EntryDecided(RUN, START, PAIR.pair, 5, Decimal(500), {"mid": 100.5})
    own = log(
        intended("90e-s1", "long", "open"), filled(3 * LOT, "long"), filled(-3 * LOT, "short"), ended("90e"), decided,
        intended("104e-p1", "short", "open"), filled(-LOT, "short"),
    )  # fmt: skip
    (spec,) = restored(own)
    assert (spec.kind, spec.decision_seq, spec.lots, spec.thin) == ("entry", 104, 5, "short")
    assert (spec.long_units, spec.short_units) == (3 * LOT, 3 * LOT), "what was held before its first order"
    assert spec.price == Decimal("100.5")
    assert spec.started_at == START + 5 * SECOND


def test_the_leg_to_go_first_is_that_of_the_first_order_by_free_will() -> None:
    own = log(intended("99x-p1", "short", "hedge"), intended("99x-s1", "long", "close"))
    (spec,) = restored(own)
    assert spec.thin == "long"
    assert spec.started_at == START


def test_a_repair_takes_no_decision_for_its_own_and_its_number_is_not_used_again() -> None:
    decided = EntryDecided(RUN, START, PAIR.pair, 5, Decimal(500))
    own = log(decided, intended("100r-s1", "long", "hedge"))
    (spec,) = restored(own)
    assert (spec.kind, spec.lots) == ("repair", 0)
    assert last_repair(own) == 100
    assert last_repair(log(decided, intended("100e-s1", "long", "open"))) == 0


def test_the_events_of_runs_are_read_without_the_market_s(paper_home: Path) -> None:
    own = [one for one in events_of(paper_home) if hasattr(one[2], "run") or isinstance(one[2], RunStarted)]
    with LogReader.open(paper_home) as reader:
        assert [tuple(one) for one in run_events(reader)] == own
        first = own[0][0]
        of_first = [one for one in own if one[0] == first or getattr(one[2], "run", None) in (0, first)]
        assert [tuple(one) for one in run_events(reader, {first})] == of_first
        assert 0 < len(of_first) < len(own)


def test_what_was_adopted_is_held_when_a_process_begins() -> None:
    own = log(
        HoldingAdopted(RUN, START, PAIR.pair, "long", RUN - 1, 3 * LOT, 1e-5, Decimal(300)),
        HoldingAdopted(RUN, START, PAIR.pair, "short", RUN - 1, 2 * LOT, 1e-5, Decimal(200)),
        intended("104x-p1", "short", "close"),
    )
    (spec,) = restored(own)
    assert (spec.long_units, spec.short_units) == (3 * LOT, 2 * LOT)
