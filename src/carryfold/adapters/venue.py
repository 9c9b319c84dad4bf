"""The port to a venue: what backfill and the daemon ask of an exchange. `adapters/bybit` implements it over ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from carryfold.domain.events import FeedConnected, FeedLost, InstrumentListed, MarketEvent
from carryfold.domain.execution.pair import LegRules
from carryfold.domain.execution.reports import (
    AccountReport,
    FillReport,
    FundingReport,
    InterestReport,
    OrderReport,
    OrderRequest,
    PlaceOutcome,
    PositionReport,
    PrivateReport,
    QueryOutcome,
)
from carryfold.domain.instruments import InstrumentKind, Pair

__all__ = ["FeeRates", "KeyPermissions", "LegRules", "Market", "PairSpec", "Trading", "VenueError"]


class VenueError(Exception):
    """The venue cannot be used as asked; the message is one line, without secrets, and says what to do."""


class PairSpec(msgspec.Struct, frozen=True):
    """The carry pair of a perpetual as its venue lists it now: both instruments, and what their listing events have no
    room for. The rules count base coins and prices per coin on both legs. `delist_at`: the announced, or past, end of
    the perpetual. A spot leg that the venue does not know is assumed (listing 0) under the perpetual's symbol."""

    spot: InstrumentListed
    perp: InstrumentListed
    spot_rules: LegRules
    perp_rules: LegRules
    delist_at: int = 0
    status: str = "Trading"
    spot_status: str = "Trading"

    @property
    def pair(self) -> Pair:
        """The pair: the spot leg long, the perpetual short."""
        return Pair(self.spot.instrument, self.perp.instrument)

    @property
    def symbol(self) -> str:
        """The perpetual's symbol: the name of a carry pair at its venue."""
        return self.perp.symbol

    @property
    def spot_coin(self) -> str:
        """The base coin, as balances of the account name it."""
        return self.spot.base


class FeeRates(msgspec.Struct, frozen=True):
    """Taker fees of the account for the legs of one pair, as fractions."""

    long_taker: Decimal
    short_taker: Decimal


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
        """Every carry pair there is now, and closed ones with their delisting."""
        ...

    def stream(self, pairs: Sequence[PairSpec]) -> AsyncIterator[MarketEvent | FeedConnected | FeedLost]:
        """Quotes, predictions and bars of both instruments of each pair for as long as it is iterated; reconnects by
        itself and says so. Never blocks the reader for longer than the venue is silent."""
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

    async def query(self, client_id: str, symbol: str, kind: InstrumentKind) -> QueryOutcome:
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
