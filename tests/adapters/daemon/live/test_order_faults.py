"""Fault cards of one order on its way: F13 to F20 and F23, each through the real broker, ccxt and an exchange."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carryfold.domain.events import (
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
)
from carryfold.domain.execution.reports import OrderRequest, PlaceOutcome, Unknown
from tests.adapters.daemon.live.checker import check, ends_of, longest_unhedged_s
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import LIMITS, Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

CREATE = "order/create"
INSUFFICIENT = 110007


@asynccontextmanager
async def one_pair(home: Path, **changes: Any) -> AsyncIterator[Session]:
    """A session that trades one pair, the spot leg first; afterwards everything is checked."""
    async with exchange() as venue:
        async with trading_on(venue, home, settings_for(venue, pairs="BTCUSDT", **changes)) as session:
            yield session
        check(home, venue)


def own_events(home: Path, *kinds: type) -> list[Any]:
    """The events of some kinds in the log."""
    return [event for _, _, event in events_of(home) if isinstance(event, kinds)]


def outcome_of(home: Path) -> str:
    """The outcome of the last process."""
    return ends_of(home)[-1]


def orders_at(session: Session) -> list[tuple[str, bool]]:
    """(client id without the process, whether anything filled) of the venue's orders."""
    return [(order.link_id.rpartition("-")[2], order.filled > 0) for order in session.venue.exchange.orders.all]


def test_f13_an_order_whose_answer_is_lost_is_found_and_not_sent_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject("lose_response", where=CREATE)
            await session.open(1)
            assert orders_at(session) == [("s1", True), ("p1", True)]

    run(work())
    first = own_events(tmp_path, OrderIntended)[0].client_id
    assert [event.client_id for event in own_events(tmp_path, OrderUnknown)] == [first]
    assert first in [event.client_id for event in own_events(tmp_path, OrderFilled)]


def test_f14_an_order_that_never_arrived_is_tried_anew_once_its_absence_is_proved(tmp_path: Path) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject("drop_request", where=CREATE)
            await session.open(1)
            assert orders_at(session) == [("s2", True), ("p1", True)]

    run(work())
    intended, unknown, rejected = (
        next(one for one in events_of(tmp_path) if isinstance(one[2], kind))
        for kind in (OrderIntended, OrderUnknown, OrderRejected)
    )
    assert rejected[2].reason == "absent"
    assert intended[0] < unknown[0] < rejected[0]
    assert rejected[1] - intended[1] > LIMITS.absent_grace_s * 1e9, "it was given the time a request stays valid"


def test_f15_a_duplicate_client_id_means_that_the_order_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            trading = session.broker.ports["bybit"]
            place = trading.place

            async def twice(order: OrderRequest) -> PlaceOutcome:
                await place(order)
                return await place(order)

            monkeypatch.setattr(trading, "place", twice)
            await session.open(1)
            assert orders_at(session) == [("s1", True), ("p1", True)]

    run(work())
    assert outcome_of(tmp_path) == "opened"
    assert not own_events(tmp_path, OrderRejected, OrderUnknown)


def test_f16_fills_missed_while_the_stream_was_down_are_fetched_and_hedged(tmp_path: Path) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            faults = session.venue.faults
            faults.inject("partial_fill", where=CREATE, value=0.5)
            faults.inject("disconnect", where="execution")
            faults.inject("drop", where="order", count=3)
            await session.open(1)
            names = {name for name, _ in faults.triggered}
            assert {"partial_fill", "disconnect"} <= names

    run(work())
    assert outcome_of(tmp_path) == "opened"


@pytest.mark.parametrize(("refusals", "outcome"), [(1, "opened"), (4, "unwound")])
def test_f17_a_leg_whose_hedge_is_refused_is_hedged_later_or_given_back(
    tmp_path: Path, refusals: int, outcome: str
) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject("refuse", where=CREATE, category="linear", value=INSUFFICIENT, count=refusals)
            await session.begin_open()
            await session.until(lambda: bool(session.venue.exchange.orders.all), "an order")
            await session.until(
                lambda: session.is_quiet and not session.figure("pending_entries"), "the end of the entry"
            )
            await session.halt()
            await session.agree()
            assert ours(session).total == theirs(session.venue).total or outcome == "opened"

    run(work())
    ends = ends_of(tmp_path)
    assert ends[0] == outcome
    own = [one for one in events_of(tmp_path) if getattr(one[2], "run", 0)]
    assert 0 < longest_unhedged_s(own)["BTCUSDT"] <= LIMITS.deadline_s


