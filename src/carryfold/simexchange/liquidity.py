"""The liquidity available to the account: the market's depth, less what the account took within the same second."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.market import Level, Market

__all__ = ["Liquidity", "Offer", "best_prices"]

_DEPTH: Final = 50
_ZERO: Final = Decimal(0)


class Offer(NamedTuple):
    """An amount of coins at a price."""

    price: Decimal
    size: Decimal


class Liquidity:
    """The order books as the account sees them."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._taken: dict[tuple[int, bool, bool], tuple[int, Decimal]] = {}

    def offers(
        self, pair: ListedPair, now_ms: int, *, spot: bool, asks: bool, worst: Decimal, most: Decimal
    ) -> list[Offer]:
        """Offers at prices no worse than `worst`, best first, up to `most` coins in all."""
        touch = best_prices(self._market, pair, now_ms, spot=spot)[1 if asks else 0]
        if _worse(touch, worst, asks=asks):
            return []
        found: list[Offer] = []
        for level in self._side(pair, now_ms, _DEPTH, spot=spot, asks=asks):
            offer = _offer(level, pair, spot=spot)
            if most <= 0 or _worse(offer.price, worst, asks=asks):
                break
            found.append(Offer(offer.price, min(offer.size, most)))
            most -= found[-1].size
        return found

    def take(self, pair: ListedPair, now_ms: int, size: Decimal, *, spot: bool, asks: bool) -> None:
        """Remove coins from the front of one side until the next second."""
        second, taken = self._taken.get((pair.number, spot, asks), (0, _ZERO))
        now_s = now_ms // 1_000
        self._taken[pair.number, spot, asks] = (now_s, (taken if second == now_s else _ZERO) + size)

    def depth(self, pair: ListedPair, now_ms: int, levels: int, *, spot: bool) -> tuple[list[Level], list[Level]]:
        """(bids, asks) without what the account took, best first."""
        bids = self._side(pair, now_ms, levels, spot=spot, asks=False)
        return bids, self._side(pair, now_ms, levels, spot=spot, asks=True)

    def _side(self, pair: ListedPair, now_ms: int, levels: int, *, spot: bool, asks: bool) -> list[Level]:
        second, taken = self._taken.get((pair.number, spot, asks), (0, _ZERO))
        if second != now_ms // 1_000 or not taken:
            return self._market.depth(pair, now_ms, levels, spot=spot)[1 if asks else 0]
        side = self._market.depth(pair, now_ms, levels + _DEPTH, spot=spot)[1 if asks else 0]
        left: list[Level] = []
        for level in side:
            size = _offer(level, pair, spot=spot).size
            gone = min(size, taken)
            taken -= gone
            if size > gone:
                left.append(Level(level.price, float(size - gone)))
        return left[:levels]


def best_prices(market: Market, pair: ListedPair, now_ms: int, *, spot: bool) -> tuple[Decimal, Decimal]:
    """(best bid, best ask) of the market, including what the account took."""
    bid, ask = market.best(pair, now_ms, spot=spot)
    return _offer(bid, pair, spot=spot).price, _offer(ask, pair, spot=spot).price


def _offer(level: Level, pair: ListedPair, *, spot: bool) -> Offer:
    decimals, places = (pair.spot_decimals, pair.spot_qty_decimals) if spot else (pair.decimals, pair.qty_decimals)
    return Offer(Decimal(fixed(level.price, decimals)), Decimal(fixed(level.size, places)))


def _worse(price: Decimal, worst: Decimal, *, asks: bool) -> bool:
    return price > worst if asks else price < worst
