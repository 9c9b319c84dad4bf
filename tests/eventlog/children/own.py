"""Own the log until stdin closes; answer commands by appending them; append on request ('append N' on stdin)."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from carryfold.eventlog import EventLog, LogError


def obey(command: str, args: dict[str, Any]) -> int:
    if command == "refuse":
        raise LogError("not today")
    return log.append([(msgspec.msgpack.encode([command, args]),)]).last_seq


try:
    log = EventLog.open(Path(sys.argv[1]), command_handler=obey)
except LogError as error:
    print(f"refused: {error}", flush=True)
    sys.exit(1)
with log:
    print("owner", flush=True)
    for line in sys.stdin:
        count = int(line.split()[1])
        print(log.append([(msgspec.msgpack.encode(index),) for index in range(count)]).last_seq, flush=True)
