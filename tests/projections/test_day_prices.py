"""The last price of a day is the last one that was known by its end and was not late."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from tests.projections.tape_logs import END, START, Append, append_all, appends, cursors

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument
from carryfold.domain.rows import Kind
from carryfold.eventlog import LogReader
from carryfold.projections.cursor import DAY_NS, HOUR_NS, NOW, Cursor
from carryfold.projections.day_prices import DayPrices, day_prices
from carryfold.projections.tape import Tape

A, B = (Instrument("v", name, "perp") for name in ("AUSDT", "BUSDT"))
DAY = START // DAY_NS


def quoted(one: Instrument, at: int, price: float, known_at: int | None = None) -> tuple[ev.Event, int]:
    return ev.Quoted(*one, at, price - 1, price + 1), at if known_at is None else known_at


def prices(home: Path, *events: tuple[ev.Event, int], cursor: Cursor = NOW, since: int = 0) -> DayPrices:
    append_all(home, [list(events)])
    with LogReader.open(home) as reader:
        return day_prices(Tape.open(home, reader), cursor, {A, B}, since)


def test_each_day_ends_with_its_last_price_and_a_day_without_one_with_that_of_before(tmp_path: Path) -> None:
    bar = ev.BarClosed(*A, START + 26 * HOUR_NS, 60, 103.0), START + 26 * HOUR_NS
    found = prices(tmp_path, quoted(A, START, 100.0), quoted(A, START + HOUR_NS, 101.0), quoted(B, START, 7.0), bar)

    assert [found.at(A, DAY + k) for k in (-1, 0, 1, 9)] == [None, 101.0, 103.0, 103.0]
    assert (found.at(B, DAY), found.last_known) == (7.0, START + 26 * HOUR_NS)


def test_a_late_price_and_an_empty_one_are_left_out(tmp_path: Path) -> None:
    mark_alone = ev.BarClosed(*A, START + 3 * HOUR_NS, 60, 0.0, 99.0), START + 3 * HOUR_NS
    late = quoted(A, START + HOUR_NS, 50.0, START + 4 * HOUR_NS)

    assert prices(tmp_path, quoted(A, START + 2 * HOUR_NS, 100.0), mark_alone, late).at(A, DAY) == 100.0


def test_what_is_before_the_start_or_beyond_the_cursor_is_not_there(tmp_path: Path) -> None:
    events = quoted(A, START, 100.0), quoted(A, START + HOUR_NS, 101.0)

    assert prices(tmp_path, *events, cursor=Cursor(as_of=START)).at(A, DAY) == 100.0
    assert prices(tmp_path, events[0], since=START + HOUR_NS).at(B, DAY) is None


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(appends=appends, cursor=cursors)
def test_prices_are_those_of_the_rows_one_by_one(
    tmp_path_factory: object, appends: list[Append], cursor: Cursor
) -> None:
    home = tmp_path_factory.mktemp("home")  # type: ignore[attr-defined]
    append_all(home, appends)
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        names = [one.instrument for one in tape.instruments]
        found = day_prices(tape, cursor, set(names), 0)
        expected: dict[tuple[Instrument, int], float] = {}
        newest: dict[int, int] = {}
        for block in tape.blocks(cursor):
            for row in block[block["kind"] <= Kind.BAR_CLOSED]:
                known_at, event_at, subject = (int(row[name]) for name in ("known_at", "event_at", "subject"))
                bid, ask = float(row["a"]), float(row["b"])
                price = bid if row["kind"] == Kind.BAR_CLOSED else (bid + ask) / 2 * (bid > 0 and ask > 0)
                if event_at > newest.get(subject, -1):
                    newest[subject] = event_at
                    if price > 0:
                        expected[names[subject], known_at // DAY_NS] = price

    for name in names:
        last = None
        for day in range(DAY - 1, END // DAY_NS + 2):
            last = expected.get((name, day), last)
            assert found.at(name, day) == last
