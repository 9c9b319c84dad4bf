"""What a restart finds in the log of a live run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from carryfold.adapters.daemon.restored import Logged, last_repair, restored_processes
from carryfold.domain.events import EntryDecided, Event, OrderCancelled, OrderFilled, OrderIntended
from carryfold.domain.execution import ExecutionLimits, run_tag
from carryfold.domain.params import Parameters
from carryfold.projections.runs import RunInfo
from tests.domain.execution.facts import LOT, PAIR, RUN, SECOND, START

TAG = run_tag(START)
INFO = RunInfo(RUN, START, "live", Parameters(), "", "", (), RUN)
KEY = PAIR.venue, PAIR.symbol, PAIR.listing


def log(*events: Event) -> list[Logged]:
    """Events one second apart, seqs from 100."""
    return [(100 + i, START + i * SECOND, event) for i, event in enumerate(events)]


def intended(name: str, leg: str, purpose: str) -> OrderIntended:
    """An order of a process."""
    return OrderIntended(RUN, START, *KEY, f"{TAG}-{RUN}-{name}", leg, "buy", Decimal(1), Decimal(9), purpose=purpose)


def ended(process: str) -> OrderCancelled:
    """The end of a process."""
    return OrderCancelled(RUN, START, *KEY, f"{TAG}-{RUN}-{process}", "opened", ended=True)


def filled(units: int, leg: str) -> OrderFilled:
    """A fill of units, bought > 0."""
    return OrderFilled(RUN, START, *KEY, "", f"f{units}{leg}", leg, units, Decimal(100), Decimal(0))


def restored(own: list[Logged]) -> list[Any]:
    """The specs of what is taken up."""
    return [one.spec for one in restored_processes(INFO, {PAIR.symbol: PAIR}, own, ExecutionLimits())]


def test_a_process_with_an_end_is_over_and_one_without_is_taken_up_as_it_began() -> None:
    decided = EntryDecided(RUN, START, *KEY, 5, Decimal(500), {"mid": 100.5})
    own = log(
        intended("90e-s1", "spot", "open"), filled(3 * LOT, "spot"), filled(-3 * LOT, "perp"), ended("90e"), decided,
        intended("104e-p1", "perp", "open"), filled(-LOT, "perp"),
    )  # fmt: skip
    (spec,) = restored(own)
    assert (spec.kind, spec.decision_seq, spec.lots, spec.thin) == ("entry", 104, 5, "perp")
    assert (spec.spot_units, spec.perp_units) == (3 * LOT, 3 * LOT), "what was held before its first order"
    assert spec.price == Decimal("100.5")
    assert spec.started_at == START + 5 * SECOND


def test_the_leg_to_go_first_is_that_of_the_first_order_by_free_will() -> None:
    own = log(intended("99x-p1", "perp", "hedge"), intended("99x-s1", "spot", "close"))
    (spec,) = restored(own)
    assert spec.thin == "spot"
    assert spec.started_at == START


def test_a_repair_takes_no_decision_for_its_own_and_its_number_is_not_used_again() -> None:
    decided = EntryDecided(RUN, START, *KEY, 5, Decimal(500))
    own = log(decided, intended("100r-s1", "spot", "hedge"))
    (spec,) = restored(own)
    assert (spec.kind, spec.lots) == ("repair", 0)
    assert last_repair(own) == 100
    assert last_repair(log(decided, intended("100e-s1", "spot", "open"))) == 0
