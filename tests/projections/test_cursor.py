"""Times and bounds, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryfold.projections.cursor import (
    DAY_NS,
    HOUR_NS,
    MAX,
    NOW,
    Cursor,
    CursorError,
    day_of,
    format_day,
    format_optional_time,
    format_time,
    parse_cursor,
    parse_seq,
    parse_time,
)


@given(st.integers(0, MAX))
def test_every_time_survives_being_written_and_read(time: int) -> None:
    assert parse_time(format_time(time)) == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01", 0),
        ("2025-01-31", 20119 * DAY_NS),
        ("2025-01-31T08:00:00Z", 20119 * DAY_NS + 8 * HOUR_NS),
        ("2025-01-31 08:00z", 20119 * DAY_NS + 8 * HOUR_NS),
        ("2025-01-31T09:30:00+01:30", 20119 * DAY_NS + 8 * HOUR_NS),
        ("2025-01-31T03:00:00.000000001-05:00", 20119 * DAY_NS + 8 * HOUR_NS + 1),
        (" 2025-01-31T08:00:00.5Z ", 20119 * DAY_NS + 8 * HOUR_NS + 500_000_000),
        ("2262-04-11T23:47:16.854775807Z", MAX),
    ],
)
def test_times_are_read_exactly(text: str, time: int) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "1735689600", "1735689600000", "2025-01-31T08:00:00", "2025-02-30", "2025-01-31T25:00:00Z",
        "2025-01-31T08:00:60Z", "2025-01-31T08:00:00+24:00", "2025-01-31T08:00:00.0000000001Z", "1969-12-31",
        "2262-04-12", "9999-12-31", "0000-01-01", "20250131", "٢٠٢٥-٠١-٣١", "2025-01-31T08:00:00+00:60",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(CursorError) as refused:
        parse_time(text)
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)


def test_times_are_written_with_as_many_decimals_as_they_need() -> None:
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1_500_000_000) == "1970-01-01T00:00:01.500Z"
    assert format_time(1_000_001_000) == "1970-01-01T00:00:01.000001Z"
    assert format_time(1) == "1970-01-01T00:00:00.000000001Z"
    assert format_optional_time(None) is None
    assert format_optional_time(0) is None, "0 stands for an unknown time"


def test_days_are_counted_in_utc() -> None:
    assert day_of(DAY_NS - 1) == 0
    assert format_day(day_of(parse_time("2024-02-29T23:59:59.999999999Z"))) == "2024-02-29"


def test_a_cursor_admits_what_both_bounds_admit() -> None:
    cursor = Cursor(as_of=100, upto_seq=7)
    assert cursor.admits(100, 7)
    assert not cursor.admits(101, 7)
    assert not cursor.admits(100, 8)
    assert NOW.admits(MAX, MAX)


def test_a_cursor_is_read_from_what_the_user_wrote() -> None:
    assert parse_cursor() == NOW
    assert parse_cursor("2025-01-31", "12") == Cursor(20119 * DAY_NS, 12)
    assert parse_seq(0) == 0


@pytest.mark.parametrize("text", ["-1", "1.5", "", "ten", "9" * 30, -1, MAX + 1, "²"])
def test_what_is_no_sequence_number_is_refused(text: str | int) -> None:
    with pytest.raises(CursorError):
        parse_seq(text)
