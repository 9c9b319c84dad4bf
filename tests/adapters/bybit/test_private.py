"""The private stream: every report, every gap, and nothing that could not be read passed over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.private import MAX_UNREAD, PrivateStream
from carryfold.adapters.bybit.reports import Multipliers
from carryfold.adapters.venues import Credentials, VenueError
from carryfold.domain.execution.reports import (
    Accepted,
    AccountMoved,
    FillReport,
    FundingReport,
    OrderReport,
    StreamReport,
)
from tests.adapters.bybit.test_streams import Reader, at_once
from tests.adapters.bybit.test_trading import Session, session
from tests.adapters.bybit.venue import NOW_MS, run


@asynccontextmanager
async def watching(**options: Any) -> AsyncIterator[tuple[Session, Reader]]:
    async with session(**{"push_ms": 20, **options}) as one:
        stream = PrivateStream(
            Endpoint.at(one.venue.endpoints.rest),
            Credentials(one.venue.api_key, one.venue.api_secret),
            Multipliers(one.pairs.values()),
            sleep=at_once,
        )
        reader = Reader(stream.reports())
        try:
            await reader.until(lambda: reader.seen)
            assert reader.seen[0] == StreamReport(up=True)
            yield one, reader
        finally:
            await reader.close()


async def sell(one: Session, client_id: str, qty: str = "0.01") -> None:
    assert isinstance(await one.trading.place(one.order(client_id, "BTCUSDT", "perp", "sell", qty)), Accepted)


def test_orders_fills_and_funding_are_reported() -> None:
    async def work() -> None:
        async with watching(schedule={}) as (one, reader):
            await sell(one, "p-1")
            await one.trading.place(one.order("p-2", "BTCUSDT", "spot", "buy", "0.01"))
            await reader.until(lambda: len(reader.of(FillReport)) == 2)
            await reader.until(lambda: {report.client_id for report in reader.of(OrderReport)} == {"p-1", "p-2"})
            one.venue.advance(2 * 3_600)
            await reader.until(lambda: reader.of(FundingReport))

            (funding,) = reader.of(FundingReport)
            assert [funding] == list(await one.trading.funding_since(NOW_MS * 10**6))
            fetched = await one.trading.fills_since(NOW_MS * 10**6 - 10**9)
            assert set(reader.of(FillReport)) == set(fetched), "the same by both ways"
            assert all(not report.open for report in reader.of(OrderReport) if report.filled == report.qty)

    run(work())


def test_trades_that_are_not_ours_are_reported_with_their_cause() -> None:
    """F29."""

    async def work() -> None:
        async with watching() as (one, reader):
            await sell(one, "p-1", "0.5")
            one.venue.adl("BTCUSDT", Decimal("0.5"))
            one.venue.external_trade("ETHUSDT", Decimal("0.1"))
            await reader.until(lambda: len(reader.of(FillReport)) >= 3)

            causes = {(fill.symbol, fill.client_id, fill.cause) for fill in reader.of(FillReport)}
            assert causes == {("BTCUSDT", "p-1", "trade"), ("BTCUSDT", "", "adl"), ("ETHUSDT", "", "trade")}

    run(work())


def test_positions_and_balances_that_moved_are_reported() -> None:
    async def work() -> None:
        async with watching() as (one, reader):
            one.venue.external_trade("BTCUSDT", Decimal("0.01"))
            await reader.until(lambda: reader.of(AccountMoved))
            moved = len(reader.of(AccountMoved))
            one.venue.external_trade("BTCUSDT", Decimal("0.01"), spot=True)
            await reader.until(lambda: len(reader.of(AccountMoved)) > moved)

            assert {report.stream for report in reader.of(AccountMoved)} == {"position", "wallet"}

    run(work())


def test_duplicates_keep_their_id() -> None:
    """F18."""

    async def work() -> None:
        async with watching() as (one, reader):
            one.venue.faults.inject("duplicate", where="execution*", value=3)
            await sell(one, "p-1")
            await reader.until(lambda: len(reader.of(FillReport)) == 3)

            assert len(set(reader.of(FillReport))) == 1

    run(work())


def test_a_gap_is_reported_so_that_missed_reports_can_be_queried() -> None:
    """F16."""

    async def work() -> None:
        async with watching() as (one, reader):
            one.venue.faults.inject("refuse_connect", where="*", count=2)
            one.venue.disconnect()
            await reader.until(lambda: StreamReport(up=False) in [_bare(report) for report in reader.seen])
            await sell(one, "p-missed")
            await reader.until(lambda: reader.seen[-1] == StreamReport(up=True) and len(reader.seen) >= 3)

            assert reader.of(FillReport) == []
            (missed,) = await one.trading.fills_since(NOW_MS * 10**6 - 10**9)
            assert missed.client_id == "p-missed"
            await sell(one, "p-after")
            await reader.until(lambda: reader.of(FillReport))

    def _bare(report: Any) -> Any:
        return StreamReport(up=False) if isinstance(report, StreamReport) and not report.up else report

    run(work())


@pytest.mark.parametrize("text", ["NaN", ""])
def test_an_execution_that_cannot_be_read_is_a_gap_not_a_trade_that_never_was(text: str) -> None:
    """F26."""

    async def work() -> None:
        async with watching() as (one, reader):
            one.venue.faults.inject("corrupt_push", where="execution*", text=text)
            await sell(one, "p-1")
            await reader.until(lambda: any(not report.up for report in reader.of(StreamReport)))
            await reader.until(lambda: [report.up for report in reader.of(StreamReport)] == [True, False, True])

            assert reader.of(FillReport) == []
            assert len(await one.trading.fills_since(NOW_MS * 10**6 - 10**9)) == 1

    run(work())


def test_a_key_that_is_not_accepted_ends_the_stream_in_one_line() -> None:
    async def work() -> None:
        async with session() as one:
            wrong = Credentials(one.venue.api_key, "another-secret-than-the-right-one")
            stream = PrivateStream(Endpoint.at(one.venue.endpoints.rest), wrong, Multipliers([]), sleep=at_once)
            with pytest.raises(VenueError, match="the API secret does not belong to the key") as raised:
                async for report in stream.reports():
                    assert report == StreamReport(up=False, reason=report.reason)  # type: ignore[union-attr]
            assert one.venue.api_key not in str(raised.value)
            assert "another-secret" not in str(raised.value)

    run(work())


def test_reports_that_nobody_reads_end_in_one_that_says_so() -> None:
    async def work() -> list[Any]:
        stream = PrivateStream(Endpoint.at("http://127.0.0.1:1"), Credentials("k", "s"), Multipliers([]))
        for number in range(MAX_UNREAD + 5):
            stream._put(StreamReport(up=True, reason=str(number)))
        return list(stream._unread)

    left = run(work())

    assert left[0] == StreamReport(up=False, reason="10000 reports were not read")
    assert len(left) < 20


def test_closing_the_stream_closes_the_connection() -> None:
    async def work() -> None:
        async with watching() as (one, reader):
            assert one.venue.connections == 1
            await reader.close()
            await asyncio.sleep(0)
            for _ in range(200):
                if one.venue.connections == 0:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("a connection is still open")

    run(work())
