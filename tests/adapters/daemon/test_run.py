"""What a run reports beside its decisions."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from carryfold.adapters.daemon.run import Run
from carryfold.domain.fold import Output, State, simulate
from carryfold.domain.fold.codes import ENTRY
from carryfold.domain.instruments import LOT_UNITS, Listing
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.runs import RunInfo
from tests.domain.build import Row, at, bar, listed
from tests.domain.compiled import carry, ordered


def run_of(*rows: Row | list[Row]) -> Run:
    """A run that has folded these rows of one pair, without a log."""
    (spot, perp), (pair,) = carry("AUSDT")
    listings = [Listing(spot, "A", "USDT"), Listing(perp, "A", "USDT")]
    info = RunInfo(1, 0, "paper", Parameters(), "", "", (pair,), 1)
    tape: Any = SimpleNamespace(instruments=listings, pairs=[], runs=[0, 1])
    run = Run(info, tape)
    run.fold(ordered([listed(), *rows]))
    return run


def turnover(hours: float, leg: int, amount: float) -> Row:
    return (at(hours), at(hours), 0, leg, Kind.ACTIVITY_OBSERVED, 60, amount, -1.0, 0.0)


@pytest.mark.parametrize(("spot", "perp", "thin"), [(1e6, 1e3, "short"), (1e3, 1e6, "long"), (1e6, -1.0, "long")])
def test_the_leg_with_less_turnover_is_the_thin_one_for_every_strategy(spot: float, perp: float, thin: str) -> None:
    rows = [row for h in range(1, 5) for row in (*bar(h, 100.0, turnover=perp), turnover(h, 0, spot))]
    run = run_of(*rows)

    assert run.thin_leg(run.pairs[0]) == thin


def test_a_holding_is_counted_in_millionths_of_the_lot() -> None:
    run = run_of()

    assert run.unit_of(run.pairs[0]) == (Decimal("0.000000000001"), LOT_UNITS)


def test_whoever_looks_while_the_writer_folds_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run, begun, end = run_of(), threading.Event(), threading.Event()
    looks: list[Callable[[], Any]] = [run.status, run.busy_legs, run.pending]
    looks += [partial(run.unit_of, run.pairs[0]), partial(run.thin_leg, run.pairs[0])]

    def slow(state: State, rows: Rows) -> Output:
        state.book["halted"] = 1
        state.pair["pending"] = ENTRY
        begun.set()
        assert end.wait(30)
        return simulate(state, rows[:0])

    monkeypatch.setattr("carryfold.adapters.daemon.run.simulate", slow)
    with ThreadPoolExecutor(1 + len(looks)) as pool:
        fold = pool.submit(run.fold, ordered([bar(1.0, 100.0)]))
        assert begun.wait(30)
        found = [pool.submit(look) for look in looks]
        early = wait(found, timeout=0.05).done
        end.set()
        assert not early
        fold.result(30)
        status, busy, pending, *_ = [one.result(30) for one in found]
    assert not status.may_enter
    assert (busy, [is_entry for _, is_entry in pending]) == ({*run.pairs[0]}, [True])
