"""A home with a small market, created once, and a shell in it."""

from pathlib import Path

import pytest

from tests.adapters.shell import Shell, carryfold, write_files


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small market, which must not be written to."""
    folder = tmp_path_factory.mktemp("small")
    files = write_files(folder)
    done = carryfold("import", *map(str, files), home=folder / "home")
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_home: Path) -> Shell:
    for name in ("CARRYFOLD_HOME", "COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(capsys, small_home)
