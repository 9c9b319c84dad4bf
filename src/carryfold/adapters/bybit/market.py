"""Bybit's public market: implements the port `Market`, with the other public data beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from carryfold.adapters.bybit.client import RestClient
from carryfold.adapters.bybit.endpoint import MAINNET, Endpoint
from carryfold.adapters.bybit.fields import text_of
from carryfold.adapters.bybit.history import BybitHistory
from carryfold.adapters.bybit.instruments import Excluded, fetch_listings
from carryfold.adapters.bybit.instruments_info import CLOSED
from carryfold.adapters.bybit.streams import PublicStreams
from carryfold.adapters.bybit.tickers import number_or_none, predicted_of
from carryfold.adapters.marketdata.entries import NS_PER_MS
from carryfold.adapters.venues import PairSpec
from carryfold.domain.events import FeedConnected, FeedLost, FundingPredicted, MarketEvent
from carryfold.domain.instruments import Instrument

__all__ = ["BybitMarket"]

_TICKERS: Final = "public_get_v5_market_tickers"
_BORROW: Final = "public_get_v5_spot_margin_trade_data"


class BybitMarket:
    """Public data of one endpoint. Needs no key, and is given none."""

    def __init__(
        self, endpoint: Endpoint = MAINNET, *, client: RestClient | None = None, innovation: bool = False
    ) -> None:
        """`client` replaces the usual one. `innovation`: also instruments of the innovation zone."""
        self.endpoint = endpoint
        self.excluded: list[Excluded] = []
        self._client = client or RestClient(endpoint)
        self._innovation = innovation
        self._retained: set[str] = set()
        self.history = BybitHistory(self._client)

    @property
    def is_loopback(self) -> bool:
        """The endpoint is a simulated exchange on this machine."""
        return self.endpoint.is_loopback

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""
        return await self._client.server_time_ms() * NS_PER_MS

    def retain(self, perps: Iterable[Instrument]) -> None:
        """Keep the pairs of these perpetuals in `pairs`, because somebody may hold them."""
        self._retained |= {perp.symbol for perp in perps}

    async def pairs(self) -> Sequence[PairSpec]:
        """Every pair, closed ones too; `excluded` has the perpetuals that are no pair, each with its reason."""
        listings = await fetch_listings(self._client, innovation=self._innovation, retained=self._retained)
        self.excluded = listings.excluded
        return listings.pairs

    def exclusion_reason(self, symbol: str) -> str:
        """Why the latest answer of `pairs` leaves out the perpetual of this symbol; empty for a pair or a symbol that
        does not exist."""
        return next((one.reason for one in self.excluded if one.symbol == symbol), "")

    async def turnover(self, pairs: Sequence[PairSpec]) -> dict[Instrument, float]:
        """Turnover of the last 24 hours of each pair's perpetual, in quote. Tickers are of listings that trade."""
        of_symbol = {text_of(row, "symbol"): number_or_none(row, "turnover24h") for row in await self.tickers()}
        trading = [pair.perp.instrument for pair in pairs if pair.status != CLOSED]
        return {name: value for name in trading if (value := of_symbol.get(name.symbol))}

    async def tickers(self) -> list[dict[str, Any]]:
        """Every perpetual's ticker as it is now, as the venue writes it."""
        answer = await self._client.get(_TICKERS, {"category": "linear"}, "perpetual prices")
        return [row for row in answer.rows() if isinstance(row, dict)]

    async def predictions(self, pairs: Sequence[PairSpec]) -> list[FundingPredicted]:
        """The running estimates of these pairs as they are now, in one request."""
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
                if row.get("borrowable") and number_or_none(row, "hourlyBorrowRate"):
                    found[text_of(row, "currency")] = Decimal(text_of(row, "hourlyBorrowRate"))
        return found

    def stream(self, pairs: Sequence[PairSpec]) -> AsyncIterator[MarketEvent | FeedConnected | FeedLost]:
        """Quotes, predictions and bars of the pairs' instruments as they come; see streams.py."""
        return PublicStreams(self.endpoint, pairs, history=self.history, all_tickers=self.tickers).events()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
