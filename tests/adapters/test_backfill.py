"""A backfill from a simulated Bybit: complete, resumable at any point, the same whenever and in how many parts it
ran."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from carryfold.adapters.backfill import BackfillReport, BackfillRequest, run_backfill
from carryfold.adapters.bybit.facts import FACTS
from carryfold.adapters.marketdata.bars import closed_bars
from carryfold.adapters.marketdata.listings import ListingEvent, RecordedListings, listing_changes, record_listings
from carryfold.adapters.marketdata.pair_choice import choose_pairs
from carryfold.adapters.venues import PairSpec, VenueError
from carryfold.adapters.venues.history import Candle, History, NotServed, Page, PriceKind, Settlement
from carryfold.domain.availability import Availability, agree_on_availability
from carryfold.domain.codec import encode, event_key
from carryfold.domain.events import (
    BarClosed,
    DataRejected,
    Event,
    FundingPredicted,
    FundingRevised,
    FundingSettled,
    InstrumentChanged,
    InstrumentDelisted,
    InstrumentListed,
    tag_of,
)
from carryfold.domain.instruments import Instrument
from carryfold.domain.listings import ASSUMED_LOT, ASSUMED_MIN_NOTIONAL, assumed_listing, without_rules
from carryfold.eventlog import EventLog, LogReader, verify
from carryfold.projections.pair_choices import pair_choices
from tests.adapters.bybit.test_history import START_MS, switched
from tests.adapters.bybit.venue import DAY_MS, HOUR_MS, NOW_MS, events_of, exchange, run

NS = 1_000_000
ENDLESS = 2**53
SWITCHED = {"SYN02USDT": ((150, 1), (260, 8))}


class Cut(Exception):
    """The process ended here."""


class Fragile:
    """A history that breaks at the n-th page, and counts them."""

    def __init__(self, history: History, breaks_at: int = 0) -> None:
        self._history = history
        self._breaks_at = breaks_at
        self.pages = 0

    def settlements(self, perp: Instrument, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        return self._counted(self._history.settlements(perp, since_ms, until_ms))

    def candles(
        self, name: Instrument, price: PriceKind, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        return self._counted(self._history.candles(name, price, minutes, since_ms, until_ms))

    async def _counted(self, pages: AsyncIterator[Page[Any]]) -> AsyncIterator[Page[Any]]:
        async for page in pages:
            self.pages += 1
            if self.pages == self._breaks_at:
                raise Cut
            yield page


class FixedHistory:
    """A history of given settlements and no candles."""

    def __init__(self, rates: dict[int, str]) -> None:
        self.rates = rates

    async def settlements(self, perp: Instrument, since_ms: int, until_ms: int) -> AsyncIterator[Page[Settlement]]:
        rows = [Settlement(at, rate) for at, rate in sorted(self.rates.items()) if since_ms <= at < until_ms]
        yield Page(since_ms, until_ms, rows)

    async def candles(
        self, name: Instrument, price: PriceKind, minutes: int, since_ms: int, until_ms: int
    ) -> AsyncIterator[Page[Candle]]:
        yield Page(since_ms, until_ms, [])


async def fill(
    home: Path, market: Any, symbols: list[str], request: BackfillRequest, history: History | None = None
) -> BackfillReport:
    with EventLog.open(home) as log:
        pairs = [pair for pair in await market.pairs() if pair.symbol in symbols]
        now = await market.server_time()
        return await run_backfill(log, history or market.history, FACTS, pairs, request, now)


async def record_now(market: Any, log: EventLog, symbols: list[str] | None = None) -> RecordedListings:
    pairs = [pair for pair in await market.pairs() if symbols is None or pair.symbol in symbols]
    return record_listings(log, pairs, await market.server_time())


def observed_rules(listed: InstrumentListed, at: int) -> InstrumentChanged:
    """The change that a first observation of these rules makes."""
    name = listed.instrument
    hours, cap = listed.interval_hours or None, listed.rate_cap or None
    delist_at = 0 if listed.kind == "perp" else None
    return InstrumentChanged(*name, at, listed.lot, listed.min_notional, listed.tick, delist_at, hours, cap)


def contents(home: Path) -> list[tuple[int, bytes]]:
    """Every event with its known_at, in an order that does not depend on the order of writing."""
    return sorted((known_at, encode(event)) for known_at, event in events_of(home))


def settings(home: Path) -> dict[str, bytes]:
    with LogReader.open(home) as reader:
        return reader.settings()


def of_kind(home: Path, kind: type[Event]) -> list[Any]:
    return [event for _, event in events_of(home) if isinstance(event, kind)]


def test_every_settlement_of_a_switched_interval_is_in_the_log_once(tmp_path: Path) -> None:
    async def work() -> BackfillReport:
        async with exchange(schedule=SWITCHED) as (_, market):
            return await fill(tmp_path, market, ["SYN02USDT"], BackfillRequest(START_MS, ENDLESS, 0))

    (pair,) = run(work()).pairs
    settled = of_kind(tmp_path, FundingSettled)

    expected = [at for at in switched((0, 8), (150, 1), (260, 8)) if at < NOW_MS - 62_000]
    assert sorted(event.event_at // NS for event in settled) == expected
    assert pair.intervals == {"1": 110 * 24, "8": len(expected) - 1 - 110 * 24}
    assert pair.odd_spacings == 0
    assert verify(tmp_path).ok


def test_an_interrupted_backfill_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    """The export of both logs has the same events, known at the same times, and the same settings."""
    symbols, request = ["SYN02USDT", "SYN06USDT"], BackfillRequest(START_MS + 396 * DAY_MS, ENDLESS, 240, 240)
    rng = random.Random(20)

    async def work() -> int:
        async with exchange(pairs=7, schedule={"SYN02USDT": ((400, 1), (408, 8))}) as (_, market):
            whole = Fragile(market.history)
            await fill(tmp_path / "whole", market, symbols, request, whole)
            for part in range(4):
                home = tmp_path / f"cut{part}"
                breaks = sorted(rng.sample(range(1, whole.pages), 3)) if part else [1, 2, whole.pages]
                for breaks_at in breaks:
                    try:
                        await fill(home, market, symbols, request, Fragile(market.history, breaks_at))
                    except Cut:
                        continue
                await fill(home, market, symbols, request)
            return whole.pages

    assert run(work()) > 20
    assert {type(event) for _, event in events_of(tmp_path / "whole")} >= {
        InstrumentListed, InstrumentChanged, InstrumentDelisted, FundingSettled, BarClosed, FundingPredicted
    }  # fmt: skip
    for part in range(4):
        assert contents(tmp_path / f"cut{part}") == contents(tmp_path / "whole")
        assert settings(tmp_path / f"cut{part}") == settings(tmp_path / "whole")


def test_a_second_backfill_fetches_next_to_nothing_and_adds_nothing(tmp_path: Path) -> None:
    request = BackfillRequest(START_MS + 240 * DAY_MS, ENDLESS, 60, 0)

    async def work() -> tuple[int, int, BackfillReport]:
        async with exchange(schedule=SWITCHED) as (_, market):
            first, again = Fragile(market.history), Fragile(market.history)
            await fill(tmp_path, market, ["BTCUSDT", "SYN02USDT"], request, first)
            report = await fill(tmp_path, market, ["BTCUSDT", "SYN02USDT"], request, again)
            return first.pages, again.pages, report

    first, again, report = run(work())

    assert first > 30
    assert again <= 2, "only whether something newer was published"
    assert report.appended == 0
    assert sum(pair.duplicates for pair in report.pairs) == 0


def test_a_later_backfill_fetches_only_new_history(tmp_path: Path) -> None:
    async def work() -> tuple[int, int]:
        async with exchange(schedule={}) as (venue, market):
            await fill(tmp_path / "twice", market, ["BTCUSDT"], BackfillRequest(START_MS + 380 * DAY_MS, ENDLESS, 60))
            venue.clock.advance(3 * 86_400)
            later = Fragile(market.history)
            await fill(
                tmp_path / "twice", market, ["BTCUSDT"], BackfillRequest(START_MS + 370 * DAY_MS, ENDLESS, 60), later
            )
            await fill(tmp_path / "once", market, ["BTCUSDT"], BackfillRequest(START_MS + 370 * DAY_MS, ENDLESS, 60))
            return later.pages, len(of_kind(tmp_path / "twice", FundingSettled))

    pages, settled = run(work())

    assert pages == 2 + 2 * 3, "two spans: one of settlements and three kinds of candles each"
    assert settled == len(of_kind(tmp_path / "once", FundingSettled))
    tags = [tag_of(kind).encode() for kind in (FundingSettled, BarClosed)]
    for home in ("twice", "once"):
        assert max(Counter(encode(event) for _, event in events_of(tmp_path / home)).values()) == 1
    twice, once = (
        [one for one in contents(tmp_path / home) if any(tag in one[1] for tag in tags)] for home in ("twice", "once")
    )
    assert twice == once


def test_history_is_known_when_the_rule_of_the_log_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as (_, market):
            with EventLog.open(tmp_path) as log:
                agree_on_availability(log, Availability(bar_delay_s=5.0, settlement_delay_s=90.0))
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(NOW_MS - 10 * DAY_MS, ENDLESS, 60, 60))

    run(work())

    delays: dict[type, set[int]] = {}
    for known_at, event in events_of(tmp_path):
        delays.setdefault(type(event), set()).add(known_at - event.event_at)
    assert delays[FundingSettled] == {90 * 10**9}
    assert delays[BarClosed] == delays[FundingPredicted] == {5 * 10**9}
    assert delays[InstrumentListed] == {0}


def test_a_closed_symbol_is_fetched_and_its_end_is_in_the_log(tmp_path: Path) -> None:
    async def work() -> BackfillReport:
        async with exchange(pairs=8) as (_, market):
            return await fill(tmp_path, market, ["SYN06USDT"], BackfillRequest(START_MS, ENDLESS, 240))

    (pair,) = run(work()).pairs
    (delisted,) = of_kind(tmp_path, InstrumentDelisted)

    assert (pair.status, pair.refused) == ("Closed", [])
    assert pair.settlements == len(of_kind(tmp_path, FundingSettled)) > 500
    assert max(event.event_at for event in of_kind(tmp_path, FundingSettled)) <= delisted.event_at
    assert max(event.event_at for event in of_kind(tmp_path, BarClosed)) <= delisted.event_at


def test_history_that_the_venue_refuses_of_a_closed_symbol_is_recorded(tmp_path: Path) -> None:
    async def work() -> tuple[BackfillReport, BackfillReport]:
        async with exchange(pairs=8, closed_history=False) as (_, market):
            request = BackfillRequest(START_MS, ENDLESS, 240)
            silent = await fill(tmp_path / "silent", market, ["SYN06USDT"], request)

            class Refusing(Fragile):
                def settlements(self, perp: Instrument, since_ms: int, until_ms: int) -> Any:
                    return self._refused()

                async def _refused(self) -> AsyncIterator[Page[Settlement]]:
                    for reason in ("no such symbol",):
                        raise NotServed(reason)
                    yield Page(since_ms=0, until_ms=0, rows=[])

            return silent, await fill(tmp_path / "no", market, ["SYN06USDT"], request, Refusing(market.history))

    silent, refused = run(work())

    assert (silent.pairs[0].settlements, silent.pairs[0].bars) == (0, 0)
    assert refused.pairs[0].refused[0] == "settled: no such symbol"
    assert b"no such symbol" in settings(tmp_path / "no")["backfill:bybit:SYN06USDT:1"]


def test_each_instrument_has_bars_of_its_own_prices(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(pairs=8) as (_, market):
            symbol = next(pair.symbol for pair in await market.pairs() if pair.perp.multiplier == 1000)
            await fill(tmp_path, market, [symbol], BackfillRequest(NOW_MS - 5 * DAY_MS, ENDLESS, 60))

    run(work())
    bars = of_kind(tmp_path, BarClosed)
    spots = {bar.event_at: bar for bar in bars if bar.kind == "spot"}
    perps = [bar for bar in bars if bar.kind == "perp"]

    assert len(perps) == len(spots) == 119
    for bar in perps:
        spot = spots[bar.event_at]
        assert (bar.symbol, spot.symbol) == ("1000SYN04USDT", "SYN04USDT")
        assert bar.close == pytest.approx(1_000 * spot.close, rel=0.03)
        assert bar.mark == pytest.approx(1_000 * spot.close, rel=0.03)
        assert bar.turnover > 0
        assert spot.turnover > 0
        assert spot.mark == 0.0
        assert bar.event_at % (HOUR_MS * NS) == 0


def test_a_bar_of_one_leg_is_kept_where_the_other_lacks_one(tmp_path: Path) -> None:
    since = NOW_MS // DAY_MS * DAY_MS - DAY_MS
    hours = {"spot": (0, 1), "perp": (1, 2), "mark": (2,)}

    class Gaps(FixedHistory):
        async def candles(
            self, name: Instrument, price: PriceKind, minutes: int, since_ms: int, until_ms: int
        ) -> AsyncIterator[Page[Candle]]:
            kind = name.kind if price == "trade" else price
            rows = [Candle(since + hour * HOUR_MS, f"1{hour}", "5") for hour in hours[kind]]
            yield Page(since_ms, until_ms, rows)

    async def work() -> list[BarClosed]:
        async with exchange() as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(since, since + DAY_MS, 60), Gaps({}))
            (spec,) = [pair for pair in await market.pairs() if pair.symbol == "BTCUSDT"]
            return await closed_bars(Gaps({}), spec, 60, since, since + DAY_MS)

    live = run(work())
    bars = of_kind(tmp_path, BarClosed)

    assert sorted((bar.kind, bar.event_at // NS - since, bar.close, bar.mark) for bar in bars) == [
        ("perp", 2 * HOUR_MS, 11.0, 0.0),
        ("perp", 3 * HOUR_MS, 12.0, 12.0),
        ("spot", 1 * HOUR_MS, 10.0, 0.0),
        ("spot", 2 * HOUR_MS, 11.0, 0.0),
    ]
    assert {encode(bar) for bar in live} == {encode(bar) for bar in bars}, "the stream writes the same"
    assert [bar.event_at for bar in live] == sorted(bar.event_at for bar in bars)


def test_a_settlement_is_recorded_at_its_nominal_time(tmp_path: Path) -> None:
    at = NOW_MS // DAY_MS * DAY_MS - DAY_MS
    stamped = FixedHistory({at + 137: "0.0001", at + 8 * HOUR_MS + 95_000: "0.0002"})

    async def work() -> None:
        async with exchange() as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(at, at + DAY_MS, 0), stamped)

    run(work())

    settled = [(known_at, one) for known_at, one in events_of(tmp_path) if isinstance(one, FundingSettled)]
    assert [one.event_at // NS for _, one in settled] == [at, at + 8 * HOUR_MS]
    assert [known_at - one.event_at for known_at, one in settled] == [60 * 10**9] * 2


def test_rebuilt_estimates_end_where_the_venue_settled(tmp_path: Path) -> None:
    """The same formula over the same minutes: the estimate a minute before the end is nearly the settled rate."""

    async def work() -> None:
        async with exchange(schedule={}) as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(NOW_MS - 12 * DAY_MS, ENDLESS, 0, 1))

    run(work())
    rates = {event.event_at: event.rate for event in of_kind(tmp_path, FundingSettled)}
    last: dict[int, FundingPredicted] = {}
    for event in of_kind(tmp_path, FundingPredicted):
        assert event.event_at < event.next_at
        assert event.interval_hours == 8.0
        last[event.next_at] = max(last.get(event.next_at, event), event, key=lambda one: one.event_at)

    assert len(last) == len(rates) - 1 > 30
    assert all(event.next_at - event.event_at == 60 * 10**9 for event in last.values())
    errors = [abs(event.rate - rates[at]) for at, event in last.items()]
    assert max(errors) < 3e-5
    assert sorted(errors)[len(errors) // 2] < 5e-6


@pytest.mark.parametrize("fault", ["http_error", "lose_response", "corrupt", "stale"])
def test_a_venue_that_fails_now_and_then_costs_time_and_no_row(tmp_path: Path, fault: str) -> None:
    """F33, for questions: each kind of failure strikes at random, several times, and the log is the same."""
    request = BackfillRequest(START_MS + 330 * DAY_MS, ENDLESS, 60)
    symbols = ["BTCUSDT", "SYN02USDT"]

    async def work() -> int:
        async with exchange(schedule={"SYN02USDT": ((350, 1), (380, 8))}) as (venue, market):
            await fill(tmp_path / "whole", market, symbols, request)
            # Never twice in a row for one question: that would be another venue, of which nothing can be known.
            for after in (1, 4, 9, 14):
                venue.faults.inject(fault, where="market/funding/history", after=after)
                venue.faults.inject(fault, where="market/*kline", after=after)
            await fill(tmp_path / "failing", market, symbols, request)
            return len(venue.faults.triggered)

    triggered = run(work())

    assert triggered >= 6
    assert contents(tmp_path / "failing") == contents(tmp_path / "whole")


def test_hostile_rates_are_refused_one_by_one(tmp_path: Path) -> None:
    """F26."""
    first = NOW_MS // DAY_MS * DAY_MS - DAY_MS
    hostile = ["NaN", "1e400", "0.9", "-inf", "", "0.0001", "nonsense\x1b[2J"]
    history = FixedHistory({first + n * HOUR_MS: rate for n, rate in enumerate(hostile)})

    async def work() -> BackfillReport:
        async with exchange() as (_, market):
            return await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(first, ENDLESS, 0), history)

    (pair,) = run(work()).pairs

    assert [event.rate for event in of_kind(tmp_path, FundingSettled)] == [0.0001]
    assert pair.rejected == 6
    assert sum(event.count for event in of_kind(tmp_path, DataRejected)) == 6


def test_another_rate_for_a_settlement_is_recorded_beside_the_first(tmp_path: Path) -> None:
    at = NOW_MS // DAY_MS * DAY_MS - DAY_MS

    async def work() -> BackfillReport:
        async with exchange() as (_, market):
            await fill(
                tmp_path, market, ["BTCUSDT"], BackfillRequest(at, at + HOUR_MS, 0), FixedHistory({at: "0.0001"})
            )
            request = BackfillRequest(at - HOUR_MS, at + 2 * HOUR_MS, 0)
            with EventLog.open(tmp_path) as log:
                log.set_meta("backfill:bybit:BTCUSDT:1", b"{}")
            return await fill(tmp_path, market, ["BTCUSDT"], request, FixedHistory({at: "0.0002"}))

    (pair,) = run(work()).pairs

    assert pair.conflicts == 1
    assert [event.rate for event in of_kind(tmp_path, FundingSettled)] == [0.0001]
    assert [(event.rate, event.replaces) for event in of_kind(tmp_path, FundingRevised)] == [(0.0002, 0.0001)]


def test_a_row_that_the_venue_publishes_late_is_not_lost(tmp_path: Path) -> None:
    """What is newer than the newest row is asked for again, however long ago it was due."""
    first = NOW_MS // DAY_MS * DAY_MS - DAY_MS
    history = FixedHistory({first: "0.0001"})

    async def work() -> None:
        async with exchange() as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(first, ENDLESS, 0), history)
            history.rates[first + 8 * HOUR_MS] = "0.0002"
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(first, ENDLESS, 0), history)

    run(work())

    assert [event.rate for event in of_kind(tmp_path, FundingSettled)] == [0.0001, 0.0002]


def test_nothing_is_fetched_before_it_is_known(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(NOW_MS - 60_000, ENDLESS))

    with pytest.raises(VenueError, match="is not before the end of what is known"):
        run(work())


def test_recording_the_listings_again_adds_what_changed_and_nothing_else(tmp_path: Path) -> None:
    async def work() -> list[int]:
        async with exchange(pairs=8) as (venue, market):
            with EventLog.open(tmp_path) as log:
                first = await record_now(market, log)
                again = await record_now(market, log)
                venue.clock.advance(7 * 86_400)
                later = await record_now(market, log, ["BTCUSDT", "ETHUSDT"])
                return [first.appended, again.appended, later.appended, len(first.pairs)]

    first, again, later, pairs = run(work())

    assert first == 4 * pairs, "of each instrument the listing, and what holds now or the delisting"
    assert (again, later) == (0, 0)


def test_a_changed_interval_and_an_announced_delisting_are_changes(tmp_path: Path) -> None:
    class Changing:
        """A market whose first pair changes."""

        def __init__(self, market: Any) -> None:
            self.market = market
            self.changes: dict[str, Any] = {}
            self.delist_at = 0
            self.now_ms = NOW_MS

        async def server_time(self) -> int:
            self.now_ms += HOUR_MS
            return self.now_ms * NS

        async def pairs(self) -> Any:
            pairs = [pair for pair in await self.market.pairs() if pair.symbol == "BTCUSDT"]
            perp = replace(pairs[0].perp, **self.changes)
            return [replace(pairs[0], perp=perp, delist_at=self.delist_at)]

    async def work() -> None:
        async with exchange() as (_, market):
            changing: Any = Changing(market)
            with EventLog.open(tmp_path) as log:
                await record_now(changing, log)
                changing.changes = {"interval_hours": 1.0, "rate_cap": 0.02}
                await record_now(changing, log)
                changing.delist_at = (NOW_MS + DAY_MS) * NS
                await record_now(changing, log)
                changing.delist_at = 0
                await record_now(changing, log)
                changing.changes |= {"event_at": (NOW_MS - DAY_MS) * NS}
                relisted = await record_now(changing, log)
                assert [pair.perp.listing for pair in relisted.pairs] == [2], "another launch is another pair"

    run(work())
    changes = [one for one in of_kind(tmp_path, InstrumentChanged) if one.kind == "perp"]

    assert [(one.interval_hours, one.rate_cap, one.delist_at) for one in changes if one.listing == 1] == [
        (8.0, 0.00375, 0),
        (1.0, 0.02, None),
        (None, None, (NOW_MS + DAY_MS) * NS),
        (None, None, 0),
    ]
    assert [(one.kind, one.listing) for one in of_kind(tmp_path, InstrumentListed)] == [
        ("perp", 1), ("spot", 1), ("perp", 2)
    ]  # fmt: skip


def test_a_real_listing_after_an_assumed_one_says_every_rule_again(tmp_path: Path) -> None:
    """It replaces the rules of the assumed one, also those that were observed."""

    async def work() -> PairSpec:
        async with exchange() as (_, market):
            (pair,) = [pair for pair in await market.pairs() if pair.symbol == "BTCUSDT"]
            name, earlier = pair.perp.instrument, (NOW_MS - DAY_MS) * NS
            with EventLog.open(tmp_path) as log:
                observed = InstrumentChanged(*name, earlier, pair.perp.lot, delist_at=0)
                events: list[ListingEvent] = [assumed_listing(name, 0, "BTC", "USDT"), observed]
                log.append([(encode(event), event_key(event), event.event_at) for event in events])
                await record_now(market, log, ["BTCUSDT"])
            return pair

    perp = run(work()).perp

    last = [one for one in of_kind(tmp_path, InstrumentChanged) if one.kind == "perp"][-1]
    assert last == observed_rules(perp, NOW_MS * NS)


def test_a_spot_instrument_that_closed_is_delisted_and_the_next_one_is_another(tmp_path: Path) -> None:
    async def work() -> list[list[ListingEvent]]:
        async with exchange() as (_, market):
            (alive,) = [pair for pair in await market.pairs() if pair.symbol == "BTCUSDT"]
            closed = replace(alive, spot_status="Closed")
            found = []
            with EventLog.open(tmp_path) as log:
                record_listings(log, [alive], NOW_MS * NS)
                for hour, spec in enumerate((closed, closed, alive, alive), 1):
                    seen_at = NOW_MS * NS + hour * HOUR_MS * NS
                    (numbered,), events = listing_changes(tmp_path, [spec], seen_at)
                    log.append([(encode(event), event_key(event), None) for event in events])
                    found.append(events)
                    assert numbered.spot.listing == (1 if spec is closed else 2)
                    assert numbered.perp.listing == 1
            return found

    ended, nothing, again, nothing_more = run(work())
    name = Instrument("bybit", "BTCUSDT", "spot", 1)

    assert ended == [InstrumentDelisted(*name, (NOW_MS + HOUR_MS) * NS, "delisted by the venue")]
    assert (nothing, nothing_more) == ([], [])
    assert [(type(one), one.instrument, one.event_at) for one in again] == [
        (kind, name._replace(listing=2), (NOW_MS + 3 * HOUR_MS) * NS) for kind in (InstrumentListed, InstrumentChanged)
    ]


def test_trading_rules_are_known_from_their_observation_and_assumed_before(tmp_path: Path) -> None:
    """The listing may be known since the launch, because it says only what never changes."""

    async def work() -> Any:
        async with exchange() as (_, market):
            await fill(tmp_path, market, ["BTCUSDT"], BackfillRequest(NOW_MS - DAY_MS, ENDLESS, 0))
            return next(pair for pair in await market.pairs() if pair.symbol == "BTCUSDT")

    pair = run(work())
    spot, perp, now = pair.spot, pair.perp, NOW_MS * NS
    listed, changed = (
        [(known_at, one) for known_at, one in events_of(tmp_path) if isinstance(one, kind)]
        for kind in (InstrumentListed, InstrumentChanged)
    )

    assert sorted(listed, key=str) == sorted([(0, without_rules(spot)), (perp.event_at, without_rules(perp))], key=str)
    assert {(one.lot, one.min_notional, one.tick, one.interval_hours, one.rate_cap) for _, one in listed} == {
        (ASSUMED_LOT, ASSUMED_MIN_NOTIONAL, 0.0, 0.0, 0.0)
    }
    assert changed == [
        (now, observed_rules(perp, now)),
        (now, observed_rules(spot, now)),
    ]


def test_a_closed_perpetual_keeps_assumed_rules(tmp_path: Path) -> None:
    """What the venue says of its rules today was observed after its end."""

    async def work() -> None:
        async with exchange(pairs=8) as (_, market):
            await fill(tmp_path, market, ["SYN06USDT"], BackfillRequest(START_MS, ENDLESS, 0))

    run(work())

    perps = [one for one in of_kind(tmp_path, InstrumentListed) if one.kind == "perp"]
    assert [(one.symbol, one.lot, one.interval_hours) for one in perps] == [("SYN06USDT", ASSUMED_LOT, 0.0)]
    assert [one.kind for one in of_kind(tmp_path, InstrumentChanged)] == ["spot"]


def test_the_log_records_how_a_backfill_chose_its_pairs(tmp_path: Path) -> None:
    async def backfill(log: EventLog, market: Any, choice: str) -> None:
        request, now = BackfillRequest(NOW_MS - DAY_MS, ENDLESS, 0), await market.server_time()
        await run_backfill(log, market.history, FACTS, (await market.pairs())[:1], request, now, choice=choice)

    async def work() -> None:
        async with exchange() as (venue, market):
            with EventLog.open(tmp_path) as log:
                await backfill(log, market, "")
                assert pair_choices(log) == []
                await backfill(log, market, "top:20")
                await backfill(log, market, "all")
                venue.clock.advance(2 * 86_400)
                await backfill(log, market, "top:20")

    run(work())
    with LogReader.open(tmp_path) as reader:
        top, everything = pair_choices(reader)

    assert (top.is_hindsight, everything.is_hindsight) == (True, False)
    assert top.description == "pairs of bybit chosen by their turnover from 2025-06-15 to 2025-06-17 (top:20)"
    assert everything.description == "all pairs that bybit listed on 2025-06-15, closed ones included"


def test_candles_of_a_spot_instrument_that_is_not_listed_any_more_list_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange(pairs=8) as (_, market):
            (closed,) = [pair for pair in await market.pairs() if pair.symbol == "SYN06USDT"]
            unknown = replace(closed, spot=replace(closed.spot, symbol="SYN06USDT", listing=0))
            ended_ms = closed.delist_at // NS
            with EventLog.open(tmp_path) as log:
                request = BackfillRequest(ended_ms - 10 * DAY_MS, ENDLESS, 240)
                await run_backfill(log, market.history, FACTS, [unknown], request, await market.server_time())

    run(work())
    name = Instrument("bybit", "SYN06USDT", "spot", 1)
    listed = [one for one in of_kind(tmp_path, InstrumentListed) if one.kind == "spot"]

    assert listed == [InstrumentListed(*name, 0, "SYN06", "USDT", 1e-6, 5.0)]
    assert {bar.instrument for bar in of_kind(tmp_path, BarClosed) if bar.kind == "spot"} == {name}


def test_pairs_are_chosen_by_turnover_by_name_or_all() -> None:
    async def work() -> None:
        async with exchange(pairs=8) as (_, market):
            pairs = await market.pairs()
            turnover = await market.turnover(pairs)

            def chosen(text: str) -> list[str]:
                return [pair.symbol for pair in choose_pairs(text, pairs, turnover)]

            assert chosen("top:2") == ["BTCUSDT", "ETHUSDT"]
            assert "SYN06USDT" not in chosen("top:100"), "closed pairs have no turnover"
            assert chosen("ethusdt, BTCUSDT") == ["BTCUSDT", "ETHUSDT"]
            assert len(chosen("all")) == 8
            for text, expected in (
                ("BTCUSD", "did you mean BTCUSDT"),
                ("top:x", "write top:20"),
                (",", "names no symbol"),
            ):
                with pytest.raises(VenueError, match=expected):
                    chosen(text)

    run(work())
