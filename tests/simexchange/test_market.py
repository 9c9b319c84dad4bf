"""The generated market: the same data for every request, in any order."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from carryfold.simexchange.config import SimConfig
from carryfold.simexchange.generated import GeneratedMarket
from carryfold.simexchange.market import Market
from carryfold.simexchange.rest_history import candle_starts
from carryfold.simexchange.seeded_random import stream_of, uniform, uniforms
from carryfold.simexchange.series import Kind
from tests.simexchange.venue import DAY_MS, HOUR_MS, START_MS, config, still

MINUTE_MS = 60_000


def generated(**changes: object) -> GeneratedMarket:
    return GeneratedMarket(config(**changes), START_MS)


def test_a_random_number_is_the_same_alone_and_in_a_vector() -> None:
    stream = stream_of(7, 3, 1)
    indices = np.array([0, 1, 2, 29_000_000, 2**40])

    together = uniforms(stream, indices)

    assert together.tolist() == [uniform(stream, int(index)) for index in indices]
    assert uniforms(stream_of(7, 3, 2), indices).tolist() != together.tolist()
    many = uniforms(stream, np.arange(20_000))
    assert many.min() >= 0.0 and many.max() < 1.0 and abs(many.mean() - 0.5) < 0.01


def test_the_same_seed_gives_the_same_market_after_any_requests() -> None:
    one, other = generated(), generated()
    minute = START_MS // MINUTE_MS
    other.settlements(3, 0, START_MS)
    other.spot(5, minute - 30_000, 10)

    assert one.spot(2, minute - 5_000, 5_000).tolist() == other.spot(2, minute - 5_000, 5_000).tolist()
    assert one.settlements(2, 0, START_MS) == other.settlements(2, 0, START_MS)
    assert one.spot(2, minute, 1).tolist() != generated(seed=8).spot(2, minute, 1).tolist()


def test_a_series_across_a_block_boundary_is_the_same_in_one_piece_and_in_two() -> None:
    market = generated()
    first = START_MS // MINUTE_MS - 39 * 1_440
    whole = market.spot(1, first, 39 * 1_440)
    parts = [market.spot(1, first, 20_000), market.spot(1, first + 20_000, 39 * 1_440 - 20_000)]

    assert np.concatenate(parts).tolist() == whole.tolist()
    assert float(np.abs(np.diff(np.log(whole))).max()) < 0.02  # no seam between blocks


def test_evicted_blocks_are_generated_again_unchanged() -> None:
    market = generated(history_days=400, pairs=2)
    minute = START_MS // MINUTE_MS
    early = market.premium(0, minute - 390 * 1_440, 100).tolist()
    for pair in range(3):
        market.spot(pair, minute - 399 * 1_440, 399 * 1_440)  # more blocks than are kept

    assert market.premium(0, minute - 390 * 1_440, 100).tolist() == early


def rate_by_hand(premiums: list[float], hours: int, cap: float) -> Decimal:
    """The rate by the venue's formula over the minutes so far, in exact numbers."""
    samples = [Decimal(str(one)) for one in premiums]
    weights = range(1, len(samples) + 1)
    average = sum((weight * one for weight, one in zip(weights, samples, strict=True)), Decimal(0)) / sum(weights)
    interest = Decimal("0.0003") * hours / 24
    damped = max(min(interest - average, Decimal("0.0005")), Decimal("-0.0005"))
    return max(min(average + damped, Decimal(str(cap))), -Decimal(str(cap)))


