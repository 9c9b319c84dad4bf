"""The market of the comparison with NautilusTrader: one-minute closes of both legs and 8 h settlements of many pairs,
from a seed, as rows, as a log and as the file that nautilus_peer.py reads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from carryfold.domain.codec import encode
from carryfold.domain.events import BarClosed, Event, FundingSettled, InstrumentListed
from carryfold.domain.rows import Kind, Rows, in_canonical_order
from carryfold.eventlog import Entry, EventLog
from market import SECOND, START, BenchmarkPairs, timed

__all__ = ["MinuteMarket", "write_log"]

MINUTE, SETTLE_MINUTES, APPEND = 60 * SECOND, 480, 4096
LOT, MIN_NOTIONAL, TURNOVER = 1e-6, 5.0, 1e6


class MinuteMarket:
    """Closes [minute, pair] of both legs and settled rates [settlement, pair]. Rates start in
    their long-run distribution and move across the thresholds, so that pairs are entered and left."""

    def __init__(self, pairs: int, minutes: int) -> None:
        draw = np.random.Generator(np.random.PCG64(1))
        self.pairs, self.minutes, self.names = pairs, minutes, BenchmarkPairs(pairs)
        self.spot = 100 * np.exp(np.cumsum(draw.normal(0, 0.0006, (minutes, pairs)), axis=0))
        self.perp = self.spot * (1 + draw.normal(0, 0.0003, (minutes, pairs)))
        rate = draw.normal(0, 1, pairs)
        self.rates = np.zeros((minutes // SETTLE_MINUTES, pairs))
        for k in range(len(self.rates)):
            rate = 0.9 * rate + 0.44 * draw.normal(0, 1, pairs)
            self.rates[k] = np.round(1e-4 + 1.5e-4 * rate, 8)

    def write(self, path: Path) -> None:
        """Write the file for nautilus_peer.py: int64 pairs and minutes, then doubles."""
        shape = np.array([self.pairs, self.minutes], np.int64)
        path.write_bytes(b"".join(part.tobytes() for part in (shape, self.spot, self.perp, self.rates)))

    def rows(self) -> Rows:
        """Listings, bars of both legs known a second after their close, settlements known a second after theirs."""
        closes = START + np.arange(1, self.minutes + 1) * MINUTE
        perps = timed(closes, SECOND, self.pairs, Kind.BAR_CLOSED, 0)
        spots = timed(closes, SECOND, self.pairs, Kind.BAR_CLOSED, 1)
        perps["slot"], perps["a"], perps["b"], perps["c"] = 1, self.perp, self.perp, TURNOVER
        spots["slot"], spots["a"], spots["c"] = 1, self.spot, -1.0
        settles = START + np.arange(1, len(self.rates) + 1) * SETTLE_MINUTES * MINUTE
        settled = timed(settles, SECOND, self.pairs, Kind.FUNDING_SETTLED, 0)
        settled["a"], settled["b"] = self.rates, 8.0
        listed = self.names.listed(LOT, MIN_NOTIONAL)
        rows = in_canonical_order(np.concatenate([listed, perps.ravel(), spots.ravel(), settled.ravel()]))
        rows["seq"] = np.arange(1, len(rows) + 1)
        return rows

    def events(self) -> Iterator[tuple[Event, int]]:
        """The market as log events with their known_at."""
        for symbol in self.names.symbols:
            for kind in ("perp", "spot"):
                yield InstrumentListed("bench", symbol, kind, 1, 0, symbol[:-4], "USDT", LOT, MIN_NOTIONAL), 0
        for minute in range(1, self.minutes + 1):
            at, spots, perps = START + minute * MINUTE, self.spot[minute - 1], self.perp[minute - 1]
            for symbol, spot, perp in zip(self.names.symbols, spots.tolist(), perps.tolist(), strict=True):
                yield BarClosed("bench", symbol, "perp", 1, at, 1, perp, perp, TURNOVER), at + SECOND
                yield BarClosed("bench", symbol, "spot", 1, at, 1, spot), at + SECOND
            if minute % SETTLE_MINUTES == 0:
                rates = self.rates[minute // SETTLE_MINUTES - 1].tolist()
                for symbol, rate in zip(self.names.symbols, rates, strict=True):
                    yield FundingSettled("bench", symbol, 1, at, rate, 8.0), at + SECOND


def write_log(market: MinuteMarket, home: Path) -> None:
    """Write the market to a log."""
    with EventLog.open(home) as log:
        entries: list[Entry] = []
        for event, known_at in market.events():
            entries.append(Entry(encode(event), None, known_at))
            if len(entries) == APPEND:
                log.append(entries)
                entries.clear()
        log.append(entries)
