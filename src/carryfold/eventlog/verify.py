"""`python -m carryfold.eventlog.verify HOME`: check a log from a shell. Prints one line; exit code 0 if it is intact.

With `--walk FD` this is the child that `verify` spawns: it checks the log itself, writes the seq being read to the open
file FD, and prints the report as JSON. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from carryfold.eventlog.record import Head
from carryfold.eventlog.verification import verify, walk


def main(arguments: Sequence[str]) -> int:
    """0 intact, 1 damaged, 2 wrong usage."""
    match arguments:
        case ["--walk", fd, home, *after] if fd.isdigit():
            seen = Head(int(after[0]), bytes.fromhex(after[1])) if after else None
            report = walk(Path(home), int(fd), after=seen)
            sys.stdout.buffer.write(msgspec.json.encode(report))
        case [home] if not home.startswith("-"):
            report = verify(Path(home))
            summary = f"{report.events} events in {report.batches} batches, head {report.head_digest.hex()}"
            print(f"intact: {summary}" if report.ok else report.error)
        case _:
            print("usage: python -m carryfold.eventlog.verify HOME", file=sys.stderr)
            return 2
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
