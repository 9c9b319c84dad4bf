"""A user's strategy file, from a backtest to a verified paper run, without a change of the package."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carryfold.adapters.importing import import_paths
from carryfold.eventlog import EventLog
from carryfold.eventlog.clock import Clock
from carryfold.projections.cursor import parse_time
from tests.adapters.daemon.processes import daemon_process, exchange_process, wait_for_seq
from tests.adapters.shell import carryfold, environment, write_files
from tests.user_strategies import PATIENT, naming_both

SWEEP = """
import sys
from pathlib import Path

from carryfold.adapters.strategy_files import register_file

for path in sys.argv[2:]:
    register_file(Path(path))

import numpy as np

from carryfold.domain.fold import State, simulate, simulate_many
from carryfold.domain.params import parse_settings
from carryfold.eventlog import LogReader
from carryfold.projections.backtest import select_pairs
from carryfold.projections.cursor import NOW
from carryfold.projections.tape import Tape

home = Path(sys.argv[1])
with LogReader.open(home) as reader:
    tape = Tape.open(home, reader)
    selection = select_pairs(tape, NOW)
    rows = np.concatenate(list(tape.blocks()))
sets = [["strategy=patient", f"patience={n}"] for n in range(1, 4)] + [["strategy=mine"], ["strategy=simple"]]
states = [State(parse_settings(one), selection.instruments, selection.pairs) for one in sets]
simulate_many(states, rows, threads=2)
for one, swept in zip(sets, states):
    alone = State(parse_settings(one), selection.instruments, selection.pairs)
    simulate(alone, rows)
    assert alone.hash() == swept.hash(), one
print([int(state.book[0]["entries"]) for state in states])
"""


FREE = "".join(f"{name} = 0.0\n" for name in ("spot_taker_bp", "perp_taker_bp", "half_spread_bp", "slippage_bp"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    done = carryfold("import", *map(str, write_files(folder)), home=folder / "home")
    assert done.returncode == 0, done.stderr
    return folder / "home"


def answer(*arguments: str, home: Path, folder: Path) -> Any:
    done = carryfold(*arguments, "--json", home=home, **naming_both(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_example_trades_by_its_own_gates_and_looks_at_no_later_row(home: Path, tmp_path: Path) -> None:
    patient = ("--strategy", str(PATIENT))
    found = answer("backtest", *patient, "--set", "patience=3", "--decisions", home=home, folder=tmp_path)
    fussy = answer("backtest", *patient, "--set", "patience=1000", home=home, folder=tmp_path)
    looked = answer("lookahead", *patient, "--set", "patience=3", "--cuts", "2", home=home, folder=tmp_path)

    (entry, *_) = found["decision_list"]
    assert (found["strategy"], found["params"]["own"], found["trades"] + found["open_positions"]) == (
        "patient", {"patience": 3.0}, 1,
    )  # fmt: skip
    assert [*entry["scores"], *entry["caps"]] == ["persistence", "expected", "notional", "book", "capital"]
    assert "pays_off" in entry["passed"]
    assert fussy["decisions"] == 0
    assert (looked["ok"], looked["decisions"]) == (True, found["decisions"])


def test_the_sweep_kernel_folds_users_strategies_to_the_same_bits(home: Path, tmp_path: Path) -> None:
    files = naming_both(tmp_path)["CARRYFOLD_STRATEGIES"].split(":")
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(home), *files], capture_output=True, text=True, check=False, env=environment()
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 1, 1, 1, 1]


def test_two_paper_runs_of_users_strategies_are_folded_again(tmp_path: Path) -> None:
    """The log also has another venue's market under the same symbols, which the runs do not trade."""
    home, named = tmp_path / "home", naming_both(tmp_path)
    other = "symbol,settled_at_ms,rate\n" + "".join(f"BTCUSDT,{1704067200000 + 28800000 * k},0.01\n" for k in range(30))
    (tmp_path / "other.csv").write_text(other)
    before = parse_time("2025-06-01T00:00:00Z")  # the simulated exchange begins later that day
    with EventLog.open(home, clock=Clock(wall=lambda: before, monotonic=lambda: 0)) as log:
        import_paths(log, [tmp_path / "other.csv"], venue="binance", now=lambda: before)
    for name in ("mine", "patient"):
        settings = f'[parameters]\nstrategy = "{name}"\nenter = -1.0\nexit = -1.0\ncadence_s = 60\n{FREE}'
        (tmp_path / f"{name}.toml").write_text(settings + ("patience = 0\n" if name == "patient" else ""))
    sets = [part for name in ("mine", "patient") for part in ("--set-file", str(tmp_path / f"{name}.toml"))]
    with exchange_process(1800) as endpoint:
        arguments = ("--pairs", "BTCUSDT,ETHUSDT", *sets)
        with daemon_process(home, endpoint, 1800, *arguments, **named) as daemon:
            daemon.line(event="armed")
            wait_for_seq(home, 900)
            daemon.send(signal.SIGINT)
            assert daemon.wait() == 0
    done = carryfold("verify-run", "--json", home=home, **named)
    alone = carryfold("verify-run", home=home)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    runs = found["runs"] if isinstance(found, dict) else found
    assert [(run["identical"], run["decisions"] > 0) for run in runs] == [(True, True), (True, True)]
    assert alone.returncode == 1
    assert "no strategy 'mine'" in alone.stderr
