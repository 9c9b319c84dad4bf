"""Refusals with the venue's codes, and reading what a client sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

__all__ = ["Params", "Refused", "choice", "integer", "optional_integer", "page_of", "required"]

Params = Mapping[str, Any]
T = TypeVar("T")

PARAMETER: Final = 10001
_LATEST_MS: Final = 4_102_444_800_000


class Refused(Exception):
    """The venue says no, with a retCode and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def required(params: Params, name: str) -> str:
    """A text that has to be there."""
    value = params.get(name)
    if value is None or value == "":
        raise Refused(PARAMETER, f"params error: {name} is required")
    return str(value)


def choice(params: Params, name: str, allowed: tuple[str, ...]) -> str:
    """One of some words."""
    value = required(params, name)
    if value not in allowed:
        raise Refused(PARAMETER, f"params error: {name} invalid")
    return value


def optional_integer(params: Params, name: str) -> int | None:
    """A whole number or None."""
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
    """A limit: what is beyond the venue's maximum is cut to it, less than 1 is an error."""
    number = optional_integer(params, name)
    if number is None:
        return default
    if number < 1:
        raise Refused(PARAMETER, f"params error: {name} is out of range")
    return min(number, most)


def page_of(rows: Sequence[T], params: Params, limit: int) -> tuple[Sequence[T], str]:
    """(one page, the cursor of the next, empty at the end). The cursor names where to go on."""
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
