"""Fault cards of account and venue: F22, F24, F28 to F30, and what an operator does meanwhile."""

from __future__ import annotations

import asyncio
import io
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from carryfold.domain.events import (
    EntryDecided,
    ExitDecided,
    FundingCorrected,
    Halted,
    HedgeEnded,
    OrderFilled,
    OrderIntended,
    ReconciliationCorrected,
)
from tests.adapters.daemon.live.checker import check, ends_of
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import LIMITS, START_MS, Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

HOUR_MS = 3_600_000
MIDNIGHT_MS = START_MS - HOUR_MS // 2
TWO = "BTCUSDT,ETHUSDT"


def position_of(session: Session, symbol: str) -> Decimal:
    """The position that the venue shows."""
    found = session.venue.exchange.account.positions.get(symbol)
    return Decimal(0) if found is None else found.size


def test_f22_nothing_is_opened_on_a_leg_that_has_not_been_heard_of(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, quote_max_age_s=5.0)

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO, limits=limits)) as session:
                for where in ("tickers.BTCUSDT", "orderbook.1.BTCUSDT"):
                    venue.faults.inject("silence", where=where, seconds=30.0)
                await session.until(lambda: len(venue.faults.triggered) == 2, "silence")
                began = venue.now_ms
                quoted = session.broker.quotes("BTCUSDT").long
                assert quoted is not None
                await session.until(lambda: venue.now_ms > began + 8_000, "old quotes")
                await session.begin_open()
                await session.until(lambda: session.figure("held") == 1, "the other pair")
                assert {order.pair.symbol for order in venue.exchange.orders.all} == {"ETHUSDT"}
                assert venue.now_ms < began + 30_000
                await session.until(
                    lambda: session.figure("held") == 2 and session.is_quiet, "the pair that was silent"
                )
            check(tmp_path, venue)

    run(work())


async def _funding_after_an_outage(home: Path, seconds: float) -> None:
    start_ms = MIDNIGHT_MS - 120_000
    async with exchange(start_ms=start_ms) as venue:
        async with trading_on(venue, home, settings_for(venue, pairs=TWO)) as session:
            await session.open(2)
            assert venue.now_ms < MIDNIGHT_MS, "the machine was too slow for this test"
            venue.outage(seconds)
            before = len(venue.exchange.orders.all)
            await session.begin_open()
            await session.until(lambda: not session.broker.agreed, "notice of the outage", seconds)
            await session.until(lambda: venue.now_ms > MIDNIGHT_MS, "midnight")
            assert session.figure("held") == 2
            await session.until(lambda: session.figure("payments") == 2, "funding of both pairs", seconds / 10 + 60)
            await session.until(lambda: session.broker.agreed, "agreement", 90)
            assert len(venue.exchange.orders.all) == before
            await session.close()
            await session.agree()
            assert ours(session) == theirs(venue)
        check(home, venue)


def test_f24_funding_of_a_settlement_during_an_outage_is_booked_once(tmp_path: Path) -> None:
    run(_funding_after_an_outage(tmp_path, 90.0))


@pytest.mark.soak
def test_f24_the_venue_is_down_for_half_an_hour_across_a_settlement(tmp_path: Path) -> None:
    run(_funding_after_an_outage(tmp_path, 1_800.0), 600)


def test_f28_a_revoked_key_stops_trading_and_keeps_the_state(tmp_path: Path, output: io.StringIO) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                venue.revoke_key()
                before = len(venue.exchange.orders.all)
                await session.begin_close()
                await session.until(lambda: "refused" in output.getvalue(), "an alert")
                await session.until(lambda: not session.broker.agreed, "no agreement without a key")
                await asyncio.sleep(0.5)
                assert len(venue.exchange.orders.all) == before
                assert session.figure("held") == 2
                attempts = [one for one in session.broker.workers.values() for _ in one.process.state.orders]
                assert len(attempts) <= 2, "one order each, asked for and not sent again"
                venue.exchange.rights = venue.config.rights
                await session.until(lambda: session.figure("held") == 0 and session.is_quiet, "everything closed")
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue, output=output.getvalue())

    run(work())


