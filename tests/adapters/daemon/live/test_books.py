"""Many trades through ccxt on the exchange in a box: hedged to a lot, and booked to the last 1e-8."""

from decimal import Decimal
from pathlib import Path

import pytest

from carryfold.domain.events import MarginObserved, OrderIntended, RunArmed
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.desk import Desk, exchange, run, trading_on
from tests.adapters.daemon.live.money import Figures, ours, theirs
from tests.adapters.daemon.live.storm import unleash
from tests.adapters.daemon.world import events_of

BEFORE_SETTLEMENT_MS = 1_748_735_900_000  # 2025-05-31T23:58:20Z


async def _trade(desk: Desk, cycles: int) -> tuple[Figures, Figures]:
    """Open and close every pair so many times; both sides' figures of all of it."""
    for _ in range(cycles):
        desk.broker.entries_rest.clear()
        await desk.open()
        await desk.close()
    desk.venue.faults.clear()
    await desk.agree()
    return ours(desk), theirs(desk.venue)


def test_what_trading_came_to_is_what_the_exchange_s_own_ledger_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS) as venue:
            async with trading_on(venue, tmp_path) as desk:
                await desk.open()
                await desk.until(lambda: desk.figure("payments") == 4, "funding of every pair")
                await desk.close()
                mine, its = await _trade(desk, 3)
                assert mine == its
                assert mine.funding and mine.spot and mine.perp and mine.fees
                assert mine.total == venue.ledger.balance("USDT") - 100_000
                assert desk.figure("trades") == 16
            check(tmp_path, venue)

    run(work())
    kinds = [type(event) for _, _, event in events_of(tmp_path)]
    assert kinds.index(RunArmed) < kinds.index(OrderIntended)
    assert MarginObserved in kinds, "the account's margin health is news once there are shorts"


def test_the_books_tie_while_orders_requests_and_messages_go_wrong(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as desk:
                unleash(venue, 1, 0.5)
                mine, its = await _trade(desk, 3)
                assert venue.faults.struck
                assert mine == its
                assert desk.figure("trades") >= 12
            check(tmp_path, venue)

    run(work())


@pytest.mark.soak
def test_a_thousand_trades_with_faults_on_tie_to_the_last_digit(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS) as venue:
            async with trading_on(venue, tmp_path) as desk:
                await desk.open()
                await desk.until(lambda: desk.figure("payments") == 4, "funding of every pair")
                await desk.close()
                while desk.figure("trades") < 1_000:
                    unleash(venue, desk.figure("trades"), 0.3)
                    await _trade(desk, 5)
                    assert ours(desk) == theirs(venue)
                assert ours(desk).funding
            check(tmp_path, venue)

    run(work(), 3_600)


def test_a_negative_balance_s_interest_is_booked_as_what_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        balances = {"USDT": Decimal(-500), "BTC": Decimal(1)}
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS, balances=balances) as venue:
            async with trading_on(venue, tmp_path) as desk:
                await desk.until(lambda: venue.ledger.total("USDT", "INTEREST") < 0, "an hour of interest")
                await desk.agree()
                assert ours(desk) == theirs(venue)
                assert ours(desk).borrow > 0
            check(tmp_path, venue)

    run(work())


def test_positions_of_before_a_stop_are_closed_after_the_next_start(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as desk:
                await desk.open()
            async with trading_on(venue, tmp_path, halted=False) as desk:
                assert desk.figure("held") == 4
                assert desk.figure("halted") == 1
                await desk.close()
                await desk.agree()
                assert ours(desk) == theirs(venue)
            check(tmp_path, venue)

    run(work())
