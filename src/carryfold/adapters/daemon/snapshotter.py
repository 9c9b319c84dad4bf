"""Keeps what the next start reads up to date: snapshots of the runs, the tape, and projections.

All of it is derived from the log and disposable. It is saved once the daemon is armed, then every `SAVE_EVERY_S`
seconds, and at a stop. Live, the log is verified then too. So the next start reads, folds and verifies only the events
since, however long the log is.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from carryfold.adapters.daemon.engine import CapturedStates, Engine
from carryfold.adapters.daemon.log_check import verify_new
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.tasks import in_thread
from carryfold.eventlog import LogError, LogReader
from carryfold.projections.catalogue import START_PROJECTIONS
from carryfold.projections.runner import ProjectionError, Projections
from carryfold.projections.runs import RunError
from carryfold.projections.snapshots import SnapshotStore
from carryfold.projections.tape import Tape, TapeError

__all__ = ["SAVE_EVERY_S", "Snapshotter", "restore_projections", "save_for_start"]

SAVE_EVERY_S: Final = 900.0
"""Real seconds. 500 pairs record about 80,000 events in this time, which a start folds in a fraction of a second."""


class Snapshotter:
    """`run` it for ever, and `save` after the last commit."""

    def __init__(self, home: Path, reader: LogReader, engine: Engine, notices: Notices, *, verifies: bool) -> None:
        """`verifies`: the log is verified too, in steps, because the next start has to trust it."""
        self._home = home
        self._verifies = verifies
        self._reader = reader
        self._engine = engine
        self._notices = notices

    async def run(self) -> None:
        """Save now and then, for ever."""
        while True:
            await self.save()
            await asyncio.sleep(SAVE_EVERY_S)

    async def save(self) -> None:
        """Save everything as of the last commit. A failure is reported, and costs the next start time."""
        captured = await self._engine.capture()
        if captured is None:
            return
        try:
            await in_thread(lambda: save_for_start(self._home, self._reader, captured))
            if self._verifies:
                await self._verify()
        except (LogError, OSError, ProjectionError, TapeError) as error:
            self._notices.alert("snapshot", f"no snapshot was saved, so the next start takes longer: {error}")

    async def _verify(self) -> None:
        report = await in_thread(lambda: verify_new(self._home))
        if not report.ok:
            self._notices.alert("log", f"the log is damaged, and the next start will be refused: {report.error}")


def save_for_start(home: Path, reader: LogReader, captured: CapturedStates) -> None:
    """Save what the next start reads. Raises LogError, OSError, ProjectionError or TapeError."""
    with SnapshotStore.open(home) as snapshots:
        snapshots.save(captured.head, captured.states)
    Tape.open(home, reader)
    with Projections.open(home, reader, START_PROJECTIONS) as projections:
        projections.update()


def restore_projections(reader: LogReader) -> None:
    """Bring every projection that a start reads up to date, in one pass over what the log has since, and build damaged
    ones again. Raises RunError for a log that this version cannot read, LogError when the disk refuses a write."""
    try:
        with Projections.open(reader.home, reader, START_PROJECTIONS) as projections:
            projections.update()
            for status in projections.status():
                if not status.ok:
                    projections.rebuild(status.name)
    except ProjectionError as error:
        raise RunError(str(error)) from None
