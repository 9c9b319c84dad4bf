"""The errors of a log, one class for each reaction of the caller.

Each has a cause outside the program (a disk, another process, a damaged file). `str(error)` is one line for the user:
what is wrong, where, and what to do. Bugs raise AssertionError or TypeError instead.
"""

from __future__ import annotations

from pathlib import Path

RESTORE = "restore a copy made with `carryfold log backup`"


class LogError(Exception):
    """Base of all errors of this package."""


class NoLog(LogError):
    """The home has no log yet."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"no event log in {home}: append or import something first")


class LogClosed(LogError):
    """The handle was closed, or was carried into another process by a fork."""


class OwnerLocked(LogError):
    """Another process owns the log. `pid` is None while the owner has not written it yet."""

    def __init__(self, home: Path, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"the log in {home} is owned by {who}: stop it first, or send it a command")


class NoOwner(LogError):
    """No process listens on the command socket: the caller may take the lock itself."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"no process owns the log in {home}")


class CommandRefused(LogError):
    """The owner refused the command; the text is the owner's."""


class CommandUnanswered(LogError):
    """The owner did not answer in time: the command may or may not have been carried out."""


class LogCorrupt(LogError):
    """The stored bytes are not what was committed. `seq` is the first event that cannot be trusted, if known."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        self.seq = seq
        where = f" at seq {seq}" if seq is not None else ""
        super().__init__(f"the log is damaged{where}: {message}; {RESTORE}")


class LogTruncated(LogError):
    """The data file is shorter than its meta page requires: reading it could kill the process."""

    def __init__(self, path: Path, size: int, expected: int) -> None:
        super().__init__(f"{path} is cut short: it has {size} bytes, its header requires {expected}; {RESTORE}")


class LostTail(LogError):
    """The log lacks commits that the head file beside it records."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(f"{message}; {RESTORE}, or delete {path} to go on without the lost events")


class FormatUnknown(LogError):
    """The log has a format that this version does not know."""


class DiskFailed(LogError):
    """The disk refused a write. The append was not acknowledged."""


class DiskFull(DiskFailed):
    """No room for the append: free space, then append again. Acknowledged events are safe."""


class MapFull(LogError):
    """The log reached its size limit. It stays readable; open it with a larger max_map_size to append."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(f"{path} reached its size limit of {limit} bytes: open the log with a larger max_map_size")


class AppendRefused(LogError):
    """The entries cannot be stored as they are (not msgpack, too large, a key too long); nothing was written."""


class NameTaken(LogError):
    """The research store has a value under this write-once name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is recorded already and is never overwritten")


class ImportRefused(LogError):
    """A file of JSON lines does not rebuild the log it was exported from."""
