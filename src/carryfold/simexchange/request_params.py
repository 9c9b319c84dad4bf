"""Refusals with the venue's codes, and the parsing and paging of request parameters.

Every function here raises Refused for a parameter that is missing or invalid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

__all__ = [
    "Numbered",
    "Params",
    "Refused",
    "choice",
    "integer",
    "newest_first",
    "optional_integer",
    "page_of",
    "required",
    "window",
]

Params = Mapping[str, Any]
T = TypeVar("T")
N = TypeVar("N", bound="Numbered")

PARAMETER: Final = 10001
_LATEST_MS: Final = 4_102_444_800_000
_WEEK_MS: Final = 7 * 86_400_000


class Numbered(Protocol):
    """A row with a sequence number that only grows."""

    @property
    def seq(self) -> int: ...


class Refused(Exception):
    """The venue refuses a request, with a retCode and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def required(params: Params, name: str) -> str:
    """A text that must be present."""
    value = params.get(name)
    if value is None or value == "":
        raise Refused(PARAMETER, f"params error: {name} is required")
    return str(value)


def choice(params: Params, name: str, allowed: tuple[str, ...]) -> str:
    """A text that must be one of `allowed`."""
    value = required(params, name)
    if value not in allowed:
        raise Refused(PARAMETER, f"params error: {name} invalid")
    return value


def optional_integer(params: Params, name: str) -> int | None:
    """An integer, or None when it is absent."""
    value = params.get(name)
    if value is None or value == "":
        return None
    try:
        number = int(str(value))
    except ValueError:
        raise Refused(PARAMETER, f"params error: {name} is not a number") from None
    if not -_LATEST_MS <= number <= _LATEST_MS:
        raise Refused(PARAMETER, f"params error: {name} is out of range")
    return number


def integer(params: Params, name: str, default: int, most: int) -> int:
    """A page limit. Values above the maximum `most` are cut to it; values below 1 are refused."""
    number = optional_integer(params, name)
    if number is None:
        return default
    if number < 1:
        raise Refused(PARAMETER, f"params error: {name} is out of range")
    return min(number, most)


def page_of(rows: Sequence[T], params: Params, limit: int) -> tuple[Sequence[T], str]:
    """(one page, the cursor of the next page). The cursor is the next row's place, or empty at the end."""
    cursor = str(params.get("cursor") or "")
    first = 0
    if cursor:
        try:
            first = int(cursor.removeprefix("at%3D").removeprefix("at="))
        except ValueError:
            raise Refused(PARAMETER, "params error: cursor is invalid") from None
        if not 0 <= first <= len(rows):
            raise Refused(PARAMETER, "params error: cursor is invalid")
    page = rows[first : first + limit]
    after = first + len(page)
    return page, f"at%3D{after}" if after < len(rows) else ""


def newest_first(rows: Sequence[N], params: Params, limit: int) -> tuple[list[N], str]:
    """(one page, the cursor of the next page). The cursor is the sequence number of the last row, so that rows added
    in between do not shift the pages."""
    cursor = str(params.get("cursor") or "")
    if cursor and not cursor.isdigit():
        raise Refused(PARAMETER, "params error: cursor is invalid")
    left = [row for row in rows if not cursor or row.seq < int(cursor)]
    page = left[-limit:][::-1]
    return page, str(page[-1].seq) if len(left) > limit else ""


def window(params: Params, now_ms: int, default_ms: int) -> tuple[int, int]:
    """(startTime, endTime) in ms, at most a week apart. A missing bound is `default_ms` from the other one."""
    start_ms, end_ms = optional_integer(params, "startTime"), optional_integer(params, "endTime")
    if start_ms is not None and end_ms is not None and not 0 <= end_ms - start_ms <= _WEEK_MS:
        raise Refused(PARAMETER, "params error: startTime and endTime must be within 7 days")
    if start_ms is not None:
        return start_ms, start_ms + default_ms if end_ms is None else end_ms
    end_ms = now_ms if end_ms is None else end_ms
    return end_ms - default_ms, end_ms
