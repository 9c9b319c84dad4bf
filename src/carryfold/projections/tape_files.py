"""The files of a tape: parts full of rows, and the manifest that says which parts there are.

A part is nothing but rows, in the tape's order, all of one UTC day of known_at, and is never changed once it is
named in a manifest: what replaces it has another name. The manifest is replaced by a rename after a flush. Parts are
not flushed one by one: each is checked against the manifest whenever it is read, so one torn by a power loss is
noticed, and the tape, which holds nothing that the log does not, is built again.
"""

import mmap
import os
import zlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from carryfold.domain.instruments import Listing, Pair
from carryfold.domain.rows import ROW, Rows
from carryfold.eventlog import Head
from carryfold.projections.cursor import day_of, format_day

__all__ = [
    "FORMAT", "LOCK_NAME", "MANIFEST_NAME", "Manifest", "Part", "TapeDamaged", "all_in_place", "checksum",
    "load_manifest", "map_part", "read_part", "remove_strangers", "save_manifest", "tape_dir", "write_part",
]  # fmt: skip

FORMAT: Final = 3
MANIFEST_NAME: Final = "manifest"
LOCK_NAME: Final = "lock"
_MAGIC: Final = b"CFTP"
_SUFFIX: Final = ".rows"
_PAGE_WORDS: Final = 512
_ROW_WORDS: Final = ROW.itemsize // 8


class TapeDamaged(Exception):
    """A part is gone, too short, or not what was written."""

    def __init__(self, part: "Part", reason: str) -> None:
        self.part = part
        super().__init__(f"{part.name}: {reason}")


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One file of rows. Times in ns; `first_known` and `last_known` are those of its first and last row."""

    name: str
    rows: int
    first_known: int
    last_known: int
    min_seq: int
    max_seq: int
    checksum: int

    @property
    def day(self) -> int:
        """Number of the UTC day that all its rows belong to."""
        return day_of(self.first_known)


class Manifest(msgspec.Struct):
    """What a tape consists of: `parts` in known order, no two of which share an instant. `head` is where the log ended
    that it was made from, `code` stands for the code that made the rows; `listings`, `pairs` and `runs` are the tables
    behind subject and slot."""

    format: int
    code: bytes
    head: Head
    listings: list[Listing]
    pairs: list[Pair]
    runs: list[int]
    parts: list[Part]

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return sum(part.rows for part in self.parts)


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Manifest)


def tape_dir(home: Path) -> Path:
    """The folder of the tape in a home."""
    return home / "tape"


def load_manifest(folder: Path) -> Manifest | None:
    """The manifest, or None when there is none that is whole and of this format."""
    try:
        data = (folder / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        return None
    body = data[8:]
    if data[:4] != _MAGIC or data[4:8] != zlib.crc32(body).to_bytes(4, "big"):
        return None
    try:
        manifest = _DECODER.decode(body)
    except msgspec.MsgspecError:
        return None
    return manifest if manifest.format == FORMAT else None


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: after a crash there is the old one or the new one."""
    body = _ENCODER.encode(manifest)
    temporary = folder / (MANIFEST_NAME + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / MANIFEST_NAME)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_part(folder: Path, token: str, number: int, rows: Rows) -> Part:
    """Write sorted rows of one UTC day to a new file. `token` is new at each update, so no name is used twice."""
    known, seq = rows["known_at"], rows["seq"]
    first, last = int(known[0]), int(known[-1])
    assert day_of(first) == day_of(last), "a part holds rows of one day"
    name = f"{format_day(day_of(first))}.{token}.{number:04d}{_SUFFIX}"
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        left = rows.view(np.uint8).data
        while left:
            left = left[file.write(left) :]
    return Part(name, len(rows), first, last, int(seq.min()), int(seq.max()), checksum(rows))


def read_part(folder: Path, part: Part, into: Rows) -> None:
    """Read a whole part into `into`, which has its length, and check it. Raises TapeDamaged."""
    try:
        descriptor = os.open(f"{folder}/{part.name}", os.O_RDONLY)
    except FileNotFoundError:
        raise TapeDamaged(part, "it is gone") from None
    try:
        left = into.view(np.uint8).data
        while left:
            count = os.readv(descriptor, [left])
            if not count:
                raise TapeDamaged(part, "it is cut short")
            left = left[count:]
    finally:
        os.close(descriptor)
    if checksum(into) != part.checksum:
        raise TapeDamaged(part, "its bytes are not those that were written")


def map_part(folder: Path, part: Part) -> Rows:
    """A whole part as a private, writable mapping of its file, checked: no copy, which would cost most of the time of
    reading it. A file that is replaced meanwhile stays what it was. Raises TapeDamaged."""
    try:
        descriptor = os.open(f"{folder}/{part.name}", os.O_RDONLY)
    except FileNotFoundError:
        raise TapeDamaged(part, "it is gone") from None
    try:
        if os.fstat(descriptor).st_size < part.rows * ROW.itemsize:
            raise TapeDamaged(part, "it is cut short")
        mapping = mmap.mmap(descriptor, part.rows * ROW.itemsize, mmap.MAP_PRIVATE)
    finally:
        os.close(descriptor)
    rows: Rows = np.frombuffer(mapping, ROW)
    if checksum(rows) != part.checksum:
        raise TapeDamaged(part, "its bytes are not those that were written")
    return rows


def checksum(rows: Rows) -> int:
    """CRC-32 of the sums of each 4 KiB of rows: nearly free beside reading them (a plain CRC-32 would halve the speed).

    Any change within one 8-byte word changes it, as does a page that is missing, blank or in another's place.
    """
    words = _words(rows)
    sums = np.add.reduceat(words, np.arange(0, len(words), _PAGE_WORDS))
    return zlib.crc32(sums.tobytes())


def all_in_place(folder: Path, manifest: Manifest) -> bool:
    """Is there a file of the right size for each part?"""
    with os.scandir(folder) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(_SUFFIX)}
    return all(sizes.get(part.name) == part.rows * ROW.itemsize for part in manifest.parts)


def remove_strangers(folder: Path, manifest: Manifest) -> None:
    """Remove what no manifest needs any more: parts that were replaced, and what a crash left behind."""
    kept = {part.name for part in manifest.parts} | {MANIFEST_NAME, LOCK_NAME}
    with os.scandir(folder) as entries:
        strangers = [entry.path for entry in entries if entry.name not in kept and entry.is_file(follow_symlinks=False)]
    for path in strangers:
        Path(path).unlink(missing_ok=True)


def _words(rows: Rows) -> npt.NDArray[np.uint64]:
    return rows.view(np.uint64).reshape(len(rows) * _ROW_WORDS)
