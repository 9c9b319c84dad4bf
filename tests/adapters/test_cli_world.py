"""The commands under adverse conditions: other owners, locks, signals, closed pipes, full disks, odd homes."""

import errno
import os
import signal
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.bootstrap import announce_compiling
from carryfold.adapters.cli import errors
from carryfold.adapters.cli.app import main
from carryfold.adapters.terminal import Terminal
from carryfold.domain import events as ev
from carryfold.domain.codec import decode
from carryfold.eventlog import EventLog, LogReader
from tests.adapters.shell import CARRYFOLD, Shell, carryfold, default_interrupts, environment, write_files


def log_home(shell: Shell, folder: Path) -> Path:
    """A home that the test may write to."""
    home = folder / "home"
    assert shell.run("import", str(write_files(folder)[0]), home=home).code == 0
    return home


def test_the_owner_of_the_log_gets_the_command(shell: Shell, tmp_path: Path) -> None:
    home = log_home(shell, tmp_path)
    heard: list[tuple[str, dict[str, Any]]] = []

    def handle(command: str, arguments: dict[str, Any]) -> int:
        heard.append((command, arguments))
        return 1234

    with EventLog.open(home, command_handler=handle):
        result = shell.json("flatten", "--reason", "a test", home=home)

    assert heard == [("flatten", {"reason": "a test"})]
    assert result == {"command": "flatten", "seq": 1234, "recorded_by": "owner"}


@pytest.mark.parametrize(
    ("command", "kind"), [("halt", ev.Halted), ("resume", ev.Resumed), ("flatten", ev.FlattenRequested)]
)
def test_without_an_owner_the_command_is_recorded_for_every_run(
    shell: Shell, tmp_path: Path, command: str, kind: type
) -> None:
    home = log_home(shell, tmp_path)

    seq = shell.json(command, "--reason", "why", home=home)["seq"]

    with LogReader.open(home) as reader:
        (batch,) = reader.read(seq - 1)
        assert batch.last_seq == seq == reader.last.seq
    from carryfold.eventlog.record import decode_pairs

    ((known_at, raw),) = decode_pairs(batch.payload)
    event = decode(bytes(raw))
    assert (type(event), event.run, event.reason) == (kind, 0, "why")
    assert known_at == batch.recorded_at


def test_log_stat_names_the_owner_of_the_log(shell: Shell, tmp_path: Path) -> None:
    home = log_home(shell, tmp_path)
    with EventLog.open(home):
        imported = shell.run("import", str(tmp_path / "funding.csv"), home=home)
        halted = shell.run("halt", home=home)

    assert (imported.code, halted.code) == (1, 1)
    assert f"process {os.getpid()}" in imported.err
    assert f"process {os.getpid()}" in halted.err


@pytest.mark.parametrize("command", [["halt"], ["compare"], ["log", "stat"], ["pairs"], ["project", "status"]])
def test_a_missing_home_is_not_created(shell: Shell, tmp_path: Path, command: list[str]) -> None:
    result = shell.run(*command, home=tmp_path / "nowhere")

    assert (result.code, result.out) == (1, "")
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_an_exported_log_is_rebuilt_with_its_digest(shell: Shell, tmp_path: Path) -> None:
    home = log_home(shell, tmp_path)
    out = shell.json("log", "export", str(tmp_path / "log.jsonl.gz"), home=home)
    back = shell.json("log", "import", str(tmp_path / "log.jsonl.gz"), home=tmp_path / "again")
    twice = shell.run("log", "import", str(tmp_path / "log.jsonl.gz"), home=home)

    assert out["head_digest"] == back["head_digest"]
    assert twice.code == 1


def test_events_are_shown_by_number_kind_and_pair(shell: Shell) -> None:
    import json

    result = shell.run(
        "log", "show", "--from", "3", "--to", "20", "--kind", "FundingSettled", "--pair", "XUSDT", "--json"
    )
    shown = [json.loads(line) for line in result.out.splitlines()]

    assert [one["seq"] for one in shown] == [*range(3, 21)]
    assert {one["kind"] for one in shown} == {"FundingSettled"}
    assert [*shown[0]][:4] == ["seq", "known_at", "recorded_at", "kind"]
    assert shown[0]["event_at"] == "2024-01-01T08:00:00Z"
    assert shown[0]["known_at"] == "2024-01-01T08:01:00Z"


def test_more_events_than_the_limit_are_announced(shell: Shell) -> None:
    result = shell.run("log", "show", "--limit", "2")

    assert len(result.out.splitlines()) == 2
    assert "--from 3" in result.err


