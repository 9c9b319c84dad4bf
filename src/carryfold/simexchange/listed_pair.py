"""One pair as the venue lists it: a USDT perpetual and, for most pairs, the spot pair that it follows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

__all__ = ["ListedPair", "fixed", "plain"]

_SPOT_FINER: Final = 2  # additional decimal places of spot quantities
_MAX_NOTIONAL: Final = Decimal(20_000_000)
_DIGITS: Final = 5  # decimal places of a price, relative to its magnitude


class ListedPair(msgspec.Struct, kw_only=True):
    """A perpetual and its spot pair. Times are UTC ms; 0 means unknown, or never.

    `multiplier`: spot coins per coin of the perpetual. Prices and quantities of the perpetual are in its own coins.
    `decimals`: decimal places of its prices; `qty_decimals`: of its quantities (negative: tens, hundreds).
    `hours`: the pair's own settlement interval. `major`: deep market with narrow spreads and bands.
    """

    number: int
    symbol: str
    coin: str
    spot_symbol: str
    spot_coin: str
    multiplier: int
    decimals: int
    spot_decimals: int
    qty_decimals: int
    cap: float
    hours: int
    daily_turnover: float
    launch_ms: int
    delivery_ms: int
    major: bool

    def status(self, now_ms: int) -> str:
        """PreLaunch, Trading or Closed."""
        if now_ms < self.launch_ms:
            return "PreLaunch"
        return "Closed" if self.delivery_ms and now_ms >= self.delivery_ms else "Trading"

    @property
    def tick(self) -> Decimal:
        """Price step of the perpetual."""
        return Decimal(1).scaleb(-self.decimals)

    @property
    def spot_tick(self) -> Decimal:
        """Price step of the spot pair."""
        return Decimal(1).scaleb(-self.spot_decimals)

    @property
    def qty_step(self) -> Decimal:
        """Quantity step of the perpetual, in its coins."""
        return Decimal(1).scaleb(-self.qty_decimals)

    @property
    def spot_qty_decimals(self) -> int:
        """Decimal places of a spot quantity."""
        return self.qty_decimals - len(str(self.multiplier)) + 1 + _SPOT_FINER

    @property
    def spot_step(self) -> Decimal:
        """Quantity step of the spot pair, in spot coins."""
        return Decimal(1).scaleb(-self.spot_qty_decimals)

    @property
    def max_leverage(self) -> int:
        """The highest leverage allowed."""
        return 100 if self.major else 25

    @property
    def maintenance_rate(self) -> Decimal:
        """Maintenance margin as a fraction of the position's value."""
        return Decimal("0.005") if self.major else Decimal("0.02")

    @property
    def band(self) -> tuple[Decimal, Decimal]:
        """How far a limit price may cross the market, as fractions: (perpetual, spot)."""
        return (Decimal("0.02"), Decimal("0.01")) if self.major else (Decimal("0.1"), Decimal("0.05"))

    @property
    def max_qty(self) -> Decimal:
        """The largest limit order of the perpetual."""
        return _most(self.decimals, self.qty_step)

    @property
    def max_spot_qty(self) -> Decimal:
        """The largest limit order of the spot pair."""
        return _most(self.spot_decimals, self.spot_step)

    def linear_row(self, now_ms: int, hours: int) -> dict[str, Any]:
        """The row of the perpetual in instruments-info."""
        status = self.status(now_ms)
        most = self.max_qty
        band, _ = self.band
        return {
            "symbol": self.symbol,
            "symbolId": self.number + 1,
            "contractType": "LinearPerpetual",
            "status": status,
            "baseCoin": self.coin,
            "quoteCoin": "USDT",
            "launchTime": str(self.launch_ms),
            "deliveryTime": str(self.delivery_ms),
            "deliveryFeeRate": "",
            "priceScale": str(self.decimals),
            "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{self.max_leverage}.00", "leverageStep": "0.01"},
            "priceFilter": {
                "minPrice": plain(self.tick),
                "maxPrice": plain(self.tick * 19_999_998),
                "tickSize": plain(self.tick),
            },
            "lotSizeFilter": {
                "maxOrderQty": plain(most),
                "minOrderQty": plain(self.qty_step),
                "qtyStep": plain(self.qty_step),
                "postOnlyMaxOrderQty": plain(most),
                "maxMktOrderQty": plain(_half(most, self.qty_step)),
                "minNotionalValue": "5",
            },
            "unifiedMarginTrade": True,
            "fundingInterval": hours * 60,
            "settleCoin": "USDT",
            "copyTrading": "both" if self.major else "none",
            "upperFundingRate": plain(Decimal(str(self.cap))),
            "lowerFundingRate": plain(-Decimal(str(self.cap))),
            "isPreListing": status == "PreLaunch",
            "preListingInfo": _pre_listing(self.launch_ms) if status == "PreLaunch" else None,
            "riskParameters": {"priceLimitRatioX": plain(band / 2), "priceLimitRatioY": plain(band)},
            "symbolType": "",
        }

    def spot_row(self) -> dict[str, Any]:
        """The row of the spot pair in instruments-info."""
        most = self.max_spot_qty
        _, band = self.band
        return {
            "symbolId": self.number + 1,
            "symbol": self.spot_symbol,
            "baseCoin": self.spot_coin,
            "quoteCoin": "USDT",
            "innovation": "0",
            "status": "Trading",
            "marginTrading": "utaOnly" if self.major else "none",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": plain(self.spot_step),
                "quotePrecision": plain(self.spot_tick * self.spot_step),
                "minOrderQty": plain(self.spot_step),
                "maxOrderQty": plain(most),
                "minOrderAmt": "5",
                "maxOrderAmt": plain(_MAX_NOTIONAL),
                "maxLimitOrderQty": plain(most),
                "maxMarketOrderQty": plain(_half(most, self.spot_step)),
                "postOnlyMaxLimitOrderSize": plain(most),
            },
            "priceFilter": {"tickSize": plain(self.spot_tick)},
            "riskParameters": {"priceLimitRatioX": plain(band / 2), "priceLimitRatioY": plain(band)},
            "symbolType": "",
        }


def fixed(value: float, decimals: int) -> str:
    """A number with a fixed number of decimal places; a negative number rounds to tens or hundreds."""
    return f"{value:.{decimals}f}" if decimals >= 0 else f"{round(value, decimals):.0f}"


def plain(value: Decimal) -> str:
    """A Decimal as text without exponent or trailing zeros."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _most(decimals: int, step: Decimal) -> Decimal:
    """The largest order. It follows from the price tick instead of the price, so that it stays constant."""
    magnitude = Decimal(1).scaleb(_DIGITS - decimals)
    return max(_MAX_NOTIONAL / magnitude // step, Decimal(2)) * step


def _half(most: Decimal, step: Decimal) -> Decimal:
    return most / 2 // step * step


def _pre_listing(launch_ms: int) -> dict[str, Any]:
    return {
        "curAuctionPhase": "CallAuction",
        "phases": [{"phase": "CallAuction", "startTime": str(launch_ms - 3_600_000), "endTime": str(launch_ms)}],
        "auctionFeeInfo": {"auctionFeeRate": "0", "takerFeeRate": "0.001", "makerFeeRate": "0.0004"},
    }
