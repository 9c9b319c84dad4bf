"""CSV with a header: columns by name, in any order, and the reasons why a row is malformed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Final

from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.source import MAX_LINE_BYTES, TOO_LONG
from carryfold.adapters.marketdata.checks import RowRefused

ABSENT: Final = "\0"
"""A name that no column has."""


class Header:
    """The columns of one file."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.width = len(self.names)

    def place(self, name: str) -> int:
        """The place of a column; for an absent one, the place just behind the row, where readers put an empty text."""
        return self.names.index(name) if name in self.names else self.width

    def fields(self, line: str) -> list[str]:
        """The fields of a line with quotes. Raises RowRefused when their number is not that of the columns."""
        if line is TOO_LONG:
            raise RowRefused(f"line is longer than {MAX_LINE_BYTES} bytes")
        if not line.isascii():
            raise RowRefused("line holds bytes that are not ASCII text")
        if "\0" in line:
            raise RowRefused("line holds binary data")
        fields = split_line(line)
        if tuple(name.strip().lower() for name in fields) == self.names:
            raise RowRefused("header comes again")
        if len(fields) < self.width:
            raise RowRefused(f"columns are missing, the header has {self.width}")
        if len(fields) > self.width:
            raise RowRefused(f"columns are too many, the header has {self.width}")
        return fields


def read_header(line: str, file: str) -> Header:
    """The header in `line`. Raises ImportRefused when a column is repeated."""
    names = [name.strip().lower() for name in split_line(line)]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ImportRefused(f"{file}: column {twice} comes twice in the header")
    return Header(names)


def split_line(line: str) -> list[str]:
    """Fields of one line, quoted or not."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True), [""])
    except csv.Error:
        raise RowRefused("quotes are not closed") from None
