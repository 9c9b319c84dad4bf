"""Tickers as the venue writes them: all numbers are strings, what is not known is an empty one."""

from __future__ import annotations

from carryfold.adapters.simexchange.instrument import Instrument, fixed
from carryfold.adapters.simexchange.market import Day, Market
from carryfold.adapters.simexchange.noise import uniform

__all__ = ["linear_fields", "linear_row", "rate_text", "spot_fields", "spot_row"]

_LAST_SIDE = 0x51DE


def rate_text(rate: float) -> str:
    """A funding rate with at most 8 decimals."""
    text = f"{rate:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def last_price(market: Market, one: Instrument, now_ms: int, *, spot: bool) -> float:
    """Where the last trade was: on one side of the book or the other, by the second."""
    bid, ask = market.best(one, now_ms, spot=spot)
    return (ask if uniform(_LAST_SIDE + one.number, now_ms // 1_000) < 0.5 else bid).price


def linear_fields(market: Market, one: Instrument, now_ms: int) -> dict[str, str]:
    """The data of a websocket snapshot; a delta is what changed of it."""
    bid, ask = market.best(one, now_ms, spot=False)
    day = market.day(one, now_ms, spot=False)
    rate = market.rate(one, now_ms)
    last = last_price(market, one, now_ms, spot=False)
    mark = market.mark(one, now_ms)
    held = market.open_interest(one, now_ms)
    decimals, places = one.decimals, one.qty_decimals
    return {
        "symbol": one.symbol,
        "tickDirection": "PlusTick" if last >= mark else "MinusTick",
        **_day_fields(day, last, decimals),
        "prevPrice1h": fixed(day.hour_ago, decimals),
        "markPrice": fixed(mark, decimals),
        "indexPrice": fixed(market.index(one, now_ms), decimals),
        "openInterest": fixed(held, places),
        "openInterestValue": fixed(held * mark, 2),
        "turnover24h": fixed(day.turnover, 4),
        "volume24h": fixed(day.volume, places),
        "fundingIntervalHour": str(rate.hours),
        "fundingCap": rate_text(one.cap),
        "nextFundingTime": str(rate.next_ms),
        "fundingRate": rate_text(rate.rate),
        "bid1Price": fixed(bid.price, decimals),
        "bid1Size": fixed(bid.size, places),
        "ask1Price": fixed(ask.price, decimals),
        "ask1Size": fixed(ask.size, places),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def linear_row(market: Market, one: Instrument, now_ms: int) -> dict[str, str]:
    """A row of /v5/market/tickers?category=linear."""
    fields = linear_fields(market, one, now_ms)
    del fields["tickDirection"]
    fields["singleOpenInterest"] = fields["openInterest"]
    fields["deliveryTime"] = str(one.delivery_ms)
    empty = ("predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "basis", "basisRateYear")
    return {**fields, **dict.fromkeys(empty, "")}


def spot_fields(market: Market, one: Instrument, now_ms: int) -> dict[str, str]:
    """The data of a websocket snapshot of a spot pair: neither bid nor ask."""
    day = market.day(one, now_ms, spot=True)
    last = last_price(market, one, now_ms, spot=True)
    index = float(market.frame(now_ms).spot[one.number])
    return {
        "symbol": one.spot_symbol,
        "lastPrice": fixed(last, one.spot_decimals),
        **_day_fields(day, last, one.spot_decimals),
        "turnover24h": fixed(day.turnover, 4),
        "volume24h": fixed(day.volume, one.spot_qty_decimals),
        "usdIndexPrice": fixed(index, one.spot_decimals) if one.major else "",
    }


def spot_row(market: Market, one: Instrument, now_ms: int) -> dict[str, str]:
    """A row of /v5/market/tickers?category=spot."""
    bid, ask = market.best(one, now_ms, spot=True)
    decimals, places = one.spot_decimals, one.spot_qty_decimals
    return {
        **spot_fields(market, one, now_ms),
        "bid1Price": fixed(bid.price, decimals),
        "bid1Size": fixed(bid.size, places),
        "ask1Price": fixed(ask.price, decimals),
        "ask1Size": fixed(ask.size, places),
    }


def _day_fields(day: Day, last: float, decimals: int) -> dict[str, str]:
    return {
        "price24hPcnt": f"{last / day.opened - 1.0:.6f}",
        "lastPrice": fixed(last, decimals),
        "prevPrice24h": fixed(day.opened, decimals),
        "highPrice24h": fixed(max(day.high, last), decimals),
        "lowPrice24h": fixed(min(day.low, last), decimals),
    }
