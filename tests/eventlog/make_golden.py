"""The script that wrote golden/v1.jsonl. The file is never written again: it represents every log of format 1.

python -m tests.eventlog.make_golden OUT.jsonl
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec

from carryfold.eventlog import Clock, EventLog, export_jsonl

pack = msgspec.msgpack.encode


def main(out: Path) -> None:
    ticks = iter(range(10**6))
    clock = Clock(wall=lambda: 1_700_000_000_000_000_000, monotonic=lambda: next(ticks) * 1_000_000)
    with tempfile.TemporaryDirectory() as folder, EventLog.open(Path(folder), clock=clock) as log:
        log.set_meta("availability", b"\x00rule 1")
        log.append([(pack(["Started", {"capital": "10000.00", "n": 1, "x": 0.1}]),)])
        log.append(
            [
                (
                    pack(["Rate", "BTCUSDT", 1_699_999_200_000_000_000, 0.0001]),
                    b"rate/BTCUSDT/1",
                    1_699_999_260_000_000_000,
                ),
                (
                    pack(["Rate", "ETHUSDT", 1_699_999_200_000_000_000, -1e-05]),
                    b"rate/ETHUSDT/1",
                    1_699_999_260_000_000_000,
                ),
                (pack(["Rate", "BTCUSDT", 1_699_999_200_000_000_000, 0.0001]), b"rate/BTCUSDT/1", None),
                (pack(["Bytes", b"\xff\xfe"]), b"\xff\xfe", 0),
                (pack(float("nan")), "Schlüssel".encode(), 2**63 - 1),
                (b"\xca\x3f\x80\x00\x00", None, None),
                (pack({"b64": "AA=="}), None, None),
                (pack([None, True, 2**64 - 1, -(2**63), 1e300, "ü\u2028"]), b"last", None),
            ]
        )
        log.append([(pack(index),) for index in range(4_100)])
        export_jsonl(Path(folder), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
