"""The outcome of an import or backfill, file by file.

A *rejected* row is malformed: it is counted under a reason that names the column, and the first ones are kept with
their line. An *ignored* row is well formed but not used (an index kline, a USDC perpetual). Every row that was read is
exactly one of accepted, rejected or ignored. Accepted rows become events, which are appended, duplicates or conflicts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

__all__ = ["FileReport", "ImportReport", "Rejection", "ReportBuilder"]

MAX_SAMPLES: Final = 20  # rejected rows kept in the report of one file
_MAX_TEXT: Final = 80


class Rejection(msgspec.Struct, frozen=True):
    """A rejected row. `line` counts from 1, header included; in JSON it is the row's place in the file."""

    file: str
    line: int
    reason: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" + (f" ({self.text})" if self.text else "")


class Reason(msgspec.Struct):
    """The rows of one file that were rejected for one reason. `digest` names these very rows."""

    count: int
    first_line: int
    digest: bytes


class FileReport(msgspec.Struct):
    """The outcome of one file. `error` is set when it could not be read to its end; rows before that are kept."""

    file: str
    format: str
    rows: int = 0
    appended: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = {}
    ignored: dict[str, int] = {}
    samples: list[Rejection] = []
    error: str = ""


class ImportReport(msgspec.Struct):
    """The outcome of an import: its files in the order in which they were read, and the sums. `pairs` counts the
    perpetuals of its settlements and bars, each of which is the short leg of a pair."""

    files: list[FileReport]
    pairs: int = 0

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(file.rows for file in self.files)

    @property
    def appended(self) -> int:
        """Events that are new in the log."""
        return sum(file.appended for file in self.files)

    @property
    def duplicates(self) -> int:
        """Events that the log had already."""
        return sum(file.duplicates for file in self.files)

    @property
    def conflicts(self) -> int:
        """Events that the log has with other values: the first stays in force, the difference is recorded."""
        return sum(file.conflicts for file in self.files)

    @property
    def rejected(self) -> int:
        """Malformed rows."""
        return sum(file.rejected for file in self.files)

    @property
    def ignored(self) -> int:
        """Rows that are well formed and not used."""
        return sum(sum(file.ignored.values()) for file in self.files)

    @property
    def errors(self) -> list[str]:
        """One line for each file that could not be read to its end."""
        return [file.error for file in self.files if file.error]


class ReportBuilder:
    """Builds the report of one file while it is read."""

    def __init__(self, file: str, format_name: str) -> None:
        self.report = FileReport(file, format_name, rejected_by_reason={}, ignored={}, samples=[])
        self.reasons: dict[str, Reason] = {}

    def reject(self, line: int, reason: str, text: str = "") -> None:
        """Count one malformed row."""
        report = self.report
        report.rejected += 1
        report.rejected_by_reason[reason] = report.rejected_by_reason.get(reason, 0) + 1
        shown = _shown(text)
        if len(report.samples) < MAX_SAMPLES:
            report.samples.append(Rejection(report.file, line, reason, shown))
        known = self.reasons.setdefault(reason, Reason(0, line, b""))
        known.count += 1
        known.digest = blake2b(known.digest + b"%d %b" % (line, shown.encode()), digest_size=16).digest()

    def ignore(self, reason: str, count: int = 1) -> None:
        """Count rows that are well formed and not used."""
        self.report.ignored[reason] = self.report.ignored.get(reason, 0) + count


def _shown(text: str) -> str:
    """`text` fit for one line of a terminal."""
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."
    return cut.encode("ascii", "backslashreplace").decode() if cut.isprintable() else ascii(cut)[1:-1]
