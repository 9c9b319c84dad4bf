"""Which perpetuals are pairs, with which lots, and that they are those that an import of the same answers makes."""

import json
import os
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.bybit.instruments import match_listings
from carryfold.adapters.importing import import_paths
from carryfold.adapters.marketdata.listings import record_listings
from carryfold.domain.codec import encode
from carryfold.domain.events import InstrumentListed
from carryfold.domain.instruments import carry_pair
from carryfold.eventlog import EventLog
from tests.adapters.bybit.venue import NOW_MS, events_of, exchange, run

SHARED = Path(os.environ.get("CARRYFOLD_SHARED") or Path(__file__).resolve().parents[4] / "shared")
DOCS = SHARED / "fixtures" / "bybit_docs"

PERP: dict[str, Any] = {
    "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT",
    "launchTime": "1585526400000", "deliveryTime": "0", "priceFilter": {"tickSize": "0.10"}, "settleCoin": "USDT",
    "lotSizeFilter": {"maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001", "minNotionalValue": "5"},
    "fundingInterval": 480, "upperFundingRate": "0.00375", "lowerFundingRate": "-0.00375", "symbolType": "",
    "isPreListing": False,
}  # fmt: skip
SPOT: dict[str, Any] = {
    "symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "innovation": "0", "status": "Trading",
    "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.000011", "maxOrderQty": "83", "minOrderAmt": "5",
                      "maxLimitOrderQty": "84"},
    "priceFilter": {"tickSize": "0.1"}, "symbolType": "",
}  # fmt: skip
PRICES = {"spot": {"BTCUSDT": 100.0, "PEPEUSDT": 0.01}, "perp": {"BTCUSDT": 100.1, "1000PEPEUSDT": 10.02}}


def perp(**changes: Any) -> dict[str, Any]:
    return deepcopy(PERP) | changes


def spot(**changes: Any) -> dict[str, Any]:
    return deepcopy(SPOT) | changes


def test_a_pair_has_the_listings_and_the_rules_of_both_instruments() -> None:
    (found,), excluded = match_listings([SPOT], [PERP], PRICES)

    assert excluded == []
    assert found.perp == InstrumentListed(
        "bybit", "BTCUSDT", "perp", 1, 1585526400 * 10**9, "BTC", "USDT", 0.001, 5.0, 1.0, 0.1, 8.0, 0.00375
    )
    assert found.spot == InstrumentListed("bybit", "BTCUSDT", "spot", 1, 0, "BTC", "USDT", 0.000001, 5.0, 1.0, 0.1)
    assert found.pair == carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDT")
    assert (found.symbol, found.spot_coin) == ("BTCUSDT", "BTC")
    assert found.spot_rules.qty_step == Decimal("0.000001")
    assert found.spot_rules.qty_max == 84
    assert found.perp_rules.qty_min == Decimal("0.001")
    assert found.perp_rules.tick == Decimal("0.1")
    assert found.spot_rules.trading and found.perp_rules.trading


def test_the_rules_of_a_perpetual_on_a_thousand_coins_count_in_coins() -> None:
    thousand = perp(
        symbol="1000PEPEUSDT",
        lotSizeFilter={"maxOrderQty": "50000", "minOrderQty": "100", "qtyStep": "100", "minNotionalValue": "5"},
        priceFilter={"tickSize": "0.000001"},
    )
    coin = spot(symbol="PEPEUSDT", baseCoin="PEPE")
    coin["lotSizeFilter"]["basePrecision"] = "0.1"

    (found,), _ = match_listings([coin], [thousand], PRICES)

    assert (found.perp.multiplier, found.perp.lot, found.perp.tick) == (1000.0, 100.0, 0.000001)
    assert (found.spot.symbol, found.spot.base, found.perp.base) == ("PEPEUSDT", "PEPE", "PEPE")
    assert found.perp_rules.qty_step == 100_000
    assert found.perp_rules.qty_max == 50_000_000
    assert found.perp_rules.tick == Decimal("1e-9")


