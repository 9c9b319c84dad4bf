"""How many parameter sets a second does `simulate_many` fold, over 100 pairs x 3,000 bars x 200 sets, of `simple` and
of `composite`, in one piece and block by block?

Both legs, fees, funding, shared capital, slots; checked bit for bit against single runs. Where `--peer-python` (or
CARRYFOLD_PEER_PYTHON) names a Python with vectorbt, its `from_signals` runs on the same bars and rates in the same
call, in as many processes as the fold has threads, alternating with it: see vectorbt_peer.py for its two workloads.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from carryfold.domain.fold import State, Sweep, simulate
from carryfold.domain.params import Parameters, parse_settings
from carryfold.domain.rows import Kind, Rows
from market import BenchmarkPairs, make_rows, median_time
from peer import Peer, PeerFailed, add_peer_option

PAIRS, BARS, SETS, RUNS, BLOCK = 100, 3000, 200, 5, 65_536
HOURS_8 = 8
WORKLOADS = {
    "one-leg": "one leg, fees; no funding, shared capital or slots",
    "both-legs": "both legs, fees, funding added afterwards, shared capital; no slots",
}


def simple_sets() -> list[Parameters]:
    """A grid over entry, exit and slots."""
    chosen = []
    for k in range(SETS):
        enter, slots = 0.0002 + 0.00001 * (k % 40), 1 + k // 40
        chosen.append(parse_settings([f"enter={enter:.6f}", "exit=0.0001", f"max_positions={slots}"]))
    return chosen


def composite_sets() -> list[Parameters]:
    """A grid over the conviction of an entry, the weight of the level, and slots."""
    chosen = []
    for k in range(SETS):
        conviction, level, slots = 0.4 + 0.01 * (k % 20), 0.2 + 0.1 * (k // 20 % 2), 1 + k // 40
        settings = [f"conviction_enter={conviction:.2f}", f"w_level={level:.1f}", f"max_positions={slots}"]
        chosen.append(parse_settings(["strategy=composite", *settings]))
    return chosen


SWEEPS = {"simple": simple_sets, "composite": composite_sets}


def make_states(made: BenchmarkPairs, strategy: str = "simple") -> list[State]:
    """A fresh state of each set."""
    return [State(params, made.instruments, made.pairs) for params in SWEEPS[strategy]()]


def check(states: list[State], rows: Rows, made: BenchmarkPairs) -> None:
    """Compare every twentieth state, bit for bit, with that of a single run."""
    for k in range(0, SETS, 20):
        single = State(states[k].params, made.instruments, made.pairs)
        simulate(single, rows)
        if single.hash() != states[k].hash():
            sys.exit(f"set {k} differs from its single run")


def write_arrays(rows: Rows, path: Path) -> None:
    """Write the market for vectorbt: [bar, pair] closes of both legs and the rate known when the bar's price is
    traded, and [settlement, pair] rates."""
    bars = rows[rows["kind"] == Kind.BAR_CLOSED].reshape(BARS, PAIRS, 2)
    settled = rows[rows["kind"] == Kind.FUNDING_SETTLED]["a"].reshape(BARS // HOURS_8, PAIRS)
    rate = np.zeros((BARS, PAIRS))
    rate[HOURS_8:] = np.repeat(settled, HOURS_8, axis=0)[: BARS - HOURS_8]
    np.savez(path, spot=bars["a"][:, :, 1], perp=bars["a"][:, :, 0], rate=rate, settled=settled)


def time_peers(peers: list[Peer], workload: str) -> float:
    """Sets a second of all processes together."""
    for peer in peers:
        peer.ask(workload)
    answers = [peer.answer() for peer in peers]
    return float(sum(answer["sets"] for answer in answers)) / max(float(answer["seconds"]) for answer in answers)


class Race:
    """Both sides' sets a second, by workload and number of cores, run by run."""

    def __init__(self, rows: Rows, made: BenchmarkPairs, threads: int) -> None:
        self.rows, self.made, self.cores = rows, made, sorted({1, threads})
        cuts = np.flatnonzero(np.diff(rows["known_at"])) + 1  # pieces of whole instants, as a tape hands them out
        self.blocks = np.split(rows, cuts[np.searchsorted(cuts, np.arange(BLOCK, len(rows), BLOCK))])
        self.speeds: dict[tuple[str, int], list[float]] = {}
        self.failure = ""

    def run(self, peers: list[Peer]) -> None:
        """RUNS rounds, each of every workload once; the peers' first round warms them up and is not counted."""
        for turn in range(RUNS + 1):
            for cores in self.cores:
                for name, (strategy, blocks) in self.folds().items():
                    states = make_states(self.made, strategy)
                    started = time.perf_counter()
                    sweep = Sweep(states, threads=cores)
                    for block in blocks:
                        sweep.fold(block)
                    sweep.finish()
                    self._note(turn, name, cores, SETS / (time.perf_counter() - started))
                    if turn == 0:
                        check(states, self.rows, self.made)
                for workload in WORKLOADS if peers and not self.failure else ():
                    try:
                        self._note(turn, workload, cores, time_peers(peers[:cores], workload))
                    except PeerFailed as failed:
                        self.failure = str(failed)
                        break

    def folds(self) -> dict[str, tuple[str, list[Rows]]]:
        """The parameter sets of a workload and the blocks of its rows."""
        whole = [self.rows]
        return {"fold": ("simple", whole), "blocks": ("simple", self.blocks), "composite": ("composite", whole)}

    def _note(self, turn: int, workload: str, cores: int, speed: float) -> None:
        if turn:
            self.speeds.setdefault((workload, cores), []).append(speed)

    def report(self, version: str) -> None:
        """A table; ratios are of equal numbers of cores, the median of those of the rounds: the runs of a round are
        close in time and share disturbances."""
        print("| tool | cores | sets/s, median (range) | the fold is |\n|---|---:|---:|---:|")
        titles = {
            "fold": "carryfold simulate_many, simple: both legs, fees, funding, shared capital, slots",
            "blocks": f"the same in blocks of {BLOCK:,} rows",
            "composite": "carryfold simulate_many, composite",
        }
        titles |= {name: f"vectorbt {version} from_signals: {text}" for name, text in WORKLOADS.items()}
        for (workload, cores), speeds in sorted(
            self.speeds.items(), key=lambda item: (item[0][1], -median_time(item[1]))
        ):
            ratio = median_time([a / b for a, b in zip(self.speeds["fold", cores], speeds, strict=False)])
            spread = f"{median_time(speeds):.1f} ({min(speeds):.1f} to {max(speeds):.1f})"
            print(f"| {titles[workload]} | {cores} | {spread} | {ratio:.1f} x |")
        if self.failure:
            print(f"\npeer: not measured: {self.failure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_peer_option(parser, "vectorbt")
    python: str | None = parser.parse_args().peer_python
    rows, made = make_rows(PAIRS, BARS)
    threads = os.cpu_count() or 1
    race, peers = Race(rows, made, threads), []
    race.failure = "" if python else "name a Python that has vectorbt with --peer-python"
    with tempfile.TemporaryDirectory(prefix="sweep-bench-") as folder:
        arrays = Path(folder) / "market.npz"
        write_arrays(rows, arrays)
        try:
            peers = [Peer(python, "vectorbt_peer.py", arrays) for _ in range(threads)] if python else []
        except PeerFailed as failed:
            race.failure = str(failed)
        race.run(peers)
        for peer in peers:
            peer.close()
    race.report(peers[0].version if peers else "")


if __name__ == "__main__":
    main()
