"""Bybit's public market: implements `venue.Market`, and holds what else can be asked of it without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import MAINNET, Endpoint
from carryfold.adapters.bybit.history import BybitHistory
from carryfold.adapters.bybit.instruments import NS_PER_MS, Excluded, fetch_listings
from carryfold.adapters.bybit.streams import PublicStreams
from carryfold.adapters.bybit.tickers import number_of, predicted_of
from carryfold.adapters.importing.bybit import text_of
from carryfold.adapters.venue import PairSpec
from carryfold.domain.events import FeedConnected, FeedLost, FundingPredicted, MarketEvent

__all__ = ["BybitMarket"]

_TICKERS: Final = "public_get_v5_market_tickers"
_BORROW: Final = "public_get_v5_spot_margin_trade_data"


class BybitMarket:
    """Public data of one endpoint. Needs no key, and is given none."""

    def __init__(self, endpoint: Endpoint = MAINNET, *, client: RestClient | None = None, young: bool = False) -> None:
        """`client` replaces the usual one; `young` lets innovation-zone instruments in."""
        self.endpoint = endpoint
        self.excluded: list[Excluded] = []
        self.kept: set[str] = set()
        """Perpetuals that somebody may hold: they stay pairs, however far apart their legs are today, and when their
        spot instrument has closed."""
        self._client = client or RestClient(endpoint)
        self._young = young
        self.history = BybitHistory(self._client)

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""
        return await self._client.server_time_ms() * NS_PER_MS

    async def pairs(self) -> Sequence[PairSpec]:
        """Every pair, closed ones too; `excluded` says which perpetuals are none, and why."""
        listings = await fetch_listings(self._client, young=self._young, kept=self.kept)
        self.excluded = listings.excluded
        return listings.pairs

    def why_not(self, symbol: str) -> str:
        """Why a perpetual is none of `pairs`, as it was last asked; nothing for one that is, or does not exist."""
        return next((one.reason for one in self.excluded if one.symbol == symbol), "")

    async def turnover(self) -> dict[str, float]:
        """Turnover of each perpetual over the last 24 hours, in quote."""
        rows = await self.tickers()
        return {text_of(row, "symbol"): value for row in rows if (value := number_of(row, "turnover24h"))}

    async def tickers(self) -> list[dict[str, Any]]:
        """Every perpetual's ticker as it is now, in the venue's words."""
        answer = await self._client.get(_TICKERS, {"category": "linear"}, "perpetual prices")
        return [row for row in answer.rows() if isinstance(row, dict)]

    async def predictions(self, pairs: Sequence[PairSpec]) -> list[FundingPredicted]:
        """The running estimates of these pairs as they stand now, in one question."""
        answered = await self._client.get(_TICKERS, {"category": "linear"}, "funding rates")
        rows = {text_of(row, "symbol"): row for row in answered.rows() if isinstance(row, dict)}
        found = []
        for pair in pairs:
            row = rows.get(pair.symbol)
            event = row and predicted_of(pair.perp, row, answered.time_ms)
            if event:
                found.append(event)
        return found

    async def borrow_rates(self) -> dict[str, Decimal]:
        """Hourly rate of a borrowed coin for an account without VIP level, by coin, as a fraction."""
        answer = await self._client.get(_BORROW, {}, "borrow rates")
        levels = answer.result.get("vipCoinList")
        found: dict[str, Decimal] = {}
        for level in levels if isinstance(levels, list) else []:
            for row in level.get("list") or [] if text_of(level, "vipLevel") == "No VIP" else []:
                if row.get("borrowable") and number_of(row, "hourlyBorrowRate"):
                    found[text_of(row, "currency")] = Decimal(text_of(row, "hourlyBorrowRate"))
        return found

    def stream(self, pairs: Sequence[PairSpec]) -> AsyncIterator[MarketEvent | FeedConnected | FeedLost]:
        """Quotes, predictions and bars of the pairs' instruments as they come; see streams.py."""
        return PublicStreams(self.endpoint, pairs, history=self.history, whole=self.tickers).events()

    async def close(self) -> None:
        """Give up every connection."""
        await self._client.close()
