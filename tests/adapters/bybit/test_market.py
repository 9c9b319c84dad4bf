"""The public market: the port that it implements, and the other public data."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.bybit.tickers import predicted_of
from carryfold.adapters.bybit.trading import BybitTrading
from carryfold.adapters.venues import Credentials, Market, PairSpec, Trading, VenueError
from carryfold.domain.instruments import Instrument
from tests.adapters.bybit.venue import HOUR_MS, NOW_MS, answering, exchange, no_pause, run

NS = 1_000_000


def test_the_ports_are_implemented() -> None:
    """mypy checks the types; here the objects are made without a network."""

    async def work() -> None:
        endpoint = Endpoint.at("http://127.0.0.1:1")
        market: Market = BybitMarket(endpoint)
        trading: Trading = BybitTrading(endpoint, Credentials("k", "s"), [])
        await market.close()
        await trading.close()

    run(work())


def test_the_market_gives_time_turnover_estimates_and_borrow_rates() -> None:
    async def work() -> None:
        async with exchange(history_days=3, pairs=5) as (_, market):
            pairs = await market.pairs()
            turnover, estimates = await market.turnover(pairs), await market.predictions(pairs)

            assert await market.server_time() == NOW_MS * NS
            assert {pair.perp.instrument for pair in pairs} == set(turnover) == {one.instrument for one in estimates}
            assert turnover[Instrument("bybit", "BTCUSDT", "perp")] > 1e6
            assert all(one.next_at > NOW_MS * NS and one.mark > 0 for one in estimates)
            assert (await market.borrow_rates())["USDT"] > Decimal(0)

    run(work())


def test_an_excluded_perpetual_has_a_reason() -> None:
    info = {
        "symbol": "TSLAUSDT", "contractType": "LinearPerpetual", "status": "Trading", "settleCoin": "USDT",
        "symbolType": "stock", "lotSizeFilter": {}, "launchTime": "1",
    }  # fmt: skip

    async def work() -> None:
        async with answering({"retCode": 0, "result": {"list": [info]}, "time": NOW_MS}) as endpoint:
            market = BybitMarket(endpoint, client=RestClient(endpoint, rate_limit_ms=1, sleep=no_pause))
            try:
                assert await market.pairs() == []
                assert market.exclusion_reason("TSLAUSDT") == "has no coin behind it"
                assert market.exclusion_reason("BTCUSDT") == ""
            finally:
                await market.close()

    run(work())


@pytest.mark.parametrize("where", ["market/instruments-info", "market/tickers"])
def test_an_empty_list_of_spot_instruments_closes_no_pair_that_is_held(where: str) -> None:
    async def work() -> None:
        async with exchange(history_days=3) as (venue, market):
            market.retain([Instrument("bybit", "BTCUSDT", "perp")])
            venue.faults.inject("stale", where=where, category="spot")
            with pytest.raises(VenueError, match="no spot instruments at all"):
                await market.pairs()
            assert {pair.spot_status for pair in await market.pairs()} == {"Trading"}

    run(work())


def test_a_cursor_that_never_ends_is_given_up() -> None:
    """The last page may carry a cursor all the same, but not every page for ever."""
    row = {"symbol": "X", "lotSizeFilter": {}}
    endless = {"retCode": 0, "result": {"list": [row], "nextPageCursor": "more"}, "time": NOW_MS}

    async def work() -> None:
        async with answering(endless) as endpoint:
            market = BybitMarket(endpoint, client=RestClient(endpoint, rate_limit_ms=1, sleep=no_pause))
            try:
                with pytest.raises(VenueError, match="more than 20 pages"):
                    await market.pairs()
            finally:
                await market.close()

    run(work())


@pytest.fixture(scope="module")
def pair() -> PairSpec:
    async def work() -> PairSpec:
        async with exchange(history_days=3) as (_, market):
            return (await market.pairs())[0]

    return run(work())


GOOD = {"fundingRate": "0.0001", "nextFundingTime": str(NOW_MS + HOUR_MS), "fundingIntervalHour": "8", "markPrice": "1"}


@pytest.mark.parametrize(
    "change",
    [{"fundingRate": ""}, {"fundingRate": "NaN"}, {"fundingRate": "0.9"}, {"nextFundingTime": ""},
     {"nextFundingTime": "0"}, {"nextFundingTime": "1e30"}, {"fundingRate": None}],
)  # fmt: skip
def test_an_impossible_estimate_is_none(pair: PairSpec, change: dict[str, Any]) -> None:
    """F26."""
    assert predicted_of(pair.perp, GOOD, NOW_MS) is not None
    assert predicted_of(pair.perp, GOOD | change, NOW_MS) is None


def test_missing_values_of_an_estimate_stay_missing(pair: PairSpec) -> None:
    found = predicted_of(pair.perp, {**GOOD, "fundingIntervalHour": "", "markPrice": ""}, NOW_MS)

    assert found is not None
    assert (found.interval_hours, found.mark) == (0.0, 0.0)


def test_no_command_pays_for_ccxt_that_does_not_need_it() -> None:
    """Importing the adapter, and the commands, must not import ccxt: that takes a second and 100 MB."""
    code = (
        "import sys, carryfold.adapters.bybit.venue, carryfold.adapters.backfill, carryfold.adapters.cli.app;"
        "sys.exit(any(name.split('.')[0] == 'ccxt' for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