def test_following_the_log_ends_cleanly_with_an_interrupt(shell: Shell, tmp_path: Path) -> None:
    home = log_home(shell, tmp_path)
    command = [str(CARRYFOLD), "--home", str(home), "log", "tail", "--lines", "1", "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=default_interrupts,  # noqa: PLW1509 - it only sets a signal
    ) as child:
        assert child.stdout is not None
        assert "FundingSettled" in child.stdout.readline()
        assert shell.run("halt", home=home).code == 0
        assert "Halted" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)

    assert (child.returncode, out, err) == (0, "", "")


def test_a_closed_pipe_gives_no_traceback(shell: Shell) -> None:
    command = f"'{CARRYFOLD}' --home '{shell.home}' log show --limit 0 --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=environment())

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_global_options_may_stand_anywhere(shell: Shell, tmp_path: Path) -> None:
    home = str(shell.home)

    for arguments in (["log", "stat", "--home", home], ["log", f"--home={home}", "stat"]):
        assert main(arguments) == 0
    assert shell.run("log", "stat", "--home", str(tmp_path / "later-wins")).code == 1


def test_the_home_comes_from_the_environment_when_it_is_not_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYFOLD_HOME", str(shell.home))

    assert main(["log", "verify"]) == 0


def test_the_command_line_overrides_the_configuration(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[parameters]\nstrategy = "hold"\ncapital = 5000\nexit = 0.0001\n')
    named = ("--config", str(file))

    assert shell.json("backtest", *named)["params"]["strategy"] == "hold"
    found = shell.json("backtest", *named, "--strategy", "simple", "--set", "capital=7000")["params"]

    assert (found["strategy"], found["capital"], found["exit"]) == ("simple", 7000.0, 0.0001)


def test_a_configuration_that_is_wrong_is_wrong_usage(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[parameters]\nentre = 1\n")

    result = shell.run("backtest", "--config", str(file))

    assert (result.code, result.out) == (2, "")
    assert result.err == f"carryfold: {file}: [parameters]: unknown parameter 'entre'; did you mean 'enter'?\n"


@pytest.mark.parametrize("target", ["no-such-folder/report.html", "."])
def test_a_report_has_to_have_a_place(shell: Shell, tmp_path: Path, target: str) -> None:
    result = shell.run("backtest", "--html", str(tmp_path / target))

    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1


def test_a_span_that_ends_before_it_begins_is_refused(shell: Shell) -> None:
    assert shell.run("backtest", "--since", "2024-01-05", "--until", "2024-01-04").code == 2


def test_a_log_without_pairs_says_what_to_do(shell: Shell, tmp_path: Path) -> None:
    EventLog.open(tmp_path / "empty").close()

    result = shell.run("compare", home=tmp_path / "empty")

    assert result.code == 1
    assert "carryfold import" in result.err


def test_a_full_disk_is_one_line_that_says_so() -> None:
    described = errors.describe_error(OSError(errno.ENOSPC, "No space left on device", "report.html"))

    assert described == (1, "carryfold: report.html: no space left on device: make room and run it again")


def test_a_bug_is_a_traceback() -> None:
    assert errors.describe_error(AssertionError("a bug")) is None
    assert errors.describe_error(KeyError("a bug")) is None


def test_every_expected_error_is_an_existing_class() -> None:
    for module, name in errors._EXIT_CODES:
        assert issubclass(getattr(import_module(module), name), Exception)


def test_an_interrupt_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("carryfold.adapters.bootstrap.open_reader", interrupted)

    assert shell.run("backtest") == (130, "", "")


def test_the_first_run_says_that_it_compiles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("carryfold.domain.fold.is_compiled", lambda: False)

    announce_compiling(Terminal(json=True))

    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "compiling" in captured.err


def test_a_folder_that_may_not_be_written_is_one_clear_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = carryfold("import", str(write_files(tmp_path)[0]), home=tmp_path / "file" / "home")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_years_without_data_thin_no_annual_figure(shell: Shell) -> None:
    plain = shell.json("backtest")
    wide = shell.json("backtest", "--since", "2019-01-01", "--until", "2035-01-01")
    part = shell.json("backtest", "--since", "2024-01-03", "--until", "2024-01-06")

    assert wide["years"] == plain["years"] > 0
    assert wide["return_on_capital_annual"] == plain["return_on_capital_annual"]
    assert part["years"] * 365.25 == pytest.approx(3.0)
