"""Backups: a compacted copy of a home, verified and flushed before it gets its name.

Works beside a live owner: the copy is the log as of one commit. `research/` is copied if it exists. `derived/` is not,
because it can be rebuilt. To restore, put the folder in place of the home.
"""

from __future__ import annotations

from pathlib import Path

from carryfold.eventlog import tables
from carryfold.eventlog.checkpoints import Research
from carryfold.eventlog.env import DATA_NAME
from carryfold.eventlog.errors import LogCorrupt
from carryfold.eventlog.files import atomic_folder
from carryfold.eventlog.headfile import write_head
from carryfold.eventlog.reader import LogReader
from carryfold.eventlog.verification import VerifyReport, verify


def backup(home: Path, target: Path) -> VerifyReport:
    """Copy the log (and research) of `home` into the new folder `target`, and return the verified copy's report.

    Raises NoLog, FileExistsError when `target` exists, and LogCorrupt when the copy does not verify. No `target` is
    left behind after an error.
    """
    with atomic_folder(target) as partial:
        folder = tables.log_dir(partial)
        folder.mkdir(mode=0o700)
        with LogReader.open(home) as reader:
            reader.copy_to(folder)
        (folder / DATA_NAME).chmod(0o600)
        research = home / Research.FOLDER
        if (research / DATA_NAME).exists():
            _copy_research(home, partial)
        report = verify(partial)
        if not report.ok:
            raise LogCorrupt(f"the copy of {home} does not verify: {report.error}", report.bad_seq)
        with LogReader.open(partial) as reader:
            write_head(partial, reader.last)
    return report


def _copy_research(home: Path, partial: Path) -> None:
    folder = partial / Research.FOLDER
    folder.mkdir(mode=0o700)
    with Research.open(home) as research:
        research.copy_to(folder)
    (folder / DATA_NAME).chmod(0o600)
