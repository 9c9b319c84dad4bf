"""`carryfold run` and `carryfold verify-run`: one clear line for whoever is not lucky."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carryfold.adapters.bybit import client
from carryfold.adapters.daemon.service import run_daemon
from carryfold.adapters.venues import VenueError
from carryfold.domain.codec import encode
from carryfold.domain.events import ClockTicked, EntryDecided, Event, FillSimulated, FundingSettled, Halted, Quoted
from carryfold.eventlog import Clock, DiskFull, EventLog, LogReader
from carryfold.projections.runs import RunError
from carryfold.simexchange.config import KeyRights
from tests.adapters.daemon.world import (
    SECOND,
    copy_of,
    daemon,
    events_of,
    exchange,
    kinds_of,
    parameter_set,
    rewritten,
    run,
    settings_for,
    until,
    verify_all,
)  # fmt: skip
from tests.adapters.shell import CommandResult, Shell

NOWHERE = ("--endpoint", "http://127.0.0.1:9")
SECRET = "simsecret"
ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def one_line(said: CommandResult, code: int, *words: str) -> None:
    assert said.code == code, said.err
    assert said.out == ""
    assert said.err.startswith("carryfold")
    assert said.err.count("\n") == 1, said.err
    for word in words:
        assert word in said.err


# --- how it is called ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mode", "dream"), ("observe, paper, live",)),
        (("--mode", "live"), ("--live",)),
        (("--mode", "paper", "--live"), ("--mode live",)),
        (("--mode", "live", "--live"), ("[daemon] live = true",)),
        (("--mode", "paper", "--set", "exit=1"), ("enter must not be below exit",)),
        (("--mode", "paper", "--set", "colour=red"), ("colour",)),
        (("--mode", "paper", "--set-file", "nothing.toml"), ("nothing.toml", "no such file")),
        (("--mode", "paper", "--config", "nothing.toml"), ("nothing.toml", "no such file")),
        ((), ("--mode",)),
        (("--mode", "paper", "--metrics-port", "0"), ("metrics-port",)),
        (("--mode", "paper", "--for", "-5"), ("--for takes seconds",)),
        (("--mode", "paper", "--for", "nan"), ("--for takes seconds",)),
        (("--mode", "observe", "--set", "enter=0.1"), ("no effect with --mode observe",)),
    ],
)
def test_wrong_usage_is_one_line(
    shell: Shell, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_line(shell.run("run", *arguments, home=tmp_path), 2, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("enter = 0.1", ("[parameters]",)),
        ("[parameters]\nentre = 0.1", ("entre", "did you mean 'enter'")),
        ("[parameters]\nexit = 1", ("enter must not be below exit",)),
        ("not toml", ("is not TOML",)),
        ("[parameters]\nexit = 0\n[daemon]\nlive = true", ("only [parameters]", "[daemon]")),
    ],
)
def test_a_bad_parameter_file_is_one_line(shell: Shell, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    one_line(shell.run("run", "--mode", "paper", "--set-file", str(file), home=tmp_path), 2, "a.toml", *words)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[daemon]\nlow_disk = 5", ("[daemon]", "low_disk_mb")),
        ("[daemon]\nlive = 1", ("[daemon]", "live")),
        ("[recording]\nquotes = 5", ("[recording]", "quote_s")),
        ("[recording]\ncommits_a_second = 0", ("[recording]", "commits_a_second")),
        ("[recording]\nquote_s = -1", ("[recording]", "negative")),
        ("[daemon]\nmetrics_port = 70000", ("[daemon]", "metrics_port")),
        ("[execution]\nmax_order = 5", ("[execution]",)),
    ],
)
def test_a_bad_setting_is_one_line(shell: Shell, tmp_path: Path, table: str, words: tuple[str, ...]) -> None:
    (tmp_path / "carryfold.toml").write_text(table)
    one_line(shell.run("run", "--mode", "paper", home=tmp_path), 2, *words)


def test_two_equal_sets_are_no_comparison_and_live_takes_one(shell: Shell, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("[parameters]\nexit = 0.00005")
    (tmp_path / "carryfold.toml").write_text("[daemon]\nlive = true")
    both = ("--set-file", str(tmp_path / "a.toml"), "--set-file", str(tmp_path / "b.toml"))

    one_line(shell.run("run", "--mode", "paper", *both, home=tmp_path), 2, "equal")
    one_line(shell.run("run", "--mode", "live", "--live", *both, home=tmp_path), 2, "one parameter set")


# --- what the world is like ------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.001)


@pytest.mark.usefixtures("impatient")
def test_no_network_is_one_line(shell: Shell, tmp_path: Path) -> None:
    one_line(shell.run("run", "--mode", "paper", *NOWHERE, home=tmp_path), 1, "check the network")
    assert not (tmp_path / "log").exists()


def test_an_endpoint_that_is_none_and_a_speed_that_makes_no_sense_are_one_line(shell: Shell, tmp_path: Path) -> None:
    one_line(shell.run("run", "--mode", "paper", "--endpoint", "http://example.com", home=tmp_path), 1, "not encrypted")
    one_line(shell.run("run", "--mode", "paper", "--speed", "5", home=tmp_path), 1, "simulated exchange")
    for speed in ("0", "-3", "nan", "inf"):
        one_line(shell.run("run", "--mode", "paper", *NOWHERE, "--speed", speed, home=tmp_path), 1, "greater than 0")


def understood_commands() -> list[str]:
    """Lines of README and docs/live.md that are shown and not run elsewhere: their work needs a venue."""
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/live.md")]
    blocks = [block for page in pages for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL)]
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("carryfold ") and " simexchange" not in line]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("line", understood_commands())
def test_every_documented_live_command_is_understood(shell: Shell, tmp_path: Path, line: str) -> None:
    """With a venue that is not there: whatever it says, it is not about how it was called."""
    (tmp_path / "carryfold.toml").write_text("[daemon]\nlive = true\n")
    for name, level in (("calm", "0.0002"), ("bold", "0.00005")):
        (tmp_path / f"{name}.toml").write_text(f"[parameters]\nenter = {level}\nexit = {level}\n")
    words = [str(tmp_path / word) if word.endswith(".toml") else word for word in line.split()[1:]]
    if words[0] in ("run", "backfill"):
        at = words.index("--endpoint") if "--endpoint" in words else len(words)
        words[at : at + 2] = NOWHERE
    said = shell.run(*words, home=tmp_path)

    assert said.code == 1, said.err
    assert said.err.count("\n") <= 1


def fails(
    home: Path, error: type[Exception], match: str, *, venue: dict[str, Any] | None = None, **changes: Any
) -> None:
    """A daemon on a simulated exchange does not come to be armed."""

    async def work() -> None:
        async with exchange(**(venue or {})) as box:
            with pytest.raises(error, match=match) as caught:
                async with daemon(home, settings_for(box, **changes)):
                    pass
            assert "\n" not in str(caught.value)
            assert SECRET not in str(caught.value)

    run(work())


def test_an_unknown_pair_is_named_with_the_nearest(tmp_path: Path) -> None:
    fails(tmp_path, VenueError, "no pair BTCUSDC .*did you mean BTCUSDT", pairs="BTCUSDC")
    fails(tmp_path, VenueError, "write top:20", pairs="top:many")
    fails(tmp_path, VenueError, "none of the pairs 'SYN06USDT' is trading", pairs="SYN06USDT")


def test_a_clock_that_is_wrong_is_told_by_how_much(tmp_path: Path) -> None:
    fails(tmp_path, VenueError, r"clock is [\d.]+ s ahead of the venue's.*NTP", speed=None)


def test_a_log_from_the_future_is_refused(tmp_path: Path) -> None:
    later = time.time_ns() + 10**18
    with EventLog.open(tmp_path, clock=Clock(lambda: later, lambda: 0)) as log:
        log.append([(encode(ClockTicked(later)), None, None)])
    fails(tmp_path, VenueError, "was recorded .* after what the clock shows now")


def test_a_metrics_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fails(tmp_path, OSError, f"metrics cannot be served on port {port}: address already in use", metrics_port=port)


def test_a_disk_that_is_nearly_full_opens_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with exchange() as venue:
            choice = settings_for(venue, [parameter_set("run", "enter=-1", "exit=-1")], low_disk_mb=1 << 40)
            async with daemon(tmp_path, choice) as served:
                book = served.runs[0].state.book
                await until(lambda: bool(book["halted"][0] and book["decisions"][0] + book["refused"][0].sum() > 20))

    run(work())
    assert [event.reason for _, _, event in events_of(tmp_path, Halted)] == ["disk nearly full"]
    assert "MB are free" in caplog.text
    assert verify_all(tmp_path)[0].identical


def test_f05_a_log_that_cannot_be_written_stops_the_daemon_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, calls = EventLog.append_columns, [0]

    def refuse(self: EventLog, groups: Any) -> Any:
        calls[0] += 1
        if calls[0] > 60:
            raise DiskFull("data.mdb: the disk is full, nothing of this append was written; make room and append again")
        return append(self, groups)

    async def until_full() -> None:
        async with exchange() as venue:
            choice = settings_for(venue, [parameter_set("run", "enter=-1", "exit=-1")])
            monkeypatch.setattr(EventLog, "append_columns", refuse)
            with pytest.raises(DiskFull, match="make room"):
                await asyncio.wait_for(run_daemon(tmp_path, choice, signals=False), 30.0)
            monkeypatch.undo()
            async with daemon(tmp_path, choice) as served:
                await until(lambda: bool(served.runs[0].state.book["held"][0] > 0))

    run(until_full())
    assert kinds_of(tmp_path).count("RunStarted") == 1
    assert verify_all(tmp_path)[0].identical


def test_f11_an_event_of_another_version_refuses_to_arm_and_can_be_looked_at(shell: Shell, tmp_path: Path) -> None:
    unknown = msgspec.msgpack.encode(["PairTeleported", "v", "A", 1, 5])
    with EventLog.open(tmp_path, clock=Clock(lambda: SECOND, lambda: 0)) as log:
        log.append([(encode(ClockTicked(5)), None, None), (unknown, None, None)])
    fails(tmp_path, RunError, "seq 2 is a PairTeleported, which this version does not know")

    assert [e for e in kinds_known(tmp_path) if e == "RunArmed"] == []
    assert shell.run("log", "verify", home=tmp_path).code == 0
    assert "PairTeleported" in shell.run("log", "show", home=tmp_path).out
    assert "PairTeleported" in shell.run("log", "show", "--json", home=tmp_path).out
    one_line(shell.run("verify-run", home=tmp_path), 1, "PairTeleported")
    one_line(shell.run("backtest", home=tmp_path), 1, "PairTeleported", "carryfold log show")


def kinds_known(home: Path) -> list[Any]:
    with LogReader.open(home) as reader:
        return [event[0] for batch in reader.read() for _, event in msgspec.msgpack.decode(batch.payload)]


# --- live ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYFOLD_BYBIT_KEY", "sim000000000000007")
    monkeypatch.setenv("CARRYFOLD_BYBIT_SECRET", "simsecret000000000000000000000000007")


@pytest.mark.usefixtures("keys")
def test_keys_that_may_too_much_or_too_little_are_refused(tmp_path: Path) -> None:
    for rights, match in (
        (KeyRights(withdraw=True), "may withdraw"),
        (KeyRights(trade=False), "may not trade"),
        (KeyRights(read_only=True), "may not trade"),
    ):
        fails(tmp_path, VenueError, match, venue={"rights": rights}, mode="live")
    assert not (tmp_path / "log").exists()


@pytest.mark.usefixtures("keys", "impatient")
def test_keys_that_are_wrong_are_refused_without_being_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYFOLD_BYBIT_SECRET", "simsecret-of-another-account-entirely")
    fails(tmp_path, VenueError, "API", mode="live")


def test_live_without_keys_says_where_they_are_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARRYFOLD_BYBIT_KEY", raising=False)
    monkeypatch.delenv("CARRYFOLD_BYBIT_SECRET", raising=False)
    fails(tmp_path, VenueError, "needs an API key", mode="live")


@pytest.mark.usefixtures("keys")
def test_f08_a_damaged_log_is_not_armed_live(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    data = home / "log" / "data.mdb"
    event = encode(events_of(home, FundingSettled)[0][2])
    damaged = event.replace(b"FundingSettled", b"FundingSettlec")
    content = data.read_bytes()
    assert event in content
    data.write_bytes(content.replace(event, damaged))  # everywhere: pages that are free may hold it as well

    later = {"start": "2025-06-03T00:00:00Z"}
    fails(home, VenueError, "not armed: .*damaged at seq", venue=later, mode="live")


# --- verify-run ------------------------------------------------------------------------------------------------------


def test_verify_run_says_identical_for_every_run_or_one(shell: Shell, paper_home: Path) -> None:
    every = shell.run("verify-run", home=paper_home)
    told = shell.json("verify-run", home=paper_home)
    first = told["runs"][0]["run"]

    assert every.code == 0
    assert every.out.count("and the state identical under upto_seq") == 3
    assert told["identical"] is True
    assert [one["run"] for one in shell.json("verify-run", str(first), home=paper_home)["runs"]] == [first]
    one_line(shell.run("verify-run", "7", home=paper_home), 1, "no run 7")


def changed_decision(seq: int, event: Event) -> Event:
    """One lot more than was decided."""
    if isinstance(event, EntryDecided) and not seen:
        seen.append(seq)
        return msgspec.structs.replace(event, lots=event.lots + 1)
    return event


seen: list[int] = []


def test_a_log_that_was_tampered_with_shows_its_first_difference(
    shell: Shell, paper_home: Path, tmp_path: Path
) -> None:
    seen.clear()
    home = rewritten(paper_home, tmp_path / "forged", changed_decision)
    said = shell.run("verify-run", home=home)
    told = json.loads(shell.run("verify-run", "--json", home=home).out)

    assert shell.run("log", "verify", home=home).code == 0, "whoever did it computed the digests anew"
    assert said.code == 1
    assert "DIFFERENT from number 0 of its decisions on" in said.out
    assert told["identical"] is False
    (forged,) = [one for one in told["runs"] if not one["identical"]]
    first = forged["first_difference"]
    assert first["recorded"]["lots"] == first["refolded"]["lots"] + 1
    assert first["recorded"]["pair"] == first["refolded"]["pair"]


def test_a_market_that_was_tampered_with_shows_in_the_fills(shell: Shell, paper_home: Path, tmp_path: Path) -> None:
    decided = min(seq for seq, _, event in events_of(paper_home, FillSimulated) if event.action == "enter")

    def dearer(seq: int, event: Event) -> Event:
        if isinstance(event, Quoted) and event.kind == "spot" and decided - 400 < seq < decided:
            return msgspec.structs.replace(event, ask=event.ask * 1.0001)
        return event

    home = rewritten(paper_home, tmp_path / "forged", dearer)
    said = shell.run("verify-run", home=home)
    assert said.code == 1
    assert "DIFFERENT from number" in said.out


def test_a_run_of_another_version_of_the_fold_is_not_judged(shell: Shell, paper_home: Path, tmp_path: Path) -> None:
    def older(_: int, event: Event) -> Event:
        return msgspec.structs.replace(event, code_digest="0" * 64) if hasattr(event, "code_digest") else event

    home = rewritten(paper_home, tmp_path / "older", older)
    one_line(shell.run("verify-run", home=home), 1, "another version of the fold", "000000000000")


def test_a_log_without_runs_has_nothing_to_verify(shell: Shell) -> None:
    one_line(shell.run("verify-run"), 1, "has no runs")
