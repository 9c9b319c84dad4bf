"""Strategies side by side on the same rows, capital and span: simple, composite, hold, hold_majors, cash."""

from collections.abc import Callable

import msgspec

from carryfold.domain.params import Parameters
from carryfold.projections.backtest.figures import Figures, compute_figures
from carryfold.projections.backtest.run import Backtest, run_backtest
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape

__all__ = ["Comparison", "compare", "hold_return"]


class Comparison(msgspec.Struct, frozen=True):
    """Figures by strategy name; cash as a return only."""

    strategies: dict[str, Figures]
    cash_return_on_capital: float
    cash_return_on_capital_annual: float


def compare(
    tape: Tape,
    params: Parameters,
    selection: Selection,
    *,
    cursor: Cursor = NOW,
    since: int = 0,
    until: int | None = None,
    started: Callable[[str], None] | None = None,
) -> tuple[Comparison, dict[str, Backtest]]:
    """Run every strategy with otherwise equal parameters. hold_majors is left out where neither major is selected."""
    majors = selection.majors()
    plan = [("simple", selection), ("composite", selection), ("hold", selection)]
    if majors.ids:
        plan.append(("hold_majors", majors))
    runs: dict[str, Backtest] = {}
    for name, chosen in plan:
        if started is not None:
            started(name)
        one = params.changed({"strategy": "hold" if name == "hold_majors" else name})
        runs[name] = run_backtest(tape, one, chosen, cursor=cursor, since=since, until=until)
    hold = _return(runs["hold"])
    figures = {name: compute_figures(run, hold) for name, run in runs.items()}
    return Comparison(figures, figures["hold"].cash_return_on_capital or 0.0, params.cash_apr), runs


def hold_return(
    tape: Tape,
    params: Parameters,
    selection: Selection,
    *,
    cursor: Cursor = NOW,
    since: int = 0,
    until: int | None = None,
) -> float:
    """What `hold` returns on the same capital, rows and costs."""
    run = run_backtest(tape, params.changed({"strategy": "hold"}), selection, cursor=cursor, since=since, until=until)
    return _return(run)


def _return(run: Backtest) -> float:
    return compute_figures(run).return_on_capital
