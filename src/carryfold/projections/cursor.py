"""Cursors and times: the part of the log that exists for a reader, and how people write its bounds.

A cursor is two bounds: nothing that became known after `as_of` and nothing recorded after `upto_seq` exists for its
reader. Times are int64 UTC nanoseconds inside the program and RFC 3339 text at its edges. Text is an RFC 3339 time with
its offset (`2025-01-31T08:00:00Z`, `2025-01-31T09:00+01:00`, up to nine decimals), or a date, which means its first
moment in UTC. A time without an offset is refused. So is a bare number, which may count seconds, milliseconds or
nanoseconds.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

__all__ = [
    "DAY_NS", "HOUR_NS", "MAX", "MINUTE_NS", "NOW", "SECOND_NS", "Cursor", "CursorError", "day_of", "format_day",
    "format_optional_time", "format_time", "parse_cursor", "parse_seq", "parse_time",
]  # fmt: skip

MAX: Final = 2**63 - 1
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 3600 * SECOND_NS
DAY_NS: Final = 24 * HOUR_NS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


class CursorError(ValueError):
    """A time or a bound that cannot be read; the text is one line that says how to write it."""


class Cursor(msgspec.Struct, frozen=True):
    """A place in the log's one order. `as_of` in ns bounds known_at, `upto_seq` bounds seq, both inclusive."""

    as_of: int = MAX
    upto_seq: int = MAX

    def admits(self, known_at: int, seq: int) -> bool:
        """True if a record with these stamps exists for this reader."""
        return known_at <= self.as_of and seq <= self.upto_seq


NOW: Final = Cursor()
"""Everything the log holds."""


def parse_cursor(as_of: str | None = None, upto_seq: str | int | None = None) -> Cursor:
    """A cursor from a user's text; None: no bound. Raises CursorError."""
    return Cursor(MAX if as_of is None else parse_time(as_of), MAX if upto_seq is None else parse_seq(upto_seq))


def parse_seq(text: str | int) -> int:
    """A sequence number from 0 (before everything) on. Raises CursorError."""
    if isinstance(text, str):
        if not (text.isascii() and text.isdigit()):
            raise CursorError(f"'{text}' is not a sequence number: write a whole number, 0 or more")
        text = int(text[:20])
    if not 0 <= text <= MAX:
        raise CursorError(f"sequence number {text} is out of range")
    return text


def parse_time(text: str) -> int:
    """UTC ns of an RFC 3339 time or of a date (its first moment in UTC). Raises CursorError."""
    text = text.strip()
    match = _TIME.fullmatch(text)
    if match is None:
        raise CursorError(f"'{text}' is not a time: write 2025-01-31T08:00:00Z, or 2025-01-31 for its start in UTC")
    day, hour, minute, second, fraction, offset = match.groups()
    if hour is not None and offset is None:
        raise CursorError(f"'{text}' has no offset: add Z for UTC, or one such as +02:00")
    try:
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        if hour is not None:
            at = at.replace(hour=int(hour), minute=int(minute), second=int(second or 0)) - _offset(offset)
    except (ValueError, OverflowError) as error:
        raise CursorError(f"'{text}' is not a time: {error}") from None
    time = (at - _EPOCH) // timedelta(seconds=1) * SECOND_NS + int((fraction or "").ljust(9, "0"))
    if not 0 <= time <= MAX:
        raise CursorError(f"'{text}' is outside 1970-01-01 to 2262-04-11")
    return time


def format_time(time: int) -> str:
    """RFC 3339 in UTC, exact, with 0, 3, 6 or 9 decimals. `parse_time` gives the same `time` back."""
    seconds, nanoseconds = divmod(time, SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    if nanoseconds == 0:
        return text + "Z"
    fraction = f"{nanoseconds:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{text}.{fraction}Z"


def format_optional_time(time: int | None) -> str | None:
    """As `format_time`; None for None, and for 0, which stands for an unknown time."""
    return format_time(time) if time else None


def day_of(time: int) -> int:
    """Number of the UTC day, counted from 1970-01-01 = 0."""
    return time // DAY_NS


def format_day(day: int) -> str:
    """YYYY-MM-DD of a day number."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(f"the offset {text} is out of range")
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset
