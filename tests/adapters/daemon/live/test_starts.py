"""What a live start finds: positions of nobody here, decisions that nobody carried out, orders of somebody else."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from carryfold.adapters.daemon.account import Account
from carryfold.adapters.daemon.broker import Broker
from carryfold.adapters.venue import VenueError
from carryfold.domain.events import Resumed, RunStarted
from carryfold.domain.execution.reports import FillReport
from carryfold.eventlog import LogReader
from tests.adapters.daemon.live.checker import check, ends_of
from tests.adapters.daemon.live.desk import exchange, run, settings_for, trading_on
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.world import events_of

PAIR = "BTCUSDT"


def test_a_pair_that_closes_while_nobody_looks_is_settled_and_its_coins_are_sold_by_the_next_start(
    tmp_path: Path,
) -> None:
    """F27 and F28."""

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="top:20")
            async with trading_on(venue, tmp_path, settings) as desk:
                await desk.open()
                held = {symbol for symbol, books in desk.broker.account.books.pairs.items() if books.short_units}
            assert "ETHUSDT" in held
            venue.delist("ETHUSDT", 60.0)
            venue.advance(120)
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                await desk.until(lambda: desk.figure("held") == len(held) - 1 and desk.is_quiet, "the pair's end")
                await desk.agree()
                books = desk.broker.account.books.pairs["ETHUSDT"]
                assert abs(books.long_units) < books.pair.lot_units
                await desk.close()
                await desk.agree()
                assert ours(desk) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    assert sum(isinstance(event, RunStarted) for _, _, event in events_of(tmp_path)) == 1


def test_a_run_whose_only_pair_closes_while_nobody_looks_sells_its_coins_at_the_next_start(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="ETHUSDT")
            async with trading_on(venue, tmp_path, settings) as desk:
                await desk.open(1)
            venue.delist("ETHUSDT", 60.0)
            venue.advance(120)
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                await desk.until(lambda: not desk.figure("held") and desk.is_quiet, "the pair's end")
                await desk.agree()
                assert ours(desk) == theirs(venue)
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
            async with trading_on(venue, tmp_path / "first", settings) as desk:
                await desk.open(1)
                orders = len(venue.exchange.desk.orders)
                with pytest.raises(VenueError, match=rf"^the account has positions in {PAIR} that no run[^\n]*$"):
                    async with trading_on(venue, tmp_path / "second", settings):
                        raise AssertionError("it began")
                assert len(venue.exchange.desk.orders) == orders
                await desk.close()
            async with trading_on(venue, tmp_path / "second", settings) as desk:
                await desk.open(1)
                await desk.close()

    run(work())


def test_an_open_order_of_somebody_else_keeps_the_run_from_trading(tmp_path: Path, output: io.StringIO) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as desk:
                bid = venue.exchange.depth(venue.exchange.market.perps[PAIR], 1, spot=False)[0][0].price
                price = Decimal(str(bid)) * Decimal("0.999") // Decimal("0.1") * Decimal("0.1")
                params = {"category": "linear", "symbol": PAIR, "side": "Buy", "orderType": "Limit", "qty": "0.001",
                          "price": str(price), "timeInForce": "PostOnly"}  # fmt: skip
                order = venue.exchange.desk.create(params)
                await desk.broker.reconciler.reconcile()
                assert not desk.broker.agreed
                await desk.begin_open()
                await desk.until(lambda: "not ours" in output.getvalue(), "an alert")
                await desk.until(lambda: desk.figure("decisions") > 2, "decisions that come to nothing")
                assert len(venue.exchange.desk.orders) == 1
                venue.exchange.desk.cancel(order, "CancelByUser")
                await desk.until(lambda: desk.figure("held") == 1 and desk.is_quiet, "trading, once it is gone")
            check(tmp_path, venue)

    run(work())


def test_a_pair_rests_after_an_entry_that_came_to_nothing_also_over_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path, settings) as desk:
                venue.faults.inject("refuse", where="order/create", category="linear", value=110007, count=1_000)
                await desk.begin_open()
                await desk.until(lambda: bool(desk.resting()), "an entry that came to nothing")
                orders = len(venue.exchange.desk.orders)
                venue.faults.clear()
                before = desk.figure("decisions")
                await desk.until(lambda: desk.figure("decisions") >= before + 2, "more decisions")
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                before = desk.figure("decisions")
                await desk.until(lambda: desk.figure("decisions") >= before + 2, "decisions after the restart")
                assert len(venue.exchange.desk.orders) == orders
                await desk.halt()
            check(tmp_path, venue)

    run(work())
    reasons = ends_of(tmp_path)
    assert reasons[0] == "unwound"
    resting = [reason for reason in reasons[1:] if reason == "given up: resting: the last entry came to nothing"]
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
        """Answers when an entry is decided that waits for its turn."""
        (broker,) = begun
        async with broker.turn:
            await broker.engine.record([Resumed(0, broker.pace.now(), "test")])
            async with asyncio.timeout(60):
                while not broker.run.pending():
                    await asyncio.sleep(0.01)
            return await fills(self)

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            async with trading_on(venue, tmp_path, settings) as desk:
                await desk.open(1)
                await desk.close()
                await desk.halt()
            monkeypatch.setattr(Broker, "load", remember)
            monkeypatch.setattr(Account, "fills", slow)
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                await desk.until(lambda: bool(desk.figure("held")) and desk.is_quiet, "an entry")
                await desk.halt()
                await desk.close()
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
            async with trading_on(venue, tmp_path, settings) as desk:
                if kind == "exit":
                    await desk.open(1)
                desk.daemon.engine.decided = None  # it dies between the decision and the first order
                await (desk.begin_open() if kind == "entry" else desk.begin_close())
                await desk.until(lambda: desk.figure("ordered") == 1, "a decision")
                await desk.halt()
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                await desk.until(lambda: desk.is_quiet and not desk.figure("held"), "its end")
            check(tmp_path, venue)
            assert len(venue.exchange.desk.orders) == (0 if kind == "entry" else 4)

    run(work())
    ends = ends_of(tmp_path)
    assert ends == (["given up: the daemon was not running"] if kind == "entry" else ["opened", "closed"])
