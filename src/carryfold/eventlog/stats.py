"""Size and growth of a log, from its tables and the recorded_at of its batches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import lmdb

from carryfold.eventlog import tables
from carryfold.eventlog.env import SharedEnv
from carryfold.eventlog.record import HEADER, SEQ, Batch, decode_record

DAY_NS: Final = 86_400 * 1_000_000_000
SHORTEST_NS: Final = 60 * 1_000_000_000
"""The shortest span that is scaled to a daily rate; below it the rates are 0."""


def describe(transaction: lmdb.Transaction[bytes], env: SharedEnv, data_file: Path) -> dict[str, int | float]:
    """The figures of `LogReader.stat` by name.

    events, batches, keys; bytes (file), map_size, map_used; first/last_recorded_at (ns, 0 when empty); readers and
    max_readers (slots); events_per_day and bytes_per_day, measured over growth_span (ns): the last 24 hours, or the
    later half of a younger log, because the first start writes a lot at once.
    """
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
        "growth_span": 0,
    }
    with transaction.cursor(env.table(tables.EVENTS)) as cursor:
        if not cursor.last():
            return result
        last = _header(cursor)
        cursor.first()
        first = _header(cursor)
        span = min((last.recorded_at - first.recorded_at) // 2, DAY_NS)
        start = _first_since(cursor, last.recorded_at - span, last.last_seq)
    events = last.last_seq - start.first_seq + 1
    per_day = events / (span / DAY_NS) if span >= SHORTEST_NS else 0.0
    return result | {
        "events": last.last_seq,
        "first_recorded_at": first.recorded_at,
        "last_recorded_at": last.recorded_at,
        "events_per_day": per_day,
        "bytes_per_day": per_day * used / last.last_seq,
        "growth_span": span,
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
