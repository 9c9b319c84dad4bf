"""How many parameter sets a second does `simulate_many` of `simple` fold, over 100 symbols x 3,000 bars x 200 sets?

Both legs, fees, funding, shared capital; checked bit for bit against single runs. vectorbt's `from_signals` runs on the
same bars in the same call where a Python with vectorbt is named (`--peer-python`): one leg, fees, no funding.
"""

import argparse
import os
import subprocess
import sys
import time

from carryfold.domain.fold import State, simulate, simulate_many
from carryfold.domain.params import Parameters, parse_settings
from market import make_rows, median_time

PAIRS, BARS, SETS, RUNS = 100, 3000, 200, 3

PEER = f"""
import time, numpy as np, vectorbt as vbt
draw = np.random.Generator(np.random.PCG64(1))
close = 100 * np.exp(np.cumsum(draw.normal(0, 0.005, ({BARS}, {PAIRS})), axis=0))
signal = np.zeros_like(close)
for k in range(1, {BARS}):
    signal[k] = 0.99 * signal[k - 1] + draw.normal(0, 1, {PAIRS})
levels = np.linspace(0.5, 2.5, 20)
def once():
    entries = np.concatenate([signal > level for level in levels], axis=1)
    exits = np.concatenate([signal < 0 for level in levels], axis=1)
    prices = np.tile(close, (1, len(levels)))
    vbt.Portfolio.from_signals(prices, entries, exits, fees=0.001, freq="1h").total_return()
once()
times = []
for _ in range({RUNS}):
    started = time.perf_counter(); once(); times.append(time.perf_counter() - started)
print(len(levels) / sorted(times)[len(times) // 2])
"""


def sets() -> list[Parameters]:
    """A grid over entry, exit and slots."""
    chosen = []
    for k in range(SETS):
        enter, slots = 0.0002 + 0.00001 * (k % 40), 1 + k // 40
        chosen.append(parse_settings([f"enter={enter:.6f}", "exit=0.0001", f"max_positions={slots}"]))
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="a Python that has vectorbt")
    peer: str | None = parser.parse_args().peer_python
    rows, symbols = make_rows(PAIRS, BARS)
    threads = os.cpu_count() or 1

    def states() -> list[State]:
        made = [State(params, universe=PAIRS) for params in sets()]
        for state in made:
            state.add_pairs(symbols)
        return made

    times, last = [], states()
    for _ in range(RUNS):
        last = states()
        started = time.perf_counter()
        simulate_many(last, rows, threads=threads)
        times.append(time.perf_counter() - started)
    speed = SETS / median_time(times)
    for k in range(0, SETS, 20):
        single = State(last[k].params, universe=PAIRS)
        single.add_pairs(symbols)
        simulate(single, rows)
        if single.hash() != last[k].hash():
            sys.exit(f"set {k} differs from its single run")
    print("| tool | sets/s, median | ratio |\n|---|---:|---:|")
    print(f"| carryfold simulate_many, {threads} threads, both legs, fees, funding | {speed:.0f} | 1 |")
    if peer is not None:
        done = subprocess.run([peer, "-c", PEER], capture_output=True, text=True, check=True)
        other = float(done.stdout.split()[-1])
        print(f"| vectorbt from_signals, one leg, fees, no funding | {other:.1f} | {speed / other:.1f} x |")
    else:
        print("| vectorbt | not installed (name a Python that has it with --peer-python) | |")


if __name__ == "__main__":
    main()
