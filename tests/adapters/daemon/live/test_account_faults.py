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
from tests.adapters.daemon.live.desk import LIMITS, START_MS, Desk, exchange, run, settings_for, trading_on
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.world import events_of

HOUR_MS = 3_600_000
MIDNIGHT_MS = START_MS - HOUR_MS // 2
TWO = "BTCUSDT,ETHUSDT"


def position_of(desk: Desk, symbol: str) -> Decimal:
    """What the venue shows."""
    found = desk.venue.exchange.account.positions.get(symbol)
    return Decimal(0) if found is None else found.size


def test_f22_nothing_is_opened_on_a_leg_that_has_not_been_heard_of(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, quote_max_age_s=5.0)

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO, limits=limits)) as desk:
                for where in ("tickers.BTCUSDT", "orderbook.1.BTCUSDT"):
                    venue.faults.inject("silence", where=where, seconds=30.0)
                await desk.until(lambda: len(venue.faults.struck) == 2, "silence")
                began = venue.now_ms
                quoted = desk.broker.quotes("BTCUSDT").long
                assert quoted is not None
                await desk.until(lambda: venue.now_ms > began + 8_000, "old quotes")
                await desk.begin_open()
                await desk.until(lambda: desk.figure("held") == 1, "the other pair")
                assert {order.one.symbol for order in venue.exchange.desk.orders} == {"ETHUSDT"}
                assert venue.now_ms < began + 30_000
                await desk.until(lambda: desk.figure("held") == 2 and desk.is_quiet, "the pair that was silent")
            check(tmp_path, venue)

    run(work())


async def _funding_after_an_outage(home: Path, seconds: float) -> None:
    start_ms = MIDNIGHT_MS - 120_000
    async with exchange(start_ms=start_ms) as venue:
        async with trading_on(venue, home, settings_for(venue, pairs=TWO)) as desk:
            await desk.open(2)
            assert venue.now_ms < MIDNIGHT_MS, "the machine was too slow for this test"
            venue.outage(seconds)
            before = len(venue.exchange.desk.orders)
            await desk.begin_open()
            await desk.until(lambda: not desk.broker.agreed, "notice of the outage", seconds)
            await desk.until(lambda: venue.now_ms > MIDNIGHT_MS, "midnight")
            assert desk.figure("held") == 2
            await desk.until(lambda: desk.figure("payments") == 2, "funding of both pairs", seconds / 10 + 60)
            await desk.until(lambda: desk.broker.agreed, "agreement", 90)
            assert len(venue.exchange.desk.orders) == before
            await desk.close()
            await desk.agree()
            assert ours(desk) == theirs(venue)
        check(home, venue)


def test_f24_funding_of_a_settlement_during_an_outage_is_booked_once(tmp_path: Path) -> None:
    run(_funding_after_an_outage(tmp_path, 90.0))


@pytest.mark.soak
def test_f24_the_venue_is_down_for_half_an_hour_across_a_settlement(tmp_path: Path) -> None:
    run(_funding_after_an_outage(tmp_path, 1_800.0), 600)


def test_f28_a_revoked_key_stops_trading_and_keeps_the_state(tmp_path: Path, output: io.StringIO) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                venue.revoke_key()
                before = len(venue.exchange.desk.orders)
                await desk.begin_close()
                await desk.until(lambda: "refused" in output.getvalue(), "an alert")
                await desk.until(lambda: not desk.broker.agreed, "no agreement without a key")
                await asyncio.sleep(0.5)
                assert len(venue.exchange.desk.orders) == before
                assert desk.figure("held") == 2
                attempts = [one for one in desk.broker.workers.values() for _ in one.process.ledger.orders]
                assert len(attempts) <= 2, "one order each, asked for and not sent again"
                venue.exchange.rights = venue.config.rights
                await desk.until(lambda: desk.figure("held") == 0 and desk.is_quiet, "everything closed")
                await desk.agree()
                assert ours(desk) == theirs(venue)
            check(tmp_path, venue, output=output.getvalue())

    run(work())


