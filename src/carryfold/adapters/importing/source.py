"""Files in bounded pieces: plain, gzip or zip by content, lines of a limited length, damage reported in one line.

Guarantees: memory use does not depend on the size of a file or of a line; a file that breaks off (a gzip cut short, a
read error) yields every complete line before the break, and then `error` says what happened. The last line of a broken
file is not yielded without its end: half a number looks like a number.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

from carryfold.adapters.importing.errors import ImportRefused

MAX_LINE_BYTES: Final = 65_536  # of a CSV file
MAX_JSON_BYTES: Final = 64 << 20  # of one JSON document: a line, or a whole file
HEAD_BYTES: Final = 65_536
CHUNK_BYTES: Final = 1 << 20
TOO_LONG: Final = "\0line too long"

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_BOM: Final = b"\xef\xbb\xbf"
_DAMAGE: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Lines(NamedTuple):
    """Consecutive lines. `odd`: they contain a quote or an underscore, which the fast path cannot read."""

    first: int
    lines: list[str]
    odd: bool


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Source:
    """A file, or one member of a zip. `name` is the one that the user is shown."""

    def __init__(self, path: Path, member: str | None = None) -> None:
        self.path = path
        self.member = member
        name = path.name if member is None else f"{path.name}:{member}"
        self.name = name.encode("utf-8", "backslashreplace").decode()  # a name may hold bytes that are not text
        self.stem = Path(member).name if member is not None else path.name
        self.error = ""

    def head(self) -> bytes:
        """The first bytes, unpacked."""
        head = b""
        for chunk in self.chunks():
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        return head[:HEAD_BYTES]

    def chunks(self) -> Iterator[bytes]:
        """The unpacked bytes without a byte order mark. Damage ends them and sets `error`."""
        self.error = ""
        count = 0
        try:
            with self.path.open("rb") as file:
                for chunk in self._unpacked(file):
                    yield chunk if count else chunk.removeprefix(_BOM)
                    count += len(chunk)
        except _DAMAGE as error:
            why = str(error) or type(error).__name__
            self.error = f"{self.name}: cannot be read to its end ({why}): rows before byte {count} are kept"

    def lines(self) -> Iterator[Lines]:
        """Text lines without their ends, numbered from 1; TOO_LONG stands for a line over MAX_LINE_BYTES.

        Bytes that are not ASCII come as lone surrogates, which no check accepts.
        """
        number = 1
        carry = b""
        skipping = False
        for chunk in self.chunks():
            whole, newline, rest = (carry + chunk).rpartition(b"\n")
            if not newline:
                skipping = skipping or len(rest) > MAX_LINE_BYTES
                carry = b"" if skipping else rest
                continue
            found = _decoded(whole, number, skipping)
            yield found
            number += len(found.lines)
            skipping = len(rest) > MAX_LINE_BYTES
            carry = b"" if skipping else rest
        if not self.error and (carry or skipping):
            yield _decoded(carry, number, skipping)

    def documents(self) -> Iterator[tuple[int, bytes]]:
        """(line, bytes) of each line, or (1, everything) when the first line alone is no document. One that is over
        MAX_JSON_BYTES ends them and sets `error`."""
        yield from _json_lines(self, self.chunks())

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        magic = file.read(4)
        file.seek(0)
        if self.member is not None:
            with zipfile.ZipFile(file) as archive, archive.open(self.member) as unpacked:
                yield from _pieces(unpacked)
        elif magic.startswith(_GZIP):
            yield from _gunzip(file)
        else:
            yield from _pieces(file)


def find_sources(path: Path) -> list[Source]:
    """The sources at `path`. Raises ImportRefused when it is missing, a folder, empty or not readable."""
    try:
        if path.is_dir():
            raise ImportRefused(
                f"{path.name or path} is a folder: name the files in it, for example {path.name}/*.csv.gz"
            )
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ImportRefused(f"{path}: no such file") from None
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be read ({error.strerror or error})") from None
    if not magic:
        raise ImportRefused(f"{path.name} is empty")
    if magic != _ZIP:
        return [Source(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")
            ]
    except _DAMAGE as error:
        raise ImportRefused(f"{path.name} is not a whole zip archive ({error})") from None
    if any(item.flag_bits & 1 for item in members):
        raise ImportRefused(f"{path.name} is encrypted: unpack it first")
    if not members:
        raise ImportRefused(f"{path.name} holds no file")
    return [Source(path, item.filename) for item in sorted(members, key=lambda item: item.filename)]


def _pieces(stream: _Stream) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Unpack in bounded pieces. The library's own reader loses data that it has unpacked when the file breaks off."""
    unpacker = zlib.decompressobj(wbits=31)
    while packed := file.read(CHUNK_BYTES):
        while packed:
            chunk = unpacker.decompress(packed, CHUNK_BYTES)
            if chunk:
                yield chunk
            packed = unpacker.unconsumed_tail
            if unpacker.eof:  # several gzip members in a row are one file; zeros after the last are padding
                packed = unpacker.unused_data.lstrip(b"\0")
                if not packed.startswith(_GZIP[:1]) and packed:
                    raise EOFError("other data follows the packed data")
                unpacker = zlib.decompressobj(wbits=31)
                if not packed:
                    packed = file.read(CHUNK_BYTES).lstrip(b"\0")
                    if not packed:
                        return
    raise EOFError("the packed data is cut short")


def _decoded(data: bytes, first: int, skipping: bool) -> Lines:
    """Lines of `data`; with `skipping` the first of them is the end of a line that was too long."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    text = data.decode("ascii", "surrogateescape")
    lines = text.split("\n")
    if skipping:
        lines[0] = TOO_LONG
    if len(data) > MAX_LINE_BYTES and max(map(len, lines)) > MAX_LINE_BYTES:
        lines = [line if len(line) <= MAX_LINE_BYTES else TOO_LONG for line in lines]
    return Lines(first, lines, '"' in text or "_" in text)


def _json_lines(source: Source, chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    carry = b""
    number = 1
    whole: bool | None = None  # is the file one document over several lines?
    for chunk in chunks:
        carry += chunk
        if whole is None and b"\n" in carry.lstrip():
            whole = not _looks_complete(carry.lstrip().partition(b"\n")[0])
        if whole is False:
            *lines, carry = carry.split(b"\n")
            for line in lines:
                if line.strip():
                    yield number, line
                number += 1
        if len(carry) > MAX_JSON_BYTES:
            source.error = f"{source.name}: a JSON document of more than {MAX_JSON_BYTES >> 20} MiB"
            return
    if carry.strip() and not source.error:
        yield number, carry


def _looks_complete(line: bytes) -> bool:
    """Whether this line may be a JSON document. The first line of a document over several lines never may."""
    return line.count(b"{") == line.count(b"}") and line.count(b"[") == line.count(b"]")