def test_f29_what_others_did_to_our_positions_is_booked_and_the_other_leg_follows(
    tmp_path: Path, output: io.StringIO
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as session:
                await session.open()
                venue.adl("BTCUSDT", Decimal("0.5"))
                venue.adl("ETHUSDT", Decimal(1))
                venue.external_trade("SYN03USDT", -position_of(session, "SYN03USDT") // 10 * 3)
                venue.external_trade("SYN04USDT", -venue.ledger.balance("SYN04") // 3, spot=True)
                books = session.broker.account.books.pairs
                await session.until(
                    lambda: (
                        all(abs(one.long_units - one.short_units) < one.pair.lot_units for one in books.values())
                        and len(venue.exchange.orders.all) == 8 + 4 + 2
                    ),
                    "repairs",
                )
                await session.agree()
                assert session.figure("held") == 3, "the pair whose short is gone is closed"
                await session.close()
                await session.agree()
                # Coins sold by hand in the same batch as a purchase by hand would not be ours; here all of it is.
                assert ours(session).total == theirs(venue).total
            check(tmp_path, venue)

    run(work())
    assert "adl" in output.getvalue()
    names = {
        event.client_id.rpartition("-")[0] for _, _, event in events_of(tmp_path) if isinstance(event, OrderIntended)
    }
    repairs = [name for name in names if name.endswith("r")]
    assert len(repairs) == 4, "each repair has a name of its own"


def test_f29_a_liquidation_is_booked_and_what_is_left_alone_is_sold(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                # Cash disappears: what is left does not cover the maintenance margin of the shorts.
                worth = venue.exchange.state.health().margin_balance
                venue.ledger.book("TRANSFER_OUT", "USDT", venue.now_ms, cash_flow=-worth)
                await session.until(lambda: not venue.exchange.account.held, "the liquidation", 60)
                await session.until(lambda: session.figure("held") == 0 and session.is_quiet, "the coins sold", 60)
                venue.ledger.book("TRANSFER_IN", "USDT", venue.now_ms, cash_flow=worth)
                await session.agree()
                assert ours(session).perp == theirs(venue).perp
                assert ours(session).fees == theirs(venue).fees
            check(tmp_path, venue)

    run(work())


def test_f30_a_settlement_that_is_paid_in_two_records_ties_to_the_balance(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=MIDNIGHT_MS - 120_000) as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                await session.until(lambda: session.figure("payments") == 2, "funding of both pairs")
                venue.exchange.fills.funding(venue.exchange.market.perps["BTCUSDT"], MIDNIGHT_MS, Decimal("0.0003"))
                await session.agree()
                assert session.figure("payments") == 2
                await session.close()
                await session.agree()
                assert ours(session).total == theirs(venue).total
            check(tmp_path, venue, adopted=True)

    run(work())
    found = [event for _, _, event in events_of(tmp_path) if isinstance(event, FundingCorrected)]
    assert [(event.pair.short.symbol, event.leg) for event in found] == [("BTCUSDT", "short")]
    assert not [
        event for _, _, event in events_of(tmp_path) if isinstance(event, ReconciliationCorrected) and event.cash
    ]


def test_one_answer_that_leaves_out_a_position_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                venue.faults.inject("stale", where="position/list")
                await session.broker.reconciler.reconcile()
                assert venue.faults.triggered == [("stale", "position/list")]
                assert not session.broker.agreed
                await session.until(lambda: session.broker.agreed, "agreement")
            check(tmp_path, venue)

    run(work())


def test_a_difference_that_nobody_can_explain_is_adopted_and_stops_entries_for_a_while(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                coins = venue.ledger.balance("BTC")
                venue.ledger.book("TRANSFER_OUT", "BTC", venue.now_ms, cash_flow=-coins)
                session.broker.reconciler.wake()
                await session.until(lambda: not session.broker.agreed, "the disagreement")
                await session.until(lambda: session.broker.agreed, "agreement once it is booked")
                await session.until(
                    lambda: not position_of(session, "BTCUSDT") and session.is_quiet, "the short bought back"
                )
                await session.agree()
            check(tmp_path, venue, adopted=True)

    run(work())
    found = [event for _, _, event in events_of(tmp_path) if isinstance(event, ReconciliationCorrected)]
    assert any("are missing" in event.reason for event in found)


def test_a_flatten_during_entries_ends_them_and_closes_what_they_opened(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, max_unhedged_notional=30.0)

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, limits=limits)) as session:
                await session.begin_open()
                await session.until(lambda: len(venue.exchange.orders.all) > 5, "some orders")
                assert session.broker.workers
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
                assert not venue.exchange.account.held
            check(tmp_path, venue)

    run(work())
    ends = ends_of(tmp_path)
    assert "partial" in ends, "an entry stopped half-way"
    assert "closed" in ends


def test_a_leg_left_alone_halts_the_run_and_a_restart_does_not_forget_it(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, retries=0, unwind_retries=1, deadline_s=5.0)

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="BTCUSDT", limits=limits)
            async with trading_on(venue, tmp_path, settings) as session:
                venue.faults.inject("refuse", where="order/create", value=110007, after=1, count=1_000)
                await session.begin_open()
                await session.until(lambda: session.figure("halted") == 1, "the halt")
                await session.until(lambda: session.is_quiet, "the end of the repair")
            async with trading_on(venue, tmp_path, settings, halted=False) as session:
                assert session.figure("halted") == 1
                venue.faults.clear()
                await session.until(
                    lambda: session.figure("held") == 0 and session.is_quiet, "the repair of a new start"
                )
                await session.agree()
                assert session.figure("halted") == 1, "a person resumes, nobody else"
            check(tmp_path, venue, unhedged_s=600)

    run(work())
    events = [event for _, _, event in events_of(tmp_path)]
    end = next(i for i, one in enumerate(events) if isinstance(one, HedgeEnded) and one.outcome == "unhedged")
    assert isinstance(events[end + 1], Halted)
    assert events[end + 1].run


def test_an_exit_waits_for_nothing_but_its_own_pair(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                venue.faults.inject("drop_request", where="order/create", symbol="BTCUSDT", count=2)
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    own = [event for _, _, event in events_of(tmp_path)]
    assert sum(isinstance(event, EntryDecided) for event in own) == 2
    assert sum(isinstance(event, ExitDecided) for event in own) == 2
    assert all(event.client_id for event in own if isinstance(event, OrderFilled))
