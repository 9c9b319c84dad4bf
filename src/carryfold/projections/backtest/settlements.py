"""The settled rates of each perpetual of a run: their number, their sum, and how many were at the venue's base rate.

The sum of its rates is the funding that a short would have received per unit of notional, before costs.
"""

import math
from collections import Counter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Instrument
from carryfold.projections.backtest.measures import ended_legs
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import NOW, Cursor, format_time
from carryfold.projections.quality_rules import SettlementRule, with_given_intervals
from carryfold.projections.rates import BASE_RATE
from carryfold.projections.tape import Tape

__all__ = ["Settlements", "list_settlements"]

_SETTLED: Final = np.dtype([("subject", "i8"), ("known_at", "i8"), ("event_at", "i8"), ("a", "f8"), ("b", "f8")])


class Settlements(msgspec.Struct, frozen=True, kw_only=True):
    """One perpetual's settled rates. `share_at_interest`: the fraction at exactly the venue's base rate. `intervals`:
    settlements by the hours of the interval in force; those without one, and late ones, are left out. `ended`:
    delisted, or without data for longer than dead_s at the end of the run. `priced`: every pair of the run that it is
    a leg of has prices of both legs."""

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


def list_settlements(tape: Tape, run: Backtest, cursor: Cursor = NOW) -> list[Settlements]:
    """The perpetuals of `run` by symbol, over the rows on which it decided. Takes 40 bytes for each settlement."""
    perpetuals = run.selection.perpetuals
    found = [np.zeros(0, _SETTLED)]
    for rows in tape.blocks(cursor, since=run.since, until=run.until, instrument_ids=set(perpetuals)):
        settled = with_given_intervals(rows)
        kept = np.empty(len(settled), _SETTLED)
        for name in kept.dtype.names or ():
            kept[name] = settled[name]
        found.append(kept)
    every = np.concatenate(found)
    every = every[np.lexsort([every[name] for name in ("a", "event_at", "known_at", "subject")])]
    ended, priced = _ended_and_priced(run)
    summaries = []
    for number, instrument in perpetuals.items():
        start, stop = np.searchsorted(every["subject"], [number, number + 1]).tolist()
        summaries.append(_summary(instrument, every[start:stop], ended=ended[number], priced=priced[number]))
    return sorted(summaries, key=lambda one: (one.symbol, one.venue, one.listing))


def _ended_and_priced(run: Backtest) -> tuple[dict[int, bool], dict[int, bool]]:
    """By id of an instrument, over all pairs that it is a leg of."""
    view = run.state.view
    ended: dict[int, bool] = {}
    priced: dict[int, bool] = {}
    for leg, gone in zip(("long", "short"), ended_legs(run), strict=True):
        for number, is_gone, is_priced in zip(view[leg].tolist(), gone.tolist(), view["priced"].tolist(), strict=True):
            ended[number] = ended.get(number, False) or is_gone
            priced[number] = priced.get(number, True) and bool(is_priced)
    return ended, priced


def _summary(name: Instrument, settled: npt.NDArray[np.void], *, ended: bool, priced: bool) -> Settlements:
    rates, at = settled["a"], settled["event_at"]
    rule = SettlementRule()
    hours = Counter(rule.judge(*one).hours for one in zip(at.tolist(), settled["b"].tolist(), strict=True))
    return Settlements(
        symbol=name.symbol,
        venue=name.venue,
        listing=name.listing,
        settlements=len(settled),
        rate_sum=math.fsum(rates.tolist()),
        share_at_interest=float((rates == BASE_RATE).mean()) if len(settled) else None,
        intervals={f"{h:g}": n for h, n in hours.most_common() if h > 0},
        first=format_time(int(at.min())) if len(settled) else None,
        last=format_time(int(at.max())) if len(settled) else None,
        ended=ended,
        priced=priced,
    )
