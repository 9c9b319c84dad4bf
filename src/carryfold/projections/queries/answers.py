"""The base of all answers, with the cursor of the question, and the errors of questions."""

from typing import TypedDict

import msgspec

from carryfold.projections.cursor import MAX, Cursor, format_time

__all__ = ["Answer", "QueryError", "UnknownKind", "bounds"]


class QueryError(Exception):
    """Nothing has the name or the number of the question; the text is one line."""


class UnknownKind(QueryError):
    """There is no kind of event of this name; the text is one line that lists those there are."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers. The same question with this `as_of` (RFC 3339, null: no bound) and `upto_seq` gives the same
    answer for ever."""

    as_of: str | None
    upto_seq: int


class Bounds(TypedDict):
    """The fields of `Answer`, by name."""

    as_of: str | None
    upto_seq: int


def bounds(cursor: Cursor) -> Bounds:
    """The cursor of an answer, as its fields."""
    return {"as_of": None if cursor.as_of == MAX else format_time(cursor.as_of), "upto_seq": cursor.upto_seq}
