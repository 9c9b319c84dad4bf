"""Bars from candles of a venue: the same bar whether a backfill or a running daemon asks for it."""

from __future__ import annotations

from contextlib import suppress

from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import MS_PER_MINUTE, NS_PER_MS
from carryfold.adapters.marketdata.listings import spot_leg
from carryfold.adapters.venues import Candle, History, NotServed, PairSpec, PriceKind
from carryfold.domain.events import BarClosed
from carryfold.domain.instruments import Instrument

__all__ = ["bar_of", "closed_bars"]


def bar_of(name: Instrument, minutes: int, candle: Candle, mark: Candle | None) -> BarClosed:
    """The bar of a candle, with the close of the mark candle of the same time. Raises RowRefused."""
    close = checks.price(candle.close, f"{name.kind} close")
    mark_close = checks.price(mark.close, "mark close") if mark else 0.0
    turnover = checks.amount(candle.turnover, f"{name.kind} turnover")
    at = (candle.open_ms + minutes * MS_PER_MINUTE) * NS_PER_MS
    return BarClosed(*name, at, minutes, close, mark_close, turnover)


async def closed_bars(history: History, spec: PairSpec, minutes: int, since_ms: int, until_ms: int) -> list[BarClosed]:
    """The bars of both instruments that closed in since_ms < time <= until_ms, oldest first. Malformed candles are left
    out, and so is a spot market that the venue no longer serves. Both bounds are multiples of the length. Raises
    VenueError."""

    async def candles(name: Instrument, price: PriceKind) -> dict[int, Candle]:
        pages = [page async for page in history.candles(name, price, minutes, since_ms, until_ms)]
        return {row.open_ms: row for page in pages for row in page.rows}

    perp, spot = spec.perp.instrument, spot_leg(spec)
    perp_candles, mark_candles = await candles(perp, "trade"), await candles(perp, "mark")
    spot_candles: dict[int, Candle] = {}
    with suppress(NotServed):
        spot_candles = await candles(spot, "trade")
    bars: list[BarClosed] = []
    for at in sorted({*perp_candles, *spot_candles}):
        if at in perp_candles:
            with suppress(RowRefused):
                bars.append(bar_of(perp, minutes, perp_candles[at], mark_candles.get(at)))
        if at in spot_candles:
            with suppress(RowRefused):
                bars.append(bar_of(spot, minutes, spot_candles[at], None))
    return bars
