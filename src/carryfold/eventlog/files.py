"""Atomic files and folders: written beside their final place, flushed, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, renamed to `target` when the block succeeds and deleted when it fails.

    Raises FileExistsError.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))  # mode 0700
    try:
        yield partial
        for path in [*partial.rglob("*"), partial]:
            _sync(path)
        partial.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(partial)
        raise


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A new file beside `target`, which replaces `target` when the block succeeds and is deleted when it fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.partial-", dir=target.parent)  # mode 0600
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    except BaseException:
        partial.unlink()
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
