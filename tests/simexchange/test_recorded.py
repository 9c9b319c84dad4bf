"""Replay of a recorded home."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from carryfold.domain import events as ev
from carryfold.domain.codec import encode, event_key
from carryfold.domain.legacy import coin_of, spot_of
from carryfold.eventlog import Entry, EventLog
from carryfold.simexchange import SimConfig
from carryfold.simexchange.exchange import Exchange
from carryfold.simexchange.recorded import RecordedMarket
from carryfold.simexchange.rest_history import funding_history, trade_candles
from carryfold.simexchange.rest_public import instruments, tickers_of
from tests.simexchange.venue import DAY_MS, HOUR_MS, advance, ccxt_of, order, quotes, run, serving

BEGIN_MS = 1_704_067_200_000  # 2024-01-01
DAYS = 20
NS = 1_000_000


def price_at(hour: int) -> float:
    return round(100.0 + 10.0 * math.sin(hour / 9.0), 4)


def rate_of(number: int) -> float:
    return round(0.0001 * (number % 5 - 1), 6)


def recorded(symbol: str, *, spot: bool = True) -> list[ev.Event]:
    """Twenty days of hourly bars with the perpetual above spot, and a settlement every eight hours."""
    spot_symbol, coins = spot_of(symbol)
    coin = coin_of(spot_symbol)
    found: list[ev.Event] = [
        ev.InstrumentListed("bybit", symbol, "perp", 1, BEGIN_MS * NS, *coin, 0.01 / coins, 5.0, coins)
    ]
    if spot:
        found.append(ev.InstrumentListed("bybit", spot_symbol, "spot", 1, 0, *coin, 0.01, 5.0))
    for hour in range(1, DAYS * 24 + 1):
        at, price = (BEGIN_MS + hour * HOUR_MS) * NS, price_at(hour)
        prices = price * coins * 1.002, price * coins * 1.001
        found.append(ev.BarClosed("bybit", symbol, "perp", 1, at, 60, *prices, 50_000.0))
        if spot:
            found.append(ev.BarClosed("bybit", spot_symbol, "spot", 1, at, 60, price))
        if hour % 8 == 0:
            found.append(ev.FundingSettled("bybit", symbol, 1, at, rate_of(hour // 8), 8.0))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    events = [*recorded("AAAUSDT"), *recorded("1000BBBUSDT"), *recorded("CCC", spot=False)]
    ended = (BEGIN_MS + 15 * DAY_MS) * NS
    events += [one for one in recorded("GONEUSDT") if one.event_at <= ended]
    events.append(ev.InstrumentDelisted("bybit", "GONEUSDT", "perp", 1, ended, "delisted"))
    with EventLog.open(tmp_path / "home") as log:
        log.append([Entry(encode(one), event_key(one), one.event_at) for one in events])
    return tmp_path / "home"


def replayed(home: Path, start_ms: int = BEGIN_MS + 10 * DAY_MS, pairs: int = 0) -> Exchange:
    return Exchange(SimConfig(replay=home, start_ms=start_ms, speed=0.0, pairs=pairs))


def test_a_replay_shows_the_recorded_prices(home: Path) -> None:
    exchange = replayed(home)
    rows = {row["symbol"]: row for row in tickers_of(exchange, {"category": "linear"})["list"]}
    spots = {row["symbol"]: row for row in tickers_of(exchange, {"category": "spot"})["list"]}
    price = price_at(240)

    assert set(rows) == {"AAAUSDT", "1000BBBUSDT", "CCCUSDT", "GONEUSDT"}
    assert set(spots) == {"AAAUSDT", "BBBUSDT", "GONEUSDT"}
    row = rows["AAAUSDT"]
    assert float(row["markPrice"]) == pytest.approx(price * 1.001, rel=1e-5)
    assert float(row["indexPrice"]) == pytest.approx(price, rel=1e-5)
    assert float(row["bid1Price"]) < price * 1.002 < float(row["ask1Price"])
    assert float(spots["AAAUSDT"]["bid1Price"]) < price < float(spots["AAAUSDT"]["ask1Price"])
    assert float(rows["1000BBBUSDT"]["markPrice"]) == pytest.approx(price * 1_001, rel=1e-5)
    assert float(rows["CCCUSDT"]["indexPrice"]) == pytest.approx(price * 1.001, rel=1e-5)
    assert int(row["nextFundingTime"]) == BEGIN_MS + 10 * DAY_MS + 8 * HOUR_MS and row["fundingIntervalHour"] == "8"


def test_settlements_are_the_recorded_ones_and_predictions_end_at_them(home: Path) -> None:
    exchange = replayed(home)
    one = exchange.market.perps["AAAUSDT"]
    history = funding_history(exchange, {"category": "linear", "symbol": "AAAUSDT"})["list"]
    assert [float(row["fundingRate"]) for row in history] == [rate_of(k) for k in range(29, 0, -1)]
    assert int(history[0]["fundingRateTimestamp"]) == BEGIN_MS + 29 * 8 * HOUR_MS  # the last one is not yet published

    next_ms = exchange.market.rate(one, exchange.now_ms).next_ms
    last = exchange.market.rate(one, next_ms - 1).rate
    assert last == pytest.approx(rate_of(31), abs=1e-6)

    bid, _ = quotes(exchange, "AAAUSDT")
    exchange.matching.create(order("AAAUSDT", "Sell", "1", bid, timeInForce="IOC"))
    advance(exchange, 8 * 3_600)
    (settled,) = [entry for entry in exchange.ledger.entries if entry.kind == "SETTLEMENT"]
    assert settled.time_ms == next_ms and float(settled.fee_rate) == -rate_of(31)


def test_hourly_candles_close_at_the_recorded_closes(home: Path) -> None:
    exchange = replayed(home)
    params = {"category": "spot", "symbol": "AAAUSDT", "interval": "60", "limit": "24"}
    rows = trade_candles(exchange, params)["list"]

    assert [int(row[0]) for row in rows] == [BEGIN_MS + hour * HOUR_MS for hour in range(239, 215, -1)]
    assert [float(row[4]) for row in rows] == pytest.approx([price_at(hour) for hour in range(240, 216, -1)], rel=1e-5)


def test_a_delisted_pair_closes_at_its_recorded_time(home: Path) -> None:
    exchange = replayed(home)
    bid, _ = quotes(exchange, "GONEUSDT")
    exchange.matching.create(order("GONEUSDT", "Sell", "1", bid, timeInForce="IOC"))
    advance(exchange, 5 * 86_400)

    assert exchange.fills.executions[-1].kind == "Delivery" and not exchange.account.held
    closed = instruments(exchange, {"category": "linear", "status": "Closed"})["list"]
    assert [row["symbol"] for row in closed] == ["GONEUSDT"]


def test_after_the_record_prices_stand_still_and_settlements_go_on(home: Path) -> None:
    exchange = replayed(home)
    advance(exchange, 12 * 86_400)
    one = exchange.market.perps["AAAUSDT"]
    ends_ms = BEGIN_MS + DAYS * DAY_MS

    assert exchange.market.mark(one, exchange.now_ms) == pytest.approx(price_at(480) * 1.001, rel=3e-4)
    late = exchange.market.settlements(one, ends_ms, exchange.now_ms)
    assert late == [(ends_ms + k * 8 * HOUR_MS, rate_of(60)) for k in range(1, 7)]
    assert exchange.market.rate(one, exchange.now_ms + 60_000).next_ms == ends_ms + 7 * 8 * HOUR_MS


def test_a_replay_takes_the_pairs_with_most_turnover_and_starts_within_the_record(home: Path) -> None:
    assert len(replayed(home, pairs=2).market.pairs) == 2
    found = replayed(home, start_ms=0)
    assert found.now_ms == BEGIN_MS + HOUR_MS + (DAYS * 24 - 1) * HOUR_MS // 2
    assert isinstance(found.market.source, RecordedMarket)
    with pytest.raises(ValueError, match="recorded"):
        found.switch_interval("AAAUSDT", 1)


def test_a_home_without_bars_cannot_be_rereplayed(tmp_path: Path) -> None:
    with EventLog.open(tmp_path) as log:
        log.append([Entry(encode(ev.ClockTicked(1)), None, None)])
    with pytest.raises(ValueError, match="no bars"):
        replayed(tmp_path)


def test_ccxt_reads_a_recorded_market(home: Path) -> None:
    async def work() -> None:
        settings = {"replay": home, "start_ms": BEGIN_MS + 10 * DAY_MS}
        async with serving(**settings) as venue, ccxt_of(venue) as client:
            markets = await client.load_markets()
            assert "1000BBB/USDT:USDT" in markets and "BBB/USDT" in markets and "CCC/USDT" not in markets
            rates = await client.fetch_funding_rates()
            assert rates["AAA/USDT:USDT"]["fundingTimestamp"] == BEGIN_MS + 10 * DAY_MS + 8 * HOUR_MS
            await client.fetch_balance()

    run(work())
