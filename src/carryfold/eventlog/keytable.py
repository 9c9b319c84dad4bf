"""The table of keys: which event a key names, and a digest of its content.

    key -> seq (8 bytes big-endian) | BLAKE2b-128 of the payload | CRC-32 of seq, digest and key

The digest decides duplicate or conflict without reading the event. The CRC protects what the log's own chain does not
cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import lmdb

from carryfold.eventlog.entries import Conflict
from carryfold.eventlog.record import content_digest

_VALUE: Final = Struct(">Q16sI")
_SEQ_BYTES: Final = 8
_DIGEST_END: Final = 24


class Kept(NamedTuple):
    """The outcome of the key lookup. `keep` has the indices of the entries to store, None for all."""

    keep: list[int] | None
    duplicates: int
    conflicts: list[Conflict]


def encode_key_value(key: bytes, seq: int, digest: bytes) -> bytes:
    """The stored value of one key."""
    body = seq.to_bytes(_SEQ_BYTES, "big") + digest
    return body + crc32(body + key).to_bytes(4, "big")


def decode_key_value(key: bytes, value: bytes) -> tuple[int, bytes] | None:
    """(seq, content digest), or None when the value is damaged."""
    if len(value) != _VALUE.size:
        return None
    seq, digest, crc = _VALUE.unpack(value)
    return (seq, digest) if crc == crc32(value[:_DIGEST_END] + key) else None


def put_keys(
    cursor: lmdb.Cursor[bytes], keys: Sequence[bytes | None], payloads: Sequence[bytes], first_seq: int
) -> Kept:
    """Store the keys of an append inside its transaction and return which entries to store.

    Most appends have only new keys, so the fast path is one sorted bulk put that refuses to overwrite. When it adds
    fewer keys than given, some exist already or come twice, and the slow path decides entry by entry. The slow path
    may overwrite keys that the fast path added: each of them belongs to an entry that is stored.
    """
    digests = [b"" if key is None else content_digest(payload) for key, payload in zip(keys, payloads, strict=True)]
    items = _items(keys, digests, first_seq)
    if not cursor.set_key(items[0][0]):
        consumed, added = cursor.putmulti(items, overwrite=False)
        if added == consumed == len(items):
            return Kept(None, 0, [])
    return _put_some(cursor, keys, digests, first_seq)


def _items(keys: Sequence[bytes | None], digests: Sequence[bytes], first_seq: int) -> list[tuple[bytes, bytes]]:
    """Sorted, because neighbouring keys share pages; of equal keys the earlier entry comes first."""
    items = [
        (key, encode_key_value(key, seq, digest))
        for seq, (key, digest) in enumerate(zip(keys, digests, strict=True), first_seq)
        if key is not None
    ]
    items.sort()
    return items


def _put_some(
    cursor: lmdb.Cursor[bytes], keys: Sequence[bytes | None], digests: Sequence[bytes], first_seq: int
) -> Kept:
    known: dict[bytes, tuple[int, bytes]] = {}
    for stored, value in cursor.getmulti(sorted({key for key in keys if key is not None})):
        found = decode_key_value(stored, value)
        # A damaged entry is kept as it is: `verify` names it, and a wrong guess here would double an event.
        taken = found if found is not None else (int.from_bytes(value[:_SEQ_BYTES], "big"), b"damaged")
        if taken[0] < first_seq:
            known[stored] = taken
    keep: list[int] = []
    conflicts: list[Conflict] = []
    items: list[tuple[bytes, bytes]] = []
    for index, (key, digest) in enumerate(zip(keys, digests, strict=True)):
        if key is not None:
            earlier = known.get(key)
            if earlier is not None:
                if earlier[1] != digest:
                    conflicts.append(Conflict(index, key, earlier[0]))
                continue
            seq = first_seq + len(keep)
            known[key] = (seq, digest)
            items.append((key, encode_key_value(key, seq, digest)))
        keep.append(index)
    items.sort()
    consumed, added = cursor.putmulti(items)
    if not consumed == added == len(items):
        raise AssertionError(f"LMDB stored {added} keys of {len(items)}")
    return Kept(keep, len(keys) - len(keep) - len(conflicts), conflicts)
