"""The state of the log, its tape and its projections. These questions are about the home as it is now, under no
cursor."""

import shutil

import msgspec

from carryfold.domain.availability import META_NAME
from carryfold.eventlog import owner_pid
from carryfold.projections.cursor import format_optional_time
from carryfold.projections.queries.sources import Sources
from carryfold.projections.runner import Status
from carryfold.projections.tape_files import load_manifest, tape_dir

__all__ = ["DerivedStatus", "LogStatus", "TapeStatus", "derived_status", "log_status"]


class LogStatus(msgspec.Struct, frozen=True):
    """Size and growth of the log. Sizes are in bytes. The growth a day is measured over its last `growth_span` (ns; 0:
    too short). `availability` is its rule for the known_at of history as JSON, null while there is none; `owner_pid`
    the process that writes to it, null without one."""

    events: int
    batches: int
    keys: int
    bytes: int
    map_size: int
    map_used: int
    first_recorded_at: str | None
    last_recorded_at: str | None
    readers: int
    max_readers: int
    events_per_day: float
    bytes_per_day: float
    growth_span: int
    head_seq: int
    head_digest: str
    availability: str | None
    disk_free: int
    days_until_full: float | None
    owner_pid: int | None


class TapeStatus(msgspec.Struct, frozen=True):
    """The tape: `position` is the last seq that it has, 0 while it is not built."""

    rows: int
    position: int
    instruments: int


class DerivedStatus(msgspec.Struct, frozen=True):
    """The state of the tape and of each projection, for a log that ends at `last_seq`."""

    last_seq: int
    tape: TapeStatus
    projections: list[Status]


def log_status(sources: Sources) -> LogStatus:
    """Size, growth, head and owner of the log now."""
    reader = sources.reader
    stat = reader.stat()
    head = reader.last
    stored = reader.get_meta(META_NAME)
    free = shutil.disk_usage(sources.home.home).free
    per_day = float(stat["bytes_per_day"])
    return LogStatus(
        **{name: value for name, value in stat.items() if not name.endswith("_at")},  # type: ignore[arg-type]
        first_recorded_at=format_optional_time(int(stat["first_recorded_at"])),
        last_recorded_at=format_optional_time(int(stat["last_recorded_at"])),
        head_seq=head.seq,
        head_digest=head.digest.hex(),
        availability=None if stored is None else stored.decode(),
        disk_free=free,
        days_until_full=free / per_day if per_day > 0 else None,
        owner_pid=owner_pid(sources.home.home),
    )


def derived_status(sources: Sources) -> DerivedStatus:
    """The tape and the projections as they are, without bringing them up to date. Reads every shard."""
    manifest = load_manifest(tape_dir(sources.home.home))
    tape = (
        TapeStatus(0, 0, 0)
        if manifest is None
        else TapeStatus(manifest.rows, manifest.head.seq, len(manifest.listings))
    )
    return DerivedStatus(sources.reader.last.seq, tape, sources.home.stored.status())
