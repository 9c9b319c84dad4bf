"""Errors as one line for the user and an exit code."""

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

# By name, so that no module is imported only to compare classes.
_EXIT_CODES: Final = {
    ("carryfold.eventlog.errors", "LogError"): FAILED,
    ("carryfold.adapters.importing.errors", "ImportRefused"): FAILED,
    ("carryfold.domain.availability", "AvailabilityRefused"): FAILED,
    ("carryfold.domain.row_builder", "RowError"): FAILED,
    ("carryfold.projections.tape_rows", "TapeError"): FAILED,
    ("carryfold.projections.runner", "ProjectionError"): FAILED,
    ("carryfold.projections.queries.answers", "QueryError"): FAILED,
    ("carryfold.projections.queries.answers", "UnknownKind"): USAGE,
    ("carryfold.domain.fold.run", "SizeOutOfRange"): FAILED,
    ("carryfold.projections.backtest.selection", "NothingListed"): FAILED,
    ("carryfold.projections.backtest.selection", "SelectionError"): USAGE,
    ("carryfold.projections.cursor", "CursorError"): USAGE,
    ("carryfold.domain.params", "ParameterError"): USAGE,
    ("carryfold.domain.strategies.registry", "StrategyError"): USAGE,
    ("carryfold.adapters.config", "ConfigError"): USAGE,
}


class CheckFailed(Exception):
    """The check failed, or the job could not be done. The text is one line."""


class UsageFailed(Exception):
    """The command was called with wrong arguments. The text is one line."""


class Described(NamedTuple):
    """An exit code and the line for the user."""

    code: int
    text: str


def describe_error(error: Exception) -> Described | None:
    """The exit code and the line of an expected error; None for a bug."""
    if isinstance(error, CheckFailed):
        return Described(FAILED, f"carryfold: {error}")
    if isinstance(error, UsageFailed):
        return Described(USAGE, f"carryfold: {error}")
    if isinstance(error, OSError):
        return Described(FAILED, f"carryfold: {_system_message(error)}")
    if isinstance(error, MemoryError):
        return Described(FAILED, "carryfold: out of memory: ask for fewer pairs or a shorter span")
    for cls in type(error).__mro__:
        code = _EXIT_CODES.get((cls.__module__, cls.__name__))
        if code is not None:
            return Described(code, f"carryfold: {_one_line(str(error))}")
    return _describe_usage(error)


def _system_message(error: OSError) -> str:
    if error.errno is None:
        return _one_line(str(error))
    what = os.strerror(error.errno).lower()
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
    hint = _HINTS.get(error.errno)
    return f"{where}{what}" + (f": {hint}" if hint else "")


def _describe_usage(error: Exception) -> Described | None:
    """Errors of the command line parser. Its classes are not public, but their `format_message` is."""
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
