"""Does the time of a restart grow with the length of the log?

    python benchmarks/restart.py [--events 1000000 4000000 16000000] [--dir FOLDER] [--json]

Each size is a home of its own: quotes of both legs of 50 pairs, 100 events a commit and a commit every 10 s, 8 h
settlements, and one paper run with two trades a day at most. A start does everything that the daemon does with the log
before it is armed, in a process of its own; requests to a venue are left out. Three starts are measured:

    cold    nothing is derived yet: no tape, no projections, no snapshot
    killed  the log is 80,000 events longer than the snapshot: 15 minutes of 500 pairs, the most that a kill leaves
    stopped the snapshot is as of the log's end

`own` is the memory of the process without pages of files, at the end of the start. 100 million events take 14 GB of
disk, and about half an hour on an idle machine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from carryfold.adapters.daemon.engine import CapturedStates
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.notices import Notices
from carryfold.adapters.daemon.settings import ParameterSet
from carryfold.adapters.daemon.snapshotter import restore_projections, save_for_start
from carryfold.adapters.daemon.start import open_runs
from carryfold.adapters.marketdata.listings import record_listings
from carryfold.adapters.venues import LegRules, PairSpec
from carryfold.domain.codec import encode
from carryfold.domain.events import FundingSettled, InstrumentListed, Quoted, RunStarted
from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.params import parse_settings
from carryfold.domain.row_builder import RowBuilder
from carryfold.eventlog import Clock, EventLog, LogReader
from carryfold.eventlog.entries import Columns
from carryfold.projections.cursor import HOUR_NS, SECOND_NS
from carryfold.projections.last_settlements import last_settlements
from carryfold.projections.runs import list_runs

PAIRS = 50
START = 1_700_000_000 * SECOND_NS // (8 * HOUR_NS) * 8 * HOUR_NS
COMMIT_NS = 10 * SECOND_NS
COMMITS_A_SETTLEMENT = 8 * HOUR_NS // COMMIT_NS
TAIL_EVENTS = 80_000
GROUPS = 40  # commits in one transaction, when a home is made
WARM_UP = 20_000  # events
MIB = 1 << 20
SET = ParameterSet("run", parse_settings(["notional=500", "stale_s=60"]))
PHASES = ("open", "projections", "runs", "listings", "fold", "settlements")


def specs() -> list[PairSpec]:
    """The pairs as a venue lists them."""
    rules = LegRules(*(Decimal("0.001"),) * 5)
    found = []
    for number in range(PAIRS):
        coin = f"P{number:03d}"
        name = f"{coin}USDT"
        spot = InstrumentListed("bybit", name, "spot", 1, 0, coin, "USDT", 0.001, 5.0)
        perp = InstrumentListed("bybit", name, "perp", 1, START - HOUR_NS, coin, "USDT", 0.001, 5.0, interval_hours=8.0)
        found.append(PairSpec(spot, perp, rules, rules))
    return found


class Times:
    """A clock that a commit moves on by ten seconds."""

    def __init__(self, at: int) -> None:
        self.at = at

    def next(self) -> int:
        """The time of the next commit."""
        self.at += COMMIT_NS
        return self.at


def opened(home: Path) -> tuple[EventLog, Times]:
    """The log with a clock of its own, which goes on where the log ends."""
    with EventLog.open(home) as log:
        times = Times(max(log.last.recorded_at, START))
    return EventLog.open(home, clock=Clock(lambda: times.at, lambda: 0)), times


def make_home(home: Path, events: int) -> None:
    """A log of about so many events, whose run began after the first of them."""
    log, times = opened(home)
    with log:
        record_listings(log, specs(), START)
        pairs = tuple(sorted((spec.pair for spec in specs()), key=lambda pair: pair.order))
        times.next()
        log.clock.re_anchor()
        parameters = msgspec.to_builtins(SET.parameters)
        log.append([(encode(RunStarted(times.at, "paper", parameters, CODE_DIGEST, "", pairs)), None, None)])
    add_market(home, events)


def add_market(home: Path, events: int) -> None:
    """So many events of the market at the end of a log."""
    log, times = opened(home)
    with log:
        groups: list[Columns] = []
        for payloads in commits(times, events):
            groups.append(Columns(payloads, None, None))
            if len(groups) == GROUPS:
                append(log, groups)
        append(log, groups)


def append(log: EventLog, groups: list[Columns]) -> None:
    """Append, each group as a commit of its own that is later than the one before."""
    log.clock.re_anchor()
    log.append_columns(groups)
    groups.clear()


def commits(times: Times, events: int) -> Iterator[tuple[bytes, ...]]:
    """The payloads of each commit."""
    names = [f"P{number:03d}USDT" for number in range(PAIRS)]
    made = step = 0
    while made < events:
        at = times.next()
        step += 1
        payloads: list[bytes] = []
        for number, name in enumerate(names):
            price = 100.0 + number + (step * (number + 3) % 997) / 1000
            payloads.append(encode(Quoted("bybit", name, "spot", 1, at, price, price + 0.01)))
            payloads.append(encode(Quoted("bybit", name, "perp", 1, at, price + 0.02, price + 0.03)))
        if step % COMMITS_A_SETTLEMENT == 1:
            due = at // (8 * HOUR_NS) * 8 * HOUR_NS
            rates = (1e-4 * ((step // COMMITS_A_SETTLEMENT + number) % 7 - 2) for number in range(PAIRS))
            payloads += [
                encode(FundingSettled("bybit", name, 1, due, rate, 8.0))
                for name, rate in zip(names, rates, strict=True)
            ]
        made += len(payloads)
        yield tuple(payloads)


def start(home: Path, save: bool) -> dict[str, Any]:
    """One start: seconds by phase, and memory. With `save`, what the next start reads is saved at its end."""
    took: dict[str, float] = {}
    began = time.perf_counter()

    def phase(name: str) -> None:
        nonlocal began
        now = time.perf_counter()
        took[name], began = now - began, now

    log, _ = opened(home)
    notices = Notices(Metrics())
    with log, LogReader.open(home) as reader:
        phase("open")
        restore_projections(reader)
        phase("projections")
        known = list_runs(reader)
        phase("runs")
        chosen = record_listings(log, specs(), log.clock.now()).pairs
        phase("listings")
        started = open_runs(log, reader, known, "paper", [SET], chosen, notices)
        RowBuilder(started.tape.instruments, started.tape.pairs, started.tape.runs)
        if started.missing:
            log.append([(encode(event), None, None) for event in started.missing])
        phase("fold")
        last_settlements(reader)
        phase("settlements")
        result = {"events": log.last.seq, "phases": took, "own": own_memory(), "hash": started.runs[0].state.hash()}
        if save:
            states = {run.info.run: run.state for run in started.runs}
            save_for_start(home, reader, CapturedStates(log.last, states))
    return result


def own_memory() -> int:
    """Memory of this process that is not pages of files, in bytes."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def in_process(home: Path, *, save: bool = False) -> dict[str, Any]:
    """A start in a process of its own."""
    command = [sys.executable, __file__, "--start", str(home), *(["--save"] if save else [])]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(out.splitlines()[-1]))


