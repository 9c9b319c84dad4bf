"""What a tape depends on beside the log, and how it fails."""

import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

from carryfold.domain import codec, events, instruments, legacy, row_builder, rows
from carryfold.domain.rows import ROW

__all__ = ["TapeError", "code_digest"]

_SOURCES: Final = (events, codec, instruments, legacy, rows, row_builder)


class TapeError(Exception):
    """The tape cannot be made or read; the text is one line that says why and what to do."""


def code_digest() -> bytes:
    """A digest of the code and the layout that make rows. Rows made under another digest must be made again."""
    state = blake2b(f"{sys.byteorder} {ROW.descr}".encode(), digest_size=16)
    for module in _SOURCES:
        assert module.__file__ is not None
        state.update(Path(module.__file__).read_bytes())
    return state.digest()
