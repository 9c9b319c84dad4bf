"""Strategies side by side on the same rows, capital and span: simple, composite, users' own, hold, hold_majors, cash.

The span begins when the first pair of any run could be traded. With legs = both each strategy but hold is run three
times: with carry pairs, with spreads, and with both.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from carryfold.domain.instruments import Legs
from carryfold.domain.params import Parameters
from carryfold.domain.strategies import Strategy, registered
from carryfold.projections.backtest.figures import Figures
from carryfold.projections.backtest.measures import compute_figures
from carryfold.projections.backtest.run import Backtest, run_backtest
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape

__all__ = ["Comparison", "compare"]

_VARIANTS: Final[tuple[Legs, ...]] = ("carry", "spread", "both")


class Comparison(msgspec.Struct, frozen=True):
    """Figures by the name of the strategy, with legs = both by that of the variant too (simple_carry, simple_spread,
    simple_both). Cash has returns only."""

    strategies: dict[str, Figures]
    cash_return_on_capital: float
    cash_return_on_capital_annual: float


class _PlannedRun(NamedTuple):
    """One run to make."""

    name: str
    params: Parameters
    selection: Selection


def compare(
    tape: Tape,
    params: Parameters,
    selection: Selection,
    *,
    cursor: Cursor = NOW,
    since: int = 0,
    until: int | None = None,
    started: Callable[[int, int], None] | None = None,
) -> tuple[Comparison, dict[str, Backtest]]:
    """Run every strategy with otherwise equal parameters. hold is left out where there are no carry pairs, hold_majors
    where neither major is selected. `started` is called before each run with the numbers of finished and of all
    runs."""
    plan = _plan_runs(params, selection)
    runs: dict[str, Backtest] = {}
    for number, one in enumerate(plan):
        if started is not None:
            started(number, len(plan))
        runs[one.name] = run_backtest(tape, one.params, one.selection, cursor=cursor, since=since, until=until)
    begin = min((run.tradeable_at for run in runs.values() if run.tradeable_at is not None), default=None)
    for run in runs.values():
        run.tradeable_at = begin
    hold = compute_figures(runs["hold"]) if "hold" in runs else None
    figures = {name: compute_figures(run, hold) for name, run in runs.items()}
    cash = next(iter(figures.values())).cash_return_on_capital
    return Comparison(figures, cash or 0.0, params.cash_apr), runs


def _plan_runs(params: Parameters, selection: Selection) -> list[_PlannedRun]:
    plan: list[_PlannedRun] = []
    for strategy in registered():
        if strategy.name != "hold":
            plan += _variants(strategy, params, selection)
    if any(pair.is_carry for pair in selection.pairs):
        plan.append(_PlannedRun("hold", params.changed({"strategy": "hold"}), selection))
    if selection.majors().pairs:
        plan.append(_part("hold_majors", "hold", params, selection, selection.majors()))
    return plan


def _variants(strategy: Strategy, params: Parameters, selection: Selection) -> list[_PlannedRun]:
    """A strategy's runs. Variants without pairs, and those of which another has all pairs, are left out."""
    if params.legs != "both":
        return [_PlannedRun(strategy.name, params.changed({"strategy": strategy.name}), selection)]
    plan: list[_PlannedRun] = []
    for legs in _VARIANTS:
        part = selection.of_legs(legs)
        tried = any(part.pairs == one.selection.pairs for one in plan)
        if part.pairs and not tried and (legs == "carry" or not strategy.carry_only):
            name = f"{strategy.name}_{legs}"
            plan.append(_part(name, strategy.name, params.changed({"legs": legs}), selection, part))
    return plan


def _part(name: str, strategy: str, params: Parameters, whole: Selection, part: Selection) -> _PlannedRun:
    """A run of some of the pairs. Where they lie at fewer venues, `split` does not fit, and the shares are equal."""
    split = params.split if part.venues == whole.venues else ""
    return _PlannedRun(name, params.changed({"strategy": strategy, "split": split}), part)
