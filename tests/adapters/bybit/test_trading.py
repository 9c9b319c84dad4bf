"""The account of a simulated Bybit: orders once, outcomes as they are, nothing guessed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from carryfold.adapters.bybit.endpoint import Endpoint
from carryfold.adapters.bybit.reports import Multipliers, execution_report, order_report, plain
from carryfold.adapters.bybit.trading import BybitTrading
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.venues import Credentials, PairSpec, VenueError
from carryfold.domain.execution.reports import (
    Accepted,
    FillReport,
    FundingReport,
    NotFound,
    OrderReport,
    OrderRequest,
    Rejected,
    Retry,
    Side,
    Unknown,
)
from carryfold.domain.instruments import InstrumentKind
from carryfold.simexchange import KeyRights, SimExchange
from tests.adapters.bybit.venue import HOUR_MS, NOW_MS, answering, exchange, no_pause, run

SHARED = Path(os.environ.get("CARRYFOLD_SHARED") or Path(__file__).resolve().parents[4] / "shared")
RECORDED = SHARED / "fixtures" / "nautilus_bybit"
NS = 1_000_000
KEY = Credentials("the-key-of-a-test", "the-secret-of-a-test")
THOUSAND = "1000SYN04USDT"


class Session(NamedTuple):
    """An exchange, an account on it, and its pairs."""

    venue: SimExchange
    trading: BybitTrading
    pairs: dict[str, PairSpec]
    marks: dict[str, Decimal]

    def order(
        self,
        client_id: str,
        pair: str,
        kind: InstrumentKind,
        side: Side,
        qty: str,
        *,
        off: str = "0.005",
        reduce: bool = False,
    ) -> OrderRequest:
        """An order that fills at once: its limit is a little worse than the market."""
        spec = self.pairs[pair]
        price = self.marks[pair] * (1 + Decimal(off) if side == "buy" else 1 - Decimal(off))
        tick = (spec.spot_rules if kind == "spot" else spec.perp_rules).tick
        symbol = (spec.spot if kind == "spot" else spec.perp).symbol
        return OrderRequest(client_id, symbol, kind, side, Decimal(qty), price // tick * tick, reduce)


@asynccontextmanager
async def session(**options: Any) -> AsyncIterator[Session]:
    async with exchange(**{"pairs": 5, "private_limits": False, "history_days": 3, **options}) as (venue, market):
        pairs = {pair.symbol: pair for pair in await market.pairs()}
        estimates = await market.predictions(list(pairs.values()))
        marks = {
            one.symbol: Decimal(str(one.mark)) / int(pairs[one.symbol].perp.multiplier) for one in estimates
        }  # per coin
        credentials = Credentials(venue.api_key, venue.api_secret)
        endpoint = Endpoint.at(venue.endpoints.rest)
        trading = BybitTrading(endpoint, credentials, pairs.values(), rate_limit_ms=1, sleep=no_pause)
        try:
            yield Session(venue, trading, pairs, marks)
        finally:
            await trading.close()


def with_session(work: Callable[[Session], Awaitable[None]], **options: Any) -> None:
    async def inside() -> None:
        async with session(**options) as one:
            await work(one)

    run(inside())


def test_both_legs_fill_and_are_reported_as_the_venue_booked_them() -> None:
    async def work(one: Session) -> None:
        spot = one.order("run1-a-spot-1", "BTCUSDT", "spot", "buy", "0.01")
        perp = one.order("run1-a-perp-1", "BTCUSDT", "perp", "sell", "0.01")
        assert isinstance(await one.trading.place(spot), Accepted)
        assert isinstance(await one.trading.place(perp), Accepted)

        for order in (spot, perp):
            report = await one.trading.query(order.client_id, "BTCUSDT", order.kind)
            assert isinstance(report, OrderReport)
            assert (report.filled, report.qty, report.open) == (Decimal("0.01"), Decimal("0.01"), False)
        fills = {fill.client_id: fill for fill in await one.trading.fills_since((NOW_MS - HOUR_MS) * NS)}
        (position,) = await one.trading.positions()
        account = await one.trading.account()

        bought, sold = fills[spot.client_id], fills[perp.client_id]
        assert (bought.fee_coin, bought.fee) == ("BTC", Decimal("0.01") * Decimal("0.001")), "as the venue told it"
        assert (sold.fee_coin, sold.kind, sold.side) == ("USDT", "perp", "sell")
        assert account.coins == {"BTC": Decimal("0.01") - bought.fee}
        assert account.cash == Decimal(100_000) - bought.value - sold.fee
        assert (position.symbol, position.qty) == ("BTCUSDT", Decimal("-0.01"))
        assert account.health > 100

    with_session(work)


LEGS: tuple[tuple[InstrumentKind, Side], ...] = (("spot", "buy"), ("perp", "sell"))


def test_both_legs_of_a_pair_with_a_multiplier_are_traded_in_coins() -> None:
    async def work(one: Session) -> None:
        qty = str(10 * one.pairs[THOUSAND].perp_rules.qty_step)
        for kind, side in LEGS:
            order = one.order(f"m-{kind}", THOUSAND, kind, side, qty)
            assert isinstance(await one.trading.place(order), Accepted)
        perp, spot = sorted(await one.trading.fills_since(NOW_MS * NS - 10**9), key=lambda fill: fill.kind)
        (position,) = await one.trading.positions()

        assert (spot.symbol, perp.symbol) == ("SYN04USDT", THOUSAND)
        assert spot.qty == perp.qty == Decimal(qty)
        assert float(spot.value) == pytest.approx(float(perp.value), rel=0.02)
        assert position.qty == -Decimal(qty)
        assert float(position.entry_price) == pytest.approx(float(one.marks[THOUSAND]), rel=0.02)

    with_session(work)


def test_the_same_id_can_never_make_a_second_order() -> None:
    """F15."""

    async def work(one: Session) -> None:
        for kind, side in LEGS:
            order = one.order(f"same-{kind}", "BTCUSDT", kind, side, "0.01")
            assert await one.trading.place(order) != Accepted()
            assert await one.trading.place(order) == Accepted(), "it has it already"
        assert len(await one.trading.fills_since(NOW_MS * NS - 10**9)) == 2

    with_session(work)


@pytest.mark.parametrize("fault", ["lose_response", "error_after", "create_timeout", "corrupt"])
@pytest.mark.parametrize("kind", ["spot", "perp"])
def test_an_order_whose_answer_is_lost_is_unknown_and_then_found(fault: str, kind: InstrumentKind) -> None:
    """F13."""

    async def work(one: Session) -> None:
        order = one.order("lost-1", "BTCUSDT", kind, "buy", "0.01")
        one.venue.faults.inject(fault, where="order/create")

        assert isinstance(await one.trading.place(order), Unknown)
        found = await one.trading.query("lost-1", "BTCUSDT", kind)

        assert isinstance(found, OrderReport)
        assert found.filled == Decimal("0.01")
        assert await one.trading.place(order) == Accepted()
        assert len(await one.trading.fills_since(NOW_MS * NS - 10**9)) == 1

    with_session(work)


@pytest.mark.parametrize(
    ("fault", "more", "kind"),
    [
        ("drop_request", {}, Unknown),
        ("http_error", {"value": 502}, Unknown),
        ("refuse", {}, Unknown),
        ("rate_limit", {}, Retry),
        ("ip_ban", {"seconds": 0}, Retry),
    ],
)
def test_an_order_that_never_arrived_is_proved_absent_by_asking(fault: str, more: dict[str, Any], kind: type) -> None:
    """F14, F23."""

    async def work(one: Session) -> None:
        order = one.order("never-1", "BTCUSDT", "perp", "sell", "0.01")
        one.venue.faults.inject(fault, where="order/create", **more)

        assert isinstance(await one.trading.place(order), kind)
        assert await one.trading.query("never-1", "BTCUSDT", "perp") == NotFound()
        assert await one.trading.place(order) != Accepted(), "the same id is still free"

    with_session(work)


@pytest.mark.parametrize("where", ["order/realtime", "order/history", "execution/list"])
@pytest.mark.parametrize("fault", ["http_error", "refuse", "corrupt", "rate_limit"])
def test_no_question_that_failed_counts_as_an_answer(where: str, fault: str) -> None:
    """NotFound lets a new order go out: it takes three answers."""

    async def work(one: Session) -> None:
        one.venue.faults.inject(fault, where=where)

        assert isinstance(await one.trading.query("x", "BTCUSDT", "perp"), (Unknown, Retry))
        assert await one.trading.query("x", "BTCUSDT", "perp") == NotFound()

    with_session(work)


def test_an_order_that_the_lists_forgot_is_known_by_its_executions() -> None:
    async def work(one: Session) -> None:
        await one.trading.place(one.order("old-1", "BTCUSDT", "perp", "sell", "0.01"))
        for where in ("order/realtime", "order/history"):
            one.venue.faults.inject("stale", where=where)

        found = await one.trading.query("old-1", "BTCUSDT", "perp")

        assert isinstance(found, OrderReport)
        assert (found.filled, found.open, found.side) == (Decimal("0.01"), False, "sell")

    with_session(work)


@pytest.mark.parametrize(
    ("qty", "off", "expected"),
    [("0.0000001", "0.005", "code"), ("900000", "0.005", "code"), ("0.01", "0.5", "code 110003")],
)
def test_what_the_venue_refuses_is_rejected_for_certain(qty: str, off: str, expected: str) -> None:
    async def work(one: Session) -> None:
        outcome = await one.trading.place(one.order("bad-1", "BTCUSDT", "perp", "buy", qty, off=off))

        assert isinstance(outcome, Rejected), outcome
        assert expected in outcome.reason
        assert await one.trading.query("bad-1", "BTCUSDT", "perp") == NotFound()

    with_session(work)


def test_a_partial_fill_is_what_it_is() -> None:
    """F16: the rest of an immediate order is gone, what filled stays."""

    async def work(one: Session) -> None:
        one.venue.faults.inject("partial_fill", value=0.4)
        await one.trading.place(one.order("part-1", "BTCUSDT", "perp", "sell", "0.01"))

        report = await one.trading.query("part-1", "BTCUSDT", "perp")

        assert isinstance(report, OrderReport)
        assert (report.filled, report.open) == (Decimal("0.004"), False)
        assert report.reason != ""

    with_session(work)


def test_cancelling_what_is_gone_is_rejected() -> None:
    async def work(one: Session) -> None:
        order = one.order("c-1", "BTCUSDT", "perp", "sell", "0.01")
        await one.trading.place(order)

        assert isinstance(await one.trading.cancel(order), Rejected)
        assert await one.trading.open_orders() == []

    with_session(work)


def test_funding_is_what_was_booked_received_above_zero() -> None:
    async def work(one: Session) -> None:
        await one.trading.place(one.order("f-1", "BTCUSDT", "perp", "sell", "0.5"))
        before = (await one.trading.account()).cash
        one.venue.advance(2 * 3_600)

        (funding,) = await one.trading.funding_since(NOW_MS * NS)
        after = (await one.trading.account()).cash

        assert funding.symbol == "BTCUSDT"
        assert funding.settled_at % (8 * HOUR_MS * NS) == 0
        assert abs(after - before - funding.amount) < Decimal("1e-8")
        assert funding.amount != 0

    with_session(work, schedule={})


def test_trades_of_nobody_we_know_are_reported_with_their_cause() -> None:
    """F29."""

    async def work(one: Session) -> None:
        await one.trading.place(one.order("a-1", "BTCUSDT", "perp", "sell", "0.5"))
        one.venue.external_trade("ETHUSDT", Decimal("0.1"))
        one.venue.adl("BTCUSDT", Decimal("0.5"))

        fills = await one.trading.fills_since((NOW_MS - HOUR_MS) * NS)

        assert [(fill.client_id, fill.cause) for fill in fills if not fill.client_id] == [("", "trade"), ("", "adl")]
        (adl,) = [fill for fill in fills if fill.cause == "adl"]
        assert (adl.symbol, adl.side, adl.qty) == ("BTCUSDT", "buy", Decimal("0.25"))

    with_session(work)


def test_many_fills_come_page_by_page_once_each_oldest_first() -> None:
    async def work(one: Session) -> None:
        for number in range(115):
            side: Side = "sell" if number % 2 else "buy"
            assert isinstance(
                await one.trading.place(one.order(f"n-{number}", "BTCUSDT", "perp", side, "0.001")), Accepted
            )
            one.venue.advance(1)
        one.venue.advance(8 * 86_400)
        await one.trading.place(one.order("n-last", "BTCUSDT", "perp", "buy", "0.001"))

        fills = await one.trading.fills_since((NOW_MS - HOUR_MS) * NS)

        ours = [fill for fill in fills if fill.client_id.startswith("n-")]
        assert [fill.client_id for fill in ours][:115] == [f"n-{number}" for number in range(115)]
        assert len({fill.fill_id for fill in fills}) == len(fills)
        assert [fill.event_at for fill in fills] == sorted(fill.event_at for fill in fills)

    with_session(work)


def test_what_a_key_may_do_is_told() -> None:
    async def work(one: Session) -> None:
        found = await one.trading.permissions()
        assert (found.trade, found.withdraw, found.read_only) == (True, False, False)

    async def dangerous(one: Session) -> None:
        assert (await one.trading.permissions()).withdraw

    async def harmless(one: Session) -> None:
        found = await one.trading.permissions()
        assert (found.trade, found.read_only) == (False, True)

    with_session(work)
    with_session(dangerous, rights=KeyRights(withdraw=True))
    with_session(harmless, rights=KeyRights(trade=False, read_only=True))


def test_fees_are_those_of_the_account() -> None:
    async def work(one: Session) -> None:
        found = await one.trading.fees(one.pairs[THOUSAND])
        assert (found.long_taker, found.short_taker) == (Decimal("0.0008"), Decimal("0.0004"))

    with_session(work, spot_taker=Decimal("0.0008"), perp_taker=Decimal("0.0004"))


def test_a_key_that_is_not_valid_any_more_ends_it_in_one_line() -> None:
    """F28."""

    async def work(one: Session) -> None:
        one.venue.revoke_key()
        order = one.order("r-1", "BTCUSDT", "perp", "sell", "0.01")
        attempts: list[Awaitable[object]] = [
            one.trading.place(order),
            one.trading.query("r-1", "BTCUSDT", "perp"),
            one.trading.account(),
            one.trading.positions(),
            one.trading.permissions(),
        ]
        for attempt in attempts:
            with pytest.raises(VenueError) as raised:
                await attempt
            assert "\n" not in str(raised.value)
            assert one.venue.api_key not in str(raised.value)

    with_session(work)


@pytest.mark.parametrize(("skew_ms", "kind"), [(-20_000, Retry), (20_000, Retry)])
def test_a_clock_that_is_off_is_followed_and_the_order_may_go_again(skew_ms: int, kind: type) -> None:
    """F25."""

    async def work(one: Session) -> None:
        one.venue.faults.inject("clock_skew", value=skew_ms)
        one.venue.advance(1)
        order = one.order("k-1", "BTCUSDT", "perp", "sell", "0.01")

        first = await one.trading.place(order)
        again = await one.trading.place(order)

        assert isinstance(first, kind), first
        assert "code 10002: the clock of this machine is wrong" in first.reason  # type: ignore[union-attr]
        assert isinstance(again, Accepted), again

    with_session(work, start_ms=int(time.time() * 1_000))


def test_an_instrument_of_no_pair_is_one_line() -> None:
    async def work(one: Session) -> None:
        for symbol, kind in (("NOPEUSDT", "perp"), (THOUSAND, "spot")):
            with pytest.raises(VenueError, match=f"{kind} {symbol} is not among the instruments"):
                await one.trading.place(OrderRequest("x", symbol, kind, "sell", Decimal(1), Decimal(1)))  # type: ignore[arg-type]

    with_session(work)


def test_half_a_list_is_no_list() -> None:
    """A position that cannot be read must not look like none."""
    answer = {"retCode": 0, "result": {"list": [{"symbol": "BTCUSDT", "side": "Sell", "size": "NaN"}]}, "time": NOW_MS}

    async def work() -> None:
        async with answering(answer) as endpoint:
            trading = BybitTrading(endpoint, KEY, [], rate_limit_ms=1, sleep=no_pause)
            try:
                with pytest.raises(VenueError, match="size is not finite"):
                    await trading.positions()
            finally:
                await trading.close()

    run(work())


def test_what_is_sent_is_what_was_asked_for() -> None:
    """Exact decimals, a limit, immediate or cancel, and the caller's id; spot without borrowing."""
    bodies: list[bytes] = []

    async def work(one: Session) -> None:
        async with answering({"retCode": 0, "result": {"orderId": "1"}, "time": NOW_MS}, bodies=bodies) as endpoint:
            trading = BybitTrading(endpoint, KEY, one.pairs.values(), rate_limit_ms=1, sleep=no_pause)
            try:
                for order in (
                    OrderRequest("a", THOUSAND, "perp", "sell", Decimal("1E+4"), Decimal("0.0408"), True),
                    OrderRequest("b", "SYN04USDT", "spot", "buy", Decimal("0.10"), Decimal("4.08E-2")),
                ):
                    assert await trading.place(order) == Accepted("1")
            finally:
                await trading.close()

    with_session(work)
    sent = [json.loads(body) for body in bodies]

    assert sent == [
        {"category": "linear", "symbol": THOUSAND, "orderLinkId": "a", "side": "Sell", "orderType": "Limit",
         "qty": "10", "price": "40.8", "timeInForce": "IOC", "reduceOnly": True, "positionIdx": 0},
        {"category": "spot", "symbol": "SYN04USDT", "orderLinkId": "b", "side": "Buy", "orderType": "Limit",
         "qty": "0.1", "price": "0.0408", "timeInForce": "IOC", "isLeverage": 0},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [("0.10", "0.1"), ("1E+5", "100000"), ("1E-7", "0.0000001"), ("100", "100"), ("0", "0")]
)
def test_decimals_are_written_plainly(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


ORDER = {"symbol": "BTCUSDT", "side": "Buy", "qty": "1", "cumExecQty": "0.4", "orderLinkId": "a", "orderId": "1"}
EXECUTION = {
    "symbol": "BTCUSDT", "side": "Sell", "execType": "Trade", "execId": "e", "execQty": "1", "execValue": "2",
    "execFee": "0.1", "execTime": str(NOW_MS), "feeCurrency": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "is_open"),
    [("New", True), ("PartiallyFilled", True), ("Cancelled", False), ("PartiallyFilledCanceled", False),
     ("Filled", False), ("Rejected", False), ("Deactivated", False), ("SomethingNew", False)],
)  # fmt: skip
def test_what_filled_does_not_depend_on_the_status(status: str, is_open: bool) -> None:
    report = order_report(ORDER | {"orderStatus": status}, "perp", Multipliers([]))

    assert (report.filled, report.open) == (Decimal("0.4"), is_open)


