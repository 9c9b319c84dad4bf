"""A start from snapshots equals a start without, and reads only what the log has since."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryfold.adapters.daemon.run import Run
from carryfold.adapters.daemon.snapshotter import restore_projections
from carryfold.domain.codec import decode_batch, encode
from carryfold.domain.events import EntryDecided, ExitDecided, FillSimulated, Quoted, RunStarted
from carryfold.domain.fold import State
from carryfold.domain.instruments import Instrument
from carryfold.domain.rows import Rows
from carryfold.eventlog import Batch, Checkpoints, EventLog, Head, LogReader
from carryfold.projections.last_settlements import last_settlements
from carryfold.projections.runs import RunInfo, list_runs, refold
from carryfold.projections.snapshots import SnapshotStore
from carryfold.projections.tape import Tape
from tests.adapters.daemon.test_start import opened, specs_of
from tests.adapters.daemon.world import (
    copy_of,
    daemon,
    events_of,
    exchange,
    logged,
    rewritten,
    run,
    settings_for,
    verify_all,
)


class Result(NamedTuple):
    """What a start comes to."""

    runs: list[int]
    hashes: list[str]
    missing: list[bytes]


def start(home: Path) -> tuple[Result, list[Run]]:
    """A start, its result and its runs."""
    started = opened(home, specs_of(home))
    hashes = [one.state.hash() for one in started.runs]
    numbers = [one.info.run for one in started.runs]
    return Result(numbers, hashes, [encode(event) for event in started.missing]), started.runs


def states_at(home: Path, head: Head) -> dict[int, State]:
    """The state of each run as of a head of the log."""
    states: dict[int, State] = {}
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        for info in list_runs(reader):
            states[info.run], outputs = refold(tape, info, head.seq)
            for _ in outputs:
                pass
    return states


def save(home: Path, head: Head) -> None:
    """Save snapshots as of a head of the log."""
    states = states_at(home, head)
    with SnapshotStore.open(home) as store:
        store.save(head, states)


def without_snapshots(home: Path) -> Path:
    shutil.rmtree(home / "derived", ignore_errors=True)
    return home


def batches_of(home: Path) -> list[Batch]:
    with LogReader.open(home) as reader:
        return list(reader.read())


def is_record(batch: Batch) -> bool:
    """True for the second half of a commit: what the folds made of the first."""
    (first, *_) = decode_batch(batch.payload, batch.first_seq)
    return isinstance(first[2], EntryDecided | ExitDecided | FillSimulated)


def from_snapshot(runs: Sequence[Run]) -> bool:
    return all(one._folded_upto is not None for one in runs)


@pytest.fixture(scope="module")
def homes(paper_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole log, and one that ends inside a commit, before its decisions; both without snapshots."""
    folder = tmp_path_factory.mktemp("snapshots")
    decided = events_of(paper_home, EntryDecided, ExitDecided)
    last = decided[-1][0]
    killed = rewritten(paper_home, folder / "killed", lambda seq, event: event if seq < last else None)
    return {"whole": without_snapshots(copy_of(paper_home, folder)), "killed": killed}


@pytest.mark.parametrize("name", ["whole", "killed"])
def test_a_start_from_a_snapshot_of_any_moment_equals_one_that_folds_the_whole_log(
    homes: dict[str, Path], name: str
) -> None:
    home = homes[name]
    expected, _ = start(without_snapshots(home))
    assert (name == "killed") == bool(expected.missing)
    batches = batches_of(home)
    first = max(seq for seq, _, _ in events_of(home, RunStarted))
    cuts = [at for at, batch in enumerate(batches) if batch.last_seq >= first]
    seen: set[bool] = set()

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(cuts))
    def holds(at: int) -> None:
        save(home, batches[at].head)
        found, runs = start(home)
        assert found == expected
        between_commits = at + 1 == len(batches) or not is_record(batches[at + 1])
        seen.add(from_snapshot(runs))
        assert from_snapshot(runs) or not between_commits

    holds()
    assert True in seen


