"""The event log: bytes in order, with sequence, time, checksums and keys. It knows nothing of trading. Start
at log.py."""

from carryfold.eventlog.backups import backup
from carryfold.eventlog.checkpoints import Checkpoints, Research
from carryfold.eventlog.clock import Clock
from carryfold.eventlog.commands import send_command
from carryfold.eventlog.committer import GroupCommitter
from carryfold.eventlog.entries import AnyEntry, AppendResult, Conflict, Entry, Follow
from carryfold.eventlog.errors import (
    AppendRefused,
    CommandRefused,
    CommandUnanswered,
    DiskFailed,
    DiskFull,
    FormatUnknown,
    ImportRefused,
    LogClosed,
    LogCorrupt,
    LogError,
    LogTruncated,
    LostTail,
    MapFull,
    NameTaken,
    NoLog,
    NoOwner,
    OwnerLocked,
)
from carryfold.eventlog.jsonl import export_jsonl, import_jsonl
from carryfold.eventlog.lock import OwnerLock, owner_pid
from carryfold.eventlog.log import EventLog
from carryfold.eventlog.reader import LogReader
from carryfold.eventlog.record import Batch, Head
from carryfold.eventlog.verification import VerifyReport, verify

__all__ = [
    "AnyEntry",
    "AppendRefused",
    "AppendResult",
    "Batch",
    "Checkpoints",
    "Clock",
    "CommandRefused",
    "CommandUnanswered",
    "Conflict",
    "DiskFailed",
    "DiskFull",
    "Entry",
    "EventLog",
    "Follow",
    "FormatUnknown",
    "GroupCommitter",
    "Head",
    "ImportRefused",
    "LogClosed",
    "LogCorrupt",
    "LogError",
    "LogReader",
    "LogTruncated",
    "LostTail",
    "MapFull",
    "NameTaken",
    "NoLog",
    "NoOwner",
    "OwnerLock",
    "OwnerLocked",
    "Research",
    "VerifyReport",
    "backup",
    "export_jsonl",
    "import_jsonl",
    "owner_pid",
    "send_command",
    "verify",
]
