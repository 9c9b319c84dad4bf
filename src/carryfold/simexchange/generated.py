"""The generated market: the price processes of carryfold.synthetic by the minute, without bounds in time.

It is a pure function of seed, number of pairs, history and start day. Blocks of sixteen days are computed on first use
and again after they were evicted; only the small state at the start of each block is kept for all blocks.
Of every eight pairs, the fifth is quoted per thousand coins (1000SYN04USDT), the sixth was listed within the history,
and the seventh is closed. The pair after the last one is not launched yet.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Final, NamedTuple

import numpy as np

from carryfold.simexchange.config import SimConfig
from carryfold.simexchange.funding import (
    BLOCK_DAYS,
    BLOCK_HOURS,
    HOUR_MS,
    MINUTE_MS,
    FundingBlock,
    FundingState,
    first_estimate,
    settle_block,
)
from carryfold.simexchange.listed_pair import ListedPair
from carryfold.simexchange.seeded_random import Floats, Ints, stream_of, uniforms
from carryfold.simexchange.source import Settlement
from carryfold.synthetic.price_process import MarketProcess, PairProcess
from carryfold.synthetic.profile import NS_PER_DAY, Profile, make_profile

__all__ = ["GeneratedMarket", "default_schedule"]

_DAY_MS: Final = 86_400_000
_MINUTES_PER_DAY: Final = 1_440
_BLOCK_MINUTES: Final = BLOCK_DAYS * _MINUTES_PER_DAY
_MIN_CACHED_BLOCKS: Final = 64  # minimum; larger with many pairs, so that the running block of each stays cached
_MULTIPLIED, _LATE, _CLOSED = 4, 5, 6  # of eight
_MULTIPLIER: Final = 1_000
_PERP_DEVIATION: Final = 1e-4
_PERP_STREAM: Final = 200
_DEFAULT_PAIRS: Final = 8


class _BlockStart(NamedTuple):
    """The state of one pair at the start of a block."""

    process: PairProcess
    funding: FundingState


class _Block(NamedTuple):
    spot: Floats
    pressure: Floats
    funding: FundingBlock


def default_schedule(history_days: int) -> dict[str, tuple[tuple[int, int], ...]]:
    """SYN02USDT settles every 8 h, hourly for an eighth of the history, then every 8 h again."""
    return {"SYN02USDT": ((history_days * 3 // 8, 1), (history_days // 2, 8))}


class GeneratedMarket:
    """Implements MarketSource."""

    def __init__(self, config: SimConfig, start_ms: int) -> None:
        self.start_ms = start_ms
        self._seed = config.seed
        self._auto_switch = config.auto_switch
        self._epoch_ms = start_ms // _DAY_MS * _DAY_MS - config.history_days * _DAY_MS
        self._first_minute = self._epoch_ms // MINUTE_MS
        epoch_ns = self._epoch_ms // _DAY_MS * NS_PER_DAY
        self._pair_count = config.pairs or _DEFAULT_PAIRS
        self._profiles = [make_profile(config.seed, n, epoch_ns, priced=True) for n in range(self._pair_count + 1)]
        self.pairs = [self._listed_pair(profile, config) for profile in self._profiles]
        schedule = config.schedule if config.schedule is not None else default_schedule(config.history_days)
        self._switches: list[list[tuple[int, int]]] = [
            [(self._epoch_ms + day * _DAY_MS, hours) for day, hours in schedule.get(pair.symbol, ())]
            for pair in self.pairs
        ]
        self._market = MarketProcess(config.seed, _MINUTES_PER_DAY)
        self._market_blocks: list[tuple[Floats, Floats]] = []
        self._block_starts: list[list[_BlockStart]] = [
            [_BlockStart(PairProcess(config.seed, profile, _MINUTES_PER_DAY), FundingState(profile.hours))]
            for profile in self._profiles
        ]
        self._blocks: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._max_cached_blocks = max(_MIN_CACHED_BLOCKS, 3 * len(self.pairs))

    def spot(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        return self._series(number, first, count, premium=False)

    def premium(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        return self._series(number, first, count, premium=True)

    def perp_over_mark(self, number: int, first: int, count: int) -> Floats:
        """See MarketSource."""
        drawn = uniforms(stream_of(self._seed, _PERP_STREAM, number), np.arange(first, first + count))
        return 1.0 + _PERP_DEVIATION * (drawn - 0.5)

    def predicted(self, number: int, minute: int) -> float:
        """See MarketSource."""
        hours, _ = self.interval(number, minute * MINUTE_MS)
        if minute * MINUTE_MS % (hours * HOUR_MS) == 0:
            return first_estimate(hours, self.pairs[number].cap)
        block, offset = self._locate(minute)
        return float(self._block(number, block).funding.predicted[offset])

    def interval(self, number: int, at_ms: int) -> tuple[int, int]:
        """See MarketSource."""
        block, hour = divmod((at_ms - self._epoch_ms) // HOUR_MS, BLOCK_HOURS)
        hours = int(self._block(number, block).funding.hours[hour])
        return hours, (at_ms // (hours * HOUR_MS) + 1) * hours * HOUR_MS

    def settlements(self, number: int, after_ms: int, until_ms: int) -> list[Settlement]:
        """See MarketSource."""
        found: list[Settlement] = []
        length = BLOCK_HOURS * HOUR_MS
        first = max((after_ms - self._epoch_ms) // length, 0)
        for block in range(first, (until_ms - self._epoch_ms) // length + 1):
            funding = self._block(number, block).funding
            times = self._epoch_ms + block * length + funding.settled_hour * HOUR_MS
            chosen = (times > after_ms) & (times <= until_ms)
            found += zip(times[chosen].tolist(), funding.rates[chosen].tolist(), strict=True)
        return found

    def switch(self, number: int, at_ms: int, hours: int) -> None:
        """See MarketSource."""
        if hours not in (1, 2, 4, 8):
            raise ValueError("a settlement interval must be 1, 2, 4 or 8 hours")
        self._switches[number].append((at_ms, hours))
        block = (at_ms - self._epoch_ms) // (BLOCK_HOURS * HOUR_MS)
        del self._block_starts[number][block + 1 :]
        for key in [key for key in self._blocks if key[0] == number and key[1] >= block]:
            del self._blocks[key]

    def _listed_pair(self, profile: Profile, config: SimConfig) -> ListedPair:
        number, role = profile.number, profile.number % 8
        history_ms = config.history_days * _DAY_MS
        coin = profile.symbol.removesuffix("USDT")
        multiplier = _MULTIPLIER if role == _MULTIPLIED else 1
        launch_ms, delivery_ms = self._epoch_ms, 0
        if role == _LATE:
            launch_ms += history_ms // 4 // HOUR_MS * HOUR_MS
        elif role == _CLOSED:
            delivery_ms = self._epoch_ms + history_ms * 3 // 5 // (8 * HOUR_MS) * 8 * HOUR_MS
        if number == self._pair_count:
            launch_ms, delivery_ms = self._epoch_ms + history_ms + 2 * _DAY_MS, 0
        digits = len(str(multiplier)) - 1
        lot_decimals = -int(np.floor(np.log10(profile.lot) + 0.5))
        perp_coin = f"{multiplier}{coin}" if multiplier > 1 else coin
        return ListedPair(
            number=number,
            symbol=perp_coin + "USDT",
            coin=perp_coin,
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

    def _locate(self, minute: int) -> tuple[int, int]:
        """(block, offset) of the close of a minute. A block excludes the close at its start and includes the one at its
        end."""
        return divmod(minute - self._first_minute - 1, _BLOCK_MINUTES)

    def _series(self, number: int, first: int, count: int, *, premium: bool) -> Floats:
        parts: list[Floats] = []
        while count > 0:
            block, offset = self._locate(first)
            if block < 0:  # the start of the market itself takes the first close
                first, count = first + 1, count - 1
                parts.append(self._series(number, self._first_minute + 1, 1, premium=premium))
                continue
            generated = self._block(number, block)
            part = (generated.funding.premium if premium else generated.spot)[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0)])

    def _block(self, number: int, block: int) -> _Block:
        assert block >= 0, "requested a time before the start of the market"
        found = self._blocks.get((number, block))
        if found is not None:
            self._blocks.move_to_end((number, block))
            return found
        block_starts = self._block_starts[number]
        for earlier in range(len(block_starts) - 1, block):
            self._generate(number, earlier)
        generated = self._generate(number, block)
        self._blocks[number, block] = generated
        while len(self._blocks) > self._max_cached_blocks:
            self._blocks.popitem(last=False)
        return generated

    def _generate(self, number: int, block: int) -> _Block:
        block_starts = self._block_starts[number]
        start = block_starts[block]
        process = copy.copy(start.process)
        spot, pressure, _ = process.advance(block, self._market_block(block))
        pair = self.pairs[number]
        funding, state = settle_block(
            pressure, pair.cap, self._own_hours(number, block), start.funding, auto_switch=self._auto_switch
        )
        if len(block_starts) == block + 1:
            block_starts.append(_BlockStart(process, state))
        return _Block(spot, pressure, funding)

    def _market_block(self, block: int) -> tuple[Floats, Floats]:
        while len(self._market_blocks) <= block:
            self._market_blocks.append(self._market.advance(len(self._market_blocks)))
        return self._market_blocks[block]

    def _own_hours(self, number: int, block: int) -> Ints:
        starts = self._epoch_ms + (block * BLOCK_HOURS + np.arange(BLOCK_HOURS)) * HOUR_MS
        own = np.full(BLOCK_HOURS, self._profiles[number].hours, np.int64)
        for at_ms, hours in sorted(self._switches[number]):
            own[starts >= at_ms] = hours
        return own
