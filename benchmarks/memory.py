"""Does the memory of a backtest grow with the length of the log? 1, 4 and 16 million rows, each in its own process.

The rows are one-minute bars of few pairs, written as tape files would hand them out: block by block from a generator,
so that what is measured is the backtest and not the making of the market.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW, Kind, Rows
from carryfold.projections.backtest import Selection, run_blocks
from carryfold.projections.tape import PairName
from market import HOUR, SECOND, START

PAIRS, BLOCK_BARS = 10, 6_000


def blocks(millions: int) -> Iterator[Rows]:
    """Minute bars of PAIRS pairs with an 8 h settlement each, `millions` of rows in all."""
    listed = np.zeros(PAIRS, ROW)
    listed["pair"], listed["kind"], listed["a"], listed["b"] = np.arange(PAIRS), Kind.PAIR_LISTED, 1e-6, 5.0
    listed["c"], listed["d"] = 1.0, 1.0
    yield listed
    draw = np.random.Generator(np.random.PCG64(1))
    minute = 60 * SECOND
    for block in range(millions * 1_000_000 // (BLOCK_BARS * PAIRS)):
        bars = np.zeros((BLOCK_BARS, PAIRS), ROW)
        close = START + (np.arange(BLOCK_BARS) + 1 + block * BLOCK_BARS) * minute
        bars["event_at"], bars["known_at"] = close[:, None], close[:, None] + SECOND
        bars["pair"], bars["kind"], bars["slot"] = np.arange(PAIRS), Kind.BAR_CLOSED, 1
        bars["a"] = bars["b"] = bars["c"] = 100 + draw.normal(0, 0.1, (BLOCK_BARS, PAIRS))
        bars["d"] = 1e5
        at = close[close % (8 * HOUR) == 0]
        settled = np.zeros((len(at), PAIRS), ROW)
        settled["event_at"], settled["known_at"] = at[:, None], at[:, None] + SECOND
        settled["pair"], settled["kind"], settled["b"] = np.arange(PAIRS), Kind.FUNDING_SETTLED, 8.0
        settled["a"] = draw.normal(0.0002, 0.0002, settled.shape)
        rows = np.concatenate([bars.ravel(), settled.ravel()])
        yield rows[np.argsort(rows["known_at"], kind="stable")]


def one(millions: int) -> None:
    """Run one backtest and print its peak memory."""
    selection = Selection([PairName("bench", f"P{i}", 1) for i in range(PAIRS)], range(PAIRS))
    run = run_blocks(lambda: blocks(millions), Parameters(), selection)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {int(run.book['rows']):,} | {int(run.book['trades']):,} | {peak:.0f} MiB |")


def main() -> None:
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
        return
    print("| rows | trades | peak memory |\n|---:|---:|---:|", flush=True)
    for millions in (1, 4, 16):
        subprocess.run([sys.executable, __file__, str(millions)], check=True)


if __name__ == "__main__":
    main()
