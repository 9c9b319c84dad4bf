"""Set-up before all tests, and fixtures shared by all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from carryfold.domain.fold import is_compiled
from tests.adapters.shell import carryfold
from tests.once import create_once


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the fold once, not in each worker at the same time beside tests with deadlines."""
    if hasattr(session.config, "workerinput") or is_compiled():
        return
    kernels = "simulate", "simulate_many"
    commands = [[sys.executable, "-m", "tests.compile_fold", kernel] for kernel in kernels]
    running = [subprocess.Popen(command, cwd=session.config.rootpath) for command in commands]
    assert [one.wait() for one in running] == [0, 0], "the fold does not compile"


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home of a finished demo, which must not be written to, and the demo's output."""

    def make(folder: Path) -> None:
        done = carryfold("demo", home=folder / "home")
        assert (done.returncode, done.stderr.replace("compiling", "").count("\n") <= 1) == (0, True), done.stderr
        (folder / "output").write_text(done.stdout)

    folder = create_once(tmp_path_factory, "demo", make)
    return folder / "home", (folder / "output").read_text()
