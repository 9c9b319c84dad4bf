"""How many rows a second does the fold take, with funding and fees accounted for, on one core?

Prints markdown rows: simple and composite on 100 pairs x 3,000 hourly bars with a decision at every instant; simple on
one-minute bars from the files of a tape; one live row from Python; and the real majors where their files are at hand
(`--majors DIR`).
"""

import argparse
import csv
import gzip
import tempfile
import time
from pathlib import Path

import numpy as np

from carryfold.domain.fold import State, fold, simulate
from carryfold.domain.params import parse_settings
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.eventlog import LogReader
from carryfold.projections.tape import Tape
from market import HOUR, SECOND, make_rows, median_time
from minute_market import MinuteMarket, symbol, write_log


def measure(rows: Rows, symbols: list[bytes], *settings: str, runs: int = 9) -> tuple[float, int]:
    """(median rows a second, trades)."""
    times, trades = [], 0
    for _ in range(runs):
        state = State(parse_settings(settings), universe=len(symbols))
        state.add_pairs(symbols)
        started = time.perf_counter()
        simulate(state, rows)
        times.append(time.perf_counter() - started)
        trades = int(state.book[0]["trades"])
    return len(rows) / median_time(times), trades


def measure_tape(pairs: int = 100, minutes: int = 7200, runs: int = 15) -> tuple[int, float, int]:
    """(rows, median rows a second, trades) of `simple` from the files of a tape, reading and checking them included."""
    market = MinuteMarket(pairs, minutes)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_log(market, home)
        with LogReader.open(home) as reader:
            tape, times, trades = Tape.open(home, reader), [], 0
            for _ in range(runs):
                state = State(parse_settings([]), universe=pairs)
                state.add_pairs([symbol(k).encode() for k in range(pairs)])
                started = time.perf_counter()
                for rows in tape.blocks():
                    simulate(state, rows)
                times.append(time.perf_counter() - started)
                trades = int(state.book[0]["trades"])
            return tape.rows, tape.rows / median_time(times), trades


def measure_live_row(rows: Rows, symbols: list[bytes], calls: int = 20_000) -> float:
    """Median microseconds of one row through `fold`."""
    state = State(parse_settings([]), universe=len(symbols), simulated=False)
    state.add_pairs(symbols)
    fold(state, rows[:100])
    singles = [rows[k : k + 1].copy() for k in range(100, 100 + calls)]
    for k, row in enumerate(singles):  # an instant each
        row["known_at"] = rows["known_at"][-1] + (k + 1) * SECOND
    times = []
    for row in singles:
        started = time.perf_counter()
        fold(state, row)
        times.append(time.perf_counter() - started)
    return median_time(times) * 1e6


def read_majors(folder: Path) -> tuple[Rows, list[bytes]]:
    """The real Bybit history as rows: bars with turnover, settlements."""
    symbols: dict[str, int] = {}
    rows: list[tuple[float, ...]] = []
    with gzip.open(folder / "bars_1h.csv.gz", "rt") as file:
        for r in csv.DictReader(file):
            pair, close = symbols.setdefault(r["symbol"], len(symbols)), int(r["open_at_ms"]) * 10**6 + HOUR
            prices = (float(r[n] or 0) for n in ("spot_close", "perp_close", "mark_close"))
            rows.append((close + SECOND, close, 0, pair, 2, 60, *prices, float(r["perp_turnover_usdt"] or -1)))
    with gzip.open(folder / "funding.csv.gz", "rt") as file:
        for r in csv.DictReader(file):
            pair, at = symbols.setdefault(r["symbol"], len(symbols)), int(r["settled_at_ms"]) * 10**6
            rows.append((at + 60 * SECOND, at, 0, pair, 3, 0, float(r["rate"]), float(r["interval_hours"]), 0, 0))
    rows += [(0, 0, 0, pair, int(Kind.PAIR_LISTED), 0, 1e-6, 5.0, 1.0, 1.0) for pair in symbols.values()]
    array = np.array(rows, ROW)
    return array[np.argsort(array["known_at"], kind="stable")], [s.encode() for s in symbols]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--majors", type=Path, help="folder with bars_1h.csv.gz and funding.csv.gz")
    majors: Path | None = parser.parse_args().majors
    rows, symbols = make_rows(100, 3000)
    print("| workload | rows | median rows/s | trades |")
    print("|---|---:|---:|---:|")
    cases = [("100 pairs, simple", rows, symbols, ()), ("100 pairs, composite", rows, symbols, ("strategy=composite",))]
    if majors is not None:
        real, names = read_majors(majors)
        cases += [("real majors, simple", real, names, ())]
        cases += [("real majors, composite", real, names, ("strategy=composite",))]
    for title, data, pairs, settings in cases:
        speed, trades = measure(data, pairs, *settings)
        print(f"| {title} | {len(data):,} | {speed / 1e6:.1f} M | {trades} |")
    count, speed, trades = measure_tape()
    print(f"| 100 pairs of one-minute bars, simple, from tape files | {count:,} | {speed / 1e6:.1f} M | {trades} |")
    print(f"\none live row through `fold` from Python: median {measure_live_row(rows, symbols):.2f} us")


if __name__ == "__main__":
    main()
