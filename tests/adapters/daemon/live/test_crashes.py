"""F02, F03 and kill -9: the disk at the moment of a crash is enough to continue without sending an order twice."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from carryfold.adapters.daemon import broker as broker_module
from carryfold.domain.events import OrderIntended, OrderRejected
from carryfold.domain.execution.reports import OrderRequest, PlaceOutcome
from tests.adapters.daemon.live.checker import check, ends_of
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of


async def crash_at(session: Session, monkeypatch: pytest.MonkeyPatch, image: Path, number: int, *, sent: bool) -> None:
    """When the daemon comes to send its order of this number, keep its home as the disk has it, and let it send nothing
    more: this daemon is dead, only its process does not know. `sent`: the order itself still leaves."""
    trading = session.broker.ports["bybit"]
    place = trading.place
    seen: list[str] = []
    taken = asyncio.Event()

    async def crash(order: OrderRequest) -> PlaceOutcome:
        seen.append(order.client_id)
        if len(seen) < number:
            return await place(order)
        if len(seen) == number:
            if sent:
                await place(order)
            async with session.daemon.engine._turn:  # no commit is under way
                shutil.copytree(session.home, image, ignore=shutil.ignore_patterns("owner.sock"))
            taken.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("the dead send nothing")

    monkeypatch.setattr(trading, "place", crash)
    monkeypatch.setattr(broker_module, "STOP_WITHIN_S", 0.1)
    await session.begin_open()
    await asyncio.wait_for(taken.wait(), 30)


def _crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, sent: bool) -> tuple[list[str], list[str]]:
    """A crash at an order, and a start on what the disk had. Gives the venue's orders and the ends of processes."""
    image = tmp_path / "image"
    orders: list[str] = []

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="BTCUSDT")
            with monkeypatch.context() as patched:
                async with trading_on(venue, tmp_path / "home", settings) as session:
                    await crash_at(session, patched, image, number, sent=sent)
            async with trading_on(venue, image, settings, halted=False) as session:
                await session.halt()
                await session.until(
                    lambda: session.is_quiet and not session.figure("pending_entries"), "the end of the entry"
                )
                await session.agree()
                if session.figure("held"):
                    await session.close()
                    await session.agree()
                assert ours(session) == theirs(venue)
            check(image, venue)
            orders.extend(order.link_id.rpartition("-")[2] for order in venue.exchange.orders.all)

    run(work())
    ends = ends_of(image)
    return orders, ends


@pytest.mark.parametrize("number", [1, 2])
def test_f02_an_intent_that_was_logged_and_never_sent_is_asked_for_and_never_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    orders, ends = _crash(tmp_path, monkeypatch, number, sent=False)
    logged = [event for _, _, event in events_of(tmp_path / "image")]
    rejected = [event for event in logged if isinstance(event, OrderRejected)]
    assert [event.reason for event in rejected] == ["absent"]
    assert rejected[0].client_id.rpartition("-")[2] not in orders[:number]
    assert len(ends) in (1, 2)


@pytest.mark.parametrize("number", [1, 2])
def test_f03_an_order_that_was_sent_before_the_crash_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    orders, ends = _crash(tmp_path, monkeypatch, number, sent=True)
    assert ends == ["opened", "closed"]
    assert orders[:2] == ["s1", "p1"]
    assert len(orders) == 4
    intended = [event for _, _, event in events_of(tmp_path / "image") if isinstance(event, OrderIntended)]
    assert len(intended) == 4
