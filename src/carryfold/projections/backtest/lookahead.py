"""Look-ahead checks on the user's own log: the prefix property and future poison.

Prefix: the decisions up to a cut are the same whether the fold is given the rows after the cut or not, and the state of
the short fold is the state the long one had there. Poison: whatever the rows after the cut say, the decisions up to it
stay. Both hold by construction; these checks would notice the day the construction is broken.
"""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.params import Parameters
from carryfold.domain.rows import Kind, Rows
from carryfold.projections.backtest.run import Backtest, Blocks, run_blocks
from carryfold.projections.backtest.selection import Selection
from carryfold.projections.cursor import format_time

__all__ = ["LookaheadReport", "check_lookahead", "decisions_until", "poisoned"]

_VALUES: Final = ("a", "b", "c")


class LookaheadReport(msgspec.Struct, frozen=True):
    """What was checked, and the first difference found (None: none)."""

    ok: bool
    cuts: int
    decisions: int
    first_difference: str | None


Runner = Callable[[Blocks], Backtest]


def check_lookahead(
    blocks: Blocks, params: Parameters, selection: Selection, *, since: int = 0, cuts: int = 5, seed: int = 1
) -> LookaheadReport:
    """Cut the rows at `cuts` instants chosen by `seed` and compare. Reads the rows 2 * cuts + 1 times."""

    def run(source: Blocks) -> Backtest:
        return run_blocks(source, params, selection, since=since)

    return check_runner(run, blocks, cuts=cuts, seed=seed)


def check_runner(run: Runner, blocks: Blocks, *, cuts: int, seed: int) -> LookaheadReport:
    """The same for any way to run a strategy over blocks, so that tests can show it catching ones that leak."""
    whole = run(blocks)
    chosen = _choose_cuts(blocks, cuts, seed)
    for cut in chosen:
        expected = decisions_until(whole, cut)
        for name, source in (
            ("prefix", lambda cut=cut: _before(blocks, cut)),
            ("poison", lambda cut=cut: poisoned(blocks, cut, seed)),
        ):
            found = decisions_until(run(source), cut)
            difference = _first_difference(whole.selection, expected, found)
            if difference is not None:
                text = f"{name} check at {format_time(cut)}: {difference}"
                return LookaheadReport(False, len(chosen), len(expected), text)
    return LookaheadReport(True, len(chosen), len(decisions_until(whole, 2**62)), None)


def _choose_cuts(blocks: Blocks, cuts: int, seed: int) -> list[int]:
    """Instants spread over the rows: one drawn from each of `cuts` equal shares of the instants."""
    instants = np.unique(np.concatenate([np.zeros(0, np.int64), *(np.unique(b["known_at"]) for b in blocks())]))
    instants = instants[instants > 0]
    if len(instants) == 0:
        return []
    draw = random.Random(seed)  # noqa: S311 - where to look, not a secret
    edges = np.linspace(0, len(instants), min(cuts, len(instants)) + 1).astype(int)
    return [int(instants[draw.randrange(a, b)]) for a, b in pairwise(edges)]


def _before(blocks: Blocks, cut: int) -> Iterator[Rows]:
    """Only the rows known at or before `cut`."""
    for rows in blocks():
        known = rows[rows["known_at"] <= cut]
        if len(known):
            yield known.copy()
        if len(known) < len(rows):
            return


def poisoned(blocks: Blocks, cut: int, seed: int) -> Iterator[Rows]:
    """The same rows, with every market value after `cut` replaced by a wild one."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for rows in blocks():
        wild = rows.copy()
        later = wild["known_at"] > cut
        prices = later & np.isin(wild["kind"], (Kind.QUOTED, Kind.BAR_CLOSED))
        rates = later & np.isin(wild["kind"], (Kind.FUNDING_SETTLED, Kind.FUNDING_PREDICTED))
        scale = np.exp(generator.normal(0, 1, len(wild)))
        for value in _VALUES:
            wild[value][prices] = np.where(wild[value] > 0, wild[value] * scale, wild[value])[prices]
        wild["a"][rates] = generator.normal(0, 0.005, len(wild))[rates]
        yield wild


def decisions_until(run: Backtest, cut: int) -> list[tuple[int, int, str, int]]:
    """(t, pair, action, lots) of the entries and exits decided at or before `cut`, in order."""
    kept = run.decisions[(run.decisions["t"] <= cut) & (run.decisions["action"] != ACTIONS.index("refused"))]
    return [(int(d["t"]), int(d["pair"]), ACTIONS[d["action"]], int(d["lots"])) for d in kept]


def _first_difference(
    selection: Selection, expected: list[tuple[int, int, str, int]], found: list[tuple[int, int, str, int]]
) -> str | None:
    for n in range(max(len(expected), len(found))):
        a = expected[n] if n < len(expected) else None
        b = found[n] if n < len(found) else None
        if a != b:
            with_it, without = _described(selection, a), _described(selection, b)
            return f"decision {n + 1} is {with_it} with the future and {without} without it"
    return None


def _described(selection: Selection, decision: tuple[int, int, str, int] | None) -> str:
    if decision is None:
        return "missing"
    t, pair, action, lots = decision
    return f"{action} {selection.label(pair)} {lots} lots at {format_time(t)}"