def test_f29_what_others_did_to_our_positions_is_booked_and_the_other_leg_follows(
    tmp_path: Path, output: io.StringIO
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path) as desk:
                await desk.open()
                venue.adl("BTCUSDT", Decimal("0.5"))
                venue.adl("ETHUSDT", Decimal(1))
                venue.external_trade("SYN03USDT", -position_of(desk, "SYN03USDT") // 10 * 3)
                venue.external_trade("SYN04USDT", -venue.ledger.balance("SYN04") // 3, spot=True)
                books = desk.broker.account.books.pairs
                await desk.until(
                    lambda: (
                        all(abs(one.long_units - one.short_units) < one.pair.lot_units for one in books.values())
                        and len(venue.exchange.desk.orders) == 8 + 4 + 2
                    ),
                    "repairs",
                )
                await desk.agree()
                assert desk.figure("held") == 3, "the pair whose short is gone is closed"
                await desk.close()
                await desk.agree()
                # Coins sold by hand in the same batch as a purchase by hand would not be ours; here all of it is.
                assert ours(desk).total == theirs(venue).total
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
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                # Cash disappears: what is left does not cover the maintenance margin of the shorts.
                worth = venue.exchange.health().margin_balance
                venue.ledger.book("TRANSFER_OUT", "USDT", venue.now_ms, cash_flow=-worth)
                await desk.until(lambda: not venue.exchange.account.held, "the liquidation", 60)
                await desk.until(lambda: desk.figure("held") == 0 and desk.is_quiet, "the coins sold", 60)
                venue.ledger.book("TRANSFER_IN", "USDT", venue.now_ms, cash_flow=worth)
                await desk.agree()
                assert ours(desk).perp == theirs(venue).perp
                assert ours(desk).fees == theirs(venue).fees
            check(tmp_path, venue)

    run(work())


def test_f30_a_settlement_that_is_paid_in_two_records_ties_to_the_balance(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(start_ms=MIDNIGHT_MS - 120_000) as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                await desk.until(lambda: desk.figure("payments") == 2, "funding of both pairs")
                venue.exchange.fills.funding(venue.exchange.market.perps["BTCUSDT"], MIDNIGHT_MS, Decimal("0.0003"))
                await desk.agree()
                assert desk.figure("payments") == 2
                await desk.close()
                await desk.agree()
                assert ours(desk).total == theirs(venue).total
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
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                venue.faults.inject("stale", where="position/list")
                await desk.broker.reconciler.reconcile()
                assert venue.faults.struck == [("stale", "position/list")]
                assert not desk.broker.agreed
                await desk.until(lambda: desk.broker.agreed, "agreement")
            check(tmp_path, venue)

    run(work())


def test_a_difference_that_nobody_can_explain_is_adopted_and_stops_entries_for_a_while(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                coins = venue.ledger.balance("BTC")
                venue.ledger.book("TRANSFER_OUT", "BTC", venue.now_ms, cash_flow=-coins)
                desk.broker.reconciler.wake()
                await desk.until(lambda: not desk.broker.agreed, "the disagreement")
                await desk.until(lambda: desk.broker.agreed, "agreement once it is booked")
                await desk.until(lambda: not position_of(desk, "BTCUSDT") and desk.is_quiet, "the short bought back")
                await desk.agree()
            check(tmp_path, venue, adopted=True)

    run(work())
    found = [event for _, _, event in events_of(tmp_path) if isinstance(event, ReconciliationCorrected)]
    assert any("are missing" in event.reason for event in found)


def test_a_flatten_during_entries_ends_them_and_closes_what_they_opened(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, max_unhedged_notional=30.0)

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, limits=limits)) as desk:
                await desk.begin_open()
                await desk.until(lambda: len(venue.exchange.desk.orders) > 5, "some orders")
                assert desk.broker.workers
                await desk.close()
                await desk.agree()
                assert ours(desk) == theirs(venue)
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
            async with trading_on(venue, tmp_path, settings) as desk:
                venue.faults.inject("refuse", where="order/create", value=110007, after=1, count=1_000)
                await desk.begin_open()
                await desk.until(lambda: desk.figure("halted") == 1, "the halt")
                await desk.until(lambda: desk.is_quiet, "the end of the repair")
            async with trading_on(venue, tmp_path, settings, halted=False) as desk:
                assert desk.figure("halted") == 1
                venue.faults.clear()
                await desk.until(lambda: desk.figure("held") == 0 and desk.is_quiet, "the repair of a new start")
                await desk.agree()
                assert desk.figure("halted") == 1, "a person resumes, nobody else"
            check(tmp_path, venue, unhedged_s=600)

    run(work())
    events = [event for _, _, event in events_of(tmp_path)]
    end = next(i for i, one in enumerate(events) if isinstance(one, HedgeEnded) and one.outcome == "unhedged")
    assert isinstance(events[end + 1], Halted)
    assert events[end + 1].run


def test_an_exit_waits_for_nothing_but_its_own_pair(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as desk:
                await desk.open(2)
                venue.faults.inject("drop_request", where="order/create", symbol="BTCUSDT", count=2)
                await desk.close()
                await desk.agree()
                assert ours(desk) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    own = [event for _, _, event in events_of(tmp_path)]
    assert sum(isinstance(event, EntryDecided) for event in own) == 2
    assert sum(isinstance(event, ExitDecided) for event in own) == 2
    assert all(event.client_id for event in own if isinstance(event, OrderFilled))
