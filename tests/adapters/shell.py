"""The command line for tests: as a real process, or in this one where only what it prints matters."""

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


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what would change where or how a command works."""
    left_out = ("CARRYFOLD_HOME", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if name not in left_out} | changes


def carryfold(*arguments: str, home: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    command = [str(CARRYFOLD), "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**changes))


def answer(*arguments: str, home: Path) -> Any:
    """The JSON that a command prints."""
    done = carryfold(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Shell:
    """Commands in this process; the compiled fold is loaded once for all of them."""

    def __init__(self, captured: pytest.CaptureFixture[str], home: Path) -> None:
        self._captured = captured
        self.home = home

    def run(self, *arguments: str, home: Path | None = None) -> Said:
        """How it ended."""
        self._captured.readouterr()
        code = main(["--home", str(home or self.home), *arguments])
        return Said(code, *self._captured.readouterr())

    def json(self, *arguments: str, home: Path | None = None) -> Any:
        """The JSON of a command that has to succeed."""
        said = self.run(*arguments, "--json", home=home)
        assert said.code == 0, said.err
        return json.loads(said.out)


def write_files(folder: Path) -> tuple[Path, Path]:
    """funding.csv and bars.csv of one pair that earns for a week and then pays."""
    rates = [f"XUSDT,{1704067200000 + 28800000 * k},{0.0004 if k < 20 else -0.0001}" for k in range(40)]
    bars = [f"XUSDT,{1704067200000 + 3600000 * k},100,100,100.02,1000000" for k in range(330)]
    header = "symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt"
    (folder / "funding.csv").write_text("\n".join(["symbol,settled_at_ms,rate", *rates]))
    (folder / "bars.csv").write_text("\n".join([header, *bars]))
    return folder / "funding.csv", folder / "bars.csv"


def heed_interrupts() -> None:
    """For `preexec_fn`: a child of a job in the background would ignore Ctrl-C, as its parents do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
