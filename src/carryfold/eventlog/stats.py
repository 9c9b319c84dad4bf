"""How large a log is and how fast it grows, from its tables and the recorded_at of its batches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.env import SharedEnv
from carryfold.eventlog.record import HEADER, SEQ, Batch, decode_record

DAY_NS: Final = 86_400 * 1_000_000_000


def describe(transaction: lmdb.Transaction[bytes], env: SharedEnv, data_file: Path) -> dict[str, int | float]:
    """events, batches, keys; bytes (file), map_size, map_used; first/last_recorded_at (ns, 0 when empty); readers,
    max_readers (slots); events_per_day, bytes_per_day (over the last 24 hours of the log, or all of it when
    younger)."""
    info, page_size = env.env.info(), env.env.stat()["psize"]
    used = (info["last_pgno"] + 1) * page_size
    result: dict[str, int | float] = {
        "events": 0,
        "batches": transaction.stat(env.table(tables.EVENTS))["entries"],
        "keys": transaction.stat(env.table(tables.KEYS))["entries"],
        "bytes": data_file.stat().st_size,
        "map_size": info["map_size"],
        "map_used": used,
        "first_recorded_at": 0,
        "last_recorded_at": 0,
        "readers": info["num_readers"],
        "max_readers": info["max_readers"],
        "events_per_day": 0.0,
        "bytes_per_day": 0.0,
    }
    with transaction.cursor(env.table(tables.EVENTS)) as cursor:
        if not cursor.last():
            return result
        last = _header(cursor)
        cursor.first()
        first = _header(cursor)
        start = _first_since(cursor, last.recorded_at - DAY_NS, last.last_seq)
    events = last.last_seq - start.first_seq + 1
    # A log of one instant has no rate yet; an hour is the shortest span worth scaling to a day.
    days = max(last.recorded_at - start.recorded_at, DAY_NS // 24) / DAY_NS
    per_day = events / days if start.recorded_at < last.recorded_at else 0.0
    return result | {
        "events": last.last_seq,
        "first_recorded_at": first.recorded_at,
        "last_recorded_at": last.recorded_at,
        "events_per_day": per_day,
        "bytes_per_day": per_day * used / last.last_seq,
    }


def _first_since(cursor: lmdb.Cursor[bytes], since: int, last_seq: int) -> Batch:
    """The first batch recorded at `since` or later, by bisection: recorded_at never decreases with seq."""
    low, high = 1, last_seq
    while low < high:
        middle = (low + high) // 2
        found = cursor.set_range(SEQ.pack(middle))
        if not found or _header(cursor).recorded_at >= since:
            high = middle
        else:
            low = middle + 1
    if not cursor.set_range(SEQ.pack(low)):
        cursor.last()
    return _header(cursor)


def _header(cursor: lmdb.Cursor[bytes]) -> Batch:
    return decode_record(tables.decode_seq(cursor.key()), cursor.value()[: HEADER.size])
