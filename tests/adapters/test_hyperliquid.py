"""Two years of hourly funding without spot prices, through the command line: nothing is lost or invented, in any order
of the files.

By default some of the pairs, among them every one whose data ends early; all of them in the long suite.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from carryfold.domain.params import Parameters, parse_settings
from carryfold.eventlog import LogReader
from carryfold.projections.backtest import run_backtest, select_pairs
from carryfold.projections.cursor import NOW
from carryfold.projections.tape import Tape
from tests.adapters.shell import Shell, carryfold

HOUR_MS: Final = 3_600_000
DEAD_MS: Final = Parameters().dead_s * 1000
FREE: Final = ["spot_taker_bp=0", "perp_taker_bp=0", "half_spread_bp=0", "slippage_bp=0", "impact=0"]
STRATEGIES: Final = (["strategy=simple"], ["strategy=composite", "min_interval_h=1", *FREE])

Lines = list[list[str]]


class History(NamedTuple):
    """Files of funding and bars, and their content, read independently."""

    funding: Path
    bars: Path
    rates: dict[str, list[tuple[int, Decimal]]]  # (settled at, rate) by symbol, ascending
    ended: set[str]  # symbols without any row in the last dead_s
    rows: int

    @property
    def files(self) -> tuple[str, str]:
        return str(self.funding), str(self.bars)


def shared(name: str) -> Path:
    """A file of the shared history, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    path = Path(os.environ.get("CARRYFOLD_SHARED", beside)) / "data" / "hyperliquid" / name
    if not path.is_file():
        pytest.skip(f"this machine has no hyperliquid/{name}")
    return path


def read(path: Path) -> tuple[list[str], Lines]:
    """Header and rows of a file."""
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def write(path: Path, header: list[str], rows: Lines) -> Path:
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def ended_symbols(funding: Lines, bars: Lines) -> set[str]:
    """Symbols whose newest row (a bar counts at its close) is more than dead_s older than the newest of all."""
    newest: dict[str, int] = defaultdict(int)
    for rows, length in ((funding, 0), (bars, 8 * HOUR_MS)):
        for symbol, at, *_ in rows:
            newest[symbol] = max(newest[symbol], int(at) + length)
    end = max(newest.values())
    return {symbol for symbol, at in newest.items() if end - at > DEAD_MS}


def some_symbols(times: dict[str, list[int]], ended: set[str]) -> set[str]:
    """Every pair that ends early, the two with the most missing hours, and two more."""

    def missing(symbol: str) -> int:
        return sum(b - a > 1.5 * HOUR_MS for a, b in pairwise(sorted(times[symbol])))

    alive = sorted(set(times) - ended, key=lambda symbol: (-missing(symbol), symbol))
    return ended | set(alive[:2]) | set(alive[-2:])


def some_of(funding: Lines, bars: Lines, ended: set[str]) -> tuple[Lines, Lines]:
    """The last year of some pairs."""
    since = int(max(funding, key=lambda row: int(row[1]))[1]) - 365 * 24 * HOUR_MS
    funding = [row for row in funding if int(row[1]) >= since]
    times: dict[str, list[int]] = defaultdict(list)
    for symbol, at, _ in funding:
        times[symbol].append(int(at))
    chosen = some_symbols(times, ended)
    return [row for row in funding if row[0] in chosen], [
        row for row in bars if row[0] in chosen and int(row[1]) >= since
    ]


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=pytest.mark.soak)])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    files = shared("funding_1h.csv.gz"), shared("bars_8h.csv.gz")
    (funding_header, funding), (bars_header, bars) = map(read, files)
    ended = ended_symbols(funding, bars)
    if request.param == "some":
        funding, bars = some_of(funding, bars, ended)
        folder = tmp_path_factory.mktemp("hyperliquid")
        files = (
            write(folder / "funding.csv.gz", funding_header, funding),
            write(folder / "bars.csv.gz", bars_header, bars),
        )
    rates: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    for symbol, at, rate in funding:
        rates[symbol].append((int(at), Decimal(rate)))
    for of_symbol in rates.values():
        of_symbol.sort()
    return History(*files, rates, ended, len(funding) + len(bars))


