"""`python -m carryfold.eventlog.verify HOME`: check a log from a shell. Prints one line; exit code 0 only when it is
whole.

With `--walk FD` it is the child that `verify` spawns: it does the walk itself, writes the seq it reads to the open
file FD, and prints the report as JSON. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from carryfold.eventlog.verification import verify, walk


def main(arguments: Sequence[str]) -> int:
    """0 whole, 1 damaged, 2 wrong usage."""
    match arguments:
        case ["--walk", fd, home] if fd.isdigit():
            report = walk(Path(home), int(fd))
            sys.stdout.buffer.write(msgspec.json.encode(report))
        case [home] if not home.startswith("-"):
            report = verify(Path(home))
            summary = f"{report.events} events in {report.batches} batches, head {report.head_digest.hex()}"
            print(f"whole: {summary}" if report.ok else report.error)
        case _:
            print("usage: python -m carryfold.eventlog.verify HOME", file=sys.stderr)
            return 2
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
