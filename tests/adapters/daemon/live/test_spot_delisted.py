"""The spot market of a pair closes while its perpetual trades on."""

from __future__ import annotations

import io
from pathlib import Path

from carryfold.domain.events import ExitDecided, HedgeEnded, InstrumentDelisted, OrderIntended
from tests.adapters.daemon.live.checker import check_replay, ends_of
from tests.adapters.daemon.live.session import exchange, run, settings_for, trading_on
from tests.adapters.daemon.world import events_of

TWO = "BTCUSDT,ETHUSDT"


def test_the_perpetual_is_closed_the_coins_are_reported_and_the_daemon_goes_on(
    tmp_path: Path, output: io.StringIO
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO)) as session:
                await session.open(2)
                await session.agree()
                del venue.exchange.market.spots["ETHUSDT"]
                session.broker.on_rejection()  # the venue's rules may have changed: ask soon
                await session.until(lambda: "does not trade any more" in output.getvalue(), "the end of the exit")
                await session.until(lambda: session.is_quiet, "quiet")
                books = session.broker.account.books.pairs["ETHUSDT"]
                assert books.short_units == 0
                assert books.long_units > books.pair.lot_units
                assert (
                    "ETHUSDT" not in venue.exchange.account.positions
                    or not venue.exchange.account.positions["ETHUSDT"].size
                )
                before = len(venue.exchange.orders.all)
                await session.until(
                    lambda: "nothing that is held trades any more" in output.getvalue(), "another decision, given up"
                )
                assert len(venue.exchange.orders.all) == before, "no order is sent for coins that nobody takes"
                assert session.broker.account.books.pairs["BTCUSDT"].short_units, "the other pair is kept"
            check_replay(tmp_path)
            async with trading_on(venue, tmp_path, settings_for(venue, pairs=TWO), halted=False) as session:
                await session.agree()
                assert session.figure("held") == 2, "the coins are still on the books after a restart"
                await session.until(lambda: session.is_quiet, "quiet")
                await session.begin_close()
                await session.until(
                    lambda: session.figure("held") == 1 and session.is_quiet, "the pair that trades is closed"
                )
            check_replay(tmp_path)

    run(work())
    events = [event for _, _, event in events_of(tmp_path)]
    (delisted,) = [event for event in events if isinstance(event, InstrumentDelisted)]
    assert (delisted.symbol, delisted.kind) == ("ETHUSDT", "spot")
    exits = [event for event in events if isinstance(event, ExitDecided) and event.pair.short.symbol == "ETHUSDT"]
    assert exits[0].reason == "delisting"
    assert "unhedged: bybit:spot:ETHUSDT does not trade any more" in ends_of(tmp_path)
    (unhedged,) = [event for event in events if isinstance(event, HedgeEnded) and event.outcome == "unhedged"]
    assert unhedged.work == "exit"
    sold = [event for event in events if isinstance(event, OrderIntended) and event.purpose != "open"]
    assert {(event.leg, event.side) for event in sold if event.pair.short.symbol == "ETHUSDT"} <= {
        ("short", "sell"), ("long", "buy"), ("short", "buy")
    }  # fmt: skip
    assert "bybit:spot:ETHUSDT has been delisted" in output.getvalue()
