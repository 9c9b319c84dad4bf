"""A run with other parameters, pairs or code takes over the last one's holdings and finishes its unfinished work."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.daemon import start
from carryfold.adapters.daemon.account import Account
from carryfold.domain.events import (
    Halted,
    HoldingAdopted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    Resumed,
    RunStarted,
)
from carryfold.domain.execution import parse_client_id
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import Figures, ours, theirs
from tests.adapters.daemon.live.session import Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.live.test_crashes import crash_at
from tests.adapters.daemon.world import events_of

PAIR = "BTCUSDT"


def of(home: Path, kind: type) -> list[Any]:
    return [event for _, _, event in events_of(home) if isinstance(event, kind)]


def together(*each: Figures) -> Figures:
    """The result of several runs."""
    return Figures(*(sum(column, Decimal(0)) for column in zip(*each, strict=True)))


def holding(session: Session, name: str = PAIR) -> tuple[int, int, int, int]:
    """Units and what they cost, of both legs, as the fold has them."""
    live = session.daemon.runs[0]
    number = [live.info.labels[pair] for pair in live.pairs].index(name)
    record = live.state.pair[number]
    return tuple(int(record[field]) for field in ("long_units", "short_units", "long_cost", "short_entry"))  # type: ignore[return-value]


def test_a_run_of_other_parameters_takes_over_what_the_first_one_holds_and_the_money_adds_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            first, other = settings_for(venue, pairs=PAIR), settings_for(venue, "notional=200", pairs=PAIR)
            async with trading_on(venue, tmp_path, first) as session:
                await session.open(1)
                number, before, figures = session.daemon.runs[0].info.run, holding(session), ours(session)
            orders = len(venue.exchange.orders.all)
            async with trading_on(venue, tmp_path, other, halted=False) as session:
                assert session.daemon.runs[0].info.adopts == number
                assert holding(session) == before
                assert session.figure("held") == 1
                books = session.broker.account.books.pairs[PAIR]
                assert (books.long_units, books.short_units) == before[:2]
                await session.halt()
                await session.agree()
                assert len(venue.exchange.orders.all) == orders, "nothing is traded for it"
                await session.close()
                await session.agree()
                assert together(figures, ours(session)) == theirs(venue)
                second = session.daemon.runs[0].info.run
            # What the second run did is nobody's trade by hand, and no business of the first one's parameters.
            async with trading_on(venue, tmp_path, first, halted=False) as session:
                assert session.daemon.runs[0].info.run > second
                assert session.daemon.runs[0].info.adopts == 0
                assert not session.broker.account.books.fill_ids
                await session.agree()
            check(tmp_path, venue)

    run(work())
    adopted = of(tmp_path, HoldingAdopted)
    runs = [seq for seq, _, event in events_of(tmp_path) if isinstance(event, RunStarted)]
    assert len(runs) == 3
    assert [(event.leg, event.run, event.from_run) for event in adopted] == [
        ("long", runs[1], runs[0]), ("short", runs[1], runs[0])
    ]  # fmt: skip
    (begun,) = [seq for seq, _, event in events_of(tmp_path) if event is not None and seq == runs[1]]
    assert [seq for seq, _, event in events_of(tmp_path) if isinstance(event, HoldingAdopted)] == [begun + 1, begun + 2]


def test_a_run_of_another_version_is_taken_over_and_that_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run trades nothing; the third takes over what the second has from the first."""

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs="BTCUSDT,1000SYN04USDT")
            async with trading_on(venue, tmp_path, settings) as session:
                await session.open(2)
                before, figures = [holding(session, name) for name in ("BTCUSDT", "1000SYN04USDT")], ours(session)
            for version in ("1" * 32, "2" * 32):
                with monkeypatch.context() as patched:
                    patched.setattr(start, "CODE_DIGEST", version)
                    async with trading_on(venue, tmp_path, settings, halted=False) as session:
                        await session.halt()
                        await session.agree()
                        assert [holding(session, name) for name in ("BTCUSDT", "1000SYN04USDT")] == before
                        assert session.daemon.runs[0].info.code_digest == version
                        if version.startswith("2"):
                            await session.close()
                            await session.agree()
                            assert together(figures, ours(session)) == theirs(venue)
            assert not venue.exchange.account.held

    run(work())
    started = of(tmp_path, RunStarted)
    runs = [seq for seq, _, event in events_of(tmp_path) if isinstance(event, RunStarted)]
    assert [event.adopts for event in started] == [0, *runs[:2]]
    assert len(of(tmp_path, HoldingAdopted)) == 8


