"""What each pair settled over a run: how often, how much in all, and how often at the venue's base rate.

The sum of a pair's rates is what holding it would have received per unit of notional, before prices and costs.
"""

import math
from collections import Counter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import NOW, Cursor, format_time
from carryfold.projections.quality_rules import SettlementRule, with_told_intervals
from carryfold.projections.rates import BASE_RATE
from carryfold.projections.tape import Tape

__all__ = ["PairSettlements", "list_settlements"]

_SETTLED: Final = np.dtype([("pair", "i8"), ("known_at", "i8"), ("event_at", "i8"), ("a", "f8"), ("b", "f8")])


class PairSettlements(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's settled rates. `share_at_interest`: the fraction at exactly the venue's base rate. `intervals`:
    settlements by the hours of the interval in force; those without one, and late ones, are left out. `ended`:
    delisted, or without data for longer than dead_s at the end of the run."""

    symbol: str
    venue: str
    listing: int
    settlements: int
    rate_sum: float
    share_at_interest: float | None
    intervals: dict[str, int]
    first: str | None
    last: str | None
    ended: bool
    priced: bool


def list_settlements(tape: Tape, run: Backtest, cursor: Cursor = NOW) -> list[PairSettlements]:
    """The selected pairs of `run` by symbol, over the rows on which it decided. Takes 40 bytes for each settlement."""
    found = [np.zeros(0, _SETTLED)]
    for rows in tape.blocks(cursor, since=run.since, until=run.until, pair_ids=set(run.selection.ids)):
        settled = with_told_intervals(rows)
        kept = np.empty(len(settled), _SETTLED)
        for name in kept.dtype.names or ():
            kept[name] = settled[name]
        found.append(kept)
    every = np.concatenate(found)
    every = every[np.lexsort([every[name] for name in ("a", "event_at", "known_at", "pair")])]
    cuts = np.searchsorted(every["pair"], [*run.selection.ids, len(run.selection.names)]).tolist()
    summaries = [
        _summary(run, pair, every[start:stop])
        for pair, start, stop in zip(run.selection.ids, cuts, cuts[1:], strict=False)
    ]
    return sorted(summaries, key=lambda one: (one.symbol, one.venue, one.listing))


def _summary(run: Backtest, pair: int, settled: npt.NDArray[np.void]) -> PairSettlements:
    name, state = run.selection.names[pair], run.state.view[pair]
    silent_ns = int(run.book["now"]) - int(state["market_known_at"])
    rates, at = settled["a"], settled["event_at"]
    rule = SettlementRule()
    hours = Counter(rule.see(*one).hours for one in zip(at.tolist(), settled["b"].tolist(), strict=True))
    return PairSettlements(
        symbol=name.symbol,
        venue=name.venue,
        listing=name.listing,
        settlements=len(settled),
        rate_sum=math.fsum(rates.tolist()),
        share_at_interest=float((rates == BASE_RATE).mean()) if len(settled) else None,
        intervals={f"{h:g}": n for h, n in hours.most_common() if h > 0},
        first=format_time(int(at.min())) if len(settled) else None,
        last=format_time(int(at.max())) if len(settled) else None,
        ended=bool(state["delisted"] or (state["first_at"] and silent_ns > run.params.dead_s * 10**9)),
        priced=bool(state["priced"]),
    )
