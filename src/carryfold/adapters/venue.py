"""The port to a venue: what backfill and the daemon ask of an exchange. `adapters/bybit` implements it over ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from carryfold.domain.events import FeedConnected, FeedLost, MarketEvent, PairListed
from carryfold.domain.execution.pair import LegRules
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    Leg,
    OrderReport,
    OrderRequest,
    PlaceOutcome,
    PositionReport,
    PrivateReport,
    QueryOutcome,
)

__all__ = ["FeeRates", "KeyPermissions", "LegRules", "Market", "PairSpec", "Trading", "VenueError"]


class VenueError(Exception):
    """The venue cannot be used as asked; the message is one line, without secrets, and says what to do."""


class PairSpec(msgspec.Struct, frozen=True):
    """A pair as the venue lists it now: its listing event, and what the event has no room for."""

    listed: PairListed
    spot_coin: str
    spot: LegRules
    perp: LegRules
    delist_at: int = 0
    status: str = "Trading"


class FeeRates(msgspec.Struct, frozen=True):
    """Taker fees of the account for one pair, as fractions."""

    spot_taker: Decimal
    perp_taker: Decimal


class KeyPermissions(msgspec.Struct, frozen=True):
    """What the key may do."""

    trade: bool
    withdraw: bool
    read_only: bool


class Market(Protocol):
    """Public data. Every method raises VenueError once its own retries are used up."""

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""
        ...

    async def pairs(self) -> Sequence[PairSpec]:
        """Every spot and perpetual pair there is now, and closed ones with their delisting."""
        ...

    def stream(self, pairs: Sequence[PairSpec]) -> AsyncIterator[MarketEvent | FeedConnected | FeedLost]:
        """Quotes, predictions and activity of the pairs for as long as it is iterated; reconnects by itself and says
        so. Never blocks the reader for longer than the venue is silent."""
        ...

    async def close(self) -> None:
        """Give up every connection."""
        ...


class Trading(Protocol):
    """The account. Outcomes are values; only wrong credentials and a closed venue raise VenueError."""

    async def permissions(self) -> KeyPermissions: ...

    async def fees(self, pair: PairSpec) -> FeeRates: ...

    async def place(self, order: OrderRequest) -> PlaceOutcome: ...

    async def cancel(self, order: OrderRequest) -> PlaceOutcome: ...

    async def query(self, client_id: str, symbol: str, leg: Leg) -> QueryOutcome:
        """Looks in open and closed orders, then in executions."""
        ...

    async def open_orders(self) -> Sequence[OrderReport]: ...

    async def fills_since(self, event_at: int) -> Sequence[FillReport]:
        """Every execution of the account, oldest first, each once, of every cause."""
        ...

    async def funding_since(self, event_at: int) -> Sequence[FundingReport]: ...

    async def interest_since(self, event_at: int) -> Sequence[InterestReport]:
        """What was charged on borrowed quote, oldest first, each charge once."""
        ...

    async def positions(self) -> Sequence[PositionReport]: ...

    async def account(self) -> AccountReport: ...

    def stream(self) -> AsyncIterator[PrivateReport]:
        """Reports of the account for as long as it is iterated; reconnects by itself and says so (StreamReport)."""
        ...

    async def close(self) -> None: ...
