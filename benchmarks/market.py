"""The market of the speed benchmarks: hourly bars of both legs and 8 h settlements of many pairs, as rows, from a
seed."""

import numpy as np

from carryfold.domain.instruments import Instrument, Pair, carry_pair
from carryfold.domain.rows import ROW, Kind, Rows, in_canonical_order

__all__ = ["BenchmarkPairs", "make_rows", "median_time"]

SECOND = 10**9
HOUR = 3600 * SECOND
START = 1_640_995_200 * SECOND


class BenchmarkPairs:
    """`count` carry pairs: the perpetual of pair k is instrument 2 k, its spot instrument 2 k + 1."""

    def __init__(self, count: int) -> None:
        self.symbols = [f"P{k:04d}USDT" for k in range(count)]
        self.pairs: list[Pair] = [carry_pair("bench", symbol, spot_symbol=symbol) for symbol in self.symbols]
        self.instruments: list[Instrument] = [leg for pair in self.pairs for leg in (pair.short, pair.long)]

    def listed(self, lot: float = 1e-6, min_notional: float = 5.0) -> Rows:
        """Listings of unknown time for all instruments."""
        rows = np.zeros(len(self.instruments), ROW)
        rows["subject"], rows["kind"] = np.arange(len(rows)), Kind.INSTRUMENT_LISTED
        rows["a"], rows["b"], rows["c"] = lot, min_notional, 1.0
        return rows


def make_rows(count: int, bars: int, seed: int = 1) -> tuple[Rows, BenchmarkPairs]:
    """Rows in canonical order: listings, `bars` hourly bars of each leg, a settlement every eighth hour. Rates move
    across the default thresholds, so that pairs are entered and left."""
    draw = np.random.Generator(np.random.PCG64(seed))
    made = BenchmarkPairs(count)
    spot = 100 * np.exp(np.cumsum(draw.normal(0, 0.005, (bars, count)), axis=0))
    perp = spot * (1 + draw.normal(0, 0.0005, (bars, count)))
    close = START + np.arange(1, bars + 1) * HOUR
    perps, spots = timed(close, SECOND, count, Kind.BAR_CLOSED, 0), timed(close, SECOND, count, Kind.BAR_CLOSED, 1)
    perps["slot"], perps["a"], perps["b"], perps["c"] = 60, perp, perp, 1e6
    spots["slot"], spots["a"], spots["c"] = 60, spot, -1.0
    settlements = bars // 8
    settled = timed(START + np.arange(1, settlements + 1) * 8 * HOUR, 60 * SECOND, count, Kind.FUNDING_SETTLED, 0)
    noise = draw.normal(0, 1, (settlements, count))
    rate = np.zeros(count)
    for k in range(settlements):
        rate = 0.97 * rate + 0.24 * noise[k]
        settled["a"][k] = np.round(1e-4 + 1e-4 * rate, 8)
    settled["b"] = 8.0
    rows = in_canonical_order(np.concatenate([made.listed(), perps.ravel(), spots.ravel(), settled.ravel()]))
    rows["seq"] = np.arange(1, len(rows) + 1)
    return rows, made


def timed(event_at: np.ndarray, delay: int, pairs: int, kind: Kind, leg: int) -> Rows:
    """Rows [time, pair] of one leg (0: the perpetual, 1: spot), known `delay` ns after their time."""
    rows = np.zeros((len(event_at), pairs), ROW)
    rows["event_at"], rows["known_at"] = event_at[:, None], event_at[:, None] + delay
    rows["subject"], rows["kind"] = 2 * np.arange(pairs) + leg, kind
    return rows


def median_time(times: list[float]) -> float:
    """The median."""
    return sorted(times)[len(times) // 2]