@pytest.mark.parametrize("pair", [0, 3, 5, 7])
def test_settled_and_predicted_rates_follow_from_the_premium_minutes(pair: int) -> None:
    market = generated()
    cap = market.pairs[pair].cap
    settled = market.settlements(pair, START_MS - 3 * DAY_MS, START_MS)

    assert len(settled) > 5
    for (before_ms, _), (at_ms, rate) in pairwise(settled):
        hours = (at_ms - before_ms) // HOUR_MS
        premiums = market.premium(pair, before_ms // MINUTE_MS + 1, hours * 60).tolist()
        assert abs(rate_by_hand(premiums, hours, cap) - Decimal(str(rate))) <= Decimal("0.00000001")
        for minutes in (1, 37, hours * 60 - 1):
            predicted = market.predicted(pair, before_ms // MINUTE_MS + minutes)
            by_hand = rate_by_hand(premiums[:minutes], hours, cap)
            assert abs(by_hand - Decimal(str(predicted))) <= Decimal("0.00000001")


def test_settlements_have_no_gap_when_the_interval_changes_twice() -> None:
    market = generated(history_days=400, auto_switch=False)
    settled = market.settlements(2, 0, START_MS)
    gaps = [(later - at_ms) // HOUR_MS for (at_ms, _), (later, _) in pairwise(settled)]
    runs = [gap for place, gap in enumerate(gaps) if not place or gaps[place - 1] != gap]

    assert runs == [8, 1, 8]
    assert gaps.count(1) == 50 * 24 and sum(gaps) == (settled[-1][0] - settled[0][0]) // HOUR_MS
    for at_ms, _ in settled[:-1]:
        hours, next_ms = market.interval(2, at_ms)
        assert next_ms == settled[bisect_right([one[0] for one in settled], at_ms)][0]
        assert next_ms - at_ms == hours * HOUR_MS


def test_a_settlement_at_the_cap_makes_a_pair_settle_hourly_until_it_was_calm_for_a_day() -> None:
    market = GeneratedMarket(SimConfig(history_days=160, pairs=24), START_MS)
    seen = 0
    for one in market.pairs[8:24]:
        settled = market.settlements(one.number, 0, START_MS)
        for (_, _), (at_ms, rate), (later_ms, _) in zip(settled, settled[1:], settled[2:], strict=False):
            if abs(rate) >= one.cap:
                seen += 1
                assert later_ms - at_ms == HOUR_MS
    assert seen > 0


def test_an_interval_switch_takes_effect_at_the_next_settlement_and_changes_nothing_before() -> None:
    exchange = still()
    market = exchange.market
    bitcoin = market.perps["BTCUSDT"]
    before = market.settlements(bitcoin, 0, START_MS)
    frame = market.frame(exchange.now_ms).mark.tolist()
    assert exchange.state.interval_hours(bitcoin) == 8

    exchange.switch_interval("BTCUSDT", 1)

    assert market.settlements(bitcoin, 0, START_MS) == before
    assert market.frame(exchange.now_ms).mark.tolist() == frame
    assert market.rate(bitcoin, START_MS).next_ms == 1_767_225_600_000 + 8 * HOUR_MS
    after = market.settlements(bitcoin, START_MS, START_MS + DAY_MS)
    assert [(at_ms - 1_767_225_600_000) // HOUR_MS for at_ms, _ in after] == list(range(8, 26))


def sampled(
    market: Market, pair: int, kind: Kind, first: int, minutes: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Prices at each second, as in a stream."""
    times = np.arange(first * MINUTE_MS, (first + minutes) * MINUTE_MS + 1, 1_000)
    return market.series.prices(pair, kind, times)


@pytest.mark.parametrize("kind", ["spot", "perp", "mark", "index", "premium"])
def test_candles_agree_with_streamed_prices(kind: Kind) -> None:
    market = still().market
    first = START_MS // MINUTE_MS - 50
    candles = market.series.candles(4, kind, np.arange(first, first + 41, 5), START_MS)
    prices = sampled(market, 4, kind, first, 40)

    assert len(candles.open) == 8
    for place in range(8):
        part = prices[place * 300 : place * 300 + 301]
        assert candles.open[place] == pytest.approx(part[0], rel=1e-12)
        assert candles.close[place] == pytest.approx(part[-1], rel=1e-12)
        assert candles.high[place] >= part.max() - 1e-12 * abs(part.max())
        assert candles.low[place] <= part.min() + 1e-12 * abs(part.min())
        assert candles.high[place] == pytest.approx(part.max(), rel=2e-6, abs=1e-6)
        assert candles.low[place] == pytest.approx(part.min(), rel=2e-6, abs=1e-6)


def test_the_running_candle_closes_at_the_current_price() -> None:
    exchange = still()
    market = exchange.market
    one = market.perps["ETHUSDT"]
    first = START_MS // MINUTE_MS // 60 * 60
    candles = market.series.candles(1, "perp", np.array([first, first + 60]), START_MS)
    prices = sampled(market, 1, "perp", first, 1)[: (START_MS - first * MINUTE_MS) // 1_000 + 1]

    assert candles.close[0] == pytest.approx(market.price(one, START_MS, spot=False), rel=1e-12)
    assert candles.high[0] >= prices.max() and candles.low[0] <= prices.min()


@pytest.mark.parametrize("interval", ["60", "240", "D", "W", "M"])
def test_long_candles_are_aggregates_of_short_ones(interval: str) -> None:
    market = still().market
    launch, last = (START_MS - 12 * DAY_MS) // MINUTE_MS + 1, (START_MS - 1) // MINUTE_MS
    starts = candle_starts(interval, launch, None, last, 3, forward=False)
    long = market.series.candles(0, "spot", np.maximum(starts, launch), START_MS)
    short = market.series.candles(0, "spot", np.arange(max(int(starts[0]), launch), last + 2), START_MS)

    assert 1 <= len(long.open) <= 3
    for place, start in enumerate(starts[:-1].tolist()):
        inside = (short.start_ms >= start * MINUTE_MS) & (short.start_ms < int(starts[place + 1]) * MINUTE_MS)
        assert long.high[place] == short.high[inside].max() and long.low[place] == short.low[inside].min()
        assert long.volume[place] == pytest.approx(short.volume[inside].sum())
        assert long.close[place] == short.close[inside][-1] and long.open[place] == short.open[inside][0]


def test_best_prices_and_depth_are_ordered_on_the_tick_and_around_the_middle() -> None:
    exchange = still(pairs=8, history_days=20)
    market = exchange.market
    for one in market.pairs:
        for spot in (False, True):
            bids, asks = market.depth(one, START_MS, 50, spot=spot)
            middle = market.price(one, START_MS, spot=spot)
            decimals = one.spot_decimals if spot else one.decimals
            prices = [level.price for level in [*bids[::-1], *asks]]
            assert prices == sorted(set(prices)) and all(price == round(price, decimals) for price in prices)
            assert bids[0].price < middle < asks[0].price
            assert all(level.size > 0 for level in [*bids, *asks])


def test_the_rate_of_a_ticker_is_zero_for_a_while_after_a_settlement() -> None:
    exchange = still()
    market, one = exchange.market, exchange.market.perps["BTCUSDT"]
    settled_ms = 1_767_225_600_000

    assert market.rate(one, settled_ms + 1_000).rate == 0.0
    assert market.rate(one, settled_ms + 24_000).rate == 0.0
    assert market.rate(one, settled_ms + 26_000).rate == 0.0001
    last = market.rate(one, settled_ms - 1)
    assert last.next_ms == settled_ms and last.rate != 0.0


def test_public_trades_are_ordered_unique_and_near_the_price() -> None:
    market = still().market
    one = market.perps["SYN02USDT"]
    whole = market.trades(one, START_MS - 60_000, START_MS, spot=False)
    parts = [
        trade
        for second in range(60)
        for trade in market.trades(
            one, START_MS - 60_000 + second * 1_000, START_MS - 59_000 + second * 1_000, spot=False
        )
    ]

    assert parts == whole and len({trade.trade_id for trade in whole}) == len(whole) > 60
    for trade in whole:
        assert trade.price == pytest.approx(market.price(one, trade.time_ms, spot=False), rel=1e-3)
