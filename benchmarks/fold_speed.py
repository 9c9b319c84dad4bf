"""How many rows a second does the fold process on one core, with funding and fees?

Prints markdown rows: simple and composite on 100 pairs x 3,000 hourly bars of both legs with a decision at every
instant; simple on one-minute bars from the files of a tape; one live row from Python; and real histories, imported into
a home, if `--data DIR` has their files (bybit_majors/ and hyperliquid/).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from carryfold.adapters.importing import import_paths
from carryfold.domain.fold import State, fold, simulate
from carryfold.domain.params import parse_settings
from carryfold.domain.rows import Kind, Rows
from carryfold.eventlog import EventLog, LogReader
from carryfold.projections.backtest import Selection, select_pairs
from carryfold.projections.cursor import NOW
from carryfold.projections.tape import Tape
from market import SECOND, BenchmarkPairs, make_rows, median_time
from minute_market import MinuteMarket, write_log

Pairs = BenchmarkPairs | Selection


def measure(rows: Rows, pairs: Pairs, *settings: str, runs: int = 9) -> tuple[float, int]:
    """(median rows a second, trades)."""
    times, trades = [], 0
    for _ in range(runs):
        state = State(parse_settings(settings), pairs.instruments, pairs.pairs)
        started = time.perf_counter()
        simulate(state, rows)
        times.append(time.perf_counter() - started)
        trades = int(state.book[0]["trades"])
    return len(rows) / median_time(times), trades


def measure_tape(pairs: int = 100, minutes: int = 7200, runs: int = 15) -> tuple[int, float, int]:
    """(pair-minutes, median pair-minutes a second, trades) of `simple` from the files of a tape, reading and checking
    them included."""
    market = MinuteMarket(pairs, minutes)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_log(market, home)
        with LogReader.open(home) as reader:
            tape, times, trades = Tape.open(home, reader), [], 0
            for _ in range(runs):
                state = State(parse_settings([]), market.names.instruments, market.names.pairs)
                started = time.perf_counter()
                for rows in tape.blocks():
                    simulate(state, rows)
                times.append(time.perf_counter() - started)
                trades = int(state.book[0]["trades"])
            return pairs * minutes, pairs * minutes / median_time(times), trades


def measure_live_row(rows: Rows, pairs: BenchmarkPairs, calls: int = 20_000) -> float:
    """Median microseconds of one row through `fold`."""
    state = State(parse_settings([]), pairs.instruments, pairs.pairs, simulated=False)
    first = len(pairs.instruments)
    fold(state, rows[:first])
    singles = [rows[k : k + 1].copy() for k in range(first, first + calls)]
    for k, row in enumerate(singles):  # an instant each
        row["known_at"] = rows["known_at"][-1] + (k + 1) * SECOND
    times = []
    for row in singles:
        started = time.perf_counter()
        fold(state, row)
        times.append(time.perf_counter() - started)
    return median_time(times) * 1e6


def read_history(folder: Path, venue: str) -> tuple[Rows, Selection]:
    """The rows of a real history in a backtest of all its carry pairs."""
    with tempfile.TemporaryDirectory() as home:
        with EventLog.open(Path(home)) as log:
            import_paths(log, sorted(folder.glob("*.csv.gz")), venue=venue)
        with LogReader.open(Path(home)) as reader:
            tape = Tape.open(Path(home), reader)
            selection = select_pairs(tape, NOW)
            return np.concatenate(list(tape.blocks(instrument_ids=selection.instrument_ids))), selection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with bybit_majors/*.csv.gz and hyperliquid/*.csv.gz")
    data: Path | None = parser.parse_args().data
    rows, made = make_rows(100, 3000)
    cases: list[tuple[str, Rows, Pairs]] = [("100 pairs of hourly bars", rows, made)]
    for name, venue in (("bybit_majors", "bybit"), ("hyperliquid", "hyperliquid")):
        if data is not None and (data / name).is_dir():
            cases.append((f"real {name}", *read_history(data / name, venue)))
    print("| workload | rows | of them settlements | median rows/s | trades |")
    print("|---|---:|---:|---:|---:|")
    for title, of_case, pairs in cases:
        settlements = int((of_case["kind"] == Kind.FUNDING_SETTLED).sum())
        for strategy in ("simple", "composite"):
            speed, trades = measure(of_case, pairs, f"strategy={strategy}")
            counts = f"{len(of_case):,} | {settlements:,}"
            print(f"| {title}, {strategy} | {counts} | {speed / 1e6:.1f} M | {trades} |", flush=True)
    minutes, speed, trades = measure_tape()
    print(
        f"| 100 pairs of one-minute bars of both legs, simple, from tape files | {minutes:,} pair-minutes | |"
        f" {speed / 1e6:.1f} M pair-minutes/s | {trades} |"
    )
    print(f"\none live row through `fold` from Python: median {measure_live_row(rows, made):.2f} us")


if __name__ == "__main__":
    main()
