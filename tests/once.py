"""What takes long to make is made once, whichever worker needs it first."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carryfold.projections.filelock import exclusive

__all__ = ["made_once"]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` was given, empty. It is there until the tests end, for all workers."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with exclusive(folder / "lock"):
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder
