"""Real processes with real keys: kill -9 at any instant while trading, SIGTERM, SIGSTOP (F31)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pytest

from carryfold.adapters.bybit.endpoint import KEY_VARIABLE, SECRET_VARIABLE
from carryfold.domain.events import OrderIntended, RunStarted, RunStopped
from carryfold.eventlog import LogError, send_command
from carryfold.simexchange import SimExchange
from tests.adapters.daemon.live.checker import check
from tests.adapters.daemon.live.money import ours, theirs
from tests.adapters.daemon.live.session import (
    KEY,
    LIMITS,
    PARAMETERS,
    POLICY,
    SECRET,
    exchange,
    halt_before,
    settings_for,
    trading_on,
)
from tests.adapters.daemon.world import events_of
from tests.adapters.shell import CARRYFOLD, environment

PAIRS: Final = "BTCUSDT,1000SYN04USDT"
QUICK: Final = msgspec.structs.replace(LIMITS, cooldown_s=1.0)
"""Entries that lost their hedge to a kill are tried again soon."""

WAIT_S: Final = 200.0


def write_config(home: Path) -> None:
    """What a live run needs: the consent of the file, and the limits and parameters of these tests."""
    home.mkdir()
    lines = ["[daemon]", "live = true", "low_disk_mb = 0", "[execution]"]
    for table, value in (("", QUICK), ("[recording]", POLICY)):
        lines += [table] if table else []
        lines += [f"{name} = {list(one) if isinstance(one, tuple) else one}" for name, one in _changed(value).items()]
    lines += ["[parameters]", *(text.replace("=", " = ") for text in PARAMETERS)]
    (home / "carryfold.toml").write_text("\n".join(lines) + "\n")


def _changed(value: msgspec.Struct) -> dict[str, object]:
    return msgspec.structs.asdict(value)


class Child:
    """A daemon in a process of its own. Its output goes to a file."""

    def __init__(self, home: Path, process: Process, said: Path) -> None:
        self.home = home
        self.process = process
        self.said = said

    async def until_said(self, text: str) -> None:
        """Wait for a line. Fails if the process ends before."""
        end = time.monotonic() + WAIT_S
        while text not in self.said.read_text():
            assert self.process.returncode is None, self.said.read_text()[-2_000:]
            assert time.monotonic() < end, f"'{text}' was not said: {self.said.read_text()[-2_000:]}"
            await asyncio.sleep(0.02)

    async def command(self, name: str) -> bool:
        """Give a command; False if nobody took it."""
        try:
            await asyncio.to_thread(send_command, self.home, name, {"reason": "test"}, 15.0)
        except LogError:
            return False
        return True

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), WAIT_S)


@asynccontextmanager
async def child(home: Path, venue: SimExchange) -> AsyncIterator[Child]:
    """A started process, killed at the latest when the test is done with it."""
    said = home.parent / "said.txt"
    arguments = [
        "--home", str(home), "run", "--mode", "live", "--live", "--endpoint", venue.endpoints.rest, "--pairs", PAIRS,
        "--speed", str(venue.config.speed),
    ]  # fmt: skip
    secrets = {KEY_VARIABLE: KEY, SECRET_VARIABLE: SECRET}
    with said.open("a") as out:
        process = await asyncio.create_subprocess_exec(
            str(CARRYFOLD), *arguments, stdout=out, stderr=out, env=environment(**secrets)
        )
    try:
        yield Child(home, process, said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _trade(one: Child, rng: Random) -> None:
    """Open and close for ever, at irregular intervals."""
    while True:
        for name in ("resume", "flatten"):
            await one.command(name)
            await asyncio.sleep(rng.uniform(0.1, 1.2))


async def _killed_while_trading(home: Path, venue: SimExchange, rng: Random) -> None:
    async with child(home, venue) as one:
        if rng.random() < 0.8:
            await one.until_said("log and venue agree")
        one.said.write_text("")
        trading = asyncio.ensure_future(_trade(one, rng))
        await asyncio.sleep(rng.uniform(0.0, 2.5))
        assert await one.end(signal.SIGKILL) == -signal.SIGKILL
        trading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await trading


async def _kill(home: Path, rounds: int, seed: int) -> None:
    """So many rounds of kills, then a start that keeps running and has to put everything in order."""
    write_config(home)
    rng = Random(seed)
    async with exchange() as venue:
        halt_before(home, venue)
        for _ in range(rounds):
            await _killed_while_trading(home, venue, rng)
        async with trading_on(venue, home, settings_for(venue, pairs=PAIRS, limits=QUICK), halted=False) as session:
            await session.close()
            await session.agree(60)
            assert ours(session) == theirs(venue)
            assert not venue.exchange.account.held
        check(home, venue)


def _check_rounds(home: Path, orders: int) -> None:
    events = [event for _, _, event in events_of(home)]
    assert sum(isinstance(event, RunStarted) for event in events) == 1, "each start took up the same run"
    assert sum(isinstance(event, OrderIntended) for event in events) >= orders, "something was traded"
    assert isinstance(events[-1], RunStopped)


def run(work: Coroutine[Any, Any, None], within_s: float = 280.0) -> None:
    """In real time, because the daemon is a process of its own."""
    asyncio.run(asyncio.wait_for(work, within_s))


def test_kill_9_while_trading_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    run(_kill(tmp_path / "home", 3, 5))
    _check_rounds(tmp_path / "home", 4)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    run(_kill(tmp_path / "home", 10, 100 + seed), 900)
    _check_rounds(tmp_path / "home", 10)


def test_f31_sigterm_while_trading_ends_in_order_and_a_freeze_is_slept_over(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def work() -> None:
        write_config(home)
        async with exchange() as venue:
            halt_before(home, venue)
            async with child(home, venue) as one:
                await one.until_said("log and venue agree")
                assert await one.command("resume")
                await one.until_said("process ended")
                one.process.send_signal(signal.SIGSTOP)
                frozen_at = venue.now_ms
                flatten = asyncio.ensure_future(one.command("flatten"))
                while venue.now_ms < frozen_at + 60_000:
                    await asyncio.sleep(0.05)
                one.process.send_signal(signal.SIGCONT)
                assert await flatten
                await one.until_said('"outcome": "closed"')
                assert await one.command("resume")
                while len(venue.exchange.orders.all) % 8 in (0, 7):
                    await asyncio.sleep(0.005)
                assert await one.end(signal.SIGTERM) == 0
                assert isinstance(events_of(home)[-1][2], RunStopped), "its end is the last that is known of it"
                said = one.said.read_text()
            async with trading_on(venue, home, settings_for(venue, pairs=PAIRS), halted=False) as session:
                await session.close()
                await session.agree()
                assert ours(session) == theirs(venue)
            check(home, venue, output=said)

    run(work())
