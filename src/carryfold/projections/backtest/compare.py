"""Strategies side by side on the same rows, capital and span: simple, composite, users' own, hold, hold_majors, cash.

With legs = both each strategy but hold trades carry pairs alone, spreads alone, and both at once.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from carryfold.domain.instruments import Legs
from carryfold.domain.params import Parameters
from carryfold.domain.strategies import Strategy, registered
from carryfold.projections.backtest.figures import Figures, compute_figures
from carryfold.projections.backtest.run import Backtest, run_backtest
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.tape import Tape

__all__ = ["Comparison", "compare"]

_VARIANTS: Final[tuple[Legs, ...]] = ("carry", "spread", "both")


class Comparison(msgspec.Struct, frozen=True):
    """Figures by name: of the strategy, and with legs = both of the variant too (simple_carry, simple_spread,
    simple_both); cash as a return only."""

    strategies: dict[str, Figures]
    cash_return_on_capital: float
    cash_return_on_capital_annual: float


class _Planned(NamedTuple):
    """One run of a comparison."""

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
    where neither major is selected. `started` is told how many runs are done, and of how many."""
    plan = _planned(params, selection)
    runs: dict[str, Backtest] = {}
    for number, one in enumerate(plan):
        if started is not None:
            started(number, len(plan))
        runs[one.name] = run_backtest(tape, one.params, one.selection, cursor=cursor, since=since, until=until)
    hold = compute_figures(runs["hold"]).return_on_capital if "hold" in runs else None
    figures = {name: compute_figures(run, hold) for name, run in runs.items()}
    cash = next(iter(figures.values())).cash_return_on_capital
    return Comparison(figures, cash or 0.0, params.cash_apr), runs


def _planned(params: Parameters, selection: Selection) -> list[_Planned]:
    plan: list[_Planned] = []
    for strategy in registered():
        if strategy.name != "hold":
            plan += _variants(strategy, params, selection)
    if any(pair.is_carry for pair in selection.pairs):
        plan.append(_Planned("hold", params.changed({"strategy": "hold"}), selection))
    if selection.majors().pairs:
        plan.append(_part("hold_majors", "hold", params, selection, selection.majors()))
    return plan


def _variants(strategy: Strategy, params: Parameters, selection: Selection) -> list[_Planned]:
    """A strategy's runs. Variants without pairs, and those of which another has all pairs, are left out."""
    if params.legs != "both":
        return [_Planned(strategy.name, params.changed({"strategy": strategy.name}), selection)]
    plan: list[_Planned] = []
    for legs in _VARIANTS:
        part = selection.of_legs(legs)
        tried = any(part.pairs == one.selection.pairs for one in plan)
        if part.pairs and not tried and (legs == "carry" or not strategy.carry_only):
            name = f"{strategy.name}_{legs}"
            plan.append(_part(name, strategy.name, params.changed({"legs": legs}), selection, part))
    return plan


def _part(name: str, strategy: str, params: Parameters, whole: Selection, part: Selection) -> _Planned:
    """A run of some of the pairs. Where they lie at fewer venues, `split` does not fit, and the shares are equal."""
    split = params.split if part.venues == whole.venues else ""
    return _Planned(name, params.changed({"strategy": strategy, "split": split}), part)
