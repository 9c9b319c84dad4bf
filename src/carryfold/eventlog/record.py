"""The bytes of a log: one record per committed batch, and the chain of digests through them.

    key     first_seq, 8 bytes big-endian
    value   header (100 bytes) + payload

    header  magic, version, reserved, count, recorded_at, known_min, known_max, previous digest, digest
    payload msgpack array of count pairs [known_at as int64, event]
    digest  BLAKE2b-256(previous digest | header without both digests | payload)

Each digest covers the one before, so the last digest names the whole log: any flipped byte and any lost, added or
reordered batch changes it. It is a checksum, not a signature: anyone who can write the file can also recompute it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

import msgspec

from carryfold.eventlog.errors import FormatUnknown, LogCorrupt

FORMAT_VERSION: Final = 1
MAX_BATCH_EVENTS: Final = 4_096
MAX_BATCH_BYTES: Final = 1 << 20
PAIR_BYTES: Final = 10  # [known_at, ...] around each event: an array byte, a type byte, eight of int64
NO_DIGEST: Final = bytes(32)

MAGIC: Final = b"CFEL"
HEADER: Final = Struct(">4sHHIqqq32s32s")
FIELDS: Final = Struct(">4sHHIqqq")  # the header without the two digests
SEQ: Final = Struct(">Q")
_PAIR: Final = Struct(">2sq")
_LIVE_PAIR: Final = b"\x92\xd3"
_PAIRS: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])


class Head(msgspec.Struct, frozen=True):
    """Where a log ends. An empty log ends at seq 0 with a digest of zeros."""

    seq: int = 0
    digest: bytes = NO_DIGEST
    recorded_at: int = 0


class Batch(msgspec.Struct, frozen=True):
    """One committed record. Decode `payload` with one typed decoder: `Decoder(list[tuple[int, Event]])`.

    Times are int64 UTC nanoseconds; event i of the payload has seq `first_seq + i`.
    """

    first_seq: int
    count: int
    recorded_at: int
    known_min: int
    known_max: int
    previous: bytes
    digest: bytes
    payload: bytes

    @property
    def last_seq(self) -> int:
        """Seq of the last event inside."""
        return self.first_seq + self.count - 1

    @property
    def head(self) -> Head:
        """The head of a log that ends with this batch."""
        return Head(self.last_seq, self.digest, self.recorded_at)


def encode_pairs(payloads: Sequence[bytes], known_at: Sequence[int] | int) -> bytes:
    """The payload array. One known_at for all (a live commit) is several times cheaper than one for each."""
    head = _array_header(len(payloads))
    if isinstance(known_at, int):
        pair = _PAIR.pack(_LIVE_PAIR, known_at)
        return b"".join((head, pair, pair.join(payloads)))
    pack = _PAIR.pack
    parts = [head]
    for at, payload in zip(known_at, payloads, strict=True):
        parts += (pack(_LIVE_PAIR, at), payload)
    return b"".join(parts)


def encode_array(payloads: Sequence[bytes]) -> bytes:
    """The events alone as one msgpack array."""
    return _array_header(len(payloads)) + b"".join(payloads)


def decode_pairs(payload: bytes) -> list[tuple[int, msgspec.Raw]]:
    """[(known_at, undecoded event)]. Raises msgspec.DecodeError."""
    return _PAIRS.decode(payload)


def encode_record(
    count: int, recorded_at: int, known_min: int, known_max: int, previous: bytes, payload: bytes
) -> tuple[bytes, bytes]:
    """(stored value, digest) of one batch."""
    fields = FIELDS.pack(MAGIC, FORMAT_VERSION, 0, count, recorded_at, known_min, known_max)
    digest = chain(previous, fields, payload)
    return b"".join((fields, previous, digest, payload)), digest


def decode_record(first_seq: int, value: bytes) -> Batch:
    """The batch stored under `first_seq`. Its digest is not checked (see `is_intact`)."""
    if len(value) < HEADER.size or not value.startswith(MAGIC):
        raise LogCorrupt("the batch has no header", first_seq)
    _, version, _, count, recorded_at, known_min, known_max, previous, digest = HEADER.unpack_from(value)
    if version != FORMAT_VERSION:
        raise FormatUnknown(f"the batch at seq {first_seq} has format {version}, this program knows {FORMAT_VERSION}")
    return Batch(first_seq, count, recorded_at, known_min, known_max, previous, digest, value[HEADER.size :])


def decode_head(first_seq: int, value: bytes) -> Head:
    """The head of a log that ends with this record. Reads only the header."""
    return decode_record(first_seq, value[: HEADER.size]).head


def is_intact(batch: Batch) -> bool:
    """Does the batch still have the digest it was committed with?"""
    fields = FIELDS.pack(MAGIC, FORMAT_VERSION, 0, batch.count, batch.recorded_at, batch.known_min, batch.known_max)
    return chain(batch.previous, fields, batch.payload) == batch.digest


def chain(previous: bytes, fields: bytes, payload: bytes) -> bytes:
    """The next digest of the chain."""
    state = blake2b(previous, digest_size=32)
    state.update(fields)
    state.update(payload)
    return state.digest()


def content_digest(payload: Any) -> bytes:
    """The 16 bytes that represent an event's content in the key table."""
    return blake2b(payload, digest_size=16).digest()


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big")
