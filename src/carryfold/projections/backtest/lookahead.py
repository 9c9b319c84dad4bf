"""Look-ahead checks on the user's own log: does a run up to a cut depend on what became known after it?

Two runs are compared with the whole one at every cut. *Prefix*: the rows after the cut are left out. *Poison*: they are
replaced by wild ones of the same kinds. In both, the pairs are chosen anew from the rows that the run is given, as is
the universe, and decisions, fills, days and the state at the cut must be equal. A check that passes says that no
difference was found at these cuts.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Protocol

import msgspec
import numpy as np

from carryfold.domain.fold.codes import ACTIONS
from carryfold.domain.instruments import Listing
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.projections.backtest.differences import first_difference
from carryfold.projections.backtest.run import Backtest, Blocks, run_blocks
from carryfold.projections.backtest.selection import PairRequest, Selection, SelectionError, choose_pairs, listed_ids
from carryfold.projections.cursor import DAY_NS, format_time

__all__ = ["LookaheadReport", "Runner", "check_lookahead", "check_runner", "poisoned"]

_LOT_FACTORS: Final = (1.0, 2.0, 5.0, 10.0)  # a lot stays a short decimal


class LookaheadReport(msgspec.Struct, frozen=True):
    """The result: the first difference found (None: none). `decisions`: entries and exits of the whole run."""

    ok: bool
    cuts: int
    decisions: int
    first_difference: str | None


class Runner(Protocol):
    """Chooses pairs among the rows of `blocks` and runs a strategy over them, keeping the states at `cuts`."""

    def __call__(self, blocks: Blocks, cuts: Sequence[int], /) -> Backtest: ...


def check_lookahead(
    blocks: Blocks,
    params: Parameters,
    request: PairRequest,
    listings: Sequence[Listing],
    *,
    since: int = 0,
    cuts: int = 5,
    seed: int = 1,
) -> LookaheadReport:
    """Cut the rows at `cuts` instants chosen by `seed`, none before `since` (ns), and compare. `blocks` are those of
    the whole log under the cursor; they are read 4 * cuts + 3 times."""

    def run(source: Blocks, at: Sequence[int]) -> Backtest:
        try:
            selection = choose_pairs(request, listings, listed_ids(source()))
        except SelectionError:  # nothing of what was asked for is known yet
            selection = Selection(listings, ())
        return run_blocks(lambda: _of_run(source, selection), params, selection, since=since, cuts=at)

    return check_runner(run, blocks, since=since, cuts=cuts, seed=seed)


def _of_run(blocks: Blocks, selection: Selection) -> Iterator[Rows]:
    """The rows of the selected instruments, and those of none."""
    wanted = np.zeros(len(selection.listings) + 1, np.bool_)
    wanted[[*selection.instrument_ids, -1]] = True
    for rows in blocks():
        kept = rows[wanted[np.where(rows["kind"] >= Kind.CLOCK_TICKED, -1, rows["subject"])]]
        if len(kept):
            yield kept


def check_runner(run: Runner, blocks: Blocks, *, cuts: int, seed: int, since: int = 0) -> LookaheadReport:
    """The same for any runner, so that tests can show that runners with a leak are found."""
    chosen = _choose_cuts(blocks, cuts, seed, since)
    whole = run(blocks, chosen)
    decisions = int((whole.decisions["action"] != ACTIONS.index("refused")).sum())
    for cut in chosen:
        for name, source in (
            ("prefix", lambda cut=cut: _before(blocks, cut)),
            ("poison", lambda cut=cut: poisoned(blocks, cut, seed)),
        ):
            difference = first_difference(whole, run(source, [cut]), cut)
            if difference is not None:
                text = f"{name} check at {format_time(cut)}: {difference}"
                return LookaheadReport(False, len(chosen), decisions, text)
    return LookaheadReport(True, len(chosen), decisions, None)


def _choose_cuts(blocks: Blocks, cuts: int, seed: int, since: int) -> list[int]:
    """Instants spread over the rows: one drawn from each of `cuts` equal shares of the instants."""
    instants = np.unique(np.concatenate([np.zeros(0, np.int64), *(np.unique(b["known_at"]) for b in blocks())]))
    instants = instants[instants >= max(since, 1)]
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
    """The same rows, with the values of all market rows after `cut` replaced by wild ones: prices, turnover, rates,
    revisions, activity, trading rules, delistings and clock steps."""
    draw = np.random.Generator(np.random.PCG64(seed))
    for rows in blocks():
        wild = np.array(rows, ROW)
        start = int(np.searchsorted(wild["known_at"], cut, side="right"))
        if start < len(wild):
            _poison(wild[start:], draw)
        yield wild


def _poison(rows: Rows, draw: np.random.Generator) -> None:
    """Change rows in place. Times of becoming known stay, and what was not observed stays so."""
    kinds = rows["kind"]
    scaled = {
        Kind.QUOTED: "ab",
        Kind.BAR_CLOSED: "abc",
        Kind.FUNDING_PREDICTED: "b",
        Kind.ACTIVITY_OBSERVED: "ab",
        Kind.INSTRUMENT_LISTED: "b",
        Kind.INSTRUMENT_CHANGED: "b",
    }
    for kind, fields in scaled.items():
        for field in fields:
            mine = (kinds == kind) & (rows[field] > 0)
            rows[field][mine] *= np.exp(draw.normal(0, 1, int(mine.sum())))
    for kind, fields in ((Kind.FUNDING_SETTLED, "a"), (Kind.FUNDING_PREDICTED, "a"), (Kind.FUNDING_REVISED, "ac")):
        for field in fields:
            mine = kinds == kind
            rows[field][mine] = draw.normal(0, 0.005, int(mine.sum()))
    _poison_rules(rows, draw)
    flags = (kinds == Kind.CLOCK_STEPPED) | (kinds == Kind.UNIVERSE_CHANGED)
    rows["a"][flags] = draw.integers(0, 2, int(flags.sum()))


def _poison_rules(rows: Rows, draw: np.random.Generator) -> None:
    """Other lots and multipliers, delistings announced or called off, and delistings of other instruments."""
    kinds = rows["kind"]
    for place in np.flatnonzero((kinds == Kind.INSTRUMENT_LISTED) | (kinds == Kind.INSTRUMENT_CHANGED)).tolist():
        rows["a"][place] = float(f"{rows['a'][place] * draw.choice(_LOT_FACTORS):.12g}")
        if kinds[place] == Kind.INSTRUMENT_LISTED:
            rows["c"][place] *= draw.choice((1.0, 10.0))
        else:
            later_ms = rows["known_at"][place] // 1_000_000 + int(draw.integers(1, 30)) * 86_400_000
            rows["c"][place] = draw.choice((0.0, -1.0, float(later_ms)))
    delisted = np.flatnonzero(kinds == Kind.INSTRUMENT_DELISTED)
    subjects = rows["subject"][(kinds < Kind.CLOCK_TICKED) & (rows["subject"] >= 0)]
    rows["subject"][delisted] = draw.choice(subjects, len(delisted)) if len(delisted) else rows["subject"][delisted]
    rows["event_at"][delisted] -= draw.integers(0, 5, len(delisted)) * DAY_NS