def measure(home: Path, events: int) -> dict[str, Any]:
    """All starts of one size."""
    make_home(home, events)
    cold = in_process(home, save=True)
    add_market(home, TAIL_EVENTS)
    killed = in_process(home)
    in_process(home, save=True)
    stopped = in_process(home)
    shutil.rmtree(home / "derived")
    assert in_process(home)["hash"] == stopped["hash"], "the whole log gives the same state"
    return {"events": stopped["events"], "cold": cold, "killed": killed, "stopped": stopped}


def show(found: dict[str, Any]) -> None:
    """One row of the table for each start."""
    for kind in ("cold", "killed", "stopped"):
        one = found[kind]
        phases = " | ".join(f"{one['phases'][name]:.2f}" for name in PHASES)
        total = sum(one["phases"].values())
        print(f"| {found['events']:,} | {kind} | {phases} | {total:.2f} s | {one['own'] / MIB:.0f} MiB |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--dir", help="where the homes are made, and removed again")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each size")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--save", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start is not None:
        print(json.dumps(start(options.start, options.save)))
        return
    if not options.json:
        print(f"| events | start | {' | '.join(PHASES)} | in all | own |")
        print("|---:|---" + "|---:" * (len(PHASES) + 2) + "|", flush=True)
    for events in (WARM_UP, *options.events):  # the first start may have to compile the fold
        with tempfile.TemporaryDirectory(prefix="restart-bench-", dir=options.dir) as folder:
            found = measure(Path(folder), events)
        if events == WARM_UP:
            continue
        if options.json:
            print(json.dumps(found), flush=True)
        else:
            show(found)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
