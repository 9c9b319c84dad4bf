"""How long the bars of a file are, also of a file that has only some of a series."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from carryfold.adapters.importing import ImportRefused, import_paths
from carryfold.adapters.importing.spacing import commonest
from carryfold.domain.codec import decode_batch
from carryfold.domain.events import BarClosed
from carryfold.eventlog import EventLog, LogReader

HOUR = 3_600_000
MIDNIGHT = 1_700_006_400_000  # 2023-11-15, in ms


def minutes_of(home: Path) -> list[tuple[int, int]]:
    """(event_at, minutes) of every bar in a log."""
    with LogReader.open(home) as reader:
        events = [event for batch in reader.read() for *_, event in decode_batch(batch.payload, batch.first_seq)]
    return sorted((event.event_at, event.minutes) for event in events if isinstance(event, BarClosed))


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_rows_dealt_into_ten_files_are_the_same_bars_in_any_calls(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    rows = [f"AAA,{MIDNIGHT + k * HOUR},{100 + k}" for k in range(6_000)]
    random.shuffle(rows)
    files = [tmp_path / f"{k}.csv" for k in range(10)]
    for k, file in enumerate(files):
        file.write_text("\n".join(["symbol,open_at_ms,perp_close", *rows[k::10]]) + "\n")

    with EventLog.open(tmp_path / "home") as log:
        for file in files:
            import_paths(log, [file])

    assert minutes_of(tmp_path / "home") == [((MIDNIGHT + (k + 1) * HOUR) * 10**6, 60) for k in range(6_000)]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([1] * 100, 1),
        ([8] * 100 + [1] * 60, 8),  # two series: an 8 h bar taken for a shorter one would be known before its close
        ([8] * 100 + [1] * 60 + [2] * 60, 8),
        ([2] * 100 + [1] * 90 + [3] * 80, 1),
        ([3] * 100 + [2] * 99 + [1] * 98, 1),
        ([3] * 100 + [2] * 99, 3),
        ([2] * 100 + [1] * 10, 2),
    ],
)
def test_a_spacing_is_divided_only_where_all_its_multiples_are_there(hours: list[int], expected: int) -> None:
    assert commonest(np.array(hours, np.int64) * HOUR) == expected * HOUR


@pytest.mark.parametrize("hours", [[], [1, 2], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], list(range(1, 80)) * 3])
def test_spacings_that_are_equal_by_chance_tell_nothing(hours: list[int]) -> None:
    assert commonest(np.array(hours, np.int64) * HOUR) is None


def test_a_few_rows_of_a_series_are_read_with_the_rest_or_not_at_all(tmp_path: Path) -> None:
    rows = [f"AAA,{MIDNIGHT + k * HOUR},{100 + k}" for k in range(4_000)]
    few = sorted(Random(3).sample(range(4_000), 60))
    rest = [row for k, row in enumerate(rows) if k not in set(few)]
    for name, lines in (("few.csv", [rows[k] for k in few]), ("rest.csv", rest)):
        (tmp_path / name).write_text("\n".join(["symbol,open_at_ms,perp_close", *lines]) + "\n")

    with EventLog.open(tmp_path / "home") as log:
        with pytest.raises(ImportRefused, match=r"few\.csv: rows of AAA are not regular enough .* --bar-minutes"):
            import_paths(log, [tmp_path / "few.csv"])
        assert log.last.seq == 0
        import_paths(log, [tmp_path / "few.csv", tmp_path / "rest.csv"])

    assert [minutes for _, minutes in minutes_of(tmp_path / "home")] == [60] * 4_000
