"""What comes before every test."""

import subprocess
import sys

import pytest

from carryfold.domain.fold import is_compiled


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """On a fresh machine the fold is compiled once, not in each worker at the same time beside tests with deadlines."""
    if hasattr(session.config, "workerinput") or is_compiled():
        return
    kernels = "simulate", "simulate_many"
    commands = [[sys.executable, "-m", "tests.compile_fold", kernel] for kernel in kernels]
    running = [subprocess.Popen(command, cwd=session.config.rootpath) for command in commands]
    assert [one.wait() for one in running] == [0, 0], "the fold does not compile"
