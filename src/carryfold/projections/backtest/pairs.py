"""What each pair settled over a run: how often, how much in all, and how often at the venue's base rate.

The sum of a pair's rates is what holding it would have received per unit of notional, before prices and costs.
"""

import math
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.rows import Kind
from carryfold.projections.backtest.run import Backtest
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, NOW, Cursor, format_time
from carryfold.projections.tape import Tape

__all__ = ["BASE_RATE", "PairSettlements", "list_settlements"]

BASE_RATE: Final = 0.0001
"""The interest component that venues settle at while a perpetual trades near its index."""

_INTERVALS_H: Final = np.array([1.0, 2.0, 4.0, 6.0, 8.0])
_TOLERANCE_H: Final = 10 * MINUTE_NS / HOUR_NS


class PairSettlements(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's settled rates. `intervals`: settlements by hours, as the source says or, where it does not, by the
    spacing to the one before; those of which neither tells are left out. `ended`: delisted, or without data for longer
    than dead_s at the end of the run."""

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
    """The selected pairs of `run` by symbol, over the rows on which it decided. Takes 32 bytes for each settlement."""
    found = [np.zeros(0, _SETTLED)]
    for rows in tape.blocks(cursor, since=run.since, until=run.until, pair_ids=set(run.selection.ids)):
        settled = rows[rows["kind"] == Kind.FUNDING_SETTLED]
        found.append(np.rec.fromarrays([settled[n] for n in ("pair", "event_at", "a", "b")], dtype=_SETTLED))
    every = np.concatenate(found)
    every = every[np.lexsort((every["event_at"], every["pair"]))]
    starts = np.searchsorted(every["pair"], [*run.selection.ids, len(run.selection.names)])
    pairs = [
        _summary(run, pair, every[start : starts[n + 1]])
        for n, (pair, start) in enumerate(zip(run.selection.ids, starts, strict=False))
    ]
    return sorted(pairs, key=lambda one: (one.symbol, one.venue, one.listing))


_SETTLED: Final = np.dtype([("pair", "i8"), ("event_at", "i8"), ("rate", "f8"), ("interval_h", "f8")])


def _summary(run: Backtest, pair: int, settled: npt.NDArray[np.void]) -> PairSettlements:
    name, state = run.selection.names[pair], run.state.pair[pair]
    silent_ns = int(run.book["now"]) - int(state["market_known_at"])
    seen = bool(state["first_at"] != 0)
    rates = settled["rate"]
    return PairSettlements(
        symbol=name.symbol,
        venue=name.venue,
        listing=name.listing,
        settlements=len(settled),
        rate_sum=math.fsum(rates.tolist()),
        share_at_interest=float((rates == BASE_RATE).mean()) if len(settled) else None,
        intervals=_intervals(settled),
        first=format_time(int(settled["event_at"][0])) if len(settled) else None,
        last=format_time(int(settled["event_at"][-1])) if len(settled) else None,
        ended=bool(state["delisted"] != 0 or (seen and silent_ns > run.params.dead_s * 10**9)),
        priced=bool(state["priced"] != 0),
    )


def _intervals(settled: npt.NDArray[np.void]) -> dict[str, int]:
    hours = settled["interval_h"].copy()
    if len(hours) > 1:
        spacing_h = np.diff(settled["event_at"]) / HOUR_NS
        nearest = _INTERVALS_H[np.abs(spacing_h[:, None] - _INTERVALS_H).argmin(axis=1)]
        nearest[np.abs(nearest - spacing_h) > _TOLERANCE_H] = 0.0
        hours[1:] = np.where(hours[1:] > 0, hours[1:], nearest)
    values, counts = np.unique(hours[hours > 0], return_counts=True)
    return {f"{h:g}": int(n) for h, n in sorted(zip(values, counts, strict=True), key=lambda one: -one[1])}
