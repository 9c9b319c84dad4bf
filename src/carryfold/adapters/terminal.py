"""Output of the commands: text for people and JSON for programs.

Guarantees: with `json` only JSON reaches stdout, and text goes to stderr; lines, colours and cursor movements appear
only on a terminal; text from files cannot move the cursor.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["EMPTY", "Advance", "Terminal", "amount", "clean", "count", "percent", "ratio", "short_time", "to_json"]

_GAP: Final = 2  # between columns
PIPED_WIDTH: Final = 220  # characters; a table that is narrower stays so
EMPTY: Final = "-"

Advance = Callable[[int], None]
"""Called with the progress so far, in the units of the progress bar's total."""


class Terminal:
    """The output of one command."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    @cached_property
    def out(self) -> "Console":
        """Standard output, for text."""
        return _console(stderr=False)

    @cached_property
    def err(self) -> "Console":
        """Standard error."""
        return _console(stderr=True)

    def print(self, text: str = "", style: str | None = None) -> None:
        """A line of text on stdout, or on stderr when stdout is JSON."""
        console = self.err if self.json else self.out
        console.print(clean(text), style=style, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line of text on stderr, about the progress of the command."""
        self.err.print(clean(text), soft_wrap=True)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", left: Iterable[int] = (0,)
    ) -> None:
        """A table. Columns are aligned right except for those in `left`; an empty row draws a rule."""
        from rich.segment import Segment, Segments

        console = self.err if self.json else self.out
        cells = [[clean(cell) for cell in row] for row in rows]
        drawn = _table(columns, cells, clean(title), set(left), drawn=console.is_terminal)
        # Digits are never cut off or folded: on a narrow terminal, whole lines wrap instead.
        width = max(console.width, _least_width(columns, cells, set(left)))
        for line in console.render_lines(drawn, console.options.update(width=width), pad=False):
            if console.is_terminal:
                console.print(Segments([*line, Segment.line()]), crop=False, end="")
            else:
                console.out("".join(segment.text for segment in line).rstrip(), highlight=False)
        if not console.is_terminal:
            console.print()

    def emit(self, value: Any, *, flush: bool = False) -> None:
        """One line of JSON on stdout."""
        sys.stdout.write(to_json(value) + "\n")
        if flush:
            sys.stdout.flush()

    @contextmanager
    def progress(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """A progress bar on stderr; without `total`, a pulsing one. Nothing unless stderr is a terminal."""
        if self.json or not self.err.is_terminal:
            yield lambda _done: None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        done = TextColumn("{task.completed:,}" if total is None else "{task.percentage:>3.0f} %")
        columns = [TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn()]
        if total is not None:
            columns.append(TimeRemainingColumn())
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(clean(title), total=total)
            yield lambda done: bar.update(task, completed=done)


def to_json(value: Any) -> str:
    """JSON with exact decimals as numbers, and null for NaN."""
    import msgspec

    return msgspec.json.Encoder(decimal_format="number").encode(value).decode()


def clean(text: str) -> str:
    """`text` with control characters escaped, except for line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def count(number: int | None) -> str:
    """1,234."""
    return EMPTY if number is None else f"{number:,}"


def amount(value: Decimal | float | None, *, signed: bool = False) -> str:
    """1,234.50 in quote."""
    if value is None:
        return EMPTY
    text = f"{value:+,.2f}" if signed else f"{value:,.2f}"
    return text.lstrip("+-") if text.lstrip("+-") == "0.00" else text


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.1234 as 12.34 %."""
    return EMPTY if fraction is None else f"{fraction * 100:,.{digits}f} %"


def ratio(value: float | None) -> str:
    """A figure without a unit."""
    return EMPTY if value is None else f"{value:.2f}"


def short_time(text: str | None) -> str:
    """2025-01-31 08:00 of an RFC 3339 time."""
    return EMPTY if text is None else text[:16].replace("T", " ")


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, left: set[int], *, drawn: bool
) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD if drawn else None,
        pad_edge=False,
        padding=(0, 1 if drawn else 2, 0, 0),
        header_style="bold" if drawn else "",
        show_header=any(columns),
    )
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index in left else "right"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=_is_whole(index, left))
    for row in rows:
        if row:
            table.add_row(*map(Text, row))
        else:
            table.add_section()
    return table


def _is_whole(index: int, left: set[int]) -> bool:
    """True for a column of names or figures, whose cells stay on one line; other text may fold."""
    return index == 0 or index not in left


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> int:
    """The width that a table needs for its unfolded cells and for the longest word of each other cell."""
    least = _GAP
    for index, name in enumerate(columns):
        cells = [name, *(row[index] for row in rows if row)]
        parts = cells if _is_whole(index, left) else [word for cell in cells for word in cell.split()]
        least += max(map(len, parts), default=0) + _GAP
    return least
