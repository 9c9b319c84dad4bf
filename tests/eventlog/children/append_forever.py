"""Append until killed. Every append is acknowledged on stdout, after it returned: 'last_seq'."""

import os
import random
import sys
from pathlib import Path

import msgspec

from carryfold.eventlog import EventLog

home, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
with EventLog.open(home) as log:
    os.write(1, b"ready\n")
    serial = 0
    while True:
        serial += 1
        size = chance.choice((1, 1, 3, 40, 700))
        entries = [
            (
                msgspec.msgpack.encode([seed, serial, index, size]),
                f"{seed}/{serial}/{index}".encode() if index % 2 else None,
            )
            for index in range(size)
        ]
        os.write(1, b"%d\n" % log.append(entries).last_seq)
