"""How many events a second does an append make durable, compared with alternatives on the same disk?

    python benchmarks/log_append.py [--runs 5] [--events 163840] [--dir FOLDER]

Every number is a median of fresh files, flushed to the disk at each commit. The events are array-like msgpack of
about 110 bytes. Peers: `sqlite3` with executemany (WAL, synchronous=FULL) and the SQLite recorder of `eventsourcing`
(WAL), if it is installed.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from carryfold.eventlog import EventLog, GroupCommitter

BATCH = 4_096
THREADS = 16
Event = tuple[bytes, bytes]


def make_events(count: int) -> list[Event]:
    """(payload, ordered key)."""
    encode = msgspec.msgpack.Encoder().encode
    at = 1_700_000_000_000_000_000
    return [
        (
            encode(
                ["Quoted", "bybit", "BTCUSDT", 0, at + index, 43_000.5 + index, 43_001.0, 43_010.25, 43_011.0, 1e6, 2e6]
            ),
            b"quoted/bybit/BTCUSDT/0000/%020d" % (at + index),
        )
        for index in range(count)
    ]


def parts(events: list[Event], size: int) -> Iterator[list[Event]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]


def eventlog(folder: Path, events: list[Event], size: int, *, keyed: bool) -> float:
    entries = [[(payload, key if keyed else None, None) for payload, key in part] for part in parts(events, size)]
    with EventLog.open(folder) as log:
        started = time.perf_counter()
        for part in entries:
            log.append(part)
        spent = time.perf_counter() - started
        assert log.last.seq == len(events)
    return len(events) / spent


def eventlog_threads(folder: Path, events: list[Event]) -> float:
    """One event for each submission, from many threads that each wait for their own."""
    with EventLog.open(folder) as log, GroupCommitter(log) as committer:

        def produce(mine: list[Event]) -> None:
            for payload, _ in mine:
                committer.submit([(payload,)]).result()

        threads = [threading.Thread(target=produce, args=(events[index::THREADS],)) for index in range(THREADS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = time.perf_counter() - started
        assert log.last.seq == len(events)
    return len(events) / spent


def raw_sqlite(folder: Path, events: list[Event], size: int, *, keyed: bool) -> float:
    with closing(sqlite3.connect(folder / "log.sqlite")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(
            f"CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER, payload BLOB{', key BLOB UNIQUE' * keyed})"
        )
        insert = (
            "INSERT INTO events (at, payload, key) VALUES (?, ?, ?)"
            if keyed
            else "INSERT INTO events (at, payload) VALUES (?, ?)"
        )
        rows = [[(1, payload, key)[: 2 + keyed] for payload, key in part] for part in parts(events, size)]
        started = time.perf_counter()
        for part in rows:
            with db:
                db.executemany(insert, part)
        return len(events) / (time.perf_counter() - started)


def eventsourcing_sqlite(folder: Path, events: list[Event], size: int) -> float:
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(folder / "es.sqlite")))
    recorder.create_table()
    originator = uuid.uuid4()
    stored = [StoredEvent(originator, index, "Quoted", payload) for index, (payload, _) in enumerate(events)]
    started = time.perf_counter()
    for start in range(0, len(stored), size):
        recorder.insert_events(stored[start : start + size])
    return len(events) / (time.perf_counter() - started)


def median(
    measure: Callable[..., float], runs: int, where: str | None, *arguments: Any, **options: Any
) -> float | None:
    """Events a second, or None if the peer is not installed."""
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            try:
                rates.append(measure(Path(folder), *arguments, **options))
            except ImportError:
                return None
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=40 * BATCH)
    parser.add_argument("--dir", help="where to write; must be on a real disk")
    options = parser.parse_args()
    runs, where = options.runs, options.dir
    many = make_events(options.events)
    single = many[: min(1_000, len(many))]
    print("| durable append, events/s (median) | eventlog | sqlite3 WAL FULL | ratio | eventsourcing SQLite | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, events, size in (
        (f"{BATCH} a commit", many, BATCH),
        ("100 a commit", many[: 200 * 100], 100),
        ("1 a commit", single, 1),
    ):
        ours = median(eventlog, runs, where, events, size, keyed=False)
        lite = median(raw_sqlite, runs, where, events, size, keyed=False)
        print(row(name, ours, lite, median(eventsourcing_sqlite, runs, where, events, size)))
    ours = median(eventlog, runs, where, many, BATCH, keyed=True)
    lite = median(raw_sqlite, runs, where, many, BATCH, keyed=True)
    print(
        row(
            f"{BATCH} a commit, ordered unique keys", ours, lite, median(eventsourcing_sqlite, runs, where, many, BATCH)
        )
    )
    # The peers commit one event at a time here: neither of them groups the commits of several threads.
    ours = median(eventlog_threads, runs, where, many[:8_000])
    lite = median(raw_sqlite, runs, where, single, 1, keyed=False)
    name = f"1 a submission, {THREADS} threads, group commit"
    print(row(name, ours, lite, median(eventsourcing_sqlite, runs, where, single, 1)))


def row(name: str, ours: float | None, *peers: float | None) -> str:
    assert ours is not None
    cells = [f"{ours:,.0f}"]
    for peer in peers:
        cells += ["not installed", ""] if peer is None else [f"{peer:,.0f}", f"{ours / peer:.1f}x"]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
