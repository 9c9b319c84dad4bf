"""A file that tells the interval of each settlement and one that does not: it does not matter which came first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from carryfold.adapters.importing import import_paths
from carryfold.domain.codec import decode_batch
from carryfold.domain.events import FundingRevised
from carryfold.domain.params import Parameters
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.projections.backtest import compute_figures, list_settlements, run_backtest, select_pairs
from carryfold.projections.cursor import NOW, Cursor
from carryfold.projections.quality import QUALITY, data_quality
from carryfold.projections.rates import RATES, rate_statistics
from carryfold.projections.runner import Projections
from carryfold.projections.tape import Tape

HOUR = 3_600_000
MIDNIGHT = 1_700_006_400_000  # 2023-11-15, in ms
PRESENT = 1_750_000_000_000
SETTINGS = Parameters(capital=90_000, enter=0.0003)


@contextmanager
def opened(home: Path) -> Iterator[EventLog]:
    ticks = count()
    with EventLog.open(home, clock=Clock(wall=lambda: PRESENT * 10**6, monotonic=lambda: next(ticks))) as log:
        yield log


def settlements() -> list[tuple[str, int, float, int]]:
    """Pairs of 8 and 4 hours, and one that goes from 8 to 4 and back, which a spacing tells too late."""
    found = []
    for k in range(60):
        rate = 0.00005 if k % 7 == 6 else 0.0005
        found.append(("AAA", MIDNIGHT + 8 * k * HOUR, rate, 8))
        found.append(("BBB", MIDNIGHT + 4 * k * HOUR, rate / 3, 4))
    at = MIDNIGHT
    for k in range(60):
        hours = 4 if 20 <= k < 40 else 8
        at += hours * HOUR
        found.append(("CCC", at, 0.0002 if k % 9 else 0.00004, hours))
    return found


def write(path: Path, *, intervals: bool) -> Path:
    lines = ["symbol,settled_at_ms,rate" + ",interval_hours" * intervals]
    lines += [f"{name},{at},{rate}" + f",{hours}" * intervals for name, at, rate, hours in settlements()]
    path.write_text("\n".join(lines) + "\n")
    return path


def outcome(home: Path, calls: Sequence[Sequence[Path]], cursor: Cursor = NOW) -> tuple[object, ...]:
    """The outcome of some imports: decisions, money, and the rates in the read models."""
    with opened(home) as log:
        for paths in calls:
            report = import_paths(log, paths, now=lambda: PRESENT * 10**6)
            assert report.conflicts == report.rejected == 0
    return read(home, cursor)


def read(home: Path, cursor: Cursor = NOW) -> tuple[object, ...]:
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        run = run_backtest(tape, SETTINGS, select_pairs(tape, cursor), cursor=cursor)
        figures = compute_figures(run)
        pairs = list_settlements(tape, run, cursor)
        with Projections.open(home, reader, [RATES, QUALITY]) as projections:
            projections.update()
            rates = rate_statistics(projections, cursor)
            quality = data_quality(projections, tape, cursor)
    assert figures.decisions > 10
    return figures.decisions_hash, figures.net_pnl, figures.settlements, pairs, rates, quality


def test_whichever_file_comes_first_the_decisions_are_those_of_the_told_intervals(tmp_path: Path) -> None:
    with_hours, without = write(tmp_path / "a.csv", intervals=True), write(tmp_path / "b.csv", intervals=False)

    expected = outcome(tmp_path / "told", [[with_hours]])

    assert outcome(tmp_path / "told-first", [[with_hours], [without]]) == expected
    assert outcome(tmp_path / "untold-first", [[without], [with_hours]]) == expected
    assert outcome(tmp_path / "together", [[without, with_hours]]) == expected
    assert outcome(tmp_path / "untold", [[without]])[0] != expected[0], "the intervals make no difference here"


def test_intervals_that_were_told_later_are_counted_once_and_added_once(tmp_path: Path) -> None:
    with_hours, without = write(tmp_path / "a.csv", intervals=True), write(tmp_path / "b.csv", intervals=False)
    with opened(tmp_path / "home") as log:
        import_paths(log, [without], now=lambda: PRESENT * 10**6)

        first = import_paths(log, [with_hours], now=lambda: PRESENT * 10**6)
        again = import_paths(log, [with_hours, without], now=lambda: PRESENT * 10**6)

    assert (first.appended, first.duplicates, first.conflicts) == (180, 0, 0)
    assert (again.appended, again.duplicates, again.conflicts) == (0, 360, 0)


def test_a_cursor_before_the_intervals_were_told_still_gives_what_it_gave(tmp_path: Path) -> None:
    with_hours, without = write(tmp_path / "a.csv", intervals=True), write(tmp_path / "b.csv", intervals=False)
    before = outcome(tmp_path / "home", [[without]])
    with LogReader.open(tmp_path / "home") as reader:
        cursor = Cursor(upto_seq=reader.last.seq)

    after = outcome(tmp_path / "home", [[with_hours]])

    assert after[0] != before[0]
    assert read(tmp_path / "home", cursor) == before


@pytest.mark.parametrize("later", [0.0006, 0.0001])
def test_another_rate_is_still_a_contradiction_known_from_now_on(tmp_path: Path, later: float) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(f"symbol,settled_at_ms,rate\nAAA,{MIDNIGHT},0.0005\n")
    second.write_text(f"symbol,settled_at_ms,rate,interval_hours\nAAA,{MIDNIGHT},{later},8\n")
    with opened(tmp_path / "home") as log:
        import_paths(log, [first], now=lambda: PRESENT * 10**6)
        report = import_paths(log, [second], now=lambda: PRESENT * 10**6)
    with LogReader.open(tmp_path / "home") as reader:
        (*_, batch) = reader.read()
        (*_, (_, known_at, event)) = decode_batch(batch.payload, batch.first_seq)

    assert (report.appended, report.conflicts) == (0, 1)
    assert known_at >= PRESENT * 10**6
    assert event == FundingRevised("bybit", "AAA", 1, MIDNIGHT * 10**6, later, 0.0005, 8.0, 2)
