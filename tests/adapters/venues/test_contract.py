"""The contract of a venue's ports, run against every venue of the registry.

What a venue must guarantee is that no row of history is lost, that no order is made twice or forgotten, and that
amounts and signs are those of the ports. A new venue gets a sandbox here and has to pass as it is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise

import pytest

from carryfold.adapters.venue_names import VENUE_NAMES
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.domain.events import FeedConnected, FeedLost, FundingPredicted, Quoted
from carryfold.domain.execution.client_ids import CLIENT_ID_MAX, client_id, process_id, run_tag
from carryfold.domain.execution.reports import (
    Accepted,
    FillReport,
    NotFound,
    OrderReport,
    Rejected,
    Retry,
    Side,
    StreamReport,
    Unknown,
)
from carryfold.domain.instruments import InstrumentKind, nominal_settlement
from tests.adapters.bybit.venue import run
from tests.adapters.venues.bybit_sandbox import open_bybit
from tests.adapters.venues.sandbox import OpenSandbox, OrderFault, Sandbox, StreamReader, crossing_order

SANDBOXES: dict[str, OpenSandbox] = {"bybit": open_bybit}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOUR_NS = 3_600 * 10**9
LEGS: tuple[tuple[InstrumentKind, Side], ...] = (("spot", "buy"), ("perp", "sell"))

Work = Callable[[Sandbox], Awaitable[None]]


@pytest.fixture(params=VENUE_NAMES)
def venue(request: pytest.FixtureRequest) -> str:
    """Each venue of the registry."""
    name: str = request.param
    assert name in SANDBOXES, "a venue of the registry needs a sandbox"
    return name


def on(venue: str, work: Work, *, real_clock: bool = False) -> None:
    """Run a test against a venue."""

    async def inside() -> None:
        async with SANDBOXES[venue](real_clock=real_clock) as sandbox:
            await work(sandbox)

    run(inside())


async def first_pair(sandbox: Sandbox, *, multiplied: bool = False) -> PairSpec:
    """The first trading pair whose multiplier is 1, or greater."""
    pairs = await sandbox.market.pairs()
    return next(
        pair
        for pair in pairs
        if pair.status == "Trading" and not pair.spot.instrument.is_assumed and (pair.perp.multiplier > 1) is multiplied
    )


async def fills_of(sandbox: Sandbox) -> list[FillReport]:
    """The executions of the last hour."""
    return list(await sandbox.trading.fills_since(sandbox.now - HOUR_NS))


async def settled_ms(sandbox: Sandbox, pair: PairSpec, days: int) -> list[int]:
    """Stamps of the settlements of the last days, oldest first; the pages cover the span without a gap."""
    until = sandbox.now // 10**6
    since = until - days * DAY_MS
    stamps: list[int] = []
    end = until
    async for page in sandbox.market.history.settlements(pair.perp.instrument, since, until):
        assert page.until_ms == end
        stamps = [*(row.at_ms for row in page.rows), *stamps]
        end = page.since_ms
    assert end == since
    return stamps


# History


def test_paging_loses_no_settlement_across_a_switch_of_the_interval(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        (pair,) = [one for one in await sandbox.market.pairs() if one.symbol == sandbox.switched]
        stamps = await settled_ms(sandbox, pair, 38)
        hours = [(later - earlier) / HOUR_MS for earlier, later in pairwise(stamps)]

        assert len(stamps) == len(set(stamps)) > 300
        assert stamps == sorted(stamps)
        assert {1.0, 8.0} <= set(hours) <= {float(length) for length in sandbox.facts.intervals_hours}
        first, last = hours.index(1.0), len(hours) - hours[::-1].index(1.0)
        assert set(hours[first:last]) == {1.0}, "no row is missing among the hourly ones"

    on(venue, work)


def test_settlement_stamps_are_within_the_venues_jitter(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        stamps = await settled_ms(sandbox, await first_pair(sandbox), 20)
        off_s = [abs(at - nominal_settlement(at * 10**6) // 10**6) / 1_000 for at in stamps]

        assert max(off_s) <= sandbox.facts.settlement_jitter_s
        assert all(nominal_settlement(at * 10**6) % HOUR_NS == 0 for at in stamps)

    on(venue, work)


def test_candles_of_every_price_cover_their_span(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        until = sandbox.now // 10**6 // DAY_MS * DAY_MS
        since = until - 2 * DAY_MS
        for name in pair.pair:
            for price in ("trade", "mark", "index", "premium") if name.kind == "perp" else ("trade",):
                found: list[int] = []
                async for page in sandbox.market.history.candles(name, price, 60, since, until):
                    found = [*(row.open_ms for row in page.rows), *found]
                    assert all(bool(row.turnover) is (price == "trade") for row in page.rows)
                assert found == list(range(since, until, HOUR_MS)), (name, price)

    on(venue, work)


def test_candles_come_in_every_length_of_the_facts(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        perp = (await first_pair(sandbox)).perp.instrument
        until = sandbox.now // 10**6 // DAY_MS * DAY_MS
        for minutes in sandbox.facts.bar_minutes:
            opens = [
                row.open_ms
                async for page in sandbox.market.history.candles(perp, "trade", minutes, until - DAY_MS, until)
                for row in page.rows
            ]
            assert sorted(opens) == list(range(until - DAY_MS, until, minutes * 60_000)), minutes

    on(venue, work)


# Market


def test_an_announced_delisting_is_in_the_listing_and_the_closed_pair_stays(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)

        async def now_listed() -> PairSpec:
            return next(one for one in await sandbox.market.pairs() if one.symbol == pair.symbol)

        assert (await now_listed()).delist_at == 0
        sandbox.announce_delisting(pair.perp.instrument, 3_600)
        announced = await now_listed()
        sandbox.advance(2 * 3_600)
        ended = await now_listed()

        assert announced.delist_at == ended.delist_at == pytest.approx(sandbox.now - HOUR_NS, abs=60 * 10**9)
        assert (announced.status, ended.status) == ("Trading", "Closed")
        assert not ended.perp_rules.trading

    on(venue, work)


def test_a_switch_of_the_interval_shows_in_the_stream(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        perp = pair.perp.instrument
        async with StreamReader(sandbox.market.stream([pair])) as reader:
            await reader.until(lambda: reader.of(FundingPredicted))
            sandbox.switch_interval(perp, 1)
            sandbox.advance(2 * 3_600)
            await reader.until(lambda: reader.of(FundingPredicted)[-1].interval_hours == 1.0)

            last = reader.of(FundingPredicted)[-1]
            assert last.instrument == perp
            assert last.event_at < last.next_at <= last.event_at + HOUR_NS

    on(venue, work)


def test_a_broken_market_stream_is_reported_before_it_comes_again(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        async with StreamReader(sandbox.market.stream([pair])) as reader:
            await reader.until(lambda: {one.instrument for one in reader.of(Quoted)} == set(pair.pair))
            before = len(reader.seen)
            sandbox.break_streams()
            await reader.until(lambda: {one.instrument for one in reader.seen[before:] if isinstance(one, Quoted)})

            assert isinstance(reader.seen[0], FeedConnected)
            kinds = [type(one) for one in reader.seen[before:]]
            assert FeedLost in kinds
            lost, quoted = kinds.index(FeedLost), len(kinds) - 1 - kinds[::-1].index(Quoted)
            assert FeedConnected in kinds[lost:quoted]

    on(venue, work)


def test_turnover_and_predictions_are_of_the_pairs_that_were_named(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pairs = (await sandbox.market.pairs())[:2]
        names = {pair.perp.instrument for pair in pairs}

        turnover = await sandbox.market.turnover(pairs)
        assert set(turnover) == names
        assert min(turnover.values()) > 0
        assert {one.instrument for one in await sandbox.market.predictions(pairs)} == names

    on(venue, work)


# Orders


def test_the_facts_admit_every_client_id_that_the_domain_makes(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pattern = re.compile(sandbox.facts.client_ids.pattern, re.ASCII)
        longest = process_id(run_tag(2**62), 99_999, 99_999_999_999, "repair")

        assert pattern.fullmatch(client_id(longest, "short", 99))
        assert pattern.fullmatch("a" * CLIENT_ID_MAX)

    on(venue, work)


def test_both_legs_fill_in_coins_under_their_own_ids(venue: str) -> None:
    """Also of a pair whose perpetual counts many coins as one."""

    async def work(sandbox: Sandbox) -> None:
        facts = sandbox.facts
        for pair in (await first_pair(sandbox), await first_pair(sandbox, multiplied=True)):
            process = process_id(run_tag(sandbox.now), 3, 77 + int(pair.perp.multiplier), "entry")
            for kind, side in LEGS:
                name = client_id(process, "long" if kind == "spot" else "short", 1)
                order = await crossing_order(sandbox, pair, kind, side, name)
                assert isinstance(await sandbox.trading.place(order), Accepted)
                report = await sandbox.trading.query(name, order.symbol, kind)
                (fill,) = [one for one in await fills_of(sandbox) if one.client_id == name]

                assert isinstance(report, OrderReport)
                assert (report.client_id, report.filled, report.open) == (name, order.qty, False)
                assert (fill.symbol, fill.kind, fill.side, fill.qty) == (order.symbol, kind, side, order.qty)
                assert float(fill.value / fill.qty) == pytest.approx(float(order.limit_price), rel=0.02)
                received = fill.qty * Decimal("0.1") if kind == "spot" else Decimal(0)
                assert 0 < fill.fee < max(received, fill.value * Decimal("0.01"))
                takes_coin = kind == "spot" and facts.spot_fee_coin == "received"
                assert fill.fee_coin == (pair.spot_coin if takes_coin else facts.quote_coin)
            (position,) = [one for one in await sandbox.trading.positions() if one.symbol == pair.symbol]
            assert position.qty == -order.qty
            assert float(position.entry_price) == pytest.approx(float(order.limit_price), rel=0.02)

    on(venue, work)


@pytest.mark.parametrize("kind", ["spot", "perp"])
def test_an_order_whose_answer_is_lost_is_found_and_never_made_twice(venue: str, kind: InstrumentKind) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        order = await crossing_order(sandbox, pair, kind, "buy", "lost-1")
        sandbox.fault_next_order("answer lost")

        assert isinstance(await sandbox.trading.place(order), Unknown)
        sandbox.fail_next_query()
        assert isinstance(await sandbox.trading.query("lost-1", order.symbol, kind), Unknown | Retry)
        found = await sandbox.trading.query("lost-1", order.symbol, kind)

        assert isinstance(found, OrderReport)
        assert found.filled == order.qty
        if sandbox.facts.client_ids.reuse == "never":
            assert await sandbox.trading.place(order) == Accepted(), "the venue has it already"
        assert len(await fills_of(sandbox)) == 1

    on(venue, work)


def test_an_order_that_never_arrived_is_not_found_and_may_be_sent_again(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        order = await crossing_order(sandbox, await first_pair(sandbox), "perp", "sell", "gone-1")
        sandbox.fault_next_order("request lost")

        assert isinstance(await sandbox.trading.place(order), Unknown)
        assert await sandbox.trading.query("gone-1", order.symbol, "perp") == NotFound()
        assert isinstance(await sandbox.trading.place(order), Accepted)
        assert len(await fills_of(sandbox)) == 1

    on(venue, work)


@pytest.mark.parametrize(("fault", "share"), [("half filled", "0.5"), ("not filled", "0")])
def test_the_rest_of_an_immediate_order_is_gone(venue: str, fault: OrderFault, share: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        order = await crossing_order(sandbox, await first_pair(sandbox), "perp", "sell", "part-1")
        sandbox.fault_next_order(fault)

        assert isinstance(await sandbox.trading.place(order), Accepted)
        report = await sandbox.trading.query("part-1", order.symbol, "perp")

        assert isinstance(report, OrderReport)
        assert (report.filled, report.open) == (order.qty * Decimal(share), False)
        assert report.reason
        assert await sandbox.trading.open_orders() == []
        assert isinstance(await sandbox.trading.cancel(order), Rejected), "nothing is left to cancel"

    on(venue, work)


def test_an_order_away_from_the_market_does_not_fill(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        order = await crossing_order(sandbox, await first_pair(sandbox), "perp", "buy", "away-1", off="-0.02")

        assert isinstance(await sandbox.trading.place(order), Accepted)
        report = await sandbox.trading.query("away-1", order.symbol, "perp")

        assert isinstance(report, OrderReport)
        assert (report.filled, report.open) == (Decimal(0), False)
        assert await fills_of(sandbox) == []

    on(venue, work)


def test_every_error_code_has_its_outcome(venue: str) -> None:
    """An unknown code is an unknown outcome."""
    classes: dict[str, type[object]] = {"rejected": Rejected, "unknown": Unknown, "retry": Retry, "duplicate": Accepted}

    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        for code, outcome in sandbox.error_codes.items():
            order = await crossing_order(sandbox, pair, "perp", "sell", f"code-{code}")
            sandbox.refuse_next_order(code)
            if outcome == "fatal":
                with pytest.raises(VenueError, match=code):
                    await sandbox.trading.place(order)
                continue
            found = await sandbox.trading.place(order)
            assert isinstance(found, classes[outcome]), (code, found)
            assert outcome == "duplicate" or code in str(found)
        assert await fills_of(sandbox) == []

    on(venue, work)


def test_a_clock_that_is_off_is_a_retry_and_is_followed_from_then_on(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        order = await crossing_order(sandbox, await first_pair(sandbox), "perp", "sell", "clock-1")
        sandbox.set_clock_ahead(4 * sandbox.facts.receive_window_s)

        assert isinstance(await sandbox.trading.place(order), Retry)
        assert isinstance(await sandbox.trading.place(order), Accepted)

    on(venue, work, real_clock=True)


# Account


def test_funding_has_the_sign_of_what_was_received(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        short, long = [one for one in await sandbox.market.pairs() if one.perp.multiplier == 1][:2]
        for pair, side in ((short, "sell"), (long, "buy")):
            order = await crossing_order(sandbox, pair, "perp", side, f"f-{side}", steps=1_000)  # type: ignore[arg-type]
            assert isinstance(await sandbox.trading.place(order), Accepted)
        cash_before = (await sandbox.trading.account()).cash
        began = sandbox.now
        sandbox.advance(9 * 3_600)
        payments = await sandbox.trading.funding_since(began)
        cash_after = (await sandbox.trading.account()).cash

        assert {one.symbol for one in payments} == {short.symbol, long.symbol}
        for pair, sign in ((short, 1), (long, -1)):
            rates: dict[int, float] = {}
            span = began // 10**6, sandbox.now // 10**6 + 1
            async for page in sandbox.market.history.settlements(pair.perp.instrument, *span):
                rates |= {nominal_settlement(row.at_ms * 10**6): float(row.rate) for row in page.rows}
            own = [one for one in payments if one.symbol == pair.symbol]
            assert own
            for one in own:
                rate = rates[one.settled_at]
                assert float(one.amount) * rate * sign >= 0, "a short receives a positive rate, a long pays it"
                assert (one.amount != 0) == (rate != 0)
        assert float(cash_after - cash_before) == pytest.approx(float(sum(one.amount for one in payments)), abs=1e-6)

    on(venue, work)


def test_an_execution_that_is_not_ours_is_reported_with_its_cause(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        pair = await first_pair(sandbox)
        order = await crossing_order(sandbox, pair, "perp", "sell", "adl-1", steps=100)
        await sandbox.trading.place(order)
        async with StreamReader(sandbox.trading.stream()) as reader:
            await reader.until(lambda: reader.of(StreamReport))
            sandbox.deleverage(pair.perp.instrument, Decimal("0.5"))
            await reader.until(lambda: reader.of(FillReport))

            (streamed,) = reader.of(FillReport)
            (queried,) = [one for one in await fills_of(sandbox) if not one.client_id]
            assert streamed == queried
            assert (queried.cause, queried.side, queried.qty) == ("adl", "buy", order.qty / 2)

    on(venue, work)


def test_a_broken_account_stream_is_reported_down_and_up(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        async with StreamReader(sandbox.trading.stream()) as reader:
            await reader.until(lambda: reader.of(StreamReport))
            sandbox.break_streams()
            await reader.until(lambda: len(reader.of(StreamReport)) >= 3)

            assert [one.up for one in reader.of(StreamReport)[:3]] == [True, False, True]
            assert reader.of(StreamReport)[1].reason

    on(venue, work)


def test_no_error_shows_a_secret(venue: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        texts = [repr(sandbox.trading), repr(vars(sandbox.trading))]
        pair = await first_pair(sandbox)
        for fault in ("request lost", "answer lost"):
            order = await crossing_order(sandbox, pair, "perp", "sell", fault.replace(" ", "-"))
            sandbox.fault_next_order(fault)
            texts.append(str(await sandbox.trading.place(order)))
        sandbox.revoke_key()
        attempts: list[Awaitable[object]] = [
            sandbox.trading.place(order), sandbox.trading.permissions(), sandbox.trading.account(),
            sandbox.trading.query("x", order.symbol, "perp"),
        ]  # fmt: skip
        for attempt in attempts:
            with pytest.raises(VenueError) as raised:
                await attempt
            texts.append(str(raised.value))

        assert all("\n" not in text for text in texts)
        assert not [text for text in texts for secret in sandbox.secrets if secret in text]

    on(venue, work)
