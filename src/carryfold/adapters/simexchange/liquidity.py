"""What of the market's book can be had: its depth, less what the account took from it within the same second."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.market import Level, Market

__all__ = ["Liquidity", "Offer", "best_prices"]

_DEPTH: Final = 50
_NOTHING: Final = Decimal(0)


class Offer(NamedTuple):
    """So many coins at a price."""

    price: Decimal
    size: Decimal


class Liquidity:
    """The book of every market as the account finds it."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._taken: dict[tuple[int, bool, bool], tuple[int, Decimal]] = {}

    def offers(
        self, one: Instrument, now_ms: int, *, spot: bool, asks: bool, worst: Decimal, most: Decimal
    ) -> list[Offer]:
        """What is there at prices no worse than `worst`, best first, up to `most` coins."""
        touch = best_prices(self._market, one, now_ms, spot=spot)[1 if asks else 0]
        if _worse(touch, worst, asks=asks):
            return []
        found: list[Offer] = []
        for level in self._side(one, now_ms, _DEPTH, spot=spot, asks=asks):
            offer = _offer(level, one, spot=spot)
            if most <= 0 or _worse(offer.price, worst, asks=asks):
                break
            found.append(Offer(offer.price, min(offer.size, most)))
            most -= found[-1].size
        return found

    def take(self, one: Instrument, now_ms: int, size: Decimal, *, spot: bool, asks: bool) -> None:
        """Coins that are gone from the front of one side until the next second."""
        second, taken = self._taken.get((one.number, spot, asks), (0, _NOTHING))
        now_s = now_ms // 1_000
        self._taken[one.number, spot, asks] = (now_s, (taken if second == now_s else _NOTHING) + size)

    def depth(self, one: Instrument, now_ms: int, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks) that are left."""
        bids = self._side(one, now_ms, levels, spot=spot, asks=False)
        return bids, self._side(one, now_ms, levels, spot=spot, asks=True)

    def _side(self, one: Instrument, now_ms: int, levels: int, *, spot: bool, asks: bool) -> list[Level]:
        second, taken = self._taken.get((one.number, spot, asks), (0, _NOTHING))
        if second != now_ms // 1_000 or not taken:
            return self._market.depth(one, now_ms, levels, spot=spot)[1 if asks else 0]
        side = self._market.depth(one, now_ms, levels + _DEPTH, spot=spot)[1 if asks else 0]
        left: list[Level] = []
        for level in side:
            size = _offer(level, one, spot=spot).size
            gone = min(size, taken)
            taken -= gone
            if size > gone:
                left.append(Level(level.price, float(size - gone)))
        return left[:levels]


def best_prices(market: Market, one: Instrument, now_ms: int, *, spot: bool) -> tuple[Decimal, Decimal]:
    """(best bid, best ask) as if nobody had traded with them."""
    bid, ask = market.best(one, now_ms, spot=spot)
    return _offer(bid, one, spot=spot).price, _offer(ask, one, spot=spot).price


def _offer(level: Level, one: Instrument, *, spot: bool) -> Offer:
    decimals, places = (one.spot_decimals, one.spot_qty_decimals) if spot else (one.decimals, one.qty_decimals)
    return Offer(Decimal(fixed(level.price, decimals)), Decimal(fixed(level.size, places)))


def _worse(price: Decimal, worst: Decimal, *, asks: bool) -> bool:
    return price > worst if asks else price < worst
