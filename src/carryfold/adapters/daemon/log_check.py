"""Verification of the log in steps: what was verified once is not read again at every start.

The head that was verified last is kept in `derived/`. The first check, and one of a log that does not continue from
that head, covers the whole log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from carryfold.eventlog import Checkpoints, Head, VerifyReport, verify

__all__ = ["verify_new"]

_NAME: Final = "verified-head"
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Head)


def verify_new(home: Path) -> VerifyReport:
    """Verify every byte that was recorded since the last check, and remember the end if it is intact. Raises LogError
    when the disk refuses a write."""
    with Checkpoints.open(home) as store:
        before = _decoded(store.get(_NAME))
        report = verify(home, after=before)
        if not report.ok and before is not None:
            report = verify(home)
        if report.ok and report.head_seq:
            store.put(_NAME, _ENCODER.encode(Head(report.head_seq, report.head_digest)))
    return report


def _decoded(data: bytes | None) -> Head | None:
    try:
        return None if data is None else _DECODER.decode(data)
    except msgspec.MsgspecError:
        return None
