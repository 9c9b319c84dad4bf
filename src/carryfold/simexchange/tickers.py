"""Tickers in the format of the venue: all numbers are strings, unknown values are empty strings."""

from __future__ import annotations

from carryfold.simexchange.listed_pair import ListedPair, fixed
from carryfold.simexchange.market import Day, Market
from carryfold.simexchange.seeded_random import uniform

__all__ = ["linear_fields", "linear_row", "rate_text", "spot_fields", "spot_row"]

_LAST_SIDE = 0x51DE


def rate_text(rate: float) -> str:
    """A funding rate with at most 8 decimals."""
    text = f"{rate:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def last_price(market: Market, pair: ListedPair, now_ms: int, *, spot: bool) -> float:
    """The price of the last trade: best bid or best ask, drawn for each second."""
    bid, ask = market.best(pair, now_ms, spot=spot)
    return (ask if uniform(_LAST_SIDE + pair.number, now_ms // 1_000) < 0.5 else bid).price


def linear_fields(market: Market, pair: ListedPair, now_ms: int) -> dict[str, str]:
    """The data of a websocket snapshot; a delta has the changed fields."""
    bid, ask = market.best(pair, now_ms, spot=False)
    day = market.day(pair, now_ms, spot=False)
    rate = market.rate(pair, now_ms)
    last = last_price(market, pair, now_ms, spot=False)
    mark = market.mark(pair, now_ms)
    held = market.open_interest(pair, now_ms)
    decimals, places = pair.decimals, pair.qty_decimals
    return {
        "symbol": pair.symbol,
        "tickDirection": "PlusTick" if last >= mark else "MinusTick",
        **_day_fields(day, last, decimals),
        "prevPrice1h": fixed(day.hour_ago, decimals),
        "markPrice": fixed(mark, decimals),
        "indexPrice": fixed(market.index(pair, now_ms), decimals),
        "openInterest": fixed(held, places),
        "openInterestValue": fixed(held * mark, 2),
        "turnover24h": fixed(day.turnover, 4),
        "volume24h": fixed(day.volume, places),
        "fundingIntervalHour": str(rate.hours),
        "fundingCap": rate_text(pair.cap),
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


def linear_row(market: Market, pair: ListedPair, now_ms: int) -> dict[str, str]:
    """A row of /v5/market/tickers?category=linear."""
    fields = linear_fields(market, pair, now_ms)
    del fields["tickDirection"]
    fields["singleOpenInterest"] = fields["openInterest"]
    fields["deliveryTime"] = str(pair.delivery_ms)
    empty = ("predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "basis", "basisRateYear")
    return {**fields, **dict.fromkeys(empty, "")}


def spot_fields(market: Market, pair: ListedPair, now_ms: int) -> dict[str, str]:
    """The data of a websocket snapshot of a spot pair, without bid and ask."""
    day = market.day(pair, now_ms, spot=True)
    last = last_price(market, pair, now_ms, spot=True)
    index = float(market.frame(now_ms).spot[pair.number])
    return {
        "symbol": pair.spot_symbol,
        "lastPrice": fixed(last, pair.spot_decimals),
        **_day_fields(day, last, pair.spot_decimals),
        "turnover24h": fixed(day.turnover, 4),
        "volume24h": fixed(day.volume, pair.spot_qty_decimals),
        "usdIndexPrice": fixed(index, pair.spot_decimals) if pair.major else "",
    }


def spot_row(market: Market, pair: ListedPair, now_ms: int) -> dict[str, str]:
    """A row of /v5/market/tickers?category=spot."""
    bid, ask = market.best(pair, now_ms, spot=True)
    decimals, places = pair.spot_decimals, pair.spot_qty_decimals
    return {
        **spot_fields(market, pair, now_ms),
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
