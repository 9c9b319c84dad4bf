"""Does the memory of building a tape, or of a backtest, grow with the length of the log?

    python benchmarks/memory.py [--millions 1 4 16] [--dir FOLDER]

Each size is a log of its own on the disk: five-minute bars of both legs and 8 h settlements of 100 pairs, appended pair
by pair as an import does, which is the worst order for the tape's sorting. Tape and backtest run in fresh processes;
the backtest is the real command. Peak memory is the kernel's figure for the process; `own` is the part without pages of
files, which the kernel can reclaim (sampled, Linux only). 16 million events need 4 GB of disk.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carryfold.domain.codec import encode
from carryfold.domain.events import BarClosed, FundingSettled, InstrumentListed
from carryfold.eventlog import EventLog, LogReader
from carryfold.eventlog.entries import Columns
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, SECOND_NS
from carryfold.projections.tape import Tape

PAIRS = 100
START = 1_640_995_200 * SECOND_NS
BAR_MINUTES = 5
BARS_A_SETTLEMENT = 8 * 60 // BAR_MINUTES
APPEND = 65_536
WARM_UP = 50_000  # events
SAMPLE_S = 0.02
MIB = 1024  # the kernel counts in KiB

Timed = tuple[bytes, int]


class Run(NamedTuple):
    """The run of a process: seconds, peak memory and its own part of it in KiB, and its output."""

    seconds: float
    peak: int
    own: int
    out: str


def pair_events(number: int, settlements: int) -> Iterator[Timed]:
    """(payload, known_at) of one pair: a listing, then for each settlement the bars before it."""
    symbol = f"P{number:03d}USDT"
    draw = np.random.Generator(np.random.PCG64(number))
    bars = settlements * BARS_A_SETTLEMENT
    spot = (100 * np.exp(np.cumsum(draw.normal(0, 0.001, bars)))).tolist()
    basis = draw.normal(1, 0.0003, bars).tolist()
    noise = draw.normal(0, 1, settlements)
    for kind in ("perp", "spot"):
        yield encode(InstrumentListed("bench", symbol, kind, 1, START, symbol[:-4], "USDT", 1e-6, 5.0)), START
    rate = 0.0
    for k in range(settlements):
        for i in range(k * BARS_A_SETTLEMENT, (k + 1) * BARS_A_SETTLEMENT):
            at = START + (i + 1) * BAR_MINUTES * MINUTE_NS
            perp = spot[i] * basis[i]
            yield encode(BarClosed("bench", symbol, "perp", 1, at, BAR_MINUTES, perp, perp, 1e5)), at + SECOND_NS
            yield encode(BarClosed("bench", symbol, "spot", 1, at, BAR_MINUTES, spot[i])), at + SECOND_NS
        rate = 0.97 * rate + 0.24 * float(noise[k])
        at = START + (k + 1) * 8 * HOUR_NS
        yield encode(FundingSettled("bench", symbol, 1, at, round(1e-4 + 1e-4 * rate, 8), 8.0)), at + MINUTE_NS


def write_log(home: Path, events: int) -> None:
    """Write a log of about `events` events."""
    settlements = round(events / PAIRS / (2 * BARS_A_SETTLEMENT + 1))
    with EventLog.open(home) as log:
        waiting: list[Timed] = []
        for number in range(PAIRS):
            for event in pair_events(number, settlements):
                waiting.append(event)
                if len(waiting) == APPEND:
                    append(log, waiting)
        append(log, waiting)
        print(log.last.seq)


def append(log: EventLog, waiting: list[Timed]) -> None:
    """Append the `waiting` entries and empty the list."""
    if waiting:
        payloads, known_at = zip(*waiting, strict=True)
        log.append_columns([Columns(payloads, None, known_at)])
        waiting.clear()


def build_tape(home: Path) -> None:
    """Build the tape from scratch."""
    with LogReader.open(home) as reader:
        print(Tape.open(home, reader).rows)


def own_memory(pid: int) -> int:
    """Anonymous memory of a process now, KiB; 0 where the system has no figure."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+)", status)
    return int(found[1]) if found else 0


def measured(*command: str) -> Run:
    """Run a process and measure it."""
    with tempfile.TemporaryFile("w+") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        ended = threading.Event()
        own: list[int] = [0]

        def sample() -> None:
            while not ended.wait(SAMPLE_S):
                own.append(own_memory(process.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampler.join()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        out.seek(0)
        return Run(seconds, usage.ru_maxrss, max(own), out.read())


def measure(home: Path, events: int) -> str:
    """One row of the table."""
    itself = (sys.executable, __file__, str(home))
    written = measured(*itself, "--write", str(events))
    built = measured(*itself, "--build")
    carryfold = str(Path(sys.executable).with_name("carryfold"))
    backtest = measured(carryfold, "--home", str(home), "backtest", "--json")
    assert f'"rows":{int(built.out)},' in backtest.out, "the backtest saw all rows"
    return (
        f"| {int(written.out):,} | {written.seconds:.1f} s | {built.seconds:.1f} s | {memory(built)} "
        f"| {backtest.seconds:.1f} s | {memory(backtest)} |"
    )


def memory(run: Run) -> str:
    """Two cells of the table."""
    return f"{run.peak / MIB:.0f} MiB | {run.own / MIB:.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--dir", help="where the logs are made, and removed again")
    parser.add_argument("home", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_log(Path(options.home), options.write)
        return
    if options.build:
        build_tape(Path(options.home))
        return
    print("| events | append | tape build | its peak | own | backtest and hold | its peak | own |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    sizes = [millions * 1_000_000 for millions in options.millions]
    for events in (WARM_UP, *sizes):  # the first backtest may have to compile the fold
        with tempfile.TemporaryDirectory(prefix="memory-bench-", dir=options.dir) as home:
            row = measure(Path(home), events)
        if events != WARM_UP:
            print(row, flush=True)


if __name__ == "__main__":
    main()
