"""Expensive test data, created once for all workers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carryfold.projections.filelock import exclusive

__all__ = ["create_once"]


def create_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder for all workers, filled by `make` on first use and kept until the tests end."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with exclusive(folder / "lock"):
        if not (folder / "complete").exists():
            make(folder)
            (folder / "complete").touch()
    return folder
