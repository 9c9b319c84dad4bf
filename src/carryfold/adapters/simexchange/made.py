"""The made market: paths of adapters/synthetic by the minute, as far back and as far forward as anyone asks.

A pure function of seed, number of pairs, history and start day. Blocks of sixteen days are made when they are first
asked for and made again after they were forgotten; only the few numbers a block begins with are kept for all.
Of every eight pairs, the fifth stands for a thousand coins (1000SYN04USDT), the sixth was listed within the history,
and the seventh is closed; the pair after the last one is not launched yet.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Final, NamedTuple

import numpy as np

from carryfold.adapters.simexchange.config import SimConfig
from carryfold.adapters.simexchange.funding import (
    BLOCK_DAYS,
    BLOCK_HOURS,
    HOUR_MS,
    MINUTE_MS,
    FundingBlock,
    FundingState,
    first_estimate,
    settle_block,
)
from carryfold.adapters.simexchange.instrument import Instrument
from carryfold.adapters.simexchange.noise import Floats, Ints, stream_of, uniforms
from carryfold.adapters.simexchange.source import Settlement
from carryfold.adapters.synthetic.paths import MarketPath, PairPath
from carryfold.adapters.synthetic.profile import NS_PER_DAY, Profile, make_profile

__all__ = ["MadeMarket", "default_schedule"]

_DAY_MS: Final = 86_400_000
_MINUTES_A_DAY: Final = 1_440
_BLOCK_MINUTES: Final = BLOCK_DAYS * _MINUTES_A_DAY
_KEPT_BLOCKS: Final = 64  # at least; more with many pairs, so that the running block of each stays
_MULTIPLIED, _LATE, _CLOSED = 4, 5, 6  # of eight
_MULTIPLIER: Final = 1_000
_PERP_NOISE: Final = 1e-4
_NOISE_STREAM: Final = 200
_DEFAULT_PAIRS: Final = 8


class _Beginning(NamedTuple):
    """What a block of one pair begins with."""

    path: PairPath
    funding: FundingState


class _Block(NamedTuple):
    spot: Floats
    pressure: Floats
    funding: FundingBlock


def default_schedule(history_days: int) -> dict[str, tuple[tuple[int, int], ...]]:
    """SYN02USDT: 8 h, hourly for an eighth of the history, 8 h again."""
    return {"SYN02USDT": ((history_days * 3 // 8, 1), (history_days // 2, 8))}


class MadeMarket:
    """Implements Source."""

    def __init__(self, config: SimConfig, start_ms: int) -> None:
        self.start_ms = start_ms
        self._seed = config.seed
        self._auto_switch = config.auto_switch
        self._epoch_ms = start_ms // _DAY_MS * _DAY_MS - config.history_days * _DAY_MS
        self._first_minute = self._epoch_ms // MINUTE_MS
        epoch_ns = self._epoch_ms // _DAY_MS * NS_PER_DAY
        self._pairs = config.pairs or _DEFAULT_PAIRS
        self._profiles = [make_profile(config.seed, n, epoch_ns, priced=True) for n in range(self._pairs + 1)]
        self.instruments = [self._instrument(profile, config) for profile in self._profiles]
        schedule = config.schedule if config.schedule is not None else default_schedule(config.history_days)
        self._switches: list[list[tuple[int, int]]] = [
            [(self._epoch_ms + day * _DAY_MS, hours) for day, hours in schedule.get(one.symbol, ())]
            for one in self.instruments
        ]
        self._market = MarketPath(config.seed, _MINUTES_A_DAY)
        self._shared: list[tuple[Floats, Floats]] = []
        self._beginnings: list[list[_Beginning]] = [
            [_Beginning(PairPath(config.seed, profile, _MINUTES_A_DAY), FundingState(profile.hours))]
            for profile in self._profiles
        ]
        self._blocks: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._kept = max(_KEPT_BLOCKS, 3 * len(self.instruments))

    def spot(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        return self._series(pair, first, count, premium=False)

    def premium(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        return self._series(pair, first, count, premium=True)

    def perp_over_mark(self, pair: int, first: int, count: int) -> Floats:
        """See Source."""
        drawn = uniforms(stream_of(self._seed, _NOISE_STREAM, pair), np.arange(first, first + count))
        return 1.0 + _PERP_NOISE * (drawn - 0.5)

    def predicted(self, pair: int, minute: int) -> float:
        """See Source."""
        hours, _ = self.interval(pair, minute * MINUTE_MS)
        if minute * MINUTE_MS % (hours * HOUR_MS) == 0:
            return first_estimate(hours, self.instruments[pair].cap)
        block, offset = self._place(minute)
        return float(self._block(pair, block).funding.predicted[offset])

    def interval(self, pair: int, at_ms: int) -> tuple[int, int]:
        """See Source."""
        block, hour = divmod((at_ms - self._epoch_ms) // HOUR_MS, BLOCK_HOURS)
        hours = int(self._block(pair, block).funding.hours[hour])
        return hours, (at_ms // (hours * HOUR_MS) + 1) * hours * HOUR_MS

    def settlements(self, pair: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """See Source."""
        found: list[Settlement] = []
        length = BLOCK_HOURS * HOUR_MS
        first = max((after_ms - self._epoch_ms) // length, 0)
        for block in range(first, (until_ms - self._epoch_ms) // length + 1):
            funding = self._block(pair, block).funding
            times = self._epoch_ms + block * length + funding.settled_hour * HOUR_MS
            chosen = (times > after_ms) & (times <= until_ms)
            found += zip(times[chosen].tolist(), funding.rates[chosen].tolist(), strict=True)
        return found

    def switch(self, pair: int, at_ms: int, hours: int) -> None:
        """See Source."""
        if hours not in (1, 2, 4, 8):
            raise ValueError("an interval is 1, 2, 4 or 8 hours")
        self._switches[pair].append((at_ms, hours))
        block = (at_ms - self._epoch_ms) // (BLOCK_HOURS * HOUR_MS)
        del self._beginnings[pair][block + 1 :]
        for key in [key for key in self._blocks if key[0] == pair and key[1] >= block]:
            del self._blocks[key]

    def _instrument(self, profile: Profile, config: SimConfig) -> Instrument:
        number, role = profile.number, profile.number % 8
        history_ms = config.history_days * _DAY_MS
        coin = profile.symbol.removesuffix("USDT")
        multiplier = _MULTIPLIER if role == _MULTIPLIED else 1
        launch_ms, delivery_ms = self._epoch_ms, 0
        if role == _LATE:
            launch_ms += history_ms // 4 // HOUR_MS * HOUR_MS
        elif role == _CLOSED:
            delivery_ms = self._epoch_ms + history_ms * 3 // 5 // (8 * HOUR_MS) * 8 * HOUR_MS
        if number == self._pairs:
            launch_ms, delivery_ms = self._epoch_ms + history_ms + 2 * _DAY_MS, 0
        digits = len(str(multiplier)) - 1
        lot_decimals = -int(np.floor(np.log10(profile.lot) + 0.5))
        named = f"{multiplier}{coin}" if multiplier > 1 else coin
        return Instrument(
            number=number,
            symbol=named + "USDT",
            coin=named,
            spot_symbol=profile.symbol,
            spot_coin=coin,
            multiplier=multiplier,
            decimals=max(0, profile.decimals + 1 - digits),
            spot_decimals=profile.decimals + 1,
            qty_decimals=lot_decimals + digits,
            cap=profile.cap,
            hours=profile.hours,
            daily_turnover=profile.turnover,
            launch_ms=launch_ms,
            delivery_ms=delivery_ms,
            major=number < 2,
        )

    def _place(self, minute: int) -> tuple[int, int]:
        """(block, offset) of the close of a minute: the block that begins with a minute does not have its close."""
        return divmod(minute - self._first_minute - 1, _BLOCK_MINUTES)

    def _series(self, pair: int, first: int, count: int, *, premium: bool) -> Floats:
        parts: list[Floats] = []
        while count > 0:
            block, offset = self._place(first)
            if block < 0:  # the moment of the beginning itself has the first close that there is
                first, count = first + 1, count - 1
                parts.append(self._series(pair, self._first_minute + 1, 1, premium=premium))
                continue
            made = self._block(pair, block)
            part = (made.funding.premium if premium else made.spot)[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0)])

    def _block(self, pair: int, number: int) -> _Block:
        assert number >= 0, "asked for the time before the market began"
        found = self._blocks.get((pair, number))
        if found is not None:
            self._blocks.move_to_end((pair, number))
            return found
        beginnings = self._beginnings[pair]
        for earlier in range(len(beginnings) - 1, number):
            self._make(pair, earlier)
        made = self._make(pair, number)
        self._blocks[pair, number] = made
        while len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)
        return made

    def _make(self, pair: int, number: int) -> _Block:
        beginnings = self._beginnings[pair]
        beginning = beginnings[number]
        path = copy.copy(beginning.path)
        spot, pressure, _ = path.advance(number, self._shared_block(number))
        one = self.instruments[pair]
        funding, state = settle_block(
            pressure, one.cap, self._own_hours(pair, number), beginning.funding, auto_switch=self._auto_switch
        )
        if len(beginnings) == number + 1:
            beginnings.append(_Beginning(path, state))
        return _Block(spot, pressure, funding)

    def _shared_block(self, number: int) -> tuple[Floats, Floats]:
        while len(self._shared) <= number:
            self._shared.append(self._market.advance(len(self._shared)))
        return self._shared[number]

    def _own_hours(self, pair: int, block: int) -> Ints:
        starts = self._epoch_ms + (block * BLOCK_HOURS + np.arange(BLOCK_HOURS)) * HOUR_MS
        own = np.full(BLOCK_HOURS, self._profiles[pair].hours, np.int64)
        for at_ms, hours in sorted(self._switches[pair]):
            own[starts >= at_ms] = hours
        return own
