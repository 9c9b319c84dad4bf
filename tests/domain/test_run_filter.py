"""The rows of a log that the fold of one run takes."""

import numpy as np

from carryfold.domain.fold import State
from carryfold.domain.instruments import carry_pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.domain.run_filter import RunFilter

A, B = (carry_pair("v", name, spot_symbol=name) for name in "AB")


def rows_of(*rows: tuple[Kind, int, int]) -> Rows:
    """Rows of (kind, subject, slot)."""
    return np.array([(1, 1, 1, subject, int(kind), slot, 0.0, 0.0, 0.0) for kind, subject, slot in rows], ROW)


def summary(rows: Rows) -> list[tuple[Kind, int, int]]:
    return [(Kind(r["kind"]), int(r["subject"]), int(r["slot"])) for r in rows]


def test_a_run_takes_rows_of_its_instruments_of_no_instrument_and_of_the_operator_and_none_of_other_runs() -> None:
    instruments = [leg for pair in (B, A) for leg in pair]
    state = State(Parameters(), instruments, [A])
    rows = rows_of(
        (Kind.QUOTED, 2, 0), (Kind.QUOTED, 0, 0), (Kind.BAR_CLOSED, 3, 60), (Kind.BAR_CLOSED, 1, 60),
        (Kind.CLOCK_TICKED, -1, 0), (Kind.HALTED, -1, 0), (Kind.HALTED, -1, 3), (Kind.HALTED, -1, 4),
        (Kind.LONG_FILLED, 1, 3), (Kind.LONG_FILLED, 1, 2), (Kind.LONG_FILLED, 1, -1),
    )  # fmt: skip
    paper = RunFilter(4, state, [B, A], 3, live=False)(rows)
    live = RunFilter(4, state, [B, A], 3, live=True)(rows)

    assert summary(paper) == [
        (Kind.QUOTED, 2, 0), (Kind.BAR_CLOSED, 3, 60), (Kind.CLOCK_TICKED, -1, 0), (Kind.HALTED, -1, 0),
        (Kind.HALTED, -1, 3),
    ]  # fmt: skip
    assert summary(live) == [*summary(paper), (Kind.LONG_FILLED, 0, 3)], "by the run's own number of the pair"


def test_rows_are_not_copied_where_none_is_left_out() -> None:
    rows = rows_of((Kind.QUOTED, 0, 0), (Kind.QUOTED, 1, 0), (Kind.CLOCK_TICKED, -1, 0))

    assert RunFilter(2, State(Parameters(), [*A], [A]), [], 3, live=True)(rows) is rows


def test_an_instrument_that_is_newer_than_the_run_is_left_out() -> None:
    state = State(Parameters(), [*A], [A])

    assert summary(RunFilter(2, state, [], 3, live=True)(rows_of((Kind.QUOTED, 2, 0), (Kind.QUOTED, 1, 0)))) == [
        (Kind.QUOTED, 1, 0)
    ]
