"""A venue that changes its trading rules while a pair is held: lots, steps and ticks. (F27)"""

from decimal import Decimal
from pathlib import Path

from carryfold.domain.events import InstrumentChanged, OrderRejected, ReconciliationCorrected
from carryfold.simexchange import SimExchange
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.session import Session, exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

TWO = "BTCUSDT,ETHUSDT"


def position(venue: SimExchange, symbol: str) -> Decimal:
    """The perpetual's, short < 0."""
    found = venue.exchange.account.positions.get(symbol)
    return Decimal(0) if found is None else found.size


def change_rules(venue: SimExchange) -> None:
    """A lot a tenth as large, and a tick ten times as large: the old one is refused from now on."""
    one = venue.exchange.market.perps["BTCUSDT"]
    one.qty_decimals += 1
    one.decimals -= 1
    venue.exchange.market.clear_caches()


def changed(home: Path) -> list[InstrumentChanged]:
    """The lots of the perpetual in the log."""
    found = [event for _, _, event in events_of(home) if isinstance(event, InstrumentChanged)]
    return [event for event in found if (event.symbol, event.kind) == ("BTCUSDT", "perp") and event.lot]


def only_dust(home: Path) -> bool:
    """Nothing was corrected but for coins that cannot be sold."""
    corrections = [event for _, _, event in events_of(home) if isinstance(event, ReconciliationCorrected)]
    return all("too few to sell" in event.reason for event in corrections)


async def close_and_open_again(venue: SimExchange, session: Session) -> None:
    """By the new rules: as much as before, to within the smaller lot."""
    before = position(venue, "BTCUSDT")
    await session.close()
    assert position(venue, "BTCUSDT") == 0
    tick = venue.exchange.market.perps["BTCUSDT"].tick
    session.broker.on_rejection()  # a price may be on the new tick by chance, and nothing was refused yet
    await session.until(lambda: session.broker.account.listed("BTCUSDT").short.tick == tick, "the new rules")
    await session.open(2)
    after = position(venue, "BTCUSDT")
    assert before < 0
    assert abs(after / before - 1) < Decimal("0.05"), "ten times as many lots, each a tenth as large"
    assert after % venue.exchange.market.perps["BTCUSDT"].qty_step == 0
    await session.agree()


def test_f27_new_lots_and_ticks_reach_the_orders_of_a_running_daemon(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue, trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
            await session.open(2)
            await session.agree()
            change_rules(venue)
            await close_and_open_again(venue, session)

    run(work())
    assert [event.lot for event in changed(tmp_path)] == [0.0001, 0.00001], "as observed at first, then as changed"
    refused = [event for _, _, event in events_of(tmp_path) if isinstance(event, OrderRejected)]
    assert {event.pair.short.symbol for event in refused} <= {"BTCUSDT"}
    assert only_dust(tmp_path)


def test_f27_a_holding_is_counted_as_it_was_opened_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                await session.agree()
            check(tmp_path, venue)
            change_rules(venue)
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO), halted=False) as session:
                await session.agree()
                assert session.figure("held") == 2
                await close_and_open_again(venue, session)

    run(work())
    assert [event.lot for event in changed(tmp_path)] == [0.0001, 0.00001], "as observed at first, then as changed"
    assert only_dust(tmp_path)
