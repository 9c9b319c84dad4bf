"""One synthetic carry pair: rows of bars, open interest, settlements, predictions and quotes from its price process.

A row of a bar or a quote holds both instruments. A spot price of 0 means that there is no spot market.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from carryfold.domain.events import InstrumentChanged, InstrumentDelisted, InstrumentListed
from carryfold.domain.instruments import Instrument
from carryfold.domain.legacy import coin_of
from carryfold.synthetic.funding import Funding, FundingClock
from carryfold.synthetic.options import VENUE, SyntheticOptions
from carryfold.synthetic.price_process import Floats, PairProcess, mean_reverting
from carryfold.synthetic.profile import NOTICE_DAYS, NS_PER_DAY, NS_PER_HOUR, Profile

BAR, OPEN_INTEREST, SETTLED, PREDICTED, QUOTED, SWITCHED = range(6)
BAR_DELAY: Final = 1_000_000_000
SETTLEMENT_DELAY: Final = 60_000_000_000
PREDICTION_DELAY: Final = 1_000_000_000
QUOTE_DELAY: Final = 200_000_000
SWITCH_DELAY: Final = 240_000_000_000
PREDICTION_MINUTES: Final = 30

_MIN_NOTIONAL: Final = 5.0
_SUSPECT_SHARE: Final = 1 / 3_000  # of the bars
_GAPS_PER_DAY: Final = 1 / 45

Ints = npt.NDArray[np.int64]


class Columns(NamedTuple):
    """Events as columns. The meaning of `extra` and `a` to `e` depends on the kind."""

    known_at: Ints
    kind: Ints
    pair: Ints
    event_at: Ints
    extra: Ints
    a: Floats
    b: Floats
    c: Floats
    d: Floats
    e: Floats

    @staticmethod
    def empty() -> Columns:
        """No rows."""
        none, nothing = np.empty(0, np.int64), np.empty(0)
        return Columns(none, none, none, none, none, nothing, nothing, nothing, nothing, nothing)

    @staticmethod
    def join(parts: Sequence[Columns]) -> Columns:
        """The rows of all parts, in order."""
        return Columns._make(np.concatenate(column) for column in zip(*parts, strict=True))

    def split(self, chosen: npt.NDArray[np.bool_]) -> tuple[Columns, Columns]:
        """(the chosen rows, the others)."""
        return Columns._make(column[chosen] for column in self), Columns._make(column[~chosen] for column in self)

    def sorted(self) -> Columns:
        """Rows ordered by known_at, kind, pair and event_at."""
        order = np.lexsort((self.event_at, self.pair, self.kind, self.known_at))
        return Columns._make(column[order] for column in self)

    def part(self, first: int, end: int) -> Columns:
        """The rows from `first` up to `end`."""
        return Columns._make(column[first:end] for column in self)


class ListingEvent(NamedTuple):
    """A listing, a change or a delisting of an instrument."""

    event: InstrumentListed | InstrumentChanged | InstrumentDelisted
    known_at: int


class SyntheticPair:
    """One pair; it keeps its state between blocks."""

    def __init__(self, seed: int, profile: Profile, options: SyntheticOptions, step_minutes: int) -> None:
        self.profile = profile
        self._options = options
        self._step_minutes = step_minutes
        self._process = PairProcess(seed, profile, 1_440 // step_minutes)
        self._clock = FundingClock(profile, 60 // step_minutes)
        self._activity = 0.0

    def listing_events(self) -> Iterator[ListingEvent]:
        """Listings, and delistings if they are announced. Both instruments are listed and delisted together."""
        pair = self.profile
        perp = Instrument(VENUE, pair.symbol, "perp")
        names = [perp, Instrument(VENUE, pair.symbol, "spot")] if pair.priced else [perp]
        for name in names:
            listed = InstrumentListed(*name, pair.launched_at, *coin_of(pair.symbol), pair.lot, _MIN_NOTIONAL)
            if name == perp:
                listed = replace(listed, interval_hours=float(pair.hours), rate_cap=pair.cap)
            yield ListingEvent(listed, pair.launched_at)
        if pair.announced:
            announced_at = pair.ends_at - NOTICE_DAYS * NS_PER_DAY
            for name in names:
                yield ListingEvent(InstrumentChanged(*name, announced_at, delist_at=pair.ends_at), announced_at)
                yield ListingEvent(InstrumentDelisted(*name, pair.ends_at, "delisted"), pair.ends_at)

    def advance(self, block: int, block_start: int, market: tuple[Floats, Floats]) -> Columns:
        """The rows of the next block."""
        if self.profile.ends_at and self.profile.ends_at <= block_start:
            return Columns.empty()
        spot, pressure, random = self._process.advance(block, market)
        funding = self._clock.advance(pressure)
        step = self._step_minutes * 60_000_000_000
        at = block_start + step * np.arange(1, len(spot) + 1)
        mark = spot * (1.0 + funding.premium)
        perp = mark * (1.0 + 5e-5 * random.standard_normal(len(spot)))
        parts = [*self._bars(at, spot, mark, perp, random), *self._settlements(block_start, funding)]
        if self._options.predictions:
            parts.append(self._predictions(at, mark, funding))
        if self._options.quotes:
            parts.append(self._quotes(at, spot, perp, random))
        return self._listed(Columns.join(parts))

    def _listed(self, rows: Columns) -> Columns:
        pair = self.profile
        listed = rows.event_at > pair.launched_at
        if pair.ends_at:
            listed &= rows.event_at <= pair.ends_at
        return rows.split(listed)[0]

    def _bars(
        self, at: Ints, spot: Floats, mark: Floats, perp: Floats, random: np.random.Generator
    ) -> Iterator[Columns]:
        pair, minutes = self.profile, self._options.bar_minutes
        bars_per_day = 1_440 // minutes
        last = slice(minutes // self._step_minutes - 1, None, minutes // self._step_minutes)
        close, spots, perps = at[last], spot[last].copy(), perp[last].copy()
        count = len(close)
        prints, gaps, sizes, spread, share = random.random((5, count))
        noise, churn = random.standard_normal((2, count))
        kept = np.ones(count, np.bool_)
        if self._options.oddities:
            wrong = prints < _SUSPECT_SHARE
            off = np.where(wrong, 1.0 + np.where(sizes < 0.5, -1.0, 1.0) * (0.04 + 0.16 * spread), 1.0)
            spots, perps = np.where(share < 0.7, spots * off, spots), np.where(share < 0.7, perps, perps * off)
            for first in np.flatnonzero(gaps < _GAPS_PER_DAY / bars_per_day).tolist():
                hours = 2 + int(7 * sizes[first])
                kept[first : first + max(1, hours * 60 // minutes)] = False
        activity = mean_reverting(churn, 0.6, 3.0, bars_per_day, self._activity)
        self._activity = float(activity[-1])
        turnover = np.round(pair.turnover / bars_per_day * np.exp(activity + 0.3 * noise - 0.2), 2)
        interest = np.round(pair.turnover * 0.15 / pair.price * np.exp(0.5 * activity), 1)
        if not pair.priced:
            spots = np.zeros(count)
        prices = [np.round(values, pair.decimals) for values in (spots, perps, mark[last])]
        spot_turnover = np.round(0.3 * turnover, 2)
        yield self._rows(BAR, close, BAR_DELAY, *prices, turnover, spot_turnover).split(kept)[0]
        yield self._rows(OPEN_INTEREST, close, BAR_DELAY, interest).split(kept)[0]

    def _settlements(self, block_start: int, funding: Funding) -> Iterator[Columns]:
        settled = np.array(funding.settled, np.float64).reshape(-1, 3)
        at = block_start + settled[:, 0].astype(np.int64) * NS_PER_HOUR
        yield self._rows(SETTLED, at, SETTLEMENT_DELAY, settled[:, 1], settled[:, 2])
        switched = np.array(funding.switched, np.float64).reshape(-1, 2)
        seen = block_start + switched[:, 0].astype(np.int64) * NS_PER_HOUR + SWITCH_DELAY
        yield self._rows(SWITCHED, seen, 0, switched[:, 1])

    def _predictions(self, at: Ints, mark: Floats, funding: Funding) -> Columns:
        """The predicted rate every half hour, but not at the settlement itself."""
        steps_per_hour = 60 // self._step_minutes
        hour = np.arange(len(at)) // steps_per_hour
        hours = funding.hours[hour]
        next_at = at[0] - at[0] % NS_PER_DAY + (hour // hours + 1) * hours * NS_PER_HOUR
        chosen = (at % (PREDICTION_MINUTES * 60_000_000_000) == 0) & (at < next_at)
        return self._rows(
            PREDICTED,
            at[chosen],
            PREDICTION_DELAY,
            funding.predicted[chosen],
            hours[chosen].astype(np.float64),
            np.round(mark[chosen], self.profile.decimals),
            extra=next_at[chosen],
        )

    def _quotes(self, at: Ints, spot: Floats, perp: Floats, random: np.random.Generator) -> Columns:
        half = 0.5e-4 + 1.5e-4 * random.random((2, len(at)))
        sides = (spot * (1 - half[0]), spot * (1 + half[0]), perp * (1 - half[1]), perp * (1 + half[1]))
        prices = [np.round(side, self.profile.decimals + 1) for side in sides]
        if not self.profile.priced:
            prices[0] = prices[1] = np.zeros(len(at))
        return self._rows(QUOTED, at, QUOTE_DELAY, *prices)

    def _rows(self, kind: int, at: Ints, delay: int, *values: Floats, extra: Ints | None = None) -> Columns:
        count = len(at)
        nothing = np.zeros(count)
        a, b, c, d, e = [*values, nothing, nothing, nothing, nothing][:5]
        same = np.full(count, kind, np.int64)
        number = np.full(count, self.profile.number, np.int64)
        extra = np.zeros(count, np.int64) if extra is None else extra
        return Columns(at + delay, same, number, at, extra, a, b, c, d, e)
