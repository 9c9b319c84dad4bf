"""The ports to a venue: its public market and one account. History has a port of its own (history.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from carryfold.adapters.venues.errors import VenueError
from carryfold.adapters.venues.history import History
from carryfold.domain.events import FeedConnected, FeedLost, FundingPredicted, InstrumentListed, MarketEvent
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
from carryfold.domain.execution.traded_pair import LegRules
from carryfold.domain.instruments import Instrument, InstrumentKind, Pair

__all__ = ["FeeRates", "KeyPermissions", "LegRules", "Market", "PairSpec", "Trading", "VenueError"]


class PairSpec(msgspec.Struct, frozen=True):
    """The carry pair of a perpetual as its venue lists it now: both instruments with the rules observed now, and what
    their listing events have no field for.

    `spot_rules` and `perp_rules` count base coins, with prices per coin. `delist_at` is the announced or past end of
    the perpetual (UTC ns; 0: none). A spot leg that the venue does not list is assumed: listing 0, under the
    perpetual's symbol."""

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
        """The perpetual's symbol, which is the name of a carry pair at its venue."""
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
    """The rights of an API key."""

    trade: bool
    withdraw: bool
    read_only: bool


class Market(Protocol):
    """Public data of one endpoint. Methods raise VenueError once their own retries are used up."""

    @property
    def is_loopback(self) -> bool:
        """The endpoint is a simulated exchange on this machine, whose clock may run fast."""
        ...

    @property
    def history(self) -> History:
        """The history of the same endpoint."""
        ...

    async def server_time(self) -> int:
        """The venue's clock, UTC ns."""
        ...

    def retain(self, perps: Iterable[Instrument]) -> None:
        """Keep the pairs of these perpetuals in `pairs`, because somebody may hold them: also when the prices of their
        legs disagree or their spot market has closed."""
        ...

    async def pairs(self) -> Sequence[PairSpec]:
        """Every carry pair that is listed now, and closed ones with their delisting."""
        ...

    def exclusion_reason(self, symbol: str) -> str:
        """Why the latest answer of `pairs` leaves out the perpetual of this symbol; empty for one that is a pair or
        does not exist."""
        ...

    async def turnover(self, pairs: Sequence[PairSpec]) -> Mapping[Instrument, float]:
        """Turnover of the last 24 hours of each pair's perpetual, in quote. Pairs without one are left out."""
        ...

    async def predictions(self, pairs: Sequence[PairSpec]) -> Sequence[FundingPredicted]:
        """The running estimates of the funding rates of these pairs as they are now."""
        ...

    def stream(self, pairs: Sequence[PairSpec]) -> AsyncIterator[MarketEvent | FeedConnected | FeedLost]:
        """Quotes, predictions and bars of both instruments of each pair for as long as it is iterated. Reconnects by
        itself and reports it. A slow reader gets the latest of each."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Trading(Protocol):
    """One account. Outcomes are values; VenueError is raised only where no request can work: wrong credentials, a
    closed venue, an instrument that was not registered."""

    async def permissions(self) -> KeyPermissions:
        """The rights of the API key."""
        ...

    def add_pairs(self, pairs: Iterable[PairSpec]) -> None:
        """Allow orders in the instruments of these pairs."""
        ...

    async def fees(self, pair: PairSpec) -> FeeRates:
        """The account's own taker fees."""
        ...

    async def place(self, order: OrderRequest) -> PlaceOutcome:
        """Send an order, exactly once."""
        ...

    async def cancel(self, order: OrderRequest) -> PlaceOutcome:
        """Ask for an order to be cancelled; Rejected: nothing was left to cancel."""
        ...

    async def query(self, client_id: str, symbol: str, kind: InstrumentKind) -> QueryOutcome:
        """Looks in open orders, closed orders and executions, in this order."""
        ...

    async def open_orders(self) -> Sequence[OrderReport]:
        """All open orders of the account, whoever placed them."""
        ...

    async def fills_since(self, event_at: int) -> Sequence[FillReport]:
        """Every execution of the account, oldest first, each once, of every cause."""
        ...

    async def funding_since(self, event_at: int) -> Sequence[FundingReport]:
        """Every funding payment, oldest first, each once."""
        ...

    async def interest_since(self, event_at: int) -> Sequence[InterestReport]:
        """Charges of interest on borrowed quote, oldest first, each once."""
        ...

    async def positions(self) -> Sequence[PositionReport]:
        """The positions in perpetuals that are not flat."""
        ...

    async def account(self) -> AccountReport:
        """Balances and health of the account."""
        ...

    def stream(self) -> AsyncIterator[PrivateReport]:
        """Reports of the account for as long as it is iterated. Reconnects by itself and reports it (StreamReport)."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