@pytest.mark.parametrize("name", ["duplicate", "reorder"])
def test_f18_f19_messages_told_again_or_in_another_order_change_nothing(tmp_path: Path, name: str) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject(name, where="execution", probability=1.0, value=3)
            session.venue.faults.inject(name, where="order", probability=1.0, value=3)
            session.venue.faults.inject("slow", where=CREATE, seconds=0.1, count=2)  # fills come before the answer
            await session.open(1)
            await session.close()
            session.venue.faults.clear()
            await session.agree()
            assert (name, "execution") in session.venue.faults.triggered
            assert ours(session) == theirs(session.venue)

    run(work())
    ends = ends_of(tmp_path)
    assert ends == ["opened", "closed"]


def test_f20_an_order_that_arrives_after_its_process_has_ended_is_booked_and_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: io.StringIO
) -> None:
    late: list[OrderRequest] = []

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs="BTCUSDT")) as session:
                trading = session.broker.ports["bybit"]
                place = trading.place

                async def held_back(order: OrderRequest) -> PlaceOutcome:
                    if not late:
                        late.append(order)
                        return Unknown("held back")
                    return await place(order)

                monkeypatch.setattr(trading, "place", held_back)
                await session.open(1)
                assert orders_at(session) == [("s2", True), ("p1", True)]
                generous = msgspec.structs.replace(late[0], limit_price=late[0].limit_price + 100)
                await place(generous)
                await session.until(lambda: len(venue.exchange.orders.all) == 4, "a repair")
                await session.until(lambda: session.is_quiet, "the end of the repair")
                await session.agree()
            check(tmp_path, venue, late=[late[0].client_id])

    run(work())
    assert "late_fill" in output.getvalue()
    filled = [event.client_id for event in own_events(tmp_path, OrderFilled)]
    assert late[0].client_id in filled
    assert filled[-1].rpartition("-")[0].endswith("r"), "the excess was sold by a repair"


def test_f23_a_rate_limit_is_waited_for_and_not_stormed(tmp_path: Path) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject("rate_limit", where=CREATE, count=3)
            await session.open(1)
            assert [name for name, _ in session.venue.faults.triggered] == ["rate_limit"] * 3
            assert orders_at(session) == [("s1", True), ("p1", True)], "the same order, under its own name"

    run(work())
    assert not own_events(tmp_path, OrderRejected, OrderUnknown)


def test_f23_a_leg_alone_is_given_back_when_a_ban_is_over(tmp_path: Path) -> None:
    async def work() -> None:
        limits = msgspec.structs.replace(LIMITS, deadline_s=8.0)
        async with one_pair(tmp_path, limits=limits) as session:
            session.venue.faults.inject("ip_ban", where=CREATE, category="linear", seconds=0.6)
            await session.begin_open()
            await session.until(lambda: bool(session.venue.faults.triggered), "the ban")
            await session.halt()
            await session.until(lambda: session.is_quiet, "the end of the entry")
            await session.agree()
            creates = len(session.venue.exchange.orders.all)
            assert creates <= 4, "no storm"

    run(work())
    assert outcome_of(tmp_path) in ("unwound", "opened")


def test_an_order_the_venue_takes_and_then_rejects_is_an_order_that_failed(tmp_path: Path) -> None:
    async def work() -> None:
        async with one_pair(tmp_path) as session:
            session.venue.faults.inject("late_reject", where=CREATE, count=2)
            await session.open(1)
            await asyncio.sleep(0)
            assert orders_at(session)[:2] == [("s1", False), ("s2", False)]

    run(work())
    assert outcome_of(tmp_path) == "opened"
