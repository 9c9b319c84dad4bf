"""What every test of the log needs: a home, a clock that counts, and real child processes."""

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
    """Starts at 1,000 and counts one ns at each look, so that times can be written down in a test."""
    ticks = iter(range(10**9))
    return Clock(wall=lambda: 1_000, monotonic=lambda: next(ticks))


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a script of the folder `children` with a pipe on each side; whatever still runs is killed at the end."""
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
