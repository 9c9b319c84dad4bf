"""Snapshots that were taken while a pair traded do not count for the pair."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from carryfold.domain.events import Halted, HedgeEnded, MarginObserved, ReconciliationCorrected
from carryfold.domain.execution.reports import AccountReport
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

PAIR = "BTCUSDT"


async def _reconcile_around(session: Session, monkeypatch: pytest.MonkeyPatch, cycle: str) -> None:
    """Fetch positions before a trade and everything else after it."""
    trading = session.broker.ports["bybit"]
    account = trading.account
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AccountReport:
        asked.set()
        await go_on.wait()
        return await account()

    with monkeypatch.context() as patched:
        patched.setattr(trading, "account", slow)
        reconciling = asyncio.ensure_future(session.broker.reconciler.reconcile())
        await asked.wait()
        await (session.open(1) if cycle == "open" else session.close())
        go_on.set()
        await reconciling


@pytest.mark.parametrize("times", [1, 2])
def test_a_trade_between_two_answers_of_the_venue_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                for _ in range(times):
                    await _reconcile_around(session, monkeypatch, "open")
                    assert session.broker.agreed
                    await _reconcile_around(session, monkeypatch, "close")
                    assert session.broker.agreed
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    corrected = [event for _, _, event in events_of(tmp_path) if isinstance(event, ReconciliationCorrected)]
    assert all(not event.short_units for event in corrected)


def test_margin_health_is_recorded_when_it_moves_and_forgotten_when_nothing_needs_margin(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
                await session.agree()
                assert session.daemon.runs[0].state.book[0]["observed_health"] > 1
                for _ in range(3):
                    await session.broker.reconciler.reconcile()
                await session.close()
                await session.agree()
                assert session.daemon.runs[0].state.book[0]["observed_health"] == 0
            check(tmp_path, venue)

    run(work())
    seen = [event.health for _, _, event in events_of(tmp_path) if isinstance(event, MarginObserved)]
    assert len(seen) == 2
    assert seen[1] == 0


def test_a_bug_in_one_process_halts_the_run_and_what_it_left_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=f"{PAIR},ETHUSDT")) as session:
                broken = False
                judge = session.broker.quotes

                def quotes(symbol: str) -> object:
                    nonlocal broken
                    if symbol == PAIR and not broken and session.broker.account.books.pairs[symbol].long_units:
                        broken = True
                        raise ZeroDivisionError("a bug")
                    return judge(symbol)

                monkeypatch.setattr(session.broker, "quotes", quotes)
                await session.begin_open()
                await session.until(lambda: broken and session.figure("halted") == 1, "a halt")
                books = session.broker.account.books.pairs
                await session.until(lambda: not session.broker.workers and not books[PAIR].long_units, "the repair")
                await session.until(lambda: bool(books["ETHUSDT"].short_units), "the other pair")
            check(tmp_path, venue)

    run(work())
    events = [event for _, _, event in events_of(tmp_path)]
    assert any(isinstance(event, Halted) and event.reason == "a bug: ZeroDivisionError" for event in events)
    assert any(isinstance(event, HedgeEnded) and event.outcome == "repaired" for event in events)
