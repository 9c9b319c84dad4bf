"""A lock between processes, for the short times in which something derived is brought up to date.

Held through a file that stays where it is. The kernel gives the lock back when its holder dies, so nobody waits for
the dead.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive"]


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock at `path`, making the file when there is none. Works between threads as well."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
