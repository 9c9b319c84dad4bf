"""Shared parts of the commands that ask questions: options, sources and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

import typer

if TYPE_CHECKING:
    from carryfold.adapters.terminal import Terminal
    from carryfold.projections.queries import Sources

__all__ = ["Names", "RunNumber", "Since", "Span", "Until", "give", "open_sources", "parse_span", "split_names"]

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from this time on. RFC 3339 or a date."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only before this time. RFC 3339 or a date.")
]
Names = Annotated[
    str | None, typer.Option("--pairs", metavar="A,B,...", help="Only these pairs, symbols or coins.  [default: all]")
]
RunNumber = Annotated[
    int | None, typer.Option("--run", metavar="RUN", help="Its number, as `runs` shows it.  [default: the latest]")
]


A = TypeVar("A")


class Span(NamedTuple):
    """The span of a question: since <= time < until, in ns."""

    since: int
    until: int


@contextmanager
def open_sources(
    context: typer.Context, terminal: Terminal, as_of: str | None = None, upto_seq: str | None = None
) -> Iterator[Sources]:
    """The sources of an answer, under the cursor of the command line. Raises CursorError before anything is opened."""
    from carryfold.adapters.bootstrap import open_queries
    from carryfold.projections.cursor import parse_cursor

    cursor = parse_cursor(as_of, upto_seq)
    with open_queries(context.obj.home, terminal) as home:
        yield home.at(cursor)


def parse_span(since: str | None, until: str | None) -> Span:
    """The span of `--since` and `--until`. Raises CursorError."""
    from carryfold.projections.cursor import MAX, parse_time

    return Span(0 if since is None else parse_time(since), MAX if until is None else parse_time(until))


def split_names(text: str | None) -> list[str] | None:
    """The names of `--pairs`; None: none were given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def give(terminal: Terminal, answer: A, show: Callable[[Terminal, A], None]) -> None:
    """Print an answer: as JSON, field by field as it is, or as text by `show`."""
    if terminal.json:
        terminal.emit(answer)
    else:
        show(terminal, answer)
