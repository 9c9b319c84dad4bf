"""How many parameter sets a second does `simulate_many` of `simple` fold, over 100 symbols x 3,000 bars x 200 sets?

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

from carryfold.domain.fold import State, simulate, simulate_many
from carryfold.domain.params import Parameters, parse_settings
from carryfold.domain.rows import Kind, Rows
from market import make_rows, median_time
from peer import Peer, PeerFailed, add_peer_option

PAIRS, BARS, SETS, RUNS = 100, 3000, 200, 5
HOURS_8 = 8
WORKLOADS = {
    "one-leg": "one leg, fees; no funding, shared capital or slots",
    "both-legs": "both legs, fees, funding added afterwards, shared capital; no slots",
}


def sets() -> list[Parameters]:
    """A grid over entry, exit and slots."""
    chosen = []
    for k in range(SETS):
        enter, slots = 0.0002 + 0.00001 * (k % 40), 1 + k // 40
        chosen.append(parse_settings([f"enter={enter:.6f}", "exit=0.0001", f"max_positions={slots}"]))
    return chosen


def make_states(symbols: list[bytes]) -> list[State]:
    """A fresh state of each set."""
    made = [State(params, universe=PAIRS) for params in sets()]
    for state in made:
        state.add_pairs(symbols)
    return made


def check(states: list[State], rows: Rows, symbols: list[bytes]) -> None:
    """Every twentieth state must equal, bit for bit, that of a run of its set alone."""
    for k in range(0, SETS, 20):
        single = State(states[k].params, universe=PAIRS)
        single.add_pairs(symbols)
        simulate(single, rows)
        if single.hash() != states[k].hash():
            sys.exit(f"set {k} differs from its single run")


def write_arrays(rows: Rows, path: Path) -> None:
    """The market as vectorbt takes it: [bar, pair] closes of both legs and the rate known when the bar's price is
    traded, and [settlement, pair] rates."""
    bars = rows[rows["kind"] == Kind.BAR_CLOSED].reshape(BARS, PAIRS)
    settled = rows[rows["kind"] == Kind.FUNDING_SETTLED]["a"].reshape(BARS // HOURS_8, PAIRS)
    rate = np.zeros((BARS, PAIRS))
    rate[HOURS_8:] = np.repeat(settled, HOURS_8, axis=0)[: BARS - HOURS_8]
    np.savez(path, spot=bars["a"], perp=bars["b"], rate=rate, settled=settled)


def time_peers(peers: list[Peer], workload: str) -> float:
    """Sets a second of all processes together."""
    for peer in peers:
        peer.ask(workload)
    answers = [peer.answer() for peer in peers]
    return float(sum(answer["sets"] for answer in answers)) / max(float(answer["seconds"]) for answer in answers)


class Race:
    """Both sides' sets a second, by workload and number of cores, run by run."""

    def __init__(self, rows: Rows, symbols: list[bytes], threads: int) -> None:
        self.rows, self.symbols, self.cores = rows, symbols, sorted({1, threads})
        self.speeds: dict[tuple[str, int], list[float]] = {}
        self.failure = ""

    def run(self, peers: list[Peer]) -> None:
        """RUNS rounds, each of every workload once; the peers' first round warms them up and is not counted."""
        make_states(self.symbols)
        for turn in range(RUNS + 1):
            for cores in self.cores:
                states = make_states(self.symbols)
                started = time.perf_counter()
                simulate_many(states, self.rows, threads=cores)
                self._note(turn, "fold", cores, SETS / (time.perf_counter() - started))
                if turn == 0:
                    check(states, self.rows, self.symbols)
                for workload in WORKLOADS if peers and not self.failure else ():
                    try:
                        self._note(turn, workload, cores, time_peers(peers[:cores], workload))
                    except PeerFailed as failed:
                        self.failure = str(failed)
                        break

    def _note(self, turn: int, workload: str, cores: int, speed: float) -> None:
        if turn:
            self.speeds.setdefault((workload, cores), []).append(speed)

    def report(self, version: str) -> None:
        """A table; ratios are of equal numbers of cores, the median of those of the rounds: the runs of a round are
        neighbours in time and share its noise."""
        print("| tool | cores | sets/s, median (range) | the fold is |\n|---|---:|---:|---:|")
        titles = {"fold": "carryfold simulate_many: both legs, fees, funding, shared capital, slots"}
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
    rows, symbols = make_rows(PAIRS, BARS)
    threads = os.cpu_count() or 1
    race, peers = Race(rows, symbols, threads), []
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
