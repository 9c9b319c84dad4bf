"""What a run says of its pairs besides decisions."""

from types import SimpleNamespace
from typing import Any

import pytest

from carryfold.adapters.daemon.run import Run
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind
from tests.domain.build import Row, at, bar, listed
from tests.domain.compiled import fold_rows, ordered


def run_of(*rows: Row) -> Any:
    """A run that has folded these rows of one pair, without a log."""
    run = object.__new__(Run)
    run.state, _ = fold_rows(ordered([listed(), *rows]), [b"AUSDT"], Parameters())
    run.ids, run.names = [0], [SimpleNamespace(symbol="AUSDT")]  # type: ignore[list-item]
    return run


def spot_turnover(hours: float, amount: float) -> Row:
    return (at(hours), at(hours), 0, 0, Kind.ACTIVITY_OBSERVED, 60, amount, -1.0, -1.0, 0.0)


@pytest.mark.parametrize(("spot", "perp", "thin"), [(1e6, 1e3, "perp"), (1e3, 1e6, "spot"), (1e6, -1.0, "spot")])
def test_the_leg_with_less_turnover_is_the_thin_one_for_every_strategy(spot: float, perp: float, thin: str) -> None:
    rows = [row for h in range(1, 5) for row in (bar(h, 100.0, turnover=perp), spot_turnover(h, spot))]

    assert run_of(*rows).thin_leg("AUSDT") == thin
