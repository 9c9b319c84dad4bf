"""What went wrong, as one line for the user and an exit code."""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple

__all__ = ["CheckFailed", "Described", "UsageFailed", "describe_error"]

FAILED: Final = 1
USAGE: Final = 2

_HINTS: Final = {
    errno.ENOSPC: "make room and run it again",
    errno.EDQUOT: "make room and run it again",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "check the name",
    errno.EEXIST: "name another, or remove it first",
}

# By name, so that nothing is imported to find out that it did not happen: an error of a module means it is loaded.
_WORLD: Final = {
    ("carryfold.eventlog.errors", "LogError"): FAILED,
    ("carryfold.adapters.importing.report", "ImportRefused"): FAILED,
    ("carryfold.projections.tape_rows", "TapeError"): FAILED,
    ("carryfold.projections.runner", "ProjectionError"): FAILED,
    ("carryfold.domain.fold.run", "SizeOutOfRange"): FAILED,
    ("carryfold.projections.backtest.selection", "NothingListed"): FAILED,
    ("carryfold.projections.backtest.selection", "SelectionError"): USAGE,
    ("carryfold.projections.cursor", "CursorError"): USAGE,
    ("carryfold.domain.params", "ParameterError"): USAGE,
    ("carryfold.domain.strategies.registry", "StrategyError"): USAGE,
    ("carryfold.adapters.config", "ConfigError"): USAGE,
}


class CheckFailed(Exception):
    """The job was done and the answer is no, or it could not be done; the text is one line."""


class UsageFailed(Exception):
    """The command was called in a way that makes no sense; the text is one line."""


class Described(NamedTuple):
    """How a command ends."""

    code: int
    text: str


def describe_error(error: Exception) -> Described | None:
    """None for what is not the world's fault but ours."""
    if isinstance(error, CheckFailed):
        return Described(FAILED, f"carryfold: {error}")
    if isinstance(error, UsageFailed):
        return Described(USAGE, f"carryfold: {error}")
    if isinstance(error, OSError):
        return Described(FAILED, f"carryfold: {_of_system(error)}")
    if isinstance(error, MemoryError):
        return Described(FAILED, "carryfold: out of memory: ask for fewer pairs or a shorter span")
    for cls in type(error).__mro__:
        code = _WORLD.get((cls.__module__, cls.__name__))
        if code is not None:
            return Described(code, f"carryfold: {_one_line(str(error))}")
    return _of_usage(error)


def _of_system(error: OSError) -> str:
    if error.errno is None:
        return _one_line(str(error))
    what = os.strerror(error.errno).lower()
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
    hint = _HINTS.get(error.errno)
    return f"{where}{what}" + (f": {hint}" if hint else "")


def _of_usage(error: Exception) -> Described | None:
    """What the command line parser says about arguments. Its classes are not public, its `format_message` is."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    text = str(format_message())
    if type(error).__name__ == "NoArgsIsHelpError":
        return Described(USAGE, text)
    context = getattr(error, "ctx", None)
    command = "carryfold" if context is None else context.command_path
    return Described(USAGE, f"{command}: {_one_line(text).rstrip('.')}: see '{command} --help'")


def _one_line(text: str) -> str:
    return " ".join(text.split())
