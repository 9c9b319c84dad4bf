"""The two meta pages of an LMDB data file, read in plain Python.

In a truncated file the first access to a missing page kills the process (SIGBUS), so the size is checked before the
file is opened. This finds every truncation. It does not find a page of zeros; only `verify`, in a child, does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from carryfold.eventlog.errors import FormatUnknown, LogCorrupt, LogTruncated

_ORDER: Final = "<" if sys.byteorder == "little" else ">"
_META_HEAD: Final = Struct(_ORDER + "IIQQI")  # magic, data version, address, map size, page size
_META_TAIL: Final = Struct(_ORDER + "QQ")  # last page, transaction
_PAGE_HEADER: Final = 16
_META_TAIL_AT: Final = _PAGE_HEADER + 24 + 2 * 48  # after the records of the two built-in tables
_LMDB_MAGIC: Final = 0xBEEFC0DE


class Meta(NamedTuple):
    """The newest meta page of a data file."""

    map_size: int
    page_size: int
    last_page: int
    transaction: int


def read_meta(path: Path) -> Meta | None:
    """The newest meta page of the data file, or None while there is no file or an empty one.

    Raises LogCorrupt when neither meta page is readable, FormatUnknown for another engine's format.
    """
    try:
        with path.open("rb") as file:
            first = file.read(4096)
            if not first:
                return None
            candidates = [_parse_meta(path, first)]
            page_size = candidates[0].page_size if candidates[0] is not None else os.sysconf("SC_PAGE_SIZE")
            file.seek(page_size)
            candidates.append(_parse_meta(path, file.read(4096)))
    except FileNotFoundError:
        return None
    metas = [meta for meta in candidates if meta is not None]
    if not metas:
        raise LogCorrupt(f"{path} does not start with a readable header")
    return max(metas, key=lambda meta: meta.transaction)


def check_size(path: Path) -> Meta | None:
    """Raise LogTruncated when the file is shorter than its header requires.

    This holds only where nothing is ever deleted, as in the log: every page up to the last one was written.
    """
    meta = read_meta(path)
    if meta is None:
        return None
    size = path.stat().st_size  # after the header: a live writer only makes the file longer
    expected = (meta.last_page + 1) * meta.page_size
    if size < expected:
        raise LogTruncated(path, size, expected)
    return meta


def _parse_meta(path: Path, page: bytes) -> Meta | None:
    if len(page) < _META_TAIL_AT + _META_TAIL.size:
        return None
    magic, version, _, map_size, page_size = _META_HEAD.unpack_from(page, _PAGE_HEADER)
    if magic != _LMDB_MAGIC:
        return None
    if version != 1:
        raise FormatUnknown(f"{path} has LMDB data format {version}, this program knows 1")
    last_page, transaction = _META_TAIL.unpack_from(page, _META_TAIL_AT)
    return Meta(map_size, page_size, last_page, transaction)
