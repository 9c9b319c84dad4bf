"""Many trades through ccxt on the simulated exchange: hedged to a lot, and booked to the last 1e-8."""

from decimal import Decimal
from pathlib import Path

import pytest

from carryfold.domain.events import MarginObserved, OrderIntended, RunArmed
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import Figures, ours, theirs
from tests.adapters.daemon.live.session import Session, exchange, run, trading_on
from tests.adapters.daemon.live.storm import unleash
from tests.adapters.daemon.world import events_of

BEFORE_SETTLEMENT_MS = 1_748_735_900_000  # 2025-05-31T23:58:20Z


async def _trade(session: Session, cycles: int) -> tuple[Figures, Figures]:
    """Open and close every pair so many times; gives the figures of both sides."""
    for _ in range(cycles):
        session.broker.dispatcher.entry_cooldowns.clear()
        await session.open()
        await session.close()
    session.venue.faults.clear()
    await session.agree()
    return ours(session), theirs(session.venue)


def test_what_trading_came_to_is_what_the_exchange_s_own_ledger_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS) as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.open()
                await session.until(lambda: session.figure("payments") == 4, "funding of every pair")
                await session.close()
                mine, its = await _trade(session, 3)
                assert mine == its
                assert mine.funding and mine.spot and mine.perp and mine.fees
                assert mine.total == venue.ledger.balance("USDT") - 100_000
                assert session.figure("trades") == 16
            check(tmp_path, venue)

    run(work())
    kinds = [type(event) for _, _, event in events_of(tmp_path)]
    assert kinds.index(RunArmed) < kinds.index(OrderIntended)
    assert MarginObserved in kinds, "the account's margin health is news once there are shorts"


def test_the_books_tie_while_orders_requests_and_messages_go_wrong(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as session:
                unleash(venue, 1, 0.5)
                mine, its = await _trade(session, 3)
                assert venue.faults.triggered
                assert mine == its
                assert session.figure("trades") >= 12
            check(tmp_path, venue)

    run(work())


@pytest.mark.soak
def test_a_thousand_trades_with_faults_on_tie_to_the_last_digit(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS) as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.open()
                await session.until(lambda: session.figure("payments") == 4, "funding of every pair")
                await session.close()
                while session.figure("trades") < 1_000:
                    unleash(venue, session.figure("trades"), 0.3)
                    await _trade(session, 5)
                    assert ours(session) == theirs(venue)
                assert ours(session).funding
            check(tmp_path, venue)

    run(work(), 3_600)


def test_a_negative_balance_s_interest_is_booked_as_what_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        balances = {"USDT": Decimal(-500), "BTC": Decimal(1)}
        async with exchange(start_ms=BEFORE_SETTLEMENT_MS, balances=balances) as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.until(lambda: venue.ledger.total("USDT", "INTEREST") < 0, "an hour of interest")
                await session.agree()
                assert ours(session) == theirs(venue)
                assert ours(session).borrow > 0
            check(tmp_path, venue)

    run(work())


def test_positions_of_before_a_stop_are_closed_after_the_next_start(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.open()
            async with trading_on(venue, tmp_path, halted=False) as session:
                assert session.figure("held") == 4
                assert session.figure("halted") == 1
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