@pytest.mark.parametrize(
    ("perps", "spots", "why"),
    [
        (perp(settleCoin="USDC"), SPOT, "does not settle in USDT"),
        (perp(status="PreLaunch"), SPOT, "is not launched yet"),
        (perp(isPreListing=True), SPOT, "is not launched yet"),
        (perp(symbolType="stock"), SPOT, "has no coin behind it"),
        (perp(symbolType="forex"), SPOT, "has no coin behind it"),
        (perp(symbolType="commodity"), SPOT, "has no coin behind it"),
        (PERP, spot(symbolType="xstocks"), "has no coin behind it"),
        (perp(symbolType="innovation"), SPOT, "is in the innovation zone"),
        (PERP, spot(innovation="1"), "is in the innovation zone"),
        (PERP, spot(symbol="ETHUSDT"), "has no spot instrument"),
        (PERP, spot(quoteCoin="USDC"), "has no spot instrument"),
        (PERP, spot(status="Closed"), "has no spot instrument"),
        (perp(status="Closed"), SPOT, "deliveryTime is missing though the instrument is closed"),
        (perp(lotSizeFilter={"qtyStep": "NaN"}), SPOT, "qtyStep is not finite"),
        (perp(lotSizeFilter={"qtyStep": "-1"}), SPOT, "qtyStep is outside 1e-12 to 1e+18"),
        (perp(lotSizeFilter={"qtyStep": "1e400"}), SPOT, None),
        (perp(symbol="BTC\0USDT"), SPOT, None),
        (perp(launchTime="1585526400000000000"), SPOT, "launchTime is outside 2009 to 2099"),
    ],
)
def test_what_is_no_pair_is_left_out_with_its_reason(perps: Any, spots: Any, why: str | None) -> None:
    """F26: hostile fields leave out their own instrument and nothing else."""
    good = perp(symbol="ETHUSDT")
    found, excluded = match_listings([spots, spot(symbol="ETHUSDT", baseCoin="ETH")], [perps, good], PRICES)

    assert "ETHUSDT" in [one.symbol for one in found]
    assert perps["symbol"] in [one.symbol for one in excluded]
    if why is not None:
        assert excluded[0].reason == why


def test_the_innovation_zone_can_be_included() -> None:
    found, _ = match_listings([spot(innovation="1")], [perp(symbolType="innovation")], PRICES, innovation=True)

    assert [one.symbol for one in found] == ["BTCUSDT"]


def test_one_ticker_for_two_assets_is_found_by_its_prices() -> None:
    prices = {"spot": {"BTCUSDT": 100.0}, "perp": {"BTCUSDT": 0.07}}
    found, excluded = match_listings([SPOT], [PERP], prices)

    assert found == []
    assert excluded[0].reason == "its price is 100% off that of BTCUSDT: not the same asset"


def test_a_multiplier_counts_only_when_the_prices_agree() -> None:
    thousand, coin = perp(symbol="1000PEPEUSDT"), spot(symbol="PEPEUSDT", baseCoin="PEPE")

    unchecked = match_listings([coin], [thousand], {"spot": {}, "perp": {}})
    wrong = match_listings([coin], [thousand], {"spot": {"PEPEUSDT": 10.0}, "perp": {"1000PEPEUSDT": 10.0}})

    assert unchecked.excluded[0].reason.startswith("its multiplier of 1000 cannot be checked")
    assert wrong.excluded[0].reason.endswith("not the same asset")


def test_a_closed_perpetual_stays_a_pair_without_its_spot_instrument() -> None:
    closed = perp(symbol="OLDUSDT", status="Closed", deliveryTime="1700000000000")

    (found,), _ = match_listings([], [closed], PRICES)

    assert (found.status, found.delist_at) == ("Closed", 1_700_000_000 * 10**9)
    assert found.pair == carry_pair("bybit", "OLDUSDT")
    assert found.spot.instrument.is_assumed
    assert found.spot_coin == "OLD"
    assert not found.perp_rules.trading


def test_a_symbol_that_was_listed_again_is_another_listing() -> None:
    old = perp(status="Closed", launchTime="1500000000000", deliveryTime="1550000000000")

    found, _ = match_listings([SPOT], [PERP, old], PRICES)

    assert [(one.perp.listing, one.status) for one in found] == [(1, "Closed"), (2, "Trading")]


