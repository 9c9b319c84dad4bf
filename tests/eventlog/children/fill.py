"""Append until the file-size limit of this process refuses, then lift the limit and append once more.

Prints: events acknowledged, the kind of error, its text, the seq of the append that followed.
"""

import resource
import sys
from pathlib import Path

import msgspec

from carryfold.eventlog import EventLog, LogError

home, limit = Path(sys.argv[1]), int(sys.argv[2])
payload = msgspec.msgpack.encode("x" * 1_000)
with EventLog.open(home) as log:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    acknowledged = 0
    try:
        while True:
            acknowledged = log.append([(payload, b"%d/%d" % (acknowledged, index)) for index in range(100)]).last_seq
    except LogError as error:
        print(acknowledged, type(error).__name__, sep="\n")
        print(error)
    if log.last.seq != acknowledged:
        sys.exit(f"the owner believes in seq {log.last.seq}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(log.append([(payload, b"after")]).first_seq)
