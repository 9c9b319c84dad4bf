"""The market of the comparison with NautilusTrader: one-minute closes of both legs and 8 h settlements of many pairs,
from a seed, as rows, as a log and as the file that nautilus_peer.py reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from carryfold.domain.codec import encode
from carryfold.domain.events import BarClosed, Event, FundingSettled, PairListed
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.eventlog import Entry, EventLog
from market import SECOND, START

__all__ = ["MinuteMarket", "symbol", "write_log"]

MINUTE, SETTLE_MINUTES, APPEND = 60 * SECOND, 480, 4096
LOT, MIN_NOTIONAL, TURNOVER = 1e-6, 5.0, 1e6


class MinuteMarket:
    """Closes [minute, pair] of both legs and settled rates [settlement, pair]. Rates start where they would be after
    a long time, and wander so that pairs come and go over the thresholds."""

    def __init__(self, pairs: int, minutes: int) -> None:
        draw = np.random.Generator(np.random.PCG64(1))
        self.pairs, self.minutes = pairs, minutes
        self.spot = 100 * np.exp(np.cumsum(draw.normal(0, 0.0006, (minutes, pairs)), axis=0))
        self.perp = self.spot * (1 + draw.normal(0, 0.0003, (minutes, pairs)))
        rate = draw.normal(0, 1, pairs)
        self.rates = np.zeros((minutes // SETTLE_MINUTES, pairs))
        for k in range(len(self.rates)):
            rate = 0.9 * rate + 0.44 * draw.normal(0, 1, pairs)
            self.rates[k] = np.round(1e-4 + 1.5e-4 * rate, 8)

    def write(self, path: Path) -> None:
        """The file that nautilus_peer.py reads: int64 pairs and minutes, then doubles."""
        shape = np.array([self.pairs, self.minutes], np.int64)
        path.write_bytes(b"".join(part.tobytes() for part in (shape, self.spot, self.perp, self.rates)))

    def rows(self) -> Rows:
        """Listings, bars known a second after their close, settlements known a second after theirs."""
        listed = np.zeros(self.pairs, ROW)
        listed["pair"], listed["kind"] = np.arange(self.pairs), Kind.PAIR_LISTED
        listed["a"], listed["b"], listed["c"], listed["d"] = LOT, MIN_NOTIONAL, 1.0, 1.0
        bars = self._timed(np.arange(1, self.minutes + 1), Kind.BAR_CLOSED)
        bars["slot"], bars["a"], bars["b"], bars["c"], bars["d"] = 1, self.spot, self.perp, self.perp, TURNOVER
        settled = self._timed(np.arange(1, len(self.rates) + 1) * SETTLE_MINUTES, Kind.FUNDING_SETTLED)
        settled["a"], settled["b"] = self.rates, 8.0
        rows = np.concatenate([listed, bars.ravel(), settled.ravel()])
        rows = rows[np.argsort(rows["known_at"], kind="stable")]
        rows["seq"] = np.arange(1, len(rows) + 1)
        return rows

    def _timed(self, minutes: np.ndarray[Any, Any], kind: Kind) -> Rows:
        rows = np.zeros((len(minutes), self.pairs), ROW)
        rows["event_at"] = (START + minutes * MINUTE)[:, None]
        rows["known_at"], rows["pair"], rows["kind"] = rows["event_at"] + SECOND, np.arange(self.pairs), kind
        return rows

    def events(self) -> Iterator[tuple[Event, int]]:
        """The same as events of a log, with their known_at."""
        for k in range(self.pairs):
            yield PairListed("bench", symbol(k), 1, 0, LOT, MIN_NOTIONAL, 1, priced=True), 0
        for minute in range(1, self.minutes + 1):
            at, spots, perps = START + minute * MINUTE, self.spot[minute - 1], self.perp[minute - 1]
            for k, (spot, perp) in enumerate(zip(spots.tolist(), perps.tolist(), strict=True)):
                yield BarClosed("bench", symbol(k), 1, at, 1, spot, perp, perp, TURNOVER), at + SECOND
            if minute % SETTLE_MINUTES == 0:
                for k, rate in enumerate(self.rates[minute // SETTLE_MINUTES - 1].tolist()):
                    yield FundingSettled("bench", symbol(k), 1, at, rate, 8.0), at + SECOND


def symbol(pair: int) -> str:
    """The pair's name, in the order of ids."""
    return f"P{pair:04d}USDT"


def write_log(market: MinuteMarket, home: Path) -> None:
    """The market as a log."""
    with EventLog.open(home) as log:
        entries: list[Entry] = []
        for event, known_at in market.events():
            entries.append(Entry(encode(event), None, known_at))
            if len(entries) == APPEND:
                log.append(entries)
                entries.clear()
        log.append(entries)
