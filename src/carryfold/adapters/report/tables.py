"""Tables as the template takes them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Cell", "Table"]


class Cell(NamedTuple):
    """A cell: `title` is shown on hover, `meaning` below the text; `is_code` sets the text as code."""

    text: str
    title: str = ""
    meaning: str = ""
    is_code: bool = False


class Table:
    """A table that scrolls sideways on a narrow screen. The first `words` columns are text, the others numbers. The
    last row may be a sum. `is_compact` keeps each row on one line."""

    def __init__(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str | Cell]],
        *,
        words: int = 1,
        last_is_sum: bool = False,
        is_compact: bool = False,
    ) -> None:
        self.head = list(head)
        self.rows = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        self.words = words
        self.last_is_sum = last_is_sum
        self.is_compact = is_compact
