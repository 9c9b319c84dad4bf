"""Live starts that find unknown positions, decisions without a process, or orders of somebody else."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.venues import VenueError
from carryfold.domain.events import Resumed, RunStarted
from carryfold.domain.execution.reports import FillReport
from carryfold.eventlog import LogReader
from tests.adapters.daemon.live.checker import check, ends_of
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

PAIR = "BTCUSDT"


def test_a_pair_that_closes_while_nobody_looks_is_settled_and_its_coins_are_sold_by_the_next_start(
    tmp_path: Path,
) -> None:
    """F27 and F28."""

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="top:20")
            async with trading_on(venue, tmp_path, settings) as session:
                await session.open()
                held = {symbol for symbol, books in session.broker.account.books.pairs.items() if books.short_units}
            assert "ETHUSDT" in held
            venue.delist("ETHUSDT", 60.0)
            venue.advance(120)
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                await session.until(
                    lambda: session.figure("held") == len(held) - 1 and session.is_quiet, "the pair's end"
                )
                await session.agree()
                books = session.broker.account.books.pairs["ETHUSDT"]
                assert abs(books.long_units) < books.pair.lot_units
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    assert sum(isinstance(event, RunStarted) for _, _, event in events_of(tmp_path)) == 1


def test_a_run_whose_only_pair_closes_while_nobody_looks_sells_its_coins_at_the_next_start(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="ETHUSDT")
            async with trading_on(venue, tmp_path, settings) as session:
                await session.open(1)
            venue.delist("ETHUSDT", 60.0)
            venue.advance(120)
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                await session.until(lambda: not session.figure("held") and session.is_quiet, "the pair's end")
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)
            with pytest.raises(VenueError, match="none of the pairs 'ETHUSDT' is trading now"):
                async with trading_on(venue, tmp_path, settings, halted=False):
                    raise AssertionError("it has nothing to do")

    run(work())
    assert sum(isinstance(event, RunStarted) for _, _, event in events_of(tmp_path)) == 1


def test_a_new_home_does_not_touch_what_another_one_has_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path / "first", settings) as session:
                await session.open(1)
                orders = len(venue.exchange.orders.all)
                with pytest.raises(VenueError, match=rf"^the account has positions in {PAIR} that no run[^\n]*$"):
                    async with trading_on(venue, tmp_path / "second", settings):
                        raise AssertionError("it began")
                assert len(venue.exchange.orders.all) == orders
                await session.close()
            async with trading_on(venue, tmp_path / "second", settings) as session:
                await session.open(1)
                await session.close()

    run(work())


def test_an_open_order_of_somebody_else_keeps_the_run_from_trading(tmp_path: Path, output: io.StringIO) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                bid = venue.exchange.depth(venue.exchange.market.perps[PAIR], 1, spot=False)[0][0].price
                price = Decimal(str(bid)) * Decimal("0.999") // Decimal("0.1") * Decimal("0.1")
                params = {"category": "linear", "symbol": PAIR, "side": "Buy", "orderType": "Limit", "qty": "0.001",
                          "price": str(price), "timeInForce": "PostOnly"}  # fmt: skip
                order = venue.exchange.matching.create(params)
                await session.broker.reconciler.reconcile()
                assert not session.broker.agreed
                await session.begin_open()
                await session.until(lambda: "not of this run" in output.getvalue(), "an alert")
                await session.until(lambda: session.figure("decisions") > 2, "decisions that come to nothing")
                assert len(venue.exchange.orders.all) == 1
                venue.exchange.matching.cancel(order, "CancelByUser")
                await session.until(
                    lambda: session.figure("held") == 1 and session.is_quiet, "trading, once it is gone"
                )
            check(tmp_path, venue)

    run(work())


def test_a_pair_rests_after_an_entry_that_came_to_nothing_also_over_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path, settings) as session:
                venue.faults.inject("refuse", where="order/create", category="linear", value=110007, count=1_000)
                await session.begin_open()
                await session.until(lambda: bool(session.cooling_down()), "an entry that came to nothing")
                orders = len(venue.exchange.orders.all)
                venue.faults.clear()
                before = session.figure("decisions")
                await session.until(lambda: session.figure("decisions") >= before + 2, "more decisions")
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                before = session.figure("decisions")
                await session.until(lambda: session.figure("decisions") >= before + 2, "decisions after the restart")
                assert len(venue.exchange.orders.all) == orders
                await session.halt()
            check(tmp_path, venue)

    run(work())
    reasons = ends_of(tmp_path)
    assert reasons[0] == "unwound"
    resting = [reason for reason in reasons[1:] if reason == "given up: cooling down: the last entry opened nothing"]
    assert len(resting) >= len(reasons) - 2, "but for one that the stop came between"


def test_what_is_decided_while_a_start_asks_the_venue_is_no_decision_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Broker] = []
    before: list[list[object]] = []
    load, fills = Broker.load, Account.fills

    def remember(self: Broker, reader: LogReader) -> None:
        load(self, reader)
        begun.append(self)
        before.append([*self.run.pending()])

    async def slow(self: Account) -> Sequence[FillReport]:
        """AccountSnapshot when an entry is decided that waits for its turn."""
        (broker,) = begun
        async with broker.lock:
            await broker.engine.record([Resumed(0, broker.clock.now(), "test")])
            async with asyncio.timeout(60):
                while not broker.run.pending():
                    await asyncio.sleep(0.01)
            return await fills(self)

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path, settings) as session:
                await session.open(1)
                await session.close()
                await session.halt()
            monkeypatch.setattr(Broker, "load", remember)
            monkeypatch.setattr(Account, "fills", slow)
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                await session.until(lambda: bool(session.figure("held")) and session.is_quiet, "an entry")
                await session.halt()
                await session.close()
            check(tmp_path, venue)

    run(work())
    assert before == [[]]
    ends = ends_of(tmp_path)
    assert "given up: the daemon was not running" not in ends


@pytest.mark.parametrize("kind", ["entry", "exit"])
def test_of_decisions_that_nobody_began_an_entry_is_given_up_and_an_exit_is_made(tmp_path: Path, kind: str) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path, settings) as session:
                if kind == "exit":
                    await session.open(1)
                session.daemon.engine.decided = None  # it dies between the decision and the first order
                await (session.begin_open() if kind == "entry" else session.begin_close())
                await session.until(lambda: session.figure("ordered") == 1, "a decision")
                await session.halt()
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                await session.until(lambda: session.is_quiet and not session.figure("held"), "its end")
            check(tmp_path, venue)
            assert len(venue.exchange.orders.all) == (0 if kind == "entry" else 4)

    run(work())
    ends = ends_of(tmp_path)
    assert ends == (["given up: the daemon was not running"] if kind == "entry" else ["opened", "closed"])