@pytest.mark.parametrize(
    "change",
    [{"execQty": "NaN"}, {"execQty": "1e400"}, {"execQty": ""}, {"execTime": "-5"}, {"side": "None"}, {"execId": ""},
     {"symbol": "\0"}, {"execFee": "1" * 50}, {"execValue": None}, {"symbol": "日本"}],
)  # fmt: skip
def test_hostile_executions_are_refused(change: dict[str, Any]) -> None:
    """F26."""
    with pytest.raises(RowRefused):
        execution_report(EXECUTION | change, "perp", Multipliers([]))


def test_executions_that_change_no_holding_are_none() -> None:
    assert execution_report(EXECUTION | {"execType": "SessionSettlePnL"}, "perp", Multipliers([])) is None


def test_funding_is_of_the_settlement_at_its_nominal_time() -> None:
    settled_ms = NOW_MS // HOUR_MS * HOUR_MS
    funding = execution_report(
        EXECUTION | {"execType": "Funding", "execTime": str(settled_ms + 1_234)}, "perp", Multipliers([])
    )

    assert isinstance(funding, FundingReport)
    assert funding.settled_at == settled_ms * NS


def test_a_fee_without_a_coin_is_in_the_usual_one() -> None:
    bought = execution_report(EXECUTION | {"side": "Buy"}, "spot", Multipliers([]))
    sold = execution_report(EXECUTION, "spot", Multipliers([]))

    assert isinstance(bought, FillReport)
    assert isinstance(sold, FillReport)
    assert (bought.fee_coin, sold.fee_coin) == ("BTC", "USDT")


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded messages are not here")
def test_recorded_executions_have_our_signs() -> None:
    rows = json.loads((RECORDED / "http_get_executions_funding.json").read_text())["result"]["list"]
    (adl,) = json.loads((RECORDED / "ws_account_execution_adl.json").read_text())["data"]
    trade, funding = (execution_report(row, "perp", Multipliers([])) for row in rows)
    (spot,) = json.loads((RECORDED / "http_get_executions_spot_fee_currency.json").read_text())["result"]["list"]

    assert isinstance(trade, FillReport)
    assert (trade.fee, trade.client_id) == (Decimal("0.0150"), "test-order-001")
    assert funding == FundingReport("BTCUSDT", 1788508800000 * NS, Decimal("-0.7506234"), rows[1]["execId"])
    assert isinstance(closed := execution_report(adl, "perp", Multipliers([])), FillReport)
    assert closed.cause == "adl"
    assert isinstance(bought := execution_report(spot, "spot", Multipliers([])), FillReport)
    assert (bought.fee_coin, bought.fee) == ("BTC", Decimal("0.000025"))
