"""A log as JSON lines: for people, for other programs, and for moving a log between versions and machines.

    {"format": "carryfold-log", "version": 1, "meta": {name: base64}}
    {"first_seq": 1, "recorded_at": ..., "digest": "...", "events": [[known_at, event], ...]}      a line for each batch
    {"keys": [["key", seq], ...]}                                                                  in the order of keys
    {"end": last_seq, "digest": "..."}

Seqs, times and batch bounds are kept, so a log imported into an empty home has the same digests as the original. The
import refuses anything else, with the line number. An event is plain JSON if that gives back its exact bytes, otherwise
{"b64": msgpack in base64}; a key is text, or {"b64": ...} when it is not UTF-8. Memory holds a few batches at most. A
file whose name ends in .gz is compressed.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import lmdb
import msgspec

from carryfold.eventlog import tables
from carryfold.eventlog.env import acquire, release
from carryfold.eventlog.errors import ImportRefused, NoLog
from carryfold.eventlog.files import atomic_file
from carryfold.eventlog.headfile import write_head
from carryfold.eventlog.keytable import encode_key_value
from carryfold.eventlog.lock import OwnerLock
from carryfold.eventlog.reader import LogReader
from carryfold.eventlog.record import (
    FORMAT_VERSION,
    SEQ,
    Head,
    content_digest,
    decode_pairs,
    encode_pairs,
    encode_record,
)
from carryfold.eventlog.verification import verify

FORMAT_NAME: Final = "carryfold-log"
KEYS_PER_LINE: Final = 1_000
COMMIT_BYTES: Final = 32 << 20
MAX_LINE_BYTES: Final = 64 << 20
_DIGEST_BYTES: Final = 16


class FirstLine(msgspec.Struct, frozen=True):
    """The format of the file and the settings of its log."""

    format: str
    version: int
    meta: dict[str, str] = {}


class BatchLine(msgspec.Struct, frozen=True):
    """One committed batch."""

    first_seq: int
    recorded_at: int
    digest: str
    events: list[tuple[int, msgspec.Raw]]


class KeysLine(msgspec.Struct, frozen=True):
    """Some entries of the key table."""

    keys: list[tuple[str | dict[str, str], int]]


class EndLine(msgspec.Struct, frozen=True):
    """The last line: the head that the file must rebuild."""

    end: int
    digest: str


def export_jsonl(home: Path, out: Path) -> Head:
    """Write the log of `home` to the file `out`, which appears only when it is complete. Returns the log's head."""
    with LogReader.open(home) as reader, atomic_file(out) as partial:
        upto = reader.last
        with _open(partial, "wb", compress=out.suffix == ".gz") as file:
            for line in _lines(reader, upto):
                file.write(msgspec.json.encode(line) + b"\n")
    return upto