@pytest.fixture(scope="module")
def home(history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files in one call, as they are. Nothing may write to it."""
    folder = tmp_path_factory.mktemp("whole") / "home"
    done = carryfold("import", *history.files, "--venue", "hyperliquid", home=folder)
    assert done.returncode == 0, done.stderr
    return folder


def by_symbol(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["symbol"]: entry for entry in entries}


def decisions_hashes(home: Path) -> list[str]:
    """decisions_hash of each strategy, all of which have decided something."""
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        selection = select_pairs(tape, NOW)
        runs = [run_backtest(tape, parse_settings(sets), selection) for sets in STRATEGIES]
    assert all(run.book["decisions"] > 50 for run in runs)
    return [run.decisions_hash for run in runs]


def test_every_settlement_is_in_the_log_and_sums_to_the_files_sum(history: History, home: Path, shell: Shell) -> None:
    found = by_symbol(shell.json("rates", home=home)["instruments"])

    assert set(found) == set(history.rates)
    for symbol, rates in history.rates.items():
        entry = found[symbol]
        assert (entry["venue"], entry["count"], entry["late"]) == ("hyperliquid", len(rates), 0)
        assert entry["sum"] == pytest.approx(float(sum(rate for _, rate in rates)), rel=0, abs=1e-12), symbol


def test_missing_hours_never_make_two_hour_contracts(history: History, home: Path, shell: Shell) -> None:
    """A settlement without an hour before it is a gap; the interval stays one hour, in every view and in the fold."""
    rates = by_symbol(shell.json("rates", home=home)["instruments"])
    quality = by_symbol(shell.json("quality", home=home)["instruments"])
    compared = by_symbol(shell.json("compare", home=home)["pairs"])
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        run = run_backtest(tape, Parameters(), select_pairs(tape, NOW))

    spacings = [b - a for rows in history.rates.values() for (a, _), (b, _) in pairwise(rows)]
    missing = sum(round(spacing / HOUR_MS) > 1 for spacing in spacings)
    assert missing > 0, "this history does not show it"
    for symbol, rows in history.rates.items():
        assert rates[symbol]["intervals"] == [{"hours": None, "count": 1}, {"hours": 1.0, "count": len(rows) - 1}]
        assert quality[symbol]["interval_changes"] == []
        assert compared[symbol]["intervals"] == {"1": len(rows) - 1}
    assert (run.state.market["interval_h"] == 1.0).all()
    assert run.book["gaps"] == sum(entry["settlement_gaps"] for entry in quality.values())
    assert sum(entry["missing_settlements"] for entry in quality.values()) == missing


def test_pairs_whose_data_ends_without_a_delisting_are_found(history: History, home: Path, shell: Shell) -> None:
    compared = shell.json("compare", home=home)
    simple = compared["strategies"]["simple"]

    assert len(history.ended) == 11
    assert {entry["symbol"] for entry in compared["pairs"] if entry["ended"]} == history.ended
    assert [compared["strategies"][name]["pairs_ended"] for name in ("simple", "composite", "hold")] == [11, 11, 11]
    assert simple["settlements"] == sum(len(rates) for rates in history.rates.values())
    assert simple["pairs"] == len(history.rates)


def test_a_pair_that_is_held_when_its_data_ends_is_closed(history: History, home: Path) -> None:
    """hold never leaves by itself, so every pair it still held at the end of its data is closed as `data ended`."""
    with LogReader.open(home) as reader:
        tape = Tape.open(home, reader)
        selection = select_pairs(tape, NOW)
        run = run_backtest(tape, Parameters(strategy="hold", capital=1e6), selection)

    held = {pair.short.symbol for pair, state in zip(selection.pairs, run.state.pair, strict=True) if state["held"]}
    assert held.isdisjoint(history.ended)
    assert held == set(history.rates) - history.ended
    assert run.book["trades"] == len(history.ended)


def test_the_basis_is_not_modelled_and_every_report_says_so(home: Path, shell: Shell) -> None:
    answer = shell.json("backtest", home=home)

    assert answer["basis_modelled"] is False
    assert any("basis" in warning for warning in answer["warnings"])
    assert not any(entry["priced"] for entry in shell.json("pairs", home=home)["pairs"])


def test_importing_twice_adds_nothing(history: History, tmp_path: Path, shell: Shell) -> None:
    first = shell.json("import", *history.files, "--venue", "hyperliquid", home=tmp_path)
    again = shell.json("import", *history.files, "--venue", "hyperliquid", home=tmp_path)

    assert (first["appended"], first["rejected"], first["pairs"]) == (history.rows, 0, len(history.rates))
    assert (again["appended"], again["duplicates"], again["conflicts"]) == (0, history.rows, 0)
    assert again["last_seq"] == first["last_seq"]


def test_any_order_and_any_splitting_of_the_files_gives_the_same_decisions(
    history: History, home: Path, tmp_path: Path, shell: Shell
) -> None:
    expected = decisions_hashes(home)
    (funding_header, funding), (bars_header, bars) = read(history.funding), read(history.bars)
    draw = random.Random(20250726)
    draw.shuffle(funding)
    draw.shuffle(bars)
    whole_bars = write(tmp_path / "bars.csv.gz", bars_header, bars)
    parts = [write(tmp_path / f"funding{i}.csv.gz", funding_header, funding[i::3]) for i in range(3)]
    parts += [write(tmp_path / f"bars{i}.csv.gz", bars_header, bars[i::2]) for i in range(2)]
    draw.shuffle(parts)

    def take_in(name: str, *files: Path, minutes: int = 0) -> None:
        length = ["--bar-minutes", str(minutes)] if minutes else []
        shell.json("import", *map(str, files), "--venue", "hyperliquid", *length, home=tmp_path / name)

    take_in("backwards", history.bars)
    take_in("backwards", history.funding)
    take_in("shuffled", whole_bars, *(part for part in parts if "funding" in part.name))
    for part in parts:  # a part of the bars cannot tell their length
        take_in("split", part, minutes=480)

    for name in ("backwards", "shuffled", "split"):
        assert decisions_hashes(tmp_path / name) == expected, name
