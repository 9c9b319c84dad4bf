"""What comes before every test, and what is made once for all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from carryfold.domain.fold import is_compiled
from tests.adapters.shell import carryfold
from tests.once import made_once


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """On a fresh machine the fold is compiled once, not in each worker at the same time beside tests with deadlines."""
    if hasattr(session.config, "workerinput") or is_compiled():
        return
    kernels = "simulate", "simulate_many"
    commands = [[sys.executable, "-m", "tests.compile_fold", kernel] for kernel in kernels]
    running = [subprocess.Popen(command, cwd=session.config.rootpath) for command in commands]
    assert [one.wait() for one in running] == [0, 0], "the fold does not compile"


@pytest.fixture(scope="session")
def toured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home in which the demo was run, and what it said. Nothing may write to it."""

    def make(folder: Path) -> None:
        said = carryfold("demo", home=folder / "home")
        assert (said.returncode, said.stderr.replace("compiling", "").count("\n") <= 1) == (0, True), said.stderr
        (folder / "said").write_text(said.stdout)

    folder = made_once(tmp_path_factory, "demo", make)
    return folder / "home", (folder / "said").read_text()
