"""halt, resume and flatten while a daemon runs, before it does, and while it starts or stops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.bybit.endpoint import parse_endpoint
from carryfold.adapters.bybit.market import BybitMarket
from carryfold.adapters.cli import main
from carryfold.adapters.daemon.checks import clock_for
from carryfold.adapters.daemon.clock import DaemonClock
from carryfold.adapters.daemon.commands import REASON_MAX, Commands
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.service import Daemon
from carryfold.domain.codec import encode
from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated, FlattenRequested, Halted, Resumed
from carryfold.domain.fold.state import GATES
from carryfold.eventlog import AppendResult, CommandRefused, CommandUnanswered, EventLog, LogClosed, send_command
from carryfold.simexchange import SimExchange
from tests.adapters.daemon.world import (
    daemon,
    events_of,
    exchange,
    parameter_set,
    run,
    settings_for,
    until,
    verify_all,
)  # fmt: skip

HALTED = GATES.index("halted")


async def obedience(home: Path) -> None:
    async with exchange() as venue:
        await pending_halt(home, venue)
        async with daemon(
            home, settings_for(venue, [parameter_set("run", "max_positions=7", "enter=-1", "exit=-1")])
        ) as served:
            book = served.runs[0].state.book
            assert book["halted"][0] == 1, "a halt that was pending is obeyed before arming"
            await until(lambda: book["refused"][0][HALTED] >= 5)
            assert not events_of(home, EntryDecided)

            resumed = await asyncio.to_thread(send_command, home, "resume", {"reason": "go"})
            await until(lambda: book["held"][0] >= 3)
            halted = await command(home, "halt", "--reason", "lunch")
            await until(lambda: book["ordered"][0] == 0)
            held = int(book["held"][0])
            await passing(served, 600.0)
            entries = [seq for seq, _, _ in events_of(home, EntryDecided)]
            assert resumed < min(entries) <= max(entries) < halted
            assert book["held"][0] == held, "a halt closes nothing"

            flattened = await command(home, "flatten")
            await until(lambda: book["held"][0] == 0 and book["ordered"][0] == 0)
            await passing(served, 300.0)
            exits = [(seq, event) for seq, _, event in events_of(home, ExitDecided)]
            assert {event.reason for seq, event in exits if seq > flattened} == {"flatten"}
            assert not [seq for seq, _, _ in events_of(home, EntryDecided) if seq > flattened]

            await command(home, "resume")
            await until(lambda: book["held"][0] > 0)
    (found,) = verify_all(home)
    assert found.identical, found
    assert [event.reason for _, _, event in events_of(home, Halted, Resumed, FlattenRequested)] == [
        "pending", "go", "lunch", "", ""
    ]  # fmt: skip
    assert [event.action for _, _, event in events_of(home, FillSimulated)].count("exit") >= 3


def test_paper_runs_obey_halt_resume_and_flatten(tmp_path: Path) -> None:
    run(obedience(tmp_path / "home"))


def test_a_daemon_that_starts_or_stops_refuses_commands_in_one_line() -> None:
    commands = Commands(notices())

    with pytest.raises(CommandRefused, match="still starting"):
        commands.handle("halt", {})
    with pytest.raises(CommandRefused, match="no command 'dance'"):
        commands.handle("dance", {})
    commands.detach()
    with pytest.raises(CommandRefused, match="stopping"):
        commands.handle("halt", {})


class Slow:
    """An engine that records events once it is released."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Any] = []
        self.go = asyncio.Event()
        self.error = error

    async def record(self, events: Any) -> AppendResult:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.events += events
        return AppendResult(7, len(events), 0, [], 1)


def test_a_command_that_is_not_reached_in_time_says_that_it_may_still_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryfold.adapters.daemon.commands.ANSWER_WITHIN_S", 0.05)

    async def work() -> None:
        engine, commands = Slow(), Commands(notices())
        commands.attach(asyncio.get_running_loop(), engine, DaemonClock.real_time())  # type: ignore[arg-type]
        with pytest.raises(CommandUnanswered, match="log tail"):
            await asyncio.to_thread(commands.handle, "halt", {"reason": "x" * 1_000})
        engine.go.set()
        await until(lambda: bool(engine.events))
        assert engine.events[0].reason == "x" * REASON_MAX

    run(work())


def test_a_log_that_is_closed_refuses_the_command_as_what_it_is() -> None:
    async def work() -> None:
        engine, commands = Slow(LogClosed("the daemon is stopping")), Commands(notices())
        engine.go.set()
        commands.attach(asyncio.get_running_loop(), engine, DaemonClock.real_time())  # type: ignore[arg-type]
        with pytest.raises(LogClosed, match="stopping"):
            await asyncio.to_thread(commands.handle, "flatten", {})

    run(work())


def notices() -> Notices:
    return Notices(Metrics())


async def command(home: Path, *arguments: str) -> int:
    """A command of the command line, sent from a thread; gives the seq of its event."""
    before = len(events_of(home, Halted, Resumed, FlattenRequested))
    assert await asyncio.to_thread(main, ["--home", str(home), *arguments]) == 0
    found = events_of(home, Halted, Resumed, FlattenRequested)
    assert len(found) == before + 1
    return found[-1][0]


async def passing(served: Daemon, seconds: float) -> None:
    """Wait for seconds of the daemon's clock, and for a commit after them."""
    end = served.clock.now() + round(seconds * 1e9)
    state = served.runs[0].state.book
    await until(lambda: int(state["now"][0]) >= end)


async def pending_halt(home: Path, venue: SimExchange) -> None:
    """Halt while no daemon runs, on the venue's clock."""
    market = BybitMarket(parse_endpoint(venue.endpoints.rest))
    try:
        clock = await clock_for(market, venue.clock.speed)
    finally:
        await market.close()
    with EventLog.open(home, clock=clock.log_clock) as log:
        log.append([(encode(Halted(0, log.clock.now(), "pending")), None, None)])
