"""Bybit's pairs: its USDT perpetuals, each with the spot market that hedges it.

A perpetual on a thousand coins and its spot market have different names and prices. The name gives the multiplier, and
where both trade, their prices have to agree with it, which also finds two assets that share one ticker. Closed
perpetuals are part of history: without them every backtest would be one of survivors.

A spot market that somebody may hold counts as closed when the venue says so, or when it is neither among the
instruments nor among the tickers any more. One of the two alone may be half an answer.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.facts import VENUE_NAME
from carryfold.adapters.bybit.fields import Fields, amount_of, number_of, text_of
from carryfold.adapters.bybit.instruments_info import (
    CLOSED,
    QUOTE,
    InstrumentInfo,
    lots_of,
    read_perp,
    read_spot,
    unsupported_perp,
)
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.adapters.venues import LegRules, PairSpec, VenueError
from carryfold.domain.events import InstrumentListed
from carryfold.domain.instruments import ASSUMED
from carryfold.domain.symbols import read_symbol

__all__ = ["Excluded", "Listings", "fetch_listings", "match_listings"]

PAGE_ROWS: Final = 1_000
MAX_PAGES: Final = 20
MAX_PRICE_GAP: Final = 0.05
"""Beyond this gap between perpetual and spot price the two are different assets, or no hedge for each other."""

_INFO: Final = "public_get_v5_market_instruments_info"
_TICKERS: Final = "public_get_v5_market_tickers"
_STATUSES: Final = ("Trading", "Delivering", CLOSED)
_NO_COIN: Final = frozenset({"stock", "forex", "commodity", "xstocks"})
_INNOVATION: Final = frozenset({"innovation", "adventure"})
_UNLIMITED: Final = Decimal("1e18")


class Excluded(NamedTuple):
    """A perpetual that is no pair here, and the reason as a predicate."""

    symbol: str
    reason: str


class Listings(NamedTuple):
    """The pairs by symbol and listing, and the perpetuals that were left out."""

    pairs: list[PairSpec]
    excluded: list[Excluded]


async def fetch_listings(client: RestClient, *, innovation: bool = False, retained: Collection[str] = ()) -> Listings:
    """The pairs of everything that is listed now, closed perpetuals included. `innovation`: also instruments of the
    innovation zone; `retained`: perpetuals that are pairs whatever their prices and zone are today. Raises
    VenueError."""
    spots, perps, spot_prices, perp_prices = await asyncio.gather(
        _pages(client, {"category": "spot"}),
        _every_status(client),
        client.get(_TICKERS, {"category": "spot"}, "spot prices"),
        client.get(_TICKERS, {"category": "linear"}, "perpetual prices"),
    )
    if retained and not (spots and spot_prices.rows()):  # else every held spot market would look closed
        raise VenueError("bybit lists no spot instruments at all: ask again")
    prices = {
        "spot": _prices(spot_prices.rows(), "bid1Price", "ask1Price", "lastPrice"),
        "perp": _prices(perp_prices.rows(), "bid1Price", "ask1Price", "markPrice"),
    }
    return match_listings(spots, perps, prices, innovation=innovation, retained=retained)


def match_listings(
    spots: Iterable[Fields],
    perps: Iterable[Fields],
    prices: Mapping[str, Mapping[str, float]],
    *,
    innovation: bool = False,
    retained: Collection[str] = (),
) -> Listings:
    """Pairs of instruments as the venue describes them. `prices` by kind and symbol decide whether the two legs are
    the same asset; for `retained` ones this was decided before."""
    by_symbol = {text_of(one, "symbol"): one for one in spots if text_of(one, "quoteCoin") == QUOTE}
    excluded: list[Excluded] = []
    pairs: list[PairSpec] = []
    for symbol, fields, listing in _numbered(perps):
        try:
            _, _, multiplier, spot_symbol = read_symbol(VENUE_NAME, checks.symbol(symbol))
            spot, is_retained = by_symbol.get(spot_symbol), symbol in retained
            spot_status = _spot_status(spot, has_ticker=spot_symbol in prices["spot"])
            reason = _no_pair(fields, spot, spot_status, innovation=innovation, is_retained=is_retained)
            if not reason and not is_retained:
                reason = _other_asset(symbol, spot_symbol, multiplier, fields, prices)
            if reason:
                excluded.append(Excluded(symbol, reason))
                continue
            pairs.append(_pair(fields, spot, listing, spot_status, is_retained=is_retained))
        except RowRefused as refused:
            excluded.append(Excluded(symbol, str(refused)))
    pairs.sort(key=lambda one: (one.symbol, one.perp.listing))
    return Listings(pairs, excluded)


async def _every_status(client: RestClient) -> list[Fields]:
    answers = await asyncio.gather(
        *(_pages(client, {"category": "linear", "status": status, "limit": PAGE_ROWS}) for status in _STATUSES)
    )
    return [fields for rows in answers for fields in rows]


async def _pages(client: RestClient, params: dict[str, Any]) -> list[Fields]:
    """Every page. The last one may carry a cursor too, so an empty page is another end."""
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
    """Perpetuals with the number of their listing: a symbol that is listed again is another instrument."""
    lives: dict[str, dict[str, Fields]] = defaultdict(dict)
    for fields in perps:
        if text_of(fields, "contractType") == "LinearPerpetual":
            lives[text_of(fields, "symbol")].setdefault(text_of(fields, "launchTime"), fields)
    for symbol, by_launch in sorted(lives.items()):
        ordered = sorted(by_launch, key=lambda text: (len(text), text))
        yield from ((symbol, by_launch[launch], number) for number, launch in enumerate(ordered, 1))


def _spot_status(spot: Fields | None, *, has_ticker: bool) -> str:
    if spot is None:
        return "Trading" if has_ticker else CLOSED
    return CLOSED if text_of(spot, "status") == CLOSED else "Trading"


def _no_pair(fields: Fields, spot: Fields | None, spot_status: str, *, innovation: bool, is_retained: bool) -> str:
    """Why this perpetual is no pair, as a predicate; empty if it is one."""
    if reason := unsupported_perp(fields):
        return reason
    kinds = {text_of(fields, "symbolType"), text_of(spot or {}, "symbolType")}
    if kinds & _NO_COIN:
        return "has no coin behind it"
    is_innovation = (spot is not None and text_of(spot, "innovation") == "1") or bool(kinds & _INNOVATION)
    if is_innovation and not (innovation or is_retained):
        return "is in the innovation zone"
    is_hedged = is_retained if spot_status == CLOSED else spot is not None
    return "" if is_hedged or text_of(fields, "status") == CLOSED else "has no spot instrument"


def _other_asset(
    symbol: str, spot_symbol: str, multiplier: float, fields: Fields, prices: Mapping[str, Mapping[str, float]]
) -> str:
    if text_of(fields, "status") == CLOSED:
        return ""
    spot, perp = prices["spot"].get(spot_symbol, 0.0), prices["perp"].get(symbol, 0.0)
    if not (spot and perp):
        return "" if multiplier == 1 else f"its multiplier of {multiplier:g} cannot be checked: a price is missing"
    gap = abs(perp / (multiplier * spot) - 1)
    return f"its price is {gap:.0%} off that of {spot_symbol}: not the same asset" if gap > MAX_PRICE_GAP else ""


def _pair(fields: Fields, spot: Fields | None, listing: int, spot_status: str, *, is_retained: bool) -> PairSpec:
    """Raises RowRefused for a malformed field."""
    info = read_perp(fields)
    perp = _perp(info, listing)
    perp_rules = _perp_rules(fields, info, int(perp.multiplier))
    # The rules of a spot market that is not listed are not told; those of its perpetual have to do.
    spot_rules = perp_rules if spot is None else _spot_rules(spot, read_spot(spot))
    spot_rules = replace(spot_rules, trading=spot_status != CLOSED)
    base = text_of(spot or {}, "baseCoin") or perp.base
    spot_listed = _spot(read_symbol(VENUE_NAME, info.symbol).spot_symbol, spot_rules, base)
    if spot is None and not is_retained:
        spot_listed, spot_status = replace(spot_listed, symbol=info.symbol, listing=ASSUMED), "Trading"
    delist_at = info.delivery_ms * NS_PER_MS
    return PairSpec(spot_listed, replace(perp, base=base), spot_rules, perp_rules, delist_at, info.status, spot_status)


def _perp(info: InstrumentInfo, listing: int) -> InstrumentListed:
    parts = read_symbol(VENUE_NAME, info.symbol)
    return InstrumentListed(
        VENUE_NAME, info.symbol, "perp", listing, info.launch_ms * NS_PER_MS, parts.base, QUOTE, float(info.lot),
        float(info.min_notional), parts.multiplier, float(info.tick), info.interval_hours, info.rate_cap,
    )  # fmt: skip


def _spot(symbol: str, rules: LegRules, base: str) -> InstrumentListed:
    """The venue does not tell since when a spot market is listed."""
    return InstrumentListed(
        VENUE_NAME, symbol, "spot", 1, 0, base, QUOTE, float(rules.qty_step), float(rules.notional_min),
        tick=float(rules.tick),
    )  # fmt: skip


def _perp_rules(fields: Fields, info: InstrumentInfo, multiplier: int) -> LegRules:
    """In base coins: quantities times the multiplier, prices divided by it."""
    lots = lots_of(fields)
    return LegRules(
        info.lot * multiplier,
        amount_of(lots, "minOrderQty", "0") * multiplier,
        _largest(lots, "maxOrderQty") * multiplier,
        info.min_notional,
        _tick(info) / multiplier,
        _band(fields),
        info.status != CLOSED,
    )


def _spot_rules(fields: Fields, info: InstrumentInfo) -> LegRules:
    lots = lots_of(fields)
    limit = "maxLimitOrderQty" if text_of(lots, "maxLimitOrderQty") else "maxOrderQty"
    return LegRules(info.lot, info.lot, _largest(lots, limit), info.min_notional, _tick(info), _band(fields))


def _tick(info: InstrumentInfo) -> Decimal:
    """Without a tick no order can be priced."""
    if info.tick <= 0:
        raise RowRefused("tickSize is not positive")
    return info.tick


def _band(fields: Fields) -> Decimal:
    """How far from the market a limit price may be: the smaller of the two ratios, 0 where there is none."""
    found = fields.get("riskParameters")
    risk = found if isinstance(found, dict) else {}
    ratios = (amount_of(risk, name, "0") for name in ("priceLimitRatioX", "priceLimitRatioY"))
    return min((ratio for ratio in ratios if ratio > 0), default=Decimal(0))


def _largest(fields: Fields, name: str) -> Decimal:
    return amount_of(fields, name, "0") or _UNLIMITED


def _prices(rows: Sequence[Any], bid: str, ask: str, last: str) -> dict[str, float]:
    """The middle of bid and ask by symbol, else the last price; malformed ones are left out."""
    found: dict[str, float] = {}
    for row in rows:
        if not isinstance(row, dict):
            continue
        values = []
        for name in (bid, ask, last):
            try:
                values.append(number_of(row, name))
            except RowRefused:
                values.append(0.0)
        price = (values[0] + values[1]) / 2 if values[0] > 0 and values[1] > 0 else values[2]
        if price > 0:
            found[text_of(row, "symbol")] = price
    return found
