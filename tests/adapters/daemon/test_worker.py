"""A worker and two venues: each order goes to the venue of its own leg, and its reports come back to the process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.worker import Worker
from carryfold.domain.events import Event, HedgeEnded
from carryfold.domain.execution import Execution, Quotes
from carryfold.domain.execution.reports import FillReport, OrderRequest, PlaceOutcome, QueryOutcome
from tests.adapters.daemon.world import run
from tests.domain.execution.facts import SPREAD, quotes, spec
from tests.domain.execution.venue import Behaviour, Venue, leg_of

D = Decimal


class Port:
    """One venue's account, over the venue of the pure tests."""

    def __init__(self, context: Context) -> None:
        self.venue = Venue(SPREAD)
        self.behaviour = Behaviour()
        self._context = context

    async def place(self, order: OrderRequest) -> PlaceOutcome:
        outcome = self.venue.place(order, self.behaviour, self._context.clock.now())
        if order.client_id in self.venue.orders:
            truth = self.venue.orders[order.client_id]
            for fill in truth.fills:
                self._context.worker.deliver(fill)
            self._context.worker.deliver(truth.report())
        return outcome

    async def cancel(self, order: OrderRequest) -> PlaceOutcome:
        raise AssertionError("nothing stays open")

    async def query(self, client_id: str, symbol: str, kind: str) -> QueryOutcome:
        return self.venue.query(client_id)


class Context:
    """Stands for the broker: a log of one process."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.notices = Notices(self.metrics)
        self.clock = DaemonClock.real_time()
        self.lock = asyncio.Lock()
        self.ports: Any = {"hyperliquid": Port(self), "bybit": Port(self)}
        self.events: list[Event] = []
        started = spec(pair=SPREAD, thin="long", started_at=self.clock.now())
        self.worker = Worker(Execution.start(started), self)

    async def commit(self, events: Sequence[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.worker.process.apply(event, self.clock.now(), len(self.events))

    def quotes(self, name: str) -> Quotes:
        assert name == SPREAD.name
        return quotes(self.clock.now())

    def may_open(self) -> bool:
        return True

    async def fetch_fills(self, since: int) -> Sequence[FillReport]:
        return [fill for port in self.ports.values() for fill in port.venue.fills()]


@pytest.mark.parametrize("share", ["1", "0.5"])
def test_each_leg_trades_at_its_own_venue(share: str) -> None:
    async def work() -> Context:
        context = Context()
        context.ports["bybit"].behaviour = Behaviour(share=D(share))
        summary = await context.worker.run()
        assert summary.outcome == ("opened" if share == "1" else summary.outcome)
        assert summary.outcome in ("opened", "partial")
        return context

    context = run(work())
    there, here = context.ports["hyperliquid"].venue, context.ports["bybit"].venue
    assert {leg_of(order) for order in there.requests} == {"long"}
    assert {leg_of(order) for order in here.requests} == {"short"}
    assert there.coins["long"] == -here.coins["short"] > 0
    assert isinstance(context.events[-1], HedgeEnded)


def test_a_venue_that_refuses_one_leg_has_the_other_given_back() -> None:
    async def work() -> Context:
        context = Context()
        context.ports["bybit"].behaviour = Behaviour("rejected")
        assert (await context.worker.run()).outcome == "unwound"
        return context

    context = run(work())
    assert context.ports["hyperliquid"].venue.coins["long"] == 0
    last = context.ports["hyperliquid"].venue.requests[-1]
    assert (last.symbol, last.kind, last.side, last.reduce_only) == ("AAA", "perp", "sell", True)
