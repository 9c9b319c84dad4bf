"""A venue with its two ports, started for one test: all that the contract suite asks of a venue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Literal, Protocol

from carryfold.adapters.venues import Market, PairSpec, Trading, VenueFacts
from carryfold.domain.execution.reports import OrderRequest, Side
from carryfold.domain.instruments import Instrument, InstrumentKind

__all__ = ["OpenSandbox", "OrderFault", "Outcome", "Sandbox", "StreamReader", "crossing_order"]

OrderFault = Literal["request lost", "answer lost", "half filled", "not filled"]
"""What happens to the next order: it never arrives, it is placed but the answer is lost, half of it fills, none of
it."""

Outcome = Literal["rejected", "unknown", "retry", "fatal", "duplicate"]


class Sandbox(Protocol):
    """A running venue whose clock stands, with a funded account. Its market has at least five pairs, one of them with a
    multiplier, and has settled for at least ten days. One perpetual's interval was switched on the way."""

    facts: VenueFacts
    market: Market
    trading: Trading
    secrets: tuple[str, ...]
    error_codes: dict[str, Outcome]

    @property
    def now(self) -> int:
        """The venue's clock, UTC ns."""
        ...

    @property
    def switched(self) -> str:
        """The symbol of the perpetual whose interval was switched."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the venue's clock, and the market with it."""
        ...

    def switch_interval(self, perp: Instrument, hours: int) -> None:
        """From its next settlement on, the perpetual settles every so many hours."""
        ...

    def announce_delisting(self, perp: Instrument, in_s: float) -> None:
        """Announce that the perpetual closes in so many seconds."""
        ...

    def deleverage(self, perp: Instrument, share: Decimal) -> None:
        """Auto-deleverage a share of the account's position."""
        ...

    def fault_next_order(self, fault: OrderFault) -> None:
        """Let the next order go wrong."""
        ...

    def refuse_next_order(self, code: str) -> None:
        """Answer the next order with an error code of the venue, without doing anything."""
        ...

    def fail_next_query(self) -> None:
        """Fail the next query of an order."""
        ...

    def set_clock_ahead(self, seconds: float) -> None:
        """Move the venue's clock away from this machine's, for signed requests."""
        ...

    def break_streams(self) -> None:
        """Break every connection of a stream."""
        ...

    def revoke_key(self) -> None:
        """Make the API key invalid."""
        ...


class OpenSandbox(Protocol):
    """Starts a venue. `real_clock`: its clock starts at this machine's time."""

    def __call__(self, *, real_clock: bool = False) -> AbstractAsyncContextManager[Sandbox]:
        """Use as an async context."""
        ...


async def crossing_order(
    sandbox: Sandbox, pair: PairSpec, kind: InstrumentKind, side: Side, client_id: str, *, steps: int = 10,
    off: str = "0.005",
) -> OrderRequest:  # fmt: skip
    """An order of some quantity steps. Its limit is a little worse than the market, so it fills at once; a negative
    `off` puts it so far away that it never does."""
    (estimate,) = await sandbox.market.predictions([pair])
    per_coin = Decimal(str(estimate.mark)) / int(pair.perp.multiplier)
    rules = pair.spot_rules if kind == "spot" else pair.perp_rules
    listed = pair.spot if kind == "spot" else pair.perp
    price = per_coin * (1 + Decimal(off) if side == "buy" else 1 - Decimal(off))
    qty = max(rules.ceil(rules.notional_min * 2 / price), steps * max(pair.spot_rules.qty_step, rules.qty_step))
    return OrderRequest(client_id, listed.symbol, kind, side, rules.ceil(qty), price // rules.tick * rules.tick)


class StreamReader:
    """Reads a stream in the background and keeps every event."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self.seen: list[Any] = []
        self._events = events
        self._task = asyncio.ensure_future(self._read())

    async def __aenter__(self) -> StreamReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._events.aclose()  # type: ignore[attr-defined]

    def of(self, cls: type) -> list[Any]:
        """The events of a class so far."""
        return [one for one in self.seen if isinstance(one, cls)]

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for a condition. Raises TimeoutError, or the error that ended the stream."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self._task.done():
                await self._task
            if time.monotonic() > deadline:
                raise TimeoutError(f"not seen in {len(self.seen)} events")
            await asyncio.sleep(0.01)

    async def _read(self) -> None:
        async for event in self._events:
            self.seen.append(event)
