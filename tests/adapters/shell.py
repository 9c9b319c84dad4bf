"""The command line for tests: as a real process, or in this process where only the output matters."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from carryfold.adapters.cli import main

CARRYFOLD = Path(sys.executable).with_name("carryfold")


class CommandResult(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without the variables that change the home or the output."""
    left_out = ("CARRYFOLD_HOME", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if name not in left_out} | changes


def carryfold(*arguments: str, home: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [str(CARRYFOLD), "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**changes))


def answer(*arguments: str, home: Path) -> Any:
    """The JSON of a command in a process of its own."""
    done = carryfold(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Shell:
    """Runs commands in this process, which loads the compiled fold once."""

    def __init__(self, captured: pytest.CaptureFixture[str], home: Path) -> None:
        self._captured = captured
        self.home = home

    def run(self, *arguments: str, home: Path | None = None) -> CommandResult:
        """Run a command."""
        self._captured.readouterr()
        code = main(["--home", str(home or self.home), *arguments])
        return CommandResult(code, *self._captured.readouterr())

    def json(self, *arguments: str, home: Path | None = None) -> Any:
        """The JSON of a command that must succeed."""
        result = self.run(*arguments, "--json", home=home)
        assert result.code == 0, result.err
        return json.loads(result.out)


def write_files(folder: Path) -> tuple[Path, Path]:
    """Write funding.csv and bars.csv of one pair whose rate is positive for a week and then negative."""
    rates = [f"XUSDT,{1704067200000 + 28800000 * k},{0.0004 if k < 20 else -0.0001}" for k in range(40)]
    bars = [f"XUSDT,{1704067200000 + 3600000 * k},100,100,100.02,1000000" for k in range(330)]
    header = "symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt"
    (folder / "funding.csv").write_text("\n".join(["symbol,settled_at_ms,rate", *rates]))
    (folder / "bars.csv").write_text("\n".join([header, *bars]))
    return folder / "funding.csv", folder / "bars.csv"


def default_interrupts() -> None:
    """For `preexec_fn`: children of a background job inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