def test_listings_equal_those_of_an_import_of_the_same_answers(tmp_path: Path) -> None:
    perps = [PERP, perp(symbol="OLDUSDT", status="Closed", deliveryTime="1700000000000")]
    for category, rows in (("spot", [SPOT]), ("linear", perps)):
        answer = {"retCode": 0, "result": {"category": category, "list": rows}, "time": NOW_MS}
        (tmp_path / f"{category}.json").write_text(json.dumps(answer))
    with EventLog.open(tmp_path / "home") as log:
        import_paths(log, [tmp_path / "spot.json", tmp_path / "linear.json"])
    with EventLog.open(tmp_path / "recorded") as log:
        record_listings(log, match_listings([SPOT], perps, PRICES).pairs, NOW_MS * 10**6, as_history=True)

    assert listings_of(tmp_path / "recorded") == listings_of(tmp_path / "home")
    assert len(listings_of(tmp_path / "home")) == 6


def listings_of(home: Path) -> list[tuple[int, bytes]]:
    return sorted((known_at, encode(event)) for known_at, event in events_of(home))


@pytest.mark.skipif(not DOCS.exists(), reason="the recorded messages are not here")
def test_the_instruments_of_the_documentation_are_read() -> None:
    rows = {name: json.loads((DOCS / f"market-instrument__{name}.json").read_text()) for name in ("0_0", "0_1", "2")}
    perps = rows["0_0"]["result"]["list"] + rows["0_1"]["result"]["list"]

    found, excluded = match_listings(rows["2"]["result"]["list"], perps, PRICES)

    assert [one.symbol for one in found] == ["BTCUSDT"]
    assert [one.reason for one in excluded] == ["is not launched yet"]


def test_the_market_lists_closed_pairs_beside_those_that_trade() -> None:
    async def work() -> dict[str, str]:
        async with exchange(pairs=8) as (_, market):
            return {pair.symbol: pair.status for pair in await market.pairs()}

    found = run(work())

    assert found["BTCUSDT"] == "Trading"
    assert "Closed" in found.values()
    assert any(symbol.startswith("1000") for symbol in found)


def test_a_retained_pair_stays_one_whatever_its_prices_and_its_zone_are() -> None:
    apart = {"spot": {"BTCUSDT": 100.0}, "perp": {"BTCUSDT": 106.0}}
    innovation = [spot(innovation="1")]

    assert not match_listings([SPOT], [PERP], apart).pairs
    assert len(match_listings([SPOT], [PERP], apart, retained={"BTCUSDT"}).pairs) == 1
    assert not match_listings(innovation, [PERP], PRICES, retained={"ETHUSDT"}).pairs
    assert len(match_listings(innovation, [PERP], PRICES, retained={"BTCUSDT"}).pairs) == 1


NO_SPOT: dict[str, dict[str, float]] = {"spot": {}, "perp": PRICES["perp"]}


@pytest.mark.parametrize("spots", [[], [spot(status="Closed")]])
def test_a_retained_pair_whose_spot_instrument_has_closed_says_so(spots: list[Any]) -> None:
    (found,), _ = match_listings(spots, [PERP], NO_SPOT, retained={"BTCUSDT"})

    assert (found.status, found.spot_status) == ("Trading", "Closed")
    assert found.pair == carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDT"), "it keeps its identity"
    assert (found.spot_coin, found.spot_rules.trading, found.perp_rules.trading) == ("BTC", False, True)
    assert not match_listings(spots, [PERP], NO_SPOT).pairs, "and is none for anybody else"


def test_a_spot_instrument_that_still_has_a_ticker_has_not_closed() -> None:
    """An empty list of instruments may be half an answer."""
    found, excluded = match_listings([], [PERP], PRICES, retained={"BTCUSDT"})

    assert found == []
    assert [one.reason for one in excluded] == ["has no spot instrument"]


def test_a_retained_pair_whose_instruments_have_both_closed_keeps_its_identity() -> None:
    closed = perp(status="Closed", deliveryTime="1700000000000")

    (found,), _ = match_listings([], [closed], NO_SPOT, retained={"BTCUSDT"})

    assert (found.status, found.spot_status) == ("Closed", "Closed")
    assert found.pair == carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDT")
