"""`carryfold backfill` as the user types it, against a simulated Bybit in another thread."""

import asyncio
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carryfold.domain.events import FundingSettled
from carryfold.eventlog import EventLog, NoLog, verify
from carryfold.simexchange import SimConfig, SimExchange
from tests.adapters.bybit.venue import NOW_MS, events_of
from tests.adapters.shell import CARRYFOLD, Shell, default_interrupts, environment

SINCE = "2025-05-16"


@contextmanager
def serving(config: SimConfig) -> Iterator[str]:
    """A simulated exchange in a thread of its own; its REST address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(SimExchange.start(config), loop).result(30)
    try:
        yield running.endpoints.rest
    finally:
        asyncio.run_coroutine_threadsafe(running.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    # With the venue's own limit of requests: the command may never run into it.
    config = SimConfig(speed=0, start_ms=NOW_MS, pairs=8, auto_switch=False)
    with serving(config) as found:
        yield found


def test_history_comes_in_and_a_backtest_runs_over_it(shell: Shell, tmp_path: Path, address: str) -> None:
    home = tmp_path / "home"
    arguments = ("--endpoint", address, "--pairs", "top:2", "--since", SINCE)

    shown = shell.run("backfill", *arguments, home=home)
    again = shell.json("backfill", *arguments, home=home)
    run = shell.json("backtest", "--no-hold", home=home)

    assert shown.code == 0, shown.err
    assert "BTCUSDT" in shown.out
    assert "new events" in shown.out
    assert "hindsight: pairs of bybit chosen by their turnover on 2025-06-15 (top:2)" in shown.out
    assert [(one["choice"], one["venue"]) for one in again["pair_choices"]] == [("top:2", "bybit")]
    assert again["appended"] == 0
    assert [pair["symbol"] for pair in again["report"]["pairs"]] == ["BTCUSDT", "ETHUSDT"]
    assert run["settlements"] == sum(pair["settlements"] for pair in again["report"]["pairs"]) > 150
    assert verify(home).ok


def test_a_closed_pair_can_be_named(shell: Shell, tmp_path: Path, address: str) -> None:
    answer = shell.json(
        "backfill", "--endpoint", address, "--pairs", "syn06usdt", "--since", "2024-12-01", "--prices", "1d",
        home=tmp_path / "home",
    )  # fmt: skip

    (pair,) = answer["report"]["pairs"]
    assert (pair["symbol"], pair["status"]) == ("SYN06USDT", "Closed")
    assert pair["settlements"] > 80
    assert pair["bars"] == 28


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--pairs", "NOPEUSDT"], 1, "the venue has no pair NOPEUSDT with a spot and a perpetual leg"),
        (["--pairs", "BTCUSD"], 1, "did you mean BTCUSDT?"),
        (["--pairs", "top:0"], 1, "write top:20, all, or symbols"),
        (["--prices", "8h"], 2, "--prices 8h: there are none, 15m"),
        (["--venue", "binance"], 2, "there is no venue 'binance'"),
        (["--until", "2025-04-01"], 1, "is not before the end of what is known"),
        (["--until", "soon"], 2, "'soon' is not a time"),
        (["--predicted", "-1"], 2, "--predicted"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    shell: Shell, tmp_path: Path, address: str, arguments: list[str], code: int, expected: str
) -> None:
    done = shell.run("backfill", "--since", SINCE, "--endpoint", address, *arguments, home=tmp_path / "home")

    assert (done.code, done.out) == (code, "")
    assert expected in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("endpoint", ["nowhere", "http://example.com", "https://example.com/v5"])
def test_an_endpoint_that_cannot_be_used_is_one_line(shell: Shell, tmp_path: Path, endpoint: str) -> None:
    done = shell.run("backfill", "--since", SINCE, "--endpoint", endpoint, home=tmp_path / "home")

    assert done.code == 1
    assert done.err.count("\n") == 1


def test_a_log_that_is_owned_is_left_alone(shell: Shell, tmp_path: Path, address: str) -> None:
    home = tmp_path / "home"
    with EventLog.open(home):
        done = shell.run("backfill", "--since", SINCE, "--endpoint", address, home=home)

    assert done.code == 1
    assert "is owned by process" in done.err
    assert done.err.count("\n") == 1


def test_killed_and_interrupted_it_goes_on_from_there(shell: Shell, tmp_path: Path, address: str) -> None:
    """A real process, ended by SIGKILL and then by Ctrl-C while it writes."""
    homes = tmp_path / "whole", tmp_path / "killed"
    arguments = ["backfill", "--endpoint", address, "--pairs", "all", "--since", SINCE, "--json"]
    shell.json(*arguments[:-1], home=homes[0])
    for ended_by in (signal.SIGKILL, signal.SIGINT):
        before = settlements_in(homes[1])
        process = subprocess.Popen(
            [CARRYFOLD, "--home", str(homes[1]), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
            preexec_fn=default_interrupts,  # noqa: PLW1509 - it only sets a signal
        )
        wait_for_settlements(process, homes[1], before + 60)
        process.send_signal(ended_by)
        _, err = process.communicate(timeout=30)
        assert process.returncode == (-signal.SIGKILL if ended_by == signal.SIGKILL else 130)
        assert b"Traceback" not in err

    last = shell.json(*arguments[:-1], home=homes[1])

    assert last["report"]["pairs"] != []
    whole, killed = (sorted(map(repr, events_of(home))) for home in homes)
    assert killed == whole
    assert sum("FundingSettled" in text for text in whole) > 1_000
    assert verify(homes[1]).ok


def wait_for_settlements(process: "subprocess.Popen[bytes]", home: Path, count: int) -> None:
    """Until the log has so many, or the process has ended by itself."""
    deadline = time.monotonic() + 60
    while process.poll() is None and settlements_in(home) < count:
        assert time.monotonic() < deadline, "the backfill did not come that far"
        time.sleep(0.02)


def settlements_in(home: Path) -> int:
    try:
        return sum(isinstance(event, FundingSettled) for _, event in events_of(home))
    except (NoLog, OSError):
        return 0


def test_json_holds_nothing_but_json(tmp_path: Path, address: str) -> None:
    done = subprocess.run(
        [CARRYFOLD, "--home", str(tmp_path / "home"), "backfill", "--endpoint", address, "--pairs", "BTCUSDT",
         "--since", "2025-06-14", "--prices", "none", "--json"],
        capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip

    assert json.loads(done.stdout)["report"]["pairs"][0]["symbol"] == "BTCUSDT"
    assert done.stderr == ""
