"""The head file `log.head`: the end of the log, recorded outside the log, so that a lost tail is noticed.

LMDB falls back to an older state when it loses its newest meta page or a whole file version, and a chain of digests
cannot reveal that its own end is missing. So the owner writes (seq, digest) here after every commit. It does not fsync
this file each time, which would halve the commit rate.

Guarantees:
- after a killed process, the head is at most one commit behind the log;
- after a power loss, it lags by the commits since the last sync of the file (every `SYNC_EVERY_S`, and at close);
- it is never ahead, because the commit's own fsync comes first. A head ahead of the log therefore means a lost tail.
Two slots are written in turn, each with a checksum: a torn write sets the head back by one commit at most.
"""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final

from carryfold.eventlog.record import Head

HEAD_NAME: Final = "log.head"
SYNC_EVERY_S: Final = 10.0

_SLOT_BYTES: Final = 512  # one slot per disk sector, so that one torn sector cannot damage both
_SLOT: Final = Struct(">8sQq32s")
_MAGIC: Final = b"CFHEAD\x00\x01"


def read_head(home: Path) -> Head | None:
    """The newest intact head, or None without the file or when both slots are torn."""
    try:
        data = (home / HEAD_NAME).read_bytes()
    except FileNotFoundError:
        return None
    heads = [head for slot in (0, 1) if (head := _decode(data[slot * _SLOT_BYTES :])) is not None]
    return max(heads, key=lambda head: head.seq, default=None)


def write_head(home: Path, head: Head) -> None:
    """Write the head file of a copied or imported log."""
    file = HeadFile(home)
    try:
        file.write(head)
    finally:
        file.close()


class HeadFile:
    """The owner's side. OSError from `write` means that the file lags; the log itself is not affected."""

    def __init__(self, home: Path) -> None:
        self._fd: int | None = os.open(home / HEAD_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._fd).st_size < 2 * _SLOT_BYTES:
            # Full size from the start: overwriting needs no new block when the disk is full.
            os.pwrite(self._fd, bytes(2 * _SLOT_BYTES), 0)
        current = read_head(home)
        first = _decode(os.pread(self._fd, _SLOT_BYTES, 0))
        self._next_slot = 1 if first is not None and first == current else 0
        self._synced_at = time.monotonic()

    def write(self, head: Head) -> None:
        """Record a commit that is already durable in the log."""
        if self._fd is None:
            raise AssertionError("the head file is closed")
        body = _SLOT.pack(_MAGIC, head.seq, head.recorded_at, head.digest)
        os.pwrite(self._fd, body + _checksum(body), self._next_slot * _SLOT_BYTES)
        self._next_slot ^= 1
        now = time.monotonic()
        if now - self._synced_at >= SYNC_EVERY_S:
            os.fdatasync(self._fd)
            self._synced_at = now

    def close(self) -> None:
        """Sync and close."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)


def _decode(slot: bytes) -> Head | None:
    body, checksum = slot[: _SLOT.size], slot[_SLOT.size : _SLOT.size + 16]
    if len(body) < _SLOT.size or checksum != _checksum(body):
        return None
    magic, seq, recorded_at, digest = _SLOT.unpack(body)
    return Head(seq, digest, recorded_at) if magic == _MAGIC else None


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
