"""What Bybit lists: its USDT perpetuals, each with the spot pair that hedges it.

A perpetual on a thousand coins and its spot pair have different names and prices; the name tells the multiplier, and
where both trade, the prices have to agree with it, which also finds two assets that share one ticker. Closed
perpetuals are part of history: leaving them out would make every backtest one of survivors.

Listings made here equal those that `carryfold import` makes of the same answers (a test compares them).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.bybit import text_of
from carryfold.adapters.importing.instruments import LOT_UNITS, common_step
from carryfold.adapters.importing.names import spot_of
from carryfold.adapters.importing.report import RowRefused
from carryfold.adapters.venue import LegRules, PairSpec, VenueError
from carryfold.domain.events import PairListed

__all__ = ["VENUE", "Excluded", "Listings", "fetch_listings", "match_listings"]

VENUE: Final = "bybit"
PAGE_ROWS: Final = 1_000
MAX_PAGES: Final = 20
NS_PER_MS: Final = 1_000_000
MAX_PRICE_GAP: Final = 0.05
"""A perpetual further than this from its spot pair is another asset, or nothing that hedges it."""

_INFO: Final = "public_get_v5_market_instruments_info"
_TICKERS: Final = "public_get_v5_market_tickers"
_STATUSES: Final = ("Trading", "Delivering", "Closed")
_NOT_CRYPTO: Final = ("stock", "forex", "commodity", "xstocks")
_YOUNG: Final = ("innovation", "adventure")
_LARGEST: Final = Decimal("1e18")

Fields = dict[str, Any]


class Excluded(NamedTuple):
    """A perpetual that is no pair here, and why."""

    symbol: str
    reason: str


class Listings(NamedTuple):
    """The pairs by symbol and listing, and what was left out."""

    pairs: list[PairSpec]
    excluded: list[Excluded]


async def fetch_listings(client: RestClient, *, young: bool = False, kept: Collection[str] = ()) -> Listings:
    """Ask for everything there is now, closed perpetuals included. `young`: also innovation-zone instruments; `kept`:
    perpetuals that are pairs whatever their prices and their zone are today. Raises VenueError."""
    spots, perps, spot_prices, perp_prices = await asyncio.gather(
        _pages(client, {"category": "spot"}),
        _every_status(client),
        client.get(_TICKERS, {"category": "spot"}, "spot prices"),
        client.get(_TICKERS, {"category": "linear"}, "perpetual prices"),
    )
    prices = {
        "spot": _prices(spot_prices.rows(), "bid1Price", "ask1Price", "lastPrice"),
        "perp": _prices(perp_prices.rows(), "bid1Price", "ask1Price", "markPrice"),
    }
    return match_listings(spots, perps, prices, young=young, kept=kept)


def match_listings(
    spots: Iterable[Fields],
    perps: Iterable[Fields],
    prices: Mapping[str, Mapping[str, float]],
    *,
    young: bool = False,
    kept: Collection[str] = (),
) -> Listings:
    """Pairs of instruments as the venue describes them. `prices` by leg and symbol decide whether the two legs are
    the same asset; those of `kept` have been found to be."""
    by_symbol = {text_of(one, "symbol"): one for one in spots if text_of(one, "quoteCoin") == "USDT"}
    excluded: list[Excluded] = []
    pairs: list[PairSpec] = []
    for symbol, fields, listing in _numbered(perps):
        try:
            spot_symbol, multiplier = spot_of(checks.symbol(symbol))
            spot = by_symbol.get(spot_symbol)
            why = _no_pair(fields, spot, young or symbol in kept)
            if not why and symbol not in kept:
                why = _other_asset(symbol, spot_symbol, multiplier, fields, prices)
            if why:
                excluded.append(Excluded(symbol, why))
                continue
            pairs.append(_pair(symbol, fields, spot, listing))
        except RowRefused as refused:
            excluded.append(Excluded(symbol, str(refused)))
    pairs.sort(key=lambda one: (one.listed.symbol, one.listed.listing))
    return Listings(pairs, excluded)


async def _every_status(client: RestClient) -> list[Fields]:
    answers = await asyncio.gather(
        *(_pages(client, {"category": "linear", "status": status, "limit": PAGE_ROWS}) for status in _STATUSES)
    )
    return [fields for rows in answers for fields in rows]


async def _pages(client: RestClient, params: Fields) -> list[Fields]:
    """Every page. The last one may carry a cursor all the same, so that an empty page ends it too."""
    found: list[Fields] = []
    cursor = ""
    for _ in range(MAX_PAGES):
        answer = await client.get(_INFO, params | ({"cursor": cursor} if cursor else {}), "its instruments")
        rows = answer.rows()
        found += [row for row in rows if isinstance(row, dict) and isinstance(row.get("lotSizeFilter"), dict)]
        cursor = text_of(answer.result, "nextPageCursor")
        if not rows or not cursor:
            return found
    raise VenueError(f"bybit lists instruments on more than {MAX_PAGES} pages: this is not what it documents")


def _numbered(perps: Iterable[Fields]) -> Iterable[tuple[str, Fields, int]]:
    """Perpetuals with the number of their listing: a symbol that was listed again is another pair."""
    lives: dict[str, dict[str, Fields]] = defaultdict(dict)
    for fields in perps:
        if text_of(fields, "contractType") == "LinearPerpetual":
            lives[text_of(fields, "symbol")].setdefault(text_of(fields, "launchTime"), fields)
    for symbol, by_launch in sorted(lives.items()):
        ordered = sorted(by_launch, key=lambda text: (len(text), text))
        yield from ((symbol, by_launch[launch], number) for number, launch in enumerate(ordered, 1))


def _no_pair(fields: Fields, spot: Fields | None, young: bool) -> str:
    """Why this perpetual is not traded here; nothing if it is."""
    kinds = {text_of(fields, "symbolType"), text_of(spot or {}, "symbolType")}
    if text_of(fields, "settleCoin") != "USDT":
        return "does not settle in USDT"
    if text_of(fields, "status") == "PreLaunch" or fields.get("isPreListing") is True:
        return "is not launched yet"
    if kinds & {*_NOT_CRYPTO}:
        return "has no coin behind it"
    innovation = spot is not None and text_of(spot, "innovation") == "1"
    if not young and (innovation or kinds & {*_YOUNG}):
        return "is in the innovation zone"
    if spot is None and text_of(fields, "status") != "Closed":
        return "has no spot pair"
    return ""


def _other_asset(
    symbol: str, spot_symbol: str, multiplier: float, fields: Fields, prices: Mapping[str, Mapping[str, float]]
) -> str:
    if text_of(fields, "status") == "Closed":
        return ""
    spot, perp = prices["spot"].get(spot_symbol, 0.0), prices["perp"].get(symbol, 0.0)
    if not (spot and perp):
        return "" if multiplier == 1 else f"its multiplier of {multiplier:g} cannot be checked: a price is missing"
    gap = abs(perp / (multiplier * spot) - 1)
    return f"its price is {gap:.0%} off that of {spot_symbol}: not the same asset" if gap > MAX_PRICE_GAP else ""


def _pair(symbol: str, perp: Fields, spot: Fields | None, listing: int) -> PairSpec:
    """Raises RowRefused for a field that cannot be."""
    spot_symbol, multiplier = spot_of(symbol)
    whole = int(multiplier)
    perp_leg = _perp_leg(perp, whole)
    spot_leg = perp_leg if spot is None else _spot_leg(spot)
    step = common_step(Fraction(perp_leg.qty_step), Fraction(spot_leg.qty_step))
    launch, delivery = _time_ms(perp, "launchTime"), _time_ms(perp, "deliveryTime")
    status = text_of(perp, "status")
    if status == "Closed" and not delivery:
        raise RowRefused("deliveryTime is missing though the instrument is closed")
    caps = [abs(_number(perp, name)) for name in ("upperFundingRate", "lowerFundingRate")]
    minutes = _number(perp, "fundingInterval")
    hours = minutes / 60 if minutes % 60 == 0 and checks.MIN_HOURS <= minutes / 60 <= checks.MAX_HOURS else 0.0
    listed = PairListed(
        VENUE,
        symbol,
        listing,
        launch * NS_PER_MS,
        float(step),
        float(max(perp_leg.notional_min, spot_leg.notional_min)),
        LOT_UNITS,
        priced=spot is not None,
        multiplier=multiplier,
        interval_hours=hours,
        spot_symbol=spot_symbol if spot is not None else "",
        rate_cap=max(caps) if max(caps) <= 1 else 0.0,
    )
    coin = text_of(spot, "baseCoin") if spot is not None else spot_symbol.removesuffix("USDT")
    return PairSpec(listed, coin, spot_leg, perp_leg, delivery * NS_PER_MS, status)


def _perp_leg(perp: dict[str, Any], multiplier: int) -> LegRules:
    """In coins of the spot pair: quantities times the multiplier, prices by it."""
    lots = perp["lotSizeFilter"]
    return LegRules(
        _positive(lots, "qtyStep") * multiplier,
        _exact(lots, "minOrderQty", "0") * multiplier,
        _largest(lots, "maxOrderQty") * multiplier,
        _exact(lots, "minNotionalValue", "5"),
        _positive(_filter(perp), "tickSize") / multiplier,
        _band(perp),
    )


def _spot_leg(spot: Fields) -> LegRules:
    """`minOrderAmt` is enforced; `minOrderQty` and `maxOrderQty` are deprecated and are not."""
    lots = spot["lotSizeFilter"]
    step = _positive(lots, "basePrecision")
    limit = "maxLimitOrderQty" if text_of(lots, "maxLimitOrderQty") else "maxOrderQty"
    least, tick = _exact(lots, "minOrderAmt", "0"), _positive(_filter(spot), "tickSize")
    return LegRules(step, step, _largest(lots, limit), least, tick, _band(spot))


def _band(fields: Fields) -> Decimal:
    """How far from the market a limit may be: the smaller one of the two ratios, 0 where there is none."""
    found = fields.get("riskParameters")
    risk = found if isinstance(found, dict) else {}
    told = (_exact(risk, name, "0") for name in ("priceLimitRatioX", "priceLimitRatioY"))
    return min((ratio for ratio in told if ratio > 0), default=Decimal(0))


def _filter(fields: Fields) -> dict[str, Any]:
    found = fields.get("priceFilter")
    return found if isinstance(found, dict) else {}


def _exact(fields: Fields, name: str, default: str) -> Decimal:
    text = text_of(fields, name).strip() or default
    value = checks.number(text, name)
    if value == 0:
        return Decimal(0)
    if not checks.MIN_PRICE <= value <= checks.MAX_AMOUNT or len(text) > 40:
        raise RowRefused(f"{name} is outside {checks.MIN_PRICE:g} to {checks.MAX_AMOUNT:g}")
    return Decimal(text)


def _positive(fields: Fields, name: str) -> Decimal:
    value = _exact(fields, name, "")
    if value <= 0:
        raise RowRefused(f"{name} is not positive")
    return value


def _largest(fields: Fields, name: str) -> Decimal:
    return _exact(fields, name, "0") or _LARGEST


def _number(fields: Fields, name: str) -> float:
    return checks.number(text_of(fields, name) or "0", name)


def _time_ms(fields: Fields, name: str) -> int:
    at = int(_number(fields, name))
    if at and not checks.EARLIEST_MS <= at <= checks.LATEST_MS:
        raise RowRefused(f"{name} is outside 2009 to 2099")
    return at


def _prices(rows: Sequence[Any], bid: str, ask: str, last: str) -> dict[str, float]:
    """The middle of bid and ask by symbol, else the last price; malformed ones are left out."""
    found: dict[str, float] = {}
    for row in rows:
        if not isinstance(row, dict):
            continue
        values = []
        for name in (bid, ask, last):
            try:
                values.append(checks.number(text_of(row, name) or "0", name))
            except RowRefused:
                values.append(0.0)
        price = (values[0] + values[1]) / 2 if values[0] > 0 and values[1] > 0 else values[2]
        if price > 0:
            found[text_of(row, "symbol")] = price
    return found
