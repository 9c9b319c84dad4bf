"""What the daemon saves for its next start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.daemon.engine import CapturedStates
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.snapshotter import Snapshotter, restore_projections, save_for_start
from carryfold.domain.events import RunArmed, RunStarted
from carryfold.eventlog import Checkpoints, DiskFull, Head, LogReader, MapFull
from carryfold.projections.catalogue import START_PROJECTIONS
from carryfold.projections.runner import Projections
from carryfold.projections.runs import list_runs
from carryfold.projections.snapshots import KEPT, SnapshotStore
from carryfold.projections.tape_files import load_manifest, tape_dir
from tests.adapters.daemon.test_engine import Setting, setting
from tests.adapters.daemon.test_start_snapshots import batches_of, states_at
from tests.adapters.daemon.world import copy_of, daemon, events_of, exchange, run, settings_for, until


class FakeEngine:
    """Captures nothing, or what it is given."""

    def __init__(self, captured: CapturedStates | None) -> None:
        self.captured = captured

    async def capture(self) -> CapturedStates | None:
        return self.captured


def snapshotter(home: Path, reader: LogReader, captured: CapturedStates | None, *, verifies: bool = False) -> Any:
    engine: Any = FakeEngine(captured)
    return Snapshotter(home, reader, engine, Notices(Metrics()), verifies=verifies)


def test_while_it_runs_a_daemon_saves_snapshots_the_tape_and_projections(tmp_path: Path) -> None:
    async def work() -> None:
        async with exchange() as venue, daemon(tmp_path, settings_for(venue)) as served:
            (number,) = (one.info.run for one in served.runs)
            name = f"snapshot/run/{number:019d}"
            with Checkpoints.open(tmp_path) as store:
                await until(lambda: store.get(name) is not None)
            await until(lambda: (found := load_manifest(tape_dir(tmp_path))) is not None and found.head.seq >= number)
            await until(lambda: all(position >= number for position in positions(tmp_path)))

    run(work())


def positions(home: Path) -> list[int]:
    """How far each projection that a start reads has come."""
    with LogReader.open(home) as reader, Projections.open(home, reader, START_PROJECTIONS) as projections:
        return [one.position for one in projections.status()]


def test_after_a_stop_everything_is_as_of_the_end_of_the_log(paper_home: Path) -> None:
    manifest = load_manifest(tape_dir(paper_home))
    assert manifest is not None
    with LogReader.open(paper_home) as reader:
        last = reader.last
        runs = list_runs(reader)
        with SnapshotStore.open(paper_home) as store:
            heads = [found.head for info in runs if (found := store.load(info.run, reader, manifest.listings))]

    assert manifest.head == last
    assert heads == [last] * 3
    assert set(positions(paper_home)) == {last.seq}


def test_a_state_that_may_be_ahead_of_the_log_is_not_saved(tmp_path: Path) -> None:
    async def work(one: Setting) -> tuple[CapturedStates | None, CapturedStates | None]:
        before = await one.engine.capture()
        one.writer.error = DiskFull("the disk is full")
        with pytest.raises(DiskFull):
            await one.engine.append([RunArmed(1, 9)])
        return before, await one.engine.capture()

    with setting(tmp_path) as one:
        one.engine.runs = []
        before, after = run(work(one))
    assert before is not None
    assert after is None


def test_a_disk_that_refuses_a_snapshot_is_reported_and_stops_nothing(
    paper_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = copy_of(paper_home, tmp_path)

    def full(*_: object) -> None:
        raise MapFull(home, 1)

    monkeypatch.setattr(SnapshotStore, "save", full)
    with LogReader.open(home) as reader:
        run(snapshotter(home, reader, CapturedStates(Head(), {})).save())

    assert "no snapshot was saved, so the next start takes longer" in caplog.text


def test_nothing_is_saved_of_an_engine_that_captures_nothing(tmp_path: Path) -> None:
    reader: Any = None
    run(snapshotter(tmp_path, reader, None).save())

    assert list(tmp_path.iterdir()) == []


def test_only_the_snapshots_of_the_last_runs_are_kept(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    head = batches_of(home)[-1].head
    first = min(seq for seq, _, _ in events_of(home, RunStarted))
    state = states_at(home, head)[first]
    with LogReader.open(home) as reader:
        save_for_start(home, reader, CapturedStates(head, dict.fromkeys(range(1, KEPT + 6), state)))
    with Checkpoints.open(home) as store:
        kept = store.names("snapshot/")

    assert len(kept) == KEPT
    assert kept[-1].endswith(f"{KEPT + 5:019d}")


def test_a_capture_waits_for_the_commit_that_is_in_flight(tmp_path: Path) -> None:
    async def work(one: Setting) -> tuple[bool, int, int]:
        one.writer.is_held = True
        commit = asyncio.ensure_future(one.engine.append([RunArmed(1, 9)]))
        await until(lambda: bool(one.writer.waiting))
        capture = asyncio.ensure_future(one.engine.capture())
        await asyncio.sleep(0)
        early = capture.done()
        one.writer.is_held = False
        one.writer.release()
        captured = await capture
        assert captured is not None
        return early, (await commit).last_seq, captured.head.seq

    with setting(tmp_path) as one:
        one.engine.runs = []
        early, committed, captured = run(work(one))
    assert not early
    assert captured == committed


def test_a_damaged_log_is_reported_while_the_daemon_still_runs(
    paper_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = copy_of(paper_home, tmp_path)
    last = batches_of(home)[-1]
    file = home / "log" / "data.mdb"
    data = file.read_bytes()
    at = data.rindex(last.payload)
    with LogReader.open(home) as reader:
        states = CapturedStates(last.head, states_at(home, last.head))
        with file.open("r+b") as damaged:
            damaged.seek(at)
            damaged.write(bytes([data[at] ^ 1]))
        run(snapshotter(home, reader, states, verifies=True).save())

    assert "the log is damaged, and the next start will be refused" in caplog.text


def test_a_damaged_projection_is_built_again_by_a_start(paper_home: Path, tmp_path: Path) -> None:
    home = copy_of(paper_home, tmp_path)
    with LogReader.open(home) as reader:
        expected = list_runs(reader)
        with Checkpoints.open(home) as store:
            shards = [name for name in store.names("projection/") if name.count("/") > 1]
            for name in shards:
                store.put(name, b"damaged")
        restore_projections(reader)
        found = list_runs(reader)

    assert len(shards) > 10
    assert found == expected
