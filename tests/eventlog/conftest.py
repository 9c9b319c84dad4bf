"""Fixtures of the log tests: a home, a clock that counts, and real child processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carryfold.eventlog import Clock

CHILDREN = Path(__file__).parent / "children"
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def clock() -> Clock:
    """Starts at 1,000 and advances one ns at each reading, so that tests can state exact times."""
    ticks = iter(range(10**9))
    return Clock(wall=lambda: 1_000, monotonic=lambda: next(ticks))


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a script of the folder `children` with pipes to it; a script that still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(CHILDREN / script), *map(str, arguments)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield start
    for child in started:
        with child:
            child.kill()
