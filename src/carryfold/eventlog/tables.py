"""The folders of a home, the tables of the log, and the content of its `meta` table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import lmdb

from carryfold.eventlog.env import DATA_NAME, GIB, Options, SharedEnv
from carryfold.eventlog.errors import FormatUnknown, LogCorrupt, LostTail
from carryfold.eventlog.headfile import HEAD_NAME
from carryfold.eventlog.record import FORMAT_VERSION, SEQ, Head, decode_head, decode_record

EVENTS: Final = b"events"
KEYS: Final = b"keys"
META: Final = b"meta"
LOG_OPTIONS: Final = Options(tables=(EVENTS, KEYS, META), map_size=64 * GIB)
DEFAULT_MAX_MAP_SIZE: Final = 1024 * GIB

_FORMAT: Final = b"format"
_ENGINE: Final = b"engine"
_USER: Final = b"user:"  # prefix of callers' settings, apart from the log's own


def log_dir(home: Path) -> Path:
    """The folder of the log's environment."""
    return home / "log"


def data_file(home: Path) -> Path:
    """The one file that holds the log."""
    return log_dir(home) / DATA_NAME


def last_head(transaction: lmdb.Transaction[bytes], env: SharedEnv) -> Head:
    """The end of the log, as of this transaction."""
    with transaction.cursor(env.table(EVENTS)) as cursor:
        if not cursor.last():
            return Head()
        key, value = cursor.item()
    return decode_head(decode_seq(key), value)


def decode_seq(key: bytes) -> int:
    """The seq in a record's key. Raises LogCorrupt."""
    if len(key) != SEQ.size:
        raise LogCorrupt("a record is stored under a key that is not a seq")
    return int.from_bytes(key, "big")


def check_format(transaction: lmdb.Transaction[bytes], env: SharedEnv) -> bool:
    """False for a new log without a format yet. Raises FormatUnknown."""
    stored = transaction.get(_FORMAT, db=env.table(META))
    if stored is None:
        return False
    if stored != _format_bytes():
        raise FormatUnknown(
            f"the log in {env.path} has format {stored.decode(errors='replace')}, this program knows {FORMAT_VERSION}:"
            " use the version of carryfold that wrote it"
        )
    return True


def write_format(transaction: lmdb.Transaction[bytes], env: SharedEnv) -> None:
    """Store the format of a new log and the version of LMDB that created it."""
    table = env.table(META)
    engine = ".".join(map(str, env.env.lib_version()))
    transaction.put(_FORMAT, _format_bytes(), db=table)
    transaction.put(_ENGINE, f"LMDB {engine}".encode(), db=table)


def check_outside_head(transaction: lmdb.Transaction[bytes], env: SharedEnv, outside: Head, home: Path) -> None:
    """Raise LostTail unless the log has the commit that the head file records."""
    last = last_head(transaction, env)
    if outside.seq > last.seq:
        raise LostTail(
            f"{data_file(home)} ends at seq {last.seq}, but seq {outside.seq} was committed", home / HEAD_NAME
        )
    if outside.seq == 0:
        return
    with transaction.cursor(env.table(EVENTS)) as cursor:
        # The batch that ends at outside.seq is the one before the first that starts later.
        found = cursor.prev() if cursor.set_range(SEQ.pack(outside.seq + 1)) else cursor.last()
        batch = decode_record(decode_seq(cursor.key()), cursor.value()) if found else None
    if batch is None or batch.head != outside:
        raise LostTail(
            f"{data_file(home)} is not the log of {HEAD_NAME}: they differ at seq {outside.seq}",
            home / HEAD_NAME,
        )


def get_setting(transaction: lmdb.Transaction[bytes], env: SharedEnv, name: str) -> bytes | None:
    """A caller's setting, or None."""
    return transaction.get(_USER + name.encode(), db=env.table(META))


def put_setting(transaction: lmdb.Transaction[bytes], env: SharedEnv, name: str, value: bytes) -> None:
    """Store or replace a setting of a caller."""
    transaction.put(_USER + name.encode(), value, db=env.table(META))


def settings(transaction: lmdb.Transaction[bytes], env: SharedEnv) -> dict[str, bytes]:
    """Every setting of callers, by name."""
    found: dict[str, bytes] = {}
    with transaction.cursor(env.table(META)) as cursor:
        if cursor.set_range(_USER):
            for key, value in cursor:
                if not key.startswith(_USER):
                    break
                found[key[len(_USER) :].decode()] = value
    return found


def _format_bytes() -> bytes:
    return str(FORMAT_VERSION).encode()
