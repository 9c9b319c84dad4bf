"""How fast is a tape built from its log, brought up to date, and read?

Run `python benchmarks/tape_build.py [--events N] [--pairs N] [--repeats N]`. Prints rows of a Markdown table: medians
and the range over the repeats. Rates are per log event (build) and per row (read). The log is hourly bars and
settlements, appended symbol by symbol (the worst for sorting: each symbol touches every day) or in time order.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from carryfold.domain.codec import encode
from carryfold.domain.events import BarClosed, Event, FundingSettled
from carryfold.eventlog import Entry, EventLog, LogReader
from carryfold.projections.cursor import HOUR_NS, MINUTE_NS, SECOND_NS
from carryfold.projections.tape import Tape
from carryfold.projections.tape_files import tape_dir

START = 1_600_000_000 // 3600 * HOUR_NS
APPEND = 4096


def main() -> None:
    """Build the logs, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print("| what | median | range |\n|---|---|---|")
    for by_symbol, order in ((True, "symbol by symbol"), (False, "in time order")):
        home = Path(tempfile.mkdtemp(prefix="tape-bench-"))
        try:
            events = write_log(home, options.events, options.pairs, by_symbol)
            measure(home, events, order, options.repeats)
        finally:
            shutil.rmtree(home)


def write_log(home: Path, events: int, pairs: int, by_symbol: bool) -> int:
    """Write a log of about `events` events and return their number."""
    chance = random.Random(7)
    hours = events * 8 // 9 // pairs
    steps = [(pair, hour) for pair in range(pairs) for hour in range(hours)]
    if not by_symbol:
        steps.sort(key=lambda step: (step[1], step[0]))
    count = 0
    with EventLog.open(home) as log:
        entries: list[Entry] = []
        for pair, hour in steps:
            at = START + hour * HOUR_NS
            observed_now = observed(f"C{pair:03d}USDT", hour, chance)
            entries += [Entry(encode(event), None, at + delay) for event, delay in observed_now]
            if len(entries) >= APPEND:
                count += log.append(entries).count
                entries.clear()
        return count + log.append(entries).count


def observed(symbol: str, hour: int, chance: random.Random) -> list[tuple[Event, int]]:
    """The events of one symbol and hour, with their delays in ns."""
    at = START + hour * HOUR_NS
    price = 100 * (1 + chance.random())
    found: list[tuple[Event, int]] = [
        (BarClosed("bybit", symbol, "perp", 1, at, 60, price * 1.0001, price, 1e6), SECOND_NS)
    ]
    if hour % 8 == 0:
        found.append((FundingSettled("bybit", symbol, 1, at, 0.0001), MINUTE_NS))
    return found


def measure(home: Path, events: int, order: str, repeats: int) -> None:
    """Time a build, a small update and a read, and print a row for each."""
    with LogReader.open(home) as reader:
        builds: list[float] = []
        reads: list[float] = []
        for _ in range(repeats):
            shutil.rmtree(tape_dir(home), ignore_errors=True)
            builds.append(events / timed(lambda: Tape.open(home, reader)))
        tape = Tape.open(home, reader)
        blocks = sum(len(rows) for rows in tape.blocks())
        reads.extend(blocks / timed(lambda: consume(tape)) for _ in range(max(repeats, 11)))
        show(f"build, {order}, {len(tape.days)} days (k events/s)", builds, 1e3)
        show(f"read, {order} (M rows/s)", reads, 1e6)
        updates = []
        for number in range(repeats):
            with EventLog.open(home) as log:
                at = START + (10**6 + number) * HOUR_NS
                log.append([Entry(encode(FundingSettled("bybit", "C000USDT", 1, at, 0.0001)), None, None)])
            updates.append(timed(tape.refresh))
        show(f"take in one live event, {order} (ms)", updates, 1e-3)


def consume(tape: Tape) -> None:
    """Read all blocks."""
    for _ in tape.blocks():
        pass


def timed(run: Callable[[], object]) -> float:
    """The seconds of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def show(what: str, values: list[float], unit: float) -> None:
    """One row of the table."""
    low, middle, high = (value / unit for value in (min(values), statistics.median(values), max(values)))
    print(f"| {what} | {middle:,.1f} | {low:,.1f} to {high:,.1f} |")


if __name__ == "__main__":
    main()
