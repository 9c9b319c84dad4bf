"""The tape shows exactly what its log holds under a cursor, however it came about and whatever happens to its files."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.projections.tape_logs import (
    END,
    START,
    Append,
    append_all,
    appends,
    cursors,
    expected_rows,
    listed,
    small_sizes,
    times,
)

from carryfold.domain import events as ev
from carryfold.domain.instruments import Instrument, Listing, carry_pair
from carryfold.domain.rows import KINDS, ROW, Kind, Subject
from carryfold.eventlog import LogReader
from carryfold.projections import tape as tape_module
from carryfold.projections import tape_build
from carryfold.projections.cursor import DAY_NS, HOUR_NS, MINUTE_NS, NOW, SECOND_NS, Cursor
from carryfold.projections.tape import Tape, TapeDay, TapeError
from carryfold.projections.tape_files import MANIFEST_NAME, tape_dir

OF_INSTRUMENTS = {kind for kind, spec in KINDS.items() if spec.subject is Subject.INSTRUMENT}

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BTC = Instrument("bybit", "BTCUSDT", "perp")
ETH = Instrument("bybit", "ETHUSDT", "perp")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def hourly(hours: int, instrument: Instrument = BTC) -> Append:
    """One bar an hour from START, known a minute after its close."""
    return [
        (ev.BarClosed(*instrument, START + n * HOUR_NS, 60, 100.0 + n, 100.5 + n), START + n * HOUR_NS + MINUTE_NS)
        for n in range(hours)
    ]


def settled(instrument: Instrument, at: int, rate: float, interval_hours: float = 0.0) -> ev.FundingSettled:
    return ev.FundingSettled(instrument.venue, instrument.symbol, instrument.listing, at, rate, interval_hours)


def files(home: Path) -> set[str]:
    return {path.name for path in tape_dir(home).glob("*.rows")}


# --- what is on it ----------------------------------------------------------------------------------------------------


@quick
@given(appends=appends, cursor=cursors, stops=st.sets(st.integers(0, 5)), data=st.data())
def test_a_tape_is_the_sorted_and_filtered_log_however_its_updates_are_cut(
    appends: list[Append], cursor: Cursor, stops: set[int], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, small_sizes():
        home = Path(folder)
        for number, append in enumerate(appends):
            append_all(home, [append])
            if number in stops:
                with LogReader.open(home) as reader:
                    Tape.open(home, reader)
        with LogReader.open(home) as reader:
            tape = Tape.open(home, reader)
            expected = expected_rows(reader, cursor)
            since, until = data.draw(st.none() | times), data.draw(st.none() | times)
            ids = data.draw(st.none() | st.sets(st.sampled_from(range(len(tape.instruments)) or [0])))
            block_rows = data.draw(st.sampled_from([1, 3, 7, 65_536]))
            if ids and not tape.instruments:
                return
            blocks = list(tape.blocks(cursor, since=since, until=until, instrument_ids=ids, block_rows=block_rows))
    assert listed(iter(blocks)) == [
        row
        for row in expected
        if (since is None or row[0] >= since)
        and (until is None or row[0] < until)
        and (ids is None or row[4] not in OF_INSTRUMENTS or row[3] in ids)
    ]
    for block in blocks:
        assert type(block) is np.ndarray
        assert block.dtype == ROW
        assert block.flags.writeable
        assert block.flags.c_contiguous
        assert len(block)
    for before, after in pairwise(blocks):
        assert before["known_at"][-1] < after["known_at"][0], "an instant was divided"


@quick
@given(appends=appends, stops=st.sets(st.integers(0, 5)))
def test_a_tape_brought_up_to_date_step_by_step_equals_one_built_at_once(
    appends: list[Append], stops: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder, small_sizes():
        home = Path(folder)
        for number, append in enumerate(appends):
            append_all(home, [append])
            if number in stops:
                with LogReader.open(home) as reader:
                    Tape.open(home, reader)
        with LogReader.open(home) as reader:
            steps = Tape.open(home, reader)
            seen = listed(steps.blocks())
            shutil.rmtree(tape_dir(home))
            once = Tape.open(home, reader)
            assert listed(once.blocks()) == seen
            assert (once.instruments, once.pairs, once.runs, once.rows, once.last_seq) == (
                steps.instruments, steps.pairs, steps.runs, steps.rows, steps.last_seq,
            )  # fmt: skip
            assert [day.rows for day in once.days] == [day.rows for day in steps.days]


@quick
@given(appends=appends, kept=st.integers(1, 6))
def test_the_tape_of_a_log_cut_at_a_seq_is_the_tape_under_that_seq(appends: list[Append], kept: int) -> None:
    with tempfile.TemporaryDirectory() as folder, small_sizes():
        short, long = Path(folder) / "short", Path(folder) / "long"
        append_all(short, appends[:kept])
        append_all(long, appends)
        with LogReader.open(short) as reader, LogReader.open(long) as longer:
            cut = Tape.open(short, reader)
            whole = Tape.open(long, longer)
            assert listed(cut.blocks()) == listed(whole.blocks(Cursor(upto_seq=cut.last_seq)))
            known = [one.instrument for one in cut.instruments]
            assert known == [one.instrument for one in whole.instruments[: len(known)]]
            assert cut.pairs == whole.pairs[: len(cut.pairs)]
            assert cut.runs == whole.runs[: len(cut.runs)]


def test_instruments_pairs_and_runs_are_numbered_as_they_come(home: Path) -> None:
    pair = carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDT")
    append_all(
        home,
        [
            [(ev.RunStarted(END, "paper", {}, "code"), None)],
            [(settled(ETH, START, 0.0002), START + MINUTE_NS), (ev.Halted(0, START, "all"), None)],
            [(settled(BTC, START, 0.0001), START + MINUTE_NS), (ev.Halted(1, START), None)],
            [(ev.RunStarted(END, "live", {}, "code"), None), (ev.Halted(5, START), None), (ev.Halted(6, START), None)],
            [(ev.HedgeEnded(6, START, pair, "c", "entry", "done"), None)],
            [(ev.InstrumentListed(*BTC, 0, "BTC", "USDT", 0.001, 5.0), 0)],
            [(ev.InstrumentListed(*pair.long, 0, "BTC", "USDT", 0.001, 5.0), 0)],
        ],
    )
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        rows = np.concatenate(list(tape.blocks()))
    assert tape.instruments == [Listing(ETH, "", ""), Listing(BTC, "BTC", "USDT"), Listing(pair.long, "BTC", "USDT")]
    assert tape.pairs == [pair]
    assert tape.runs == [0, 1, 6]
    of_kind = {kind: rows[rows["kind"] == kind] for kind in Kind}
    assert of_kind[Kind.FUNDING_SETTLED]["subject"].tolist() == [0, 1]
    assert of_kind[Kind.INSTRUMENT_LISTED]["subject"].tolist() == [1, 2]
    assert of_kind[Kind.HEDGE_ENDED]["subject"].tolist() == [0]
    halted = of_kind[Kind.HALTED]
    assert halted["subject"].tolist() == [-1] * 4
    assert halted["slot"].tolist() == [0, 1, -1, 2], "a run that never started is listened to by no fold"


def test_a_small_tape_is_what_it_always_was(home: Path) -> None:
    append_all(home, [[(settled(BTC, START, 0.0001, 8.0), START + MINUTE_NS)], hourly(1)])
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        blocks = list(tape.blocks())
    at = START + MINUTE_NS
    assert listed(iter(blocks)) == [
        (at, START, 2, 0, 2, 60, 100.0, 100.5, -1.0),
        (at, START, 1, 0, 3, 0, 0.0001, 8.0, 0.0),
    ]
    assert tape.days == [TapeDay("2022-01-08", 2, at, at, 2, 1)]
    assert (tape.rows, tape.last_seq) == (2, 2)


def test_a_settlement_stands_at_its_nominal_time_and_keeps_the_time_at_which_it_was_known(home: Path) -> None:
    """What came in before times were made nominal at the door is read so all the same."""
    late = START + 90 * SECOND_NS
    append_all(home, [[(settled(BTC, late, 0.0001), late + MINUTE_NS), (settled(ETH, START + 1, 0.0001), late)]])
    with LogReader.open(home) as reader:
        rows = np.concatenate(list(Tape.open(home, reader).blocks()))
    assert rows["event_at"].tolist() == [START, START]
    assert rows["known_at"].tolist() == [late, late + MINUTE_NS]


def test_an_event_too_wide_for_a_row_is_named(home: Path) -> None:
    append_all(home, [[(ev.BarClosed(*BTC, START, 40_000, 1.0, 1.0), None)]])
    with LogReader.open(home) as reader, pytest.raises(TapeError, match="seq 1, BarClosed"):
        Tape.open(home, reader)


def test_an_unknown_instrument_is_refused(home: Path) -> None:
    append_all(home, [hourly(1)])
    with LogReader.open(home) as reader, pytest.raises(TapeError, match="no instrument 1"):
        list(Tape.open(home, reader).blocks(instrument_ids={1}))


def test_progress_is_told_in_events(home: Path) -> None:
    append_all(home, [hourly(5), hourly(3)])
    told: list[tuple[int, int]] = []
    with LogReader.open(home) as reader:
        Tape.open(home, reader, progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 8), (8, 8)]


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_time_range_reads_the_files_of_its_days_only(home: Path) -> None:
    append_all(home, [hourly(72)])
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        read: list[str] = []
        real = tape_module._read

        def reading(folder: Path, parts: Any) -> Any:
            read.extend(part.name[:10] for part in parts)
            return real(folder, parts)

        with patch.object(tape_module, "_read", reading):
            rows = listed(tape.blocks(since=START + DAY_NS, until=START + 2 * DAY_NS))
            assert len(rows) == 24
            assert read == ["2022-01-09"]
            read.clear()
            listed(tape.blocks(Cursor(as_of=START + DAY_NS - 1)))
            assert read == ["2022-01-08"]


def test_a_large_day_is_kept_in_parts_and_a_late_row_rewrites_few_of_them(home: Path) -> None:
    with small_sizes(), LogReader.open(_with(home, [hourly(24)])) as reader:
        tape = Tape.open(home, reader)
        before = files(home)
        assert tape.days[0].parts == len(before) == 3
        append_all(home, [[(settled(ETH, START, 0.0001), START + 12 * HOUR_NS)]])
        tape.refresh()
        assert len(files(home) & before) == 2
        assert listed(tape.blocks(block_rows=4)) == expected_rows(reader)


def test_a_late_row_joins_the_instant_that_ends_a_full_part(home: Path) -> None:
    with small_sizes(), LogReader.open(_with(home, [hourly(24)])) as reader:
        tape = Tape.open(home, reader)
        append_all(home, [[(settled(ETH, START, 0.0001), START + 7 * HOUR_NS + MINUTE_NS)]])
        tape.refresh()
        blocks = list(tape.blocks(block_rows=8))
        assert all(before["known_at"][-1] < after["known_at"][0] for before, after in pairwise(blocks))
        assert listed(iter(blocks)) == expected_rows(reader)


def test_an_instant_longer_than_every_size_stays_whole(home: Path) -> None:
    crowd: Append = [(ev.FundingSettled("bybit", f"C{n}", 1, START, 0.0001), START) for n in range(100)]
    with small_sizes(), LogReader.open(_with(home, [hourly(30), crowd[:50], hourly(30), crowd[50:]])) as reader:
        blocks = list(Tape.open(home, reader).blocks(block_rows=5))
        assert len(blocks[0]) == 100
        assert listed(iter(blocks)) == expected_rows(reader)


def test_live_rows_make_the_last_part_longer(home: Path) -> None:
    with LogReader.open(_with(home, [hourly(24)])) as reader:
        tape = Tape.open(home, reader)
        for number in range(5):
            append_all(home, [[(ev.ClockTicked(END + number), None)]])
            tape.refresh()
        assert [day.parts for day in tape.days] == [1, 1]
        assert tape.rows == 29


# --- other processes --------------------------------------------------------------------------------------------------


def test_reading_does_not_notice_that_the_files_are_replaced(home: Path) -> None:
    with small_sizes(), LogReader.open(_with(home, [hourly(72)])) as reader:
        tape = Tape.open(home, reader)
        expected = listed(tape.blocks())
        blocks = tape.blocks(block_rows=10)
        seen = next(blocks).tolist()
        append_all(home, [hourly(72, ETH), hourly(72)])  # rows for every part that is still to be read
        with LogReader.open(home) as other:
            Tape.open(home, other)
        assert seen + listed(blocks) == expected
        assert tape.rows == 72
        assert listed(tape.blocks()) == expected, "an opened tape stays as it is until it is refreshed"


def test_reading_stops_when_the_log_was_replaced(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    append_all(home, [hourly(72)])
    append_all(other, [hourly(72, ETH)])
    with small_sizes(), LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        blocks = tape.blocks(block_rows=10)
        next(blocks)
        with LogReader.open(other) as replaced:
            Tape.open(home, replaced)
            tape._reader = replaced
            with pytest.raises(TapeError, match="replaced"):
                list(blocks)


def test_many_may_build_at_once(home: Path) -> None:
    append_all(home, [hourly(72), hourly(72, ETH)])

    def build(_: int) -> list[Any]:
        with LogReader.open(home) as reader:
            return listed(Tape.open(home, reader).blocks())

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(build, range(8)))
    assert all(rows == results[0] for rows in results)
    assert len(results[0]) == 144


# --- damage -----------------------------------------------------------------------------------------------------------


def _with(home: Path, appends: list[Append]) -> Path:
    append_all(home, appends)
    return home


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -ROW.itemsize])


def _blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _foreign(path: Path) -> None:
    other = min(set(path.parent.glob("*.rows")) - {path})
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("harm", [_flip, _cut, _blank, _foreign, Path.unlink])
@pytest.mark.parametrize("reopened", [True, False])
def test_a_damaged_part_is_noticed_and_the_tape_built_again(home: Path, harm: Any, reopened: bool) -> None:
    with LogReader.open(_with(home, [hourly(72)])) as reader:
        tape = Tape.open(home, reader)
        expected = listed(tape.blocks())
        before = files(home)
        harm(sorted(tape_dir(home).glob("*.rows"))[1])
        if reopened:
            tape = Tape.open(home, reader)
        assert listed(tape.blocks(block_rows=24)) == expected
        assert not files(home) & before


@pytest.mark.parametrize("harm", [_cut, Path.unlink])
def test_a_part_of_the_wrong_size_is_noticed_when_the_tape_is_opened(home: Path, harm: Any) -> None:
    with LogReader.open(_with(home, [hourly(72)])) as reader:
        Tape.open(home, reader)
        before = files(home)
        harm(sorted(tape_dir(home).glob("*.rows"))[1])
        Tape.open(home, reader)
        assert not files(home) & before


@pytest.mark.parametrize("harm", [_flip, _blank])
def test_a_damaged_part_is_not_merged_with_new_rows(home: Path, harm: Any) -> None:
    with LogReader.open(_with(home, [hourly(72)])) as reader:
        tape = Tape.open(home, reader)
        harm(sorted(tape_dir(home).glob("*.rows"))[1])
        append_all(home, [hourly(72, ETH)])
        tape.refresh()
        assert listed(tape.blocks()) == expected_rows(reader)


@pytest.mark.parametrize("harm", [_flip, _cut, _blank, Path.unlink])
def test_a_damaged_manifest_is_noticed_and_the_tape_built_again(home: Path, harm: Any) -> None:
    with LogReader.open(_with(home, [hourly(72)])) as reader:
        expected = listed(Tape.open(home, reader).blocks())
        harm(tape_dir(home) / MANIFEST_NAME)
        assert listed(Tape.open(home, reader).blocks()) == expected


def test_a_disk_that_reads_back_something_else_is_reported(home: Path) -> None:
    with LogReader.open(_with(home, [hourly(72)])) as reader:
        tape = Tape.open(home, reader)
        for path in tape_dir(home).glob("*.rows"):
            _flip(path)

        def build(*args: Any, **kwargs: Any) -> Any:
            return tape._manifest

        with patch.object(tape_module, "bring_up_to_date", build), pytest.raises(TapeError, match="check the disk"):
            list(tape.blocks())


def test_what_a_crash_left_behind_is_removed(home: Path) -> None:
    with LogReader.open(_with(home, [hourly(24)])) as reader:
        Tape.open(home, reader)
        (tape_dir(home) / "2022-01-08.dead.0001.rows").write_bytes(b"torn")
        append_all(home, [hourly(24, ETH)])
        Tape.open(home, reader)
        assert "2022-01-08.dead.0001.rows" not in files(home)


def test_a_build_that_fails_leaves_the_tape_as_it_was(home: Path) -> None:
    with LogReader.open(_with(home, [hourly(48)])) as reader:
        tape = Tape.open(home, reader)
        expected = listed(tape.blocks())
        append_all(home, [hourly(48, ETH)])
        with patch.object(tape_build, "save_manifest", side_effect=OSError("no space")), pytest.raises(OSError):
            tape.refresh()
        assert listed(tape.blocks()) == expected
        tape.refresh()
        assert listed(tape.blocks()) == expected_rows(reader)


def test_another_log_in_the_same_home_makes_another_tape(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    append_all(home, [hourly(48)])
    append_all(other, [hourly(48, ETH), hourly(2)])
    with LogReader.open(home) as reader:
        Tape.open(home, reader)
    for restored, instruments in ((other, [ETH, BTC]), (home, [BTC])):
        with LogReader.open(restored) as reader:  # the log of `restored`, as if it had been put into `home`
            tape = Tape.open(home, reader)
            assert [one.instrument for one in tape.instruments] == instruments
            assert listed(tape.blocks()) == expected_rows(reader)


def test_other_code_makes_the_tape_again(home: Path) -> None:
    with LogReader.open(_with(home, [hourly(24)])) as reader:
        Tape.open(home, reader)
        before = files(home)
        Tape.open(home, reader)
        assert files(home) == before
        with patch.object(tape_build, "code_digest", lambda: b"other code"):
            Tape.open(home, reader)
        assert not files(home) & before


def test_an_empty_log_has_an_empty_tape(home: Path) -> None:
    append_all(home, [])
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        assert (list(tape.blocks(NOW)), tape.rows, tape.days, tape.last_seq) == ([], 0, [], 0)
        assert (tape.instruments, tape.pairs) == ([], [])
