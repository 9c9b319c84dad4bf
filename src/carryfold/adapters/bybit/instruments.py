"""What Bybit lists: its USDT perpetuals, each with the spot instrument that hedges it.

A perpetual on a thousand coins and its spot instrument have different names and prices; the name tells the multiplier,
and where both trade, the prices have to agree with it, which also finds two assets that share one ticker. Closed
perpetuals are part of history: leaving them out would make every backtest one of survivors.

A spot instrument that somebody may hold is reported as closed when the venue says so, or when it is neither among the
instruments nor among the tickers any more. One of the two alone may be half an answer.

Listings made here equal those that `carryfold import` makes of the same answers (a test compares them).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.importing import checks
from carryfold.adapters.importing.bybit import text_of
from carryfold.adapters.importing.names import read_name
from carryfold.adapters.importing.report import RowRefused
from carryfold.adapters.venue import LegRules, PairSpec, VenueError
from carryfold.domain.events import InstrumentListed
from carryfold.domain.instruments import ASSUMED

__all__ = ["VENUE", "Excluded", "Listings", "fetch_listings", "match_listings"]

VENUE: Final = "bybit"
PAGE_ROWS: Final = 1_000
MAX_PAGES: Final = 20
NS_PER_MS: Final = 1_000_000
MAX_PRICE_GAP: Final = 0.05
"""A perpetual further than this from its spot instrument is another asset, or nothing that hedges it."""

_INFO: Final = "public_get_v5_market_instruments_info"
_TICKERS: Final = "public_get_v5_market_tickers"
_STATUSES: Final = ("Trading", "Delivering", "Closed")
_CLOSED: Final = "Closed"
_QUOTE: Final = "USDT"
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
    if kept and not (spots and spot_prices.rows()):  # else everything that is held would seem to have closed
        raise VenueError("bybit tells of no spot instruments at all: ask again")
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
    """Pairs of instruments as the venue describes them. `prices` by kind and symbol decide whether the two legs are
    the same asset; those of `kept` have been found to be."""
    by_symbol = {text_of(one, "symbol"): one for one in spots if text_of(one, "quoteCoin") == _QUOTE}
    excluded: list[Excluded] = []
    pairs: list[PairSpec] = []
    for symbol, fields, listing in _numbered(perps):
        try:
            _, _, multiplier, spot_symbol = read_name(VENUE, checks.symbol(symbol))
            spot, is_kept = by_symbol.get(spot_symbol), symbol in kept
            spot_status = _spot_status(spot, has_ticker=spot_symbol in prices["spot"])
            why = _no_pair(fields, spot, spot_status, young=young, is_kept=is_kept)
            if not why and not is_kept:
                why = _other_asset(symbol, spot_symbol, multiplier, fields, prices)
            if why:
                excluded.append(Excluded(symbol, why))
                continue
            pairs.append(_pair(symbol, fields, spot, listing, spot_status, is_kept=is_kept))
        except RowRefused as refused:
            excluded.append(Excluded(symbol, str(refused)))
    pairs.sort(key=lambda one: (one.symbol, one.perp.listing))
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
    """Perpetuals with the number of their listing: a symbol that was listed again is another instrument."""
    lives: dict[str, dict[str, Fields]] = defaultdict(dict)
    for fields in perps:
        if text_of(fields, "contractType") == "LinearPerpetual":
            lives[text_of(fields, "symbol")].setdefault(text_of(fields, "launchTime"), fields)
    for symbol, by_launch in sorted(lives.items()):
        ordered = sorted(by_launch, key=lambda text: (len(text), text))
        yield from ((symbol, by_launch[launch], number) for number, launch in enumerate(ordered, 1))


def _spot_status(spot: Fields | None, *, has_ticker: bool) -> str:
    if spot is None:
        return "Trading" if has_ticker else _CLOSED
    return _CLOSED if text_of(spot, "status") == _CLOSED else "Trading"


def _no_pair(fields: Fields, spot: Fields | None, spot_status: str, *, young: bool, is_kept: bool) -> str:
    """Why this perpetual is not traded here; nothing if it is."""
    kinds = {text_of(fields, "symbolType"), text_of(spot or {}, "symbolType")}
    if text_of(fields, "settleCoin") != _QUOTE:
        return "does not settle in USDT"
    if text_of(fields, "status") == "PreLaunch" or fields.get("isPreListing") is True:
        return "is not launched yet"
    if kinds & {*_NOT_CRYPTO}:
        return "has no coin behind it"
    innovation = spot is not None and text_of(spot, "innovation") == "1"
    if not (young or is_kept) and (innovation or kinds & {*_YOUNG}):
        return "is in the innovation zone"
    is_hedged = is_kept if spot_status == _CLOSED else spot is not None
    return "" if is_hedged or text_of(fields, "status") == _CLOSED else "has no spot instrument"


def _other_asset(
    symbol: str, spot_symbol: str, multiplier: float, fields: Fields, prices: Mapping[str, Mapping[str, float]]
) -> str:
    if text_of(fields, "status") == _CLOSED:
        return ""
    spot, perp = prices["spot"].get(spot_symbol, 0.0), prices["perp"].get(symbol, 0.0)
    if not (spot and perp):
        return "" if multiplier == 1 else f"its multiplier of {multiplier:g} cannot be checked: a price is missing"
    gap = abs(perp / (multiplier * spot) - 1)
    return f"its price is {gap:.0%} off that of {spot_symbol}: not the same asset" if gap > MAX_PRICE_GAP else ""


def _pair(
    symbol: str, fields: Fields, spot: Fields | None, listing: int, spot_status: str, *, is_kept: bool
) -> PairSpec:
    """Raises RowRefused for a field that cannot be."""
    perp = _perp(symbol, fields, listing)
    status, delivery = text_of(fields, "status"), _time_ms(fields, "deliveryTime")
    if status == _CLOSED and not delivery:
        raise RowRefused("deliveryTime is missing though the instrument is closed")
    perp_rules = _perp_rules(fields, int(perp.multiplier), trading=status != _CLOSED)
    spot_rules = perp_rules if spot is None else _spot_rules(spot)  # of one that is not told they have to do
    spot_rules = replace(spot_rules, trading=spot_status != _CLOSED)
    base = text_of(spot or {}, "baseCoin") or perp.base
    spot_listed = _spot(read_name(VENUE, symbol).spot_symbol, spot_rules, base)
    if spot is None and not is_kept:
        spot_listed, spot_status = replace(spot_listed, symbol=symbol, listing=ASSUMED), "Trading"
    perp = replace(perp, base=base)
    return PairSpec(spot_listed, perp, spot_rules, perp_rules, delivery * NS_PER_MS, status, spot_status)


def _perp(symbol: str, fields: Fields, listing: int) -> InstrumentListed:
    lots = fields["lotSizeFilter"]
    said = read_name(VENUE, symbol)
    caps = [abs(_number(fields, name)) for name in ("upperFundingRate", "lowerFundingRate")]
    minutes = _number(fields, "fundingInterval")
    hours = minutes / 60 if minutes % 60 == 0 and checks.MIN_HOURS <= minutes / 60 <= checks.MAX_HOURS else 0.0
    return InstrumentListed(
        VENUE,
        symbol,
        "perp",
        listing,
        _time_ms(fields, "launchTime") * NS_PER_MS,
        said.base,
        _QUOTE,
        float(_positive(lots, "qtyStep")),
        float(_exact(lots, "minNotionalValue", "5")),
        said.multiplier,
        float(_positive(_filter(fields), "tickSize")),
        hours,
        max(caps) if max(caps) <= 1 else 0.0,
    )


def _spot(symbol: str, rules: LegRules, base: str) -> InstrumentListed:
    """The venue does not tell since when a spot instrument is listed."""
    return InstrumentListed(
        VENUE, symbol, "spot", 1, 0, base, _QUOTE, float(rules.qty_step), float(rules.notional_min),
        tick=float(rules.tick),
    )  # fmt: skip


def _perp_rules(perp: Fields, multiplier: int, *, trading: bool) -> LegRules:
    """In base coins: quantities times the multiplier, prices by it."""
    lots = perp["lotSizeFilter"]
    return LegRules(
        _positive(lots, "qtyStep") * multiplier,
        _exact(lots, "minOrderQty", "0") * multiplier,
        _largest(lots, "maxOrderQty") * multiplier,
        _exact(lots, "minNotionalValue", "5"),
        _positive(_filter(perp), "tickSize") / multiplier,
        _band(perp),
        trading,
    )


def _spot_rules(spot: Fields) -> LegRules:
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
