"""The length of a file's bars, from the spacing of their opens.

Only the earliest `SAMPLE` opens of each symbol are kept, so memory does not grow with the file and the order of rows
does not matter. The commonest spacing of a symbol is its bar length, or a divisor of it where rows were left out at
random; a symbol with few rows takes the commonest of its file. When files of one import show the same length for a
symbol, they are treated as parts of one series and measured again together: the even and the odd hours of hourly bars,
in two files, are hourly bars.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from carryfold.adapters.importing.context import ImportContext
from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.source import Source
from carryfold.adapters.importing.table import Header, split_line
from carryfold.adapters.marketdata import checks
from carryfold.adapters.marketdata.checks import RowRefused
from carryfold.adapters.marketdata.entries import MAX_SYMBOLS, MS_PER_MINUTE

SAMPLE: Final = 4_096
TRUSTED: Final = 8  # with so many spacings, a symbol's own commonest one is preferred to that of its file
MAX_MINUTES: Final = 7 * 24 * 60  # at most 32,767, the limit of a row of the tape
HINT: Final = "give the length of its bars with --bar-minutes"

Times = npt.NDArray[np.int64]


class Opens:
    """The earliest `SAMPLE` distinct times among those added."""

    def __init__(self) -> None:
        self._kept: Times = np.empty(0, np.int64)
        self._new: list[int] = []
        self._limit: int | None = None

    def add(self, at: int) -> None:
        """One more time."""
        if self._limit is None or at < self._limit:
            self._new.append(at)
            if len(self._new) >= SAMPLE:
                self.sorted()

    def sorted(self) -> Times:
        """The times, ascending."""
        if self._new:
            self._kept = np.union1d(self._kept, np.array(self._new, np.int64))[:SAMPLE]
            self._new = []
            if len(self._kept) == SAMPLE:
                self._limit = int(self._kept[-1])
        return self._kept


def commonest(spacings: Times) -> int | None:
    """The value that occurs most often, the smallest of several; None where none occurs often enough.

    In a series from which most rows were left out at random, the bar length and its multiples occur about equally
    often, and chance would decide. The length is then the value of which all multiples up to the commonest occur.
    """
    if len(spacings) == 0:
        return None
    values, counts = np.unique(spacings, return_counts=True)
    if counts.max() < max(len(spacings) / 20, len(spacings) ** 0.5):  # so few of many are equal by chance
        return None
    most = int(values[np.argmax(counts)])
    often = {int(value) for value in values[2 * counts >= counts.max()] if value <= most}
    return min(v for v in often if most % v == 0 and often.issuperset(range(v, most, v)))


def measure(tables: Sequence[tuple[Source, Header]], context: ImportContext) -> list[dict[str, int]]:
    """Bar length in minutes by symbol, for each file; empty where an option gives it. Raises ImportRefused for a file
    whose spacing is not regular."""
    if context.bar_minutes is not None:
        return [{} for _ in tables]
    opens = [_read_opens(source, header, context) for source, header in tables]
    lengths = [_of_file(of_file) for of_file in opens]
    _join_parts(opens, lengths)
    _borrow(lengths)
    for (source, _), of_file in zip(tables, lengths, strict=True):
        for symbol, length in of_file.items():
            if length is None:
                raise ImportRefused(
                    f"{source.name}: rows of {symbol} are not regular enough to tell their spacing: {HINT}"
                )
            if length % MS_PER_MINUTE or not MS_PER_MINUTE <= length <= MAX_MINUTES * MS_PER_MINUTE:
                raise ImportRefused(f"{source.name}: rows of {symbol} are {length / 1000:g} s apart: {HINT}")
    return [{symbol: (length or 0) // MS_PER_MINUTE for symbol, length in of_file.items()} for of_file in lengths]


def _read_opens(source: Source, header: Header, context: ImportContext) -> dict[str, Opens]:
    """Opens by symbol, of rows with a plausible time and symbol; other faults of a row show when it is imported."""
    i_symbol, i_at = header.place("symbol"), header.place("open_at_ms")
    earliest, latest = checks.EARLIEST_MS, context.now_ms + checks.FUTURE_MS
    found: dict[str, Opens] = {}
    for chunk in source.lines():
        for line in chunk.lines:
            fields = line.split(",")
            try:
                if chunk.odd and ('"' in line or "_" in line):
                    fields = split_line(line)
                    at, symbol = checks.time_ms(fields[i_at], "", context.now_ms), checks.symbol(fields[i_symbol])
                else:
                    symbol = fields[i_symbol]
                    at = int(fields[i_at])
            except (ValueError, IndexError, RowRefused):
                try:
                    at, symbol = checks.time_ms(fields[i_at], "", context.now_ms), checks.symbol(fields[i_symbol])
                except (IndexError, RowRefused):
                    continue
            if earliest <= at <= latest:
                opens = found.get(symbol)
                if opens is None:
                    symbol = symbol.strip()
                    if not checks.is_symbol(symbol) or len(found) >= MAX_SYMBOLS:
                        continue
                    opens = found.setdefault(symbol, Opens())
                opens.add(at)
    return found


def _of_file(opens: dict[str, Opens]) -> dict[str, int | None]:
    spacings = {symbol: np.diff(times.sorted()) for symbol, times in opens.items()}
    of_all = commonest(np.concatenate(list(spacings.values()))) if spacings else None
    return {symbol: commonest(own) if len(own) >= TRUSTED else of_all for symbol, own in spacings.items()}


def _join_parts(opens: Sequence[dict[str, Opens]], lengths: Sequence[dict[str, int | None]]) -> None:
    parts: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for file, of_file in enumerate(lengths):
        for symbol, length in of_file.items():
            if length is not None:
                parts[symbol, length].append(file)
    for (symbol, length), files in parts.items():
        for file in files:  # bars do not overlap: the length of another part is also that of this one if it occurs here
            spacings = np.diff(opens[file][symbol].sorted())
            shorter = sorted(other for name, other in parts if name == symbol and other < length)
            lengths[file][symbol] = next((other for other in shorter if other in spacings), length)
    for (symbol, length), files in parts.items():
        if len(files) > 1:
            times = np.unique(np.concatenate([opens[file][symbol].sorted() for file in files]))
            joint = commonest(np.diff(times))
            if joint is not None and joint < length:
                for file in files:
                    lengths[file][symbol] = min(joint, lengths[file][symbol] or joint)


def _borrow(lengths: Sequence[dict[str, int | None]]) -> None:
    """A file that is too short takes the length on which all others agree."""
    known: defaultdict[str, set[int]] = defaultdict(set)
    for of_file in lengths:
        for symbol, length in of_file.items():
            if length is not None:
                known[symbol].add(length)
    of_any = set().union(*known.values())
    for of_file in lengths:
        for symbol, length in of_file.items():
            candidates = known.get(symbol) or of_any
            if length is None and len(candidates) == 1:
                of_file[symbol] = next(iter(candidates))