def test_a_restart_of_a_run_that_took_over_goes_on_with_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            other = settings_for(venue, "notional=200", pairs=PAIR)
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
                figures, before = ours(session), holding(session)
            for _ in range(2):
                async with trading_on(venue, tmp_path, other, halted=False) as session:
                    await session.halt()
                    assert holding(session) == before
                    await session.agree()
            async with trading_on(venue, tmp_path, other, halted=False) as session:
                await session.close()
                await session.agree()
                assert together(figures, ours(session)) == theirs(venue)
            check(tmp_path, venue)

    run(work())
    assert len(of(tmp_path, RunStarted)) == 2


def test_a_run_that_had_to_be_halted_hands_its_halt_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
                await session.command(Resumed(0, session.daemon.clock.now(), "test"))
                number = session.daemon.runs[0].info.run
                await session.command(Halted(number, session.daemon.clock.now(), "a bug"))
            other = settings_for(venue, "notional=200", pairs=PAIR)
            async with trading_on(venue, tmp_path, other, halted=False) as session:
                assert session.figure("halted") == 1
                await session.close()
                await session.agree()
            check(tmp_path, venue)

    run(work())
    assert of(tmp_path, Halted)[-1].reason.endswith("was halted: a bug")


def test_a_pair_that_is_held_comes_along_though_it_is_not_chosen(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
            async with trading_on(venue, tmp_path, settings_for(venue, pairs="ETHUSDT"), halted=False) as session:
                assert set(session.broker.account.pairs) == {"BTCUSDT", "ETHUSDT"}
                await session.close()
                await session.agree()
            check(tmp_path, venue)

    run(work())
    assert len(of(tmp_path, RunStarted)) == 2


def test_a_pair_that_the_venue_does_not_list_any_more_has_to_be_closed_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carryfold.adapters.bybit.market import BybitMarket
    from carryfold.adapters.venues import VenueError

    pairs = BybitMarket.pairs

    async def without(self: BybitMarket) -> Any:
        return [spec for spec in await pairs(self) if spec.symbol != PAIR]

    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
            monkeypatch.setattr(BybitMarket, "pairs", without)
            with pytest.raises(VenueError, match=r"^run \d+ still holds [^\n]*BTCUSDT[^\n]*by hand[^\n]*$"):
                async with trading_on(venue, tmp_path, settings_for(venue, pairs="ETHUSDT"), halted=False):
                    raise AssertionError("it began")

    run(work())


@pytest.mark.parametrize(
    ("number", "sent", "booked", "repairs"),
    [(1, False, 0, 0), (1, True, 1, 1), (2, False, 0, 1), (2, True, 1, 0)],
    ids=["nothing sent", "the first order is out", "one leg alone", "the hedge is out"],
)
def test_what_a_crash_left_half_done_is_finished_by_the_run_that_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sent: bool, booked: int, repairs: int
) -> None:
    """Orders of the earlier run that nobody knows the fate of are asked for; what they did is booked, under their own
    names, and the legs are brought together."""
    image = tmp_path / "image"

    async def work() -> None:
        async with exchange() as venue:
            settings = settings_for(venue, pairs=PAIR)
            with monkeypatch.context() as patched:
                async with trading_on(venue, tmp_path / "home", settings) as session:
                    await crash_at(session, patched, image, number, sent=sent)
            other = settings_for(venue, "notional=200", pairs=PAIR)
            async with trading_on(venue, image, other, halted=False) as session:
                await session.halt()
                await session.agree()
                books = session.broker.account.books.pairs[PAIR]
                await session.until(
                    lambda: session.is_quiet and abs(books.long_units - books.short_units) < books.pair.lot_units,
                    "legs that match",
                )
                assert not session.broker.account.books.intents
                await session.close()
                await session.agree()
                assert not venue.exchange.account.held
            check(image, venue)

    run(work())
    begun, second = [seq for seq, _, event in events_of(image) if isinstance(event, RunStarted)]
    mine = [event for _, _, event in events_of(image) if getattr(event, "run", 0) == second]
    before = [
        event
        for event in mine
        if isinstance(event, OrderFilled | OrderRejected | OrderCancelled)
        and (name := parse_client_id(event.client_id)) is not None
        and name.run == begun
    ]
    assert sum(isinstance(event, OrderFilled) for event in before) >= booked
    assert bool(before), "the order without an end got it"
    names = {event.client_id.rpartition("-")[0] for event in mine if isinstance(event, OrderFilled)}
    assert sum(name.endswith("r") for name in names) == repairs


def test_an_account_asks_for_no_more_than_it_needs_after_a_takeover(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=PAIR)) as session:
                await session.open(1)
                started_at = session.daemon.runs[0].info.started_at
            other = settings_for(venue, "notional=200", pairs=PAIR)
            async with trading_on(venue, tmp_path, other, halted=False) as session:
                account: Account = session.broker.account
                assert account.books.started_at == started_at, "what was missed in between is not lost"
                assert {one.pair.short.symbol for one in account.pairs.values() for one in [one]} == {PAIR}
                await session.close()
            check(tmp_path, venue)

    run(work())
