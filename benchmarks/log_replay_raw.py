"""How many events a second does a reader return from the log, raw, decoded, and verified?

    python benchmarks/log_replay_raw.py [--runs 5] [--events 409600] [--dir FOLDER]

One log is written, then read again and again from a warm cache. "Decoded" is every event as a typed struct from one
msgspec decoder. Peers: `sqlite3` and, if installed, the SQLite recorder of `eventsourcing`, both decoding the same
payloads with the same decoder.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from carryfold.eventlog import EventLog, LogReader, verify

BATCH = 4_096


class Quoted(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A typical market event."""

    venue: str
    symbol: str
    listing: int
    event_at: int
    spot_bid: float
    spot_ask: float
    perp_bid: float
    perp_ask: float


class Settled(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A second class, so that the decoder has a union."""

    venue: str
    symbol: str
    rate: float


one_event = msgspec.msgpack.Decoder(Quoted | Settled)
one_batch = msgspec.msgpack.Decoder(list[tuple[int, Quoted | Settled]])


def make_payloads(count: int) -> list[bytes]:
    encode = msgspec.msgpack.Encoder().encode
    at = 1_700_000_000_000_000_000
    return [
        encode(Quoted("bybit", "BTCUSDT", 0, at + index, 43_000.5 + index, 43_001.0, 43_010.25, 43_011.0))
        for index in range(count)
    ]


def log_raw(home: Path) -> int:
    with LogReader.open(home) as reader:
        return sum(batch.count for batch in reader.read())


def log_decoded(home: Path) -> int:
    with LogReader.open(home) as reader:
        return sum(len(one_batch.decode(batch.payload)) for batch in reader.read())


def log_verified(home: Path) -> int:
    report = verify(home, in_child=False)
    assert report.ok
    return report.events


def sqlite_decoded(home: Path) -> int:
    with closing(sqlite3.connect(home / "log.sqlite")) as db:
        return sum(
            1
            for _, _, payload in db.execute("SELECT seq, at, payload FROM events ORDER BY seq")
            if one_event.decode(payload)
        )


def eventsourcing_decoded(home: Path) -> int:
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(home / "es.sqlite")))
    count = start = 0
    while True:
        part = recorder.select_notifications(start=start + 1, limit=BATCH)
        if not part:
            return count
        for notification in part:
            one_event.decode(notification.state)
        count += len(part)
        start = part[-1].id


def write_all(home: Path, payloads: list[bytes]) -> None:
    with EventLog.open(home) as log:
        for start in range(0, len(payloads), BATCH):
            log.append([(payload,) for payload in payloads[start : start + BATCH]])
    with closing(sqlite3.connect(home / "log.sqlite")) as db, db:
        db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER, payload BLOB)")
        db.executemany("INSERT INTO events (at, payload) VALUES (1, ?)", ((payload,) for payload in payloads))
    try:
        from eventsourcing.persistence import StoredEvent
        from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
    except ImportError:
        return
    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(home / "es.sqlite")))
    recorder.create_table()
    originator = uuid.uuid4()
    for start in range(0, len(payloads), BATCH):
        part = enumerate(payloads[start : start + BATCH], start)
        recorder.insert_events([StoredEvent(originator, version, "Quoted", payload) for version, payload in part])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=100 * BATCH)
    parser.add_argument("--dir", help="where to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        home = Path(folder)
        write_all(home, make_payloads(options.events))

        def rate(measure: Callable[[Path], int]) -> float | None:
            rates = []
            for _ in range(options.runs):
                started = time.perf_counter()
                try:
                    assert measure(home) == options.events
                except ImportError:
                    return None
                rates.append(options.events / (time.perf_counter() - started))
            return statistics.median(rates)

        decoded = rate(log_decoded)
        assert decoded is not None
        print("| read, events/s (median) | rate | decoded eventlog against it |")
        print("|---|---:|---:|")
        for name, measured in (
            ("eventlog, whole batches, undecoded", rate(log_raw)),
            ("eventlog, decoded", decoded),
            ("eventlog, verified (digests, counts, times)", rate(log_verified)),
            ("sqlite3, decoded", rate(sqlite_decoded)),
            ("eventsourcing SQLite recorder, decoded", rate(eventsourcing_decoded)),
        ):
            print(
                f"| {name} | "
                + ("not installed | |" if measured is None else f"{measured:,.0f} | {decoded / measured:.1f}x |")
            )


if __name__ == "__main__":
    main()
