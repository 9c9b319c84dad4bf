"""How do the fold's rows a second compare with NautilusTrader's events a second?

Both sides take the same market, one-minute prices of spot and perpetual of each pair and a funding settlement every
8 h, and trade the same carry rule with fees and funding: after a settlement, leave pairs that pay less than 1 bp and
enter the best that pay 3 bp or more, in 5 slots of 1,000. The work per event is printed under the table, and so are
positions, fees and funding of both sides, which must agree closely for the comparison to be valid.

NautilusTrader is measured where `--peer-python` (or CARRYFOLD_PEER_PYTHON) names a Python that has version 2 of it; the
runs of the two sides alternate. Making data objects, appending the log and building the tape are not timed. Both sides
are one thread, measured by its CPU time: on a shared machine a run of seconds waits for its core more often than a run
of milliseconds, so wall time would favour us.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from carryfold.domain.fold import State, simulate
from carryfold.domain.params import Parameters, parse_settings
from carryfold.domain.rows import Rows
from carryfold.eventlog import LogReader
from carryfold.projections.backtest import run_backtest, select_pairs
from carryfold.projections.cursor import NOW
from carryfold.projections.tape import Tape
from market import median_time
from minute_market import MinuteMarket, write_log
from peer import Peer, PeerFailed, add_peer_option

SETTINGS = ("slippage_bp=0", "impact=0")  # so that both sides trade at the price less half the spread
OUR_RUNS = 3  # of ours a round: they are short, so that disturbances affect both sides alike
MEMORY, FILES, BACKTEST = (
    "carryfold, simple, rows in memory",
    "carryfold, simple, tape files to fold",
    "carryfold, simple, whole backtest from tape files",
)
WORKLOADS = {
    "carry": "quotes to the venue only",
    "carry-quotes": "quotes to the strategy too",
    "funding": "funding updates only, no quotes, no trading",
}
PER_EVENT = """
What one event is, and what is done for it:
- carryfold: one row is one minute of one leg of a pair, or a settlement. Lateness and outlier checks, view, marks,
  hourly turnover, volatility, running P&L and equity; each minute a decision over all pairs with every gate; fills of
  both legs with fees; funding by mark and interval. Compiled, one core. Tape files are read and checked against their
  checksums (they are in the system's cache); a whole backtest also picks pairs, hashes decisions, collects trades.
- NautilusTrader, venue only: one event is a quote of ONE leg, or a funding update. Matching engine, cache, portfolio;
  margin account, fees per fill, funding settled by the venue. No Python runs for a quote: the strategy wakes for a
  funding update and once a settlement. Logging and analysis are off and its cache keeps one quote instead of 10,000,
  which makes it a third faster. This is its lightest form. Compiled, one core.
- NautilusTrader, strategy too: the same, and each quote calls the strategy (Python), which keeps the newest price.
- NautilusTrader, funding updates only: each update calls a strategy (Python) that compares it with a threshold."""

Times = dict[str, list[float]]


def fold_blocks(blocks: Callable[[], Iterable[Rows]], market: MinuteMarket, params: Parameters) -> tuple[float, Any]:
    """(CPU seconds, final book) of one run over rows, getting them included."""
    state = State(params, market.names.instruments, market.names.pairs)
    started = time.thread_time()
    for rows in blocks():
        simulate(state, rows)
    return time.thread_time() - started, state.book[0]


def backtest(tape: Tape, params: Parameters) -> tuple[float, Any]:
    """(CPU seconds, final book) of one whole backtest reading the tape's files."""
    selection = select_pairs(tape, NOW)
    started = time.thread_time()
    run = run_backtest(tape, params, selection)
    return time.thread_time() - started, run.book


class Race:
    """CPU seconds and last results of both sides, run by run."""

    def __init__(self, ours: dict[str, Callable[[], tuple[float, Any]]]) -> None:
        self.ours = ours
        self.times: Times = {name: [] for name in (*ours, *WORKLOADS)}
        self.last: dict[str, Any] = {}
        self.version = ""
        self.failure = ""

    def run(self, python: str | None, market: Path, rounds: int) -> None:
        """`rounds` of both sides in turn, after one that only warms them up."""
        peer = self._start(python, market)
        for turn in range(rounds + 1):
            if turn == 1:
                self.times = {name: [] for name in self.times}
            for name, run in self.ours.items():
                for _ in range(OUR_RUNS):
                    seconds, self.last[name] = run()
                    self.times[name].append(seconds)
            if peer is not None and not self.failure:
                self._run_peer(peer)
        if peer is not None:
            peer.close()

    def _start(self, python: str | None, market: Path) -> Peer | None:
        if python is None:
            self.failure = "name a Python that has nautilus_trader 2 with --peer-python"
            return None
        try:
            peer = Peer(python, "nautilus_peer.py", market)
        except PeerFailed as failed:
            self.failure = str(failed)
            return None
        self.version = peer.version
        return peer

    def _run_peer(self, peer: Peer) -> None:
        try:
            for workload in WORKLOADS:
                self.last[workload] = peer.run(workload)
                self.times[workload].append(self.last[workload]["seconds"])
        except PeerFailed as failed:
            self.failure = str(failed)

    def report(self, market: MinuteMarket, rows: int) -> None:
        """Print the table, the trades of both sides, and the work per event."""
        print(f"{market.pairs} pairs x {market.minutes:,} minutes. Ratios: rows in memory against that line.\n")
        print("| tool and workload | events | events/s of CPU, median (range) | ratio | pair-minutes/s | ratio |")
        print("|---|---:|---:|---:|---:|---:|")
        base, minutes = median_time(self.times[MEMORY]), market.pairs * market.minutes
        for name, times in self.times.items():
            if not times:
                continue
            events, middle = rows if name in self.ours else int(self.last[name]["events"]), median_time(times)
            low, median, high = (events / seconds / 1e6 for seconds in (max(times), middle, min(times)))
            title = name if name in self.ours else f"NautilusTrader {self.version}, {WORKLOADS[name]}"
            spread, ratio = f"{median:.3f} M ({low:.3f} to {high:.3f})", rows / base / median / 1e6
            pairs = " | |" if name == "funding" else f" {minutes / middle / 1e6:.3f} M | {middle / base:.1f} |"
            print(f"| {title} | {events:,} | {spread} | {ratio:.1f} |{pairs}")
        if self.failure:
            print(f"\npeer: not measured: {self.failure}")
        self._report_trades()
        print(PER_EVENT)

    def _report_trades(self) -> None:
        book = self.last[MEMORY]
        for other in (self.last[FILES], self.last[BACKTEST]):
            assert (other["funding"], other["fees"]) == (book["funding"], book["fees"]), "our own runs differ"
        opened, fees, funding = book["trades"] + book["held"], book["fees"] / 1e8, book["funding"] / 1e8
        print(f"\ncarryfold: {opened} positions opened, fees {fees:.2f}, funding received {funding:.2f}")
        if self.times["carry"]:
            run = self.last["carry"]
            opened, fees, funding = run["trades"], run["fees"], run["funding"]
            print(f"NautilusTrader: {opened} positions opened, fees {fees:.2f}, funding received {funding:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_peer_option(parser, "nautilus_trader 2")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    market = MinuteMarket(options.pairs, options.days * 1440)
    params, rows = parse_settings(SETTINGS), market.rows()
    with tempfile.TemporaryDirectory(prefix="nautilus-bench-") as folder:
        home, file = Path(folder) / "home", Path(folder) / "market"
        home.mkdir()
        market.write(file)
        write_log(market, home)
        with LogReader.open(home) as reader:
            tape = Tape.open(home, reader)
            race = Race(
                {
                    MEMORY: lambda: fold_blocks(lambda: (rows,), market, params),
                    FILES: lambda: fold_blocks(tape.blocks, market, params),
                    BACKTEST: lambda: backtest(tape, params),
                }
            )
            race.run(options.peer_python, file, options.rounds)
    race.report(market, len(rows))


if __name__ == "__main__":
    main()