def import_jsonl(file: Path, home: Path, *, verified_in_child: bool = True) -> Head:
    """Rebuild an exported log in a home without events, and return its head, which equals the original's.

    The log is built and verified in a folder of its own, then moved into place. Raises ImportRefused (with file and
    line) and OwnerLocked; the home is unchanged after an error.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with OwnerLock(home), tempfile.TemporaryDirectory(prefix=".import-", dir=home) as staging:
        building = Path(staging)
        _require_empty(home)
        with _Builder(building) as builder:
            _rebuild(file, builder)
            head = builder.head
        report = verify(building, in_child=verified_in_child)
        if not report.ok:
            raise ImportRefused(f"{file}: the imported log does not verify: {report.error}")
        if tables.log_dir(home).exists():
            shutil.rmtree(tables.log_dir(home))
        tables.log_dir(building).rename(tables.log_dir(home))
        write_head(home, head)
    return head


def event_to_json(event: bytes) -> bytes:
    """JSON that `event_from_json` turns back into exactly these msgpack bytes."""
    value = msgspec.msgpack.decode(event)
    try:
        text = msgspec.json.encode(value)
        is_exact = event_from_json(msgspec.json.decode(text)) == event
    except (msgspec.MsgspecError, TypeError, ValueError):  # extension types, keys that are not text, lone surrogates
        is_exact = False
    return text if is_exact else msgspec.json.encode(_wrapped(event))


def event_from_json(value: Any) -> bytes:
    """The msgpack bytes of one event in a line. An object whose only name is "b64" always holds base64."""
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return b64decode(value["b64"], validate=True)
    return msgspec.msgpack.encode(value)


def _lines(reader: LogReader, upto: Head) -> Iterator[msgspec.Struct]:
    meta = {name: b64encode(value).decode() for name, value in reader.settings().items()}
    yield FirstLine(FORMAT_NAME, FORMAT_VERSION, meta)
    for batch in reader.read():
        if batch.first_seq > upto.seq:
            break
        events = [(at, msgspec.Raw(event_to_json(bytes(raw)))) for at, raw in decode_pairs(batch.payload)]
        yield BatchLine(batch.first_seq, batch.recorded_at, batch.digest.hex(), events)
    keys: list[tuple[str | dict[str, str], int]] = []
    for key, seq in reader.iter_keys():
        if seq <= upto.seq:
            keys.append((_key_to_json(key), seq))
        if len(keys) == KEYS_PER_LINE:
            yield KeysLine(keys)
            keys = []
    if keys:
        yield KeysLine(keys)
    yield EndLine(upto.seq, upto.digest.hex())


def _rebuild(file: Path, builder: _Builder) -> None:
    number = 0
    is_complete = False
    try:
        with _open(file, "rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), 1):
                is_complete = builder.take(line, is_first=number == 1)
    except (ImportRefused, msgspec.MsgspecError, ValueError, OSError, EOFError) as error:
        raise ImportRefused(f"{file} line {number + isinstance(error, OSError | EOFError)}: {error}") from error
    if not is_complete:
        raise ImportRefused(f"{file} ends after line {number}, before its last line: it is not complete")


class _Builder:
    """A log being rebuilt, batch by batch, without a clock."""

    def __init__(self, building: Path) -> None:
        self.head = Head()
        self._is_complete = False
        self._env = acquire(tables.log_dir(building), tables.LOG_OPTIONS, writable=True)
        self._pending: dict[bytes, list[tuple[bytes, bytes]]] = {tables.EVENTS: [], tables.KEYS: []}
        self._bytes = 0
        # The content digest of event n is at 16 * (n - 1). The keys come last and need them in any order.
        self._contents = tempfile.TemporaryFile(dir=building)  # noqa: SIM115 - closed in __exit__
        with self._env.write() as transaction:
            tables.write_format(transaction, self._env)

    def __enter__(self) -> _Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._contents.close()
        release(self._env)

    def take(self, line: bytes, *, is_first: bool) -> bool:
        """Process one line; True if it was the last one. Raises ImportRefused, ValueError or msgspec.MsgspecError."""
        if self._is_complete:
            raise ImportRefused("the file goes on after its last line")
        if is_first:
            self._begin(msgspec.json.decode(line, type=FirstLine))
        elif line.startswith(b'{"first_seq"'):
            self._add_batch(msgspec.json.decode(line, type=BatchLine))
        elif line.startswith(b'{"keys"'):
            self._add_keys(msgspec.json.decode(line, type=KeysLine))
        else:
            return self._finish(msgspec.json.decode(line, type=EndLine))
        return False

    def _begin(self, line: FirstLine) -> None:
        if line.format != FORMAT_NAME or line.version != FORMAT_VERSION:
            raise ImportRefused(
                f"format {line.format} {line.version} is unknown, expected {FORMAT_NAME} {FORMAT_VERSION}"
            )
        with self._env.write() as transaction:
            for name, value in line.meta.items():
                tables.put_setting(transaction, self._env, name, b64decode(value, validate=True))

    def _add_batch(self, line: BatchLine) -> None:
        if line.first_seq != self.head.seq + 1:
            raise ImportRefused(f"the batch starts at seq {line.first_seq}, expected {self.head.seq + 1}")
        if not line.events:
            raise ImportRefused("the batch has no events")
        events = [event_from_json(msgspec.json.decode(raw)) for _, raw in line.events]
        known = [at for at, _ in line.events]
        value, digest = encode_record(
            len(events), line.recorded_at, min(known), max(known), self.head.digest, encode_pairs(events, known)
        )
        if digest.hex() != line.digest:
            raise ImportRefused("the batch does not have the digest it was exported with")
        self._contents.write(b"".join(map(content_digest, events)))
        self._store(tables.EVENTS, SEQ.pack(line.first_seq), value)
        self.head = Head(self.head.seq + len(events), digest, line.recorded_at)

    def _add_keys(self, line: KeysLine) -> None:
        self._contents.flush()
        for written, seq in line.keys:
            if not 1 <= seq <= self.head.seq:
                raise ImportRefused(f"a key names seq {seq}, which is not in the file")
            key = written.encode() if isinstance(written, str) else b64decode(written["b64"], validate=True)
            content = os.pread(self._contents.fileno(), _DIGEST_BYTES, (seq - 1) * _DIGEST_BYTES)
            self._store(tables.KEYS, key, encode_key_value(key, seq, content))

    def _finish(self, line: EndLine) -> bool:
        if (line.end, line.digest) != (self.head.seq, self.head.digest.hex()):
            raise ImportRefused(f"the file rebuilds seq {self.head.seq}, but was exported up to seq {line.end}")
        self._commit()
        self._is_complete = True
        return True

    def _store(self, table: bytes, key: bytes, value: bytes) -> None:
        self._pending[table].append((key, value))
        self._bytes += len(key) + len(value)
        if self._bytes >= COMMIT_BYTES:
            self._commit()

    def _commit(self) -> None:
        while True:
            try:
                with self._env.write() as transaction:
                    for name, items in self._pending.items():
                        with transaction.cursor(self._env.table(name)) as cursor:
                            consumed, added = cursor.putmulti(items, append=True)
                            if not consumed == added == len(items):
                                raise ImportRefused("records or keys are out of order or come twice")
            except lmdb.MapFullError:
                self._env.grow(2 * self._env.map_size())
            else:
                break
        self._pending = {name: [] for name in self._pending}
        self._bytes = 0


def _require_empty(home: Path) -> None:
    try:
        with LogReader.open(home) as reader:
            events = reader.last.seq
    except NoLog:
        return
    if events:
        raise ImportRefused(f"the log in {home} has {events} events already: import into an empty home")


def _key_to_json(key: bytes) -> str | dict[str, str]:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return _wrapped(key)


def _wrapped(data: bytes) -> dict[str, str]:
    return {"b64": b64encode(data).decode()}


def _open(path: Path, mode: str, *, compress: bool | None = None) -> IO[bytes]:
    if compress is None:
        compress = path.suffix == ".gz"
    return cast("IO[bytes]", gzip.open(path, mode) if compress else path.open(mode))