def test_history_that_was_added_after_a_snapshot_is_folded_in_its_place(
    two_homes: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = copy_of(two_homes[1], tmp_path / "kept")
    removed = without_snapshots(copy_of(two_homes[1], tmp_path / "removed"))
    with SnapshotStore.open(kept) as store, LogReader.open(kept) as reader:
        assert store._stored(list_runs(reader)[0].run) is not None, "the daemon saved one when it stopped"

    caplog.set_level(logging.INFO, "carryfold.daemon")
    found, runs = start(kept)

    assert found == start(removed)[0]
    assert not from_snapshot(runs)
    assert "history was added to the log since" in caplog.text


def test_records_that_contradict_the_fold_since_a_snapshot_end_the_run(paper_home: Path, tmp_path: Path) -> None:
    last, _, decided = events_of(paper_home, EntryDecided, ExitDecided)[-1]
    other = msgspec.structs.replace(decided, lots=decided.lots + 1)
    altered = rewritten(paper_home, tmp_path / "altered", lambda seq, event: other if seq == last else event)
    whole = copy_of(altered, tmp_path)
    before = [batch for batch in batches_of(altered) if batch.last_seq < last and not is_record(batch)]

    save(altered, before[-2].head)
    found, runs = start(altered)

    assert found == start(whole)[0]
    assert decided.run not in found.runs
    assert len([one for one in runs if one._folded_upto is not None]) == 2


def test_one_late_price_after_a_snapshot_is_folded_in_its_place(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    batch = batches_of(home)[-40]
    _, known_at, event = next(
        (seq, at, event) for seq, at, event in reversed(events_of(home, Quoted)) if seq < batch.first_seq
    )
    late = msgspec.structs.replace(event, event_at=event.event_at + 1, bid=event.bid * 1.5, ask=event.ask * 1.5)
    with EventLog.open(home) as log:
        log.append([(encode(late), None, known_at + 1)])
    expected, _ = start(without_snapshots(copy_of(home, tmp_path / "whole")))

    save(home, batch.head)
    found, runs = start(home)

    assert found == expected
    assert not from_snapshot(runs)


def test_a_snapshot_of_other_code_is_not_used(
    paper_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = copy_of(paper_home, tmp_path)
    expected, _ = start(home)
    with monkeypatch.context() as changed:
        changed.setattr("carryfold.projections.snapshots.CODE_DIGEST", "another")
        save(home, batches_of(home)[-1].head)

    caplog.set_level(logging.INFO, "carryfold.daemon")
    found, runs = start(home)

    assert found == expected
    assert not from_snapshot(runs)
    assert "another version of the fold" in caplog.text


@pytest.mark.parametrize("place", [0, 15, 16, 5_000, -1])
def test_a_damaged_snapshot_costs_one_line(
    paper_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    home = copy_of(paper_home, tmp_path)
    expected, runs = start(home)
    assert from_snapshot(runs)
    with Checkpoints.open(home) as store:
        for name in store.names("snapshot/"):
            data = bytearray(store.get(name) or b"")
            data[place] ^= 1
            store.put(name, bytes(data))

    caplog.set_level(logging.INFO, "carryfold.daemon")
    found, runs = start(home)

    assert found == expected
    assert not from_snapshot(runs)
    lines = [record.getMessage() for record in caplog.records if "it is damaged" in record.getMessage()]
    assert len(lines) == len(runs), "one line a run"


def test_a_snapshot_of_another_log_is_not_used(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    shorter = rewritten(paper_home, tmp_path / "other", lambda seq, event: event if seq < 100 else None)
    with LogReader.open(home) as reader:
        info = list_runs(reader)[0]
    with SnapshotStore.open(home) as store, SnapshotStore.open(shorter) as other, LogReader.open(shorter) as reader:
        stored = store._store.get(f"snapshot/run/{info.run:019d}")
        assert stored is not None
        other._store.put(f"snapshot/run/{info.run:019d}", stored)
        with pytest.raises(Exception, match="it belongs to another log"):
            other.load(info.run, reader, [])


class Counter:
    """Counts the rows that are read of the tape, and keeps the last seqs of the batches that are read of the log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seqs: set[int] = set()
        self.rows = 0
        read, blocks = LogReader.read, Tape.blocks

        def counted(reader: LogReader, *args: Any, **options: Any) -> Iterator[Batch]:
            for batch in read(reader, *args, **options):
                self.seqs.add(batch.last_seq)
                yield batch

        def counted_rows(tape: Tape, *args: Any, **options: Any) -> Iterator[Rows]:
            for block in blocks(tape, *args, **options):
                self.rows += len(block)
                yield block

        monkeypatch.setattr(LogReader, "read", counted)
        monkeypatch.setattr(Tape, "blocks", counted_rows)


def everything_of_a_start(home: Path) -> list[RunInfo]:
    """The passes over the log that a start of the daemon makes."""
    with LogReader.open(home) as reader:
        restore_projections(reader)
        known = list_runs(reader)
        last_settlements(reader)
    start(home)
    return known


def test_a_start_after_a_stop_reads_a_few_batches_of_the_log_and_no_rows(
    paper_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_of(paper_home, tmp_path)
    counter = Counter(monkeypatch)
    known = everything_of_a_start(home)

    assert len(known) == 3
    assert counter.rows == 0
    assert len(counter.seqs) <= 3 < len(batches_of(home)) / 10, (
        "the last ones, to see that derived data belongs to them"
    )


def test_a_start_after_a_kill_folds_the_rows_since_the_snapshot(
    paper_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_of(paper_home, tmp_path)
    batches = batches_of(home)
    cut = next(at for at in range(len(batches) - 30, 0, -1) if not is_record(batches[at + 1]))
    save(home, batches[cut].head)
    later = sum(batch.count for batch in batches[cut + 1 :])
    counter = Counter(monkeypatch)
    start(home)

    assert 0 < counter.rows <= 3 * later, "of each run"


def test_a_daemon_that_was_stopped_goes_on_from_its_snapshot_and_reads_nothing_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with exchange() as venue:
            async with daemon(tmp_path, settings_for(venue)):
                await logged(tmp_path, Quoted, count=500)
            batches = batches_of(tmp_path)
            counter = Counter(monkeypatch)
            async with daemon(tmp_path, settings_for(venue)) as served:
                assert served.runs[0]._folded_upto == batches[-1].recorded_at
                assert len([seq for seq in counter.seqs if seq <= batches[-1].last_seq]) <= 3 < len(batches) / 10

    run(work())

    assert len(events_of(tmp_path, RunStarted)) == 1
    assert all(found.identical for found in verify_all(tmp_path))


def test_instruments_that_were_listed_after_a_snapshot_change_nothing_of_it(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    last = batches_of(home)[-1].recorded_at
    new = Instrument("bybit", "NEWUSDT", "spot")
    with EventLog.open(home) as log:
        log.append([(encode(Quoted(*new, event_at=last + 1, bid=1.0, ask=1.1)), None, None)])
    expected, _ = start(without_snapshots(copy_of(home, tmp_path / "whole")))
    found, runs = start(home)

    assert found == expected
    assert from_snapshot(runs)
