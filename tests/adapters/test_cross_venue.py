"""Two venues in one log, on real data: spreads and carry pairs of Bybit and Hyperliquid, equal for any order and
splitting of the files."""

from __future__ import annotations

import csv
import gzip
import os
import random
from pathlib import Path
from typing import Any, Final

import pytest

from tests.adapters.shell import Shell

COINS: Final = ("AVAX", "BNB", "BTC", "DOGE", "ETH")
SINCE_MS: Final = 1_735_689_600_000  # 2025-01-01
UNTIL_MS: Final = SINCE_MS + 45 * 86_400_000
FILES: Final = {
    "bybit": ("bybit_majors/funding.csv.gz", "bybit_majors/bars_1h.csv.gz"),
    "hyperliquid": ("hyperliquid/funding_1h.csv.gz", "hyperliquid/bars_8h.csv.gz"),
}

Table = tuple[list[str], list[list[str]]]


def shared(name: str) -> Path:
    """A file of the shared history, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    path = Path(os.environ.get("CARRYFOLD_SHARED", beside)) / "data" / name
    if not path.is_file():
        pytest.skip(f"this machine has no {name}")
    return path


def some_weeks(path: Path) -> Table:
    """The rows of the five coins that both venues have, in some weeks."""
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    coins = {*COINS, *(f"{coin}USDT" for coin in COINS)}
    return header, [row for row in rows if row[0] in coins and SINCE_MS <= int(row[1]) < UNTIL_MS]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Table]]:
    return {venue: [some_weeks(shared(name)) for name in names] for venue, names in FILES.items()}


def imported(shell: Shell, home: Path, tables: dict[str, list[Table]], *, shuffled: bool) -> None:
    """A home with all tables, imported as they are or in random pieces, in as many calls."""
    calls: list[tuple[str, Table]] = [(venue, table) for venue in tables for table in tables[venue]]
    if shuffled:
        draw = random.Random(11)
        pieces = []
        for venue, (header, rows) in calls:
            mixed = draw.sample(rows, len(rows))
            cut = len(mixed) // 3
            pieces += [(venue, (header, mixed[:cut])), (venue, (header, mixed[cut:]))]
        calls = draw.sample(pieces, len(pieces))
    for number, (venue, (header, rows)) in enumerate(calls):
        path = home.parent / f"{home.name}-{number}.csv"
        path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
        length = ["--bar-minutes", "60" if venue == "bybit" else "480"] if "perp_close" in header else []
        result = shell.run("import", "--venue", venue, *length, str(path), home=home)
        assert result.code == 0, result.err


def test_carry_and_spreads_of_two_venues_in_any_order_of_the_files(
    shell: Shell, tables: dict[str, list[Table]], tmp_path: Path
) -> None:
    found: list[Any] = []
    for name, shuffled in (("whole", False), ("pieces", True)):
        home = tmp_path / name
        imported(shell, home, tables, shuffled=shuffled)
        found.append(
            [shell.json("backtest", "--legs", legs, "--trades", home=home) for legs in ("carry", "spread", "both")]
        )

    for whole, pieces in zip(*found, strict=True):
        for figure in ("decisions_hash", "state_hash", "net_pnl", "funding", "rows", "settlements", "payments", "late"):
            assert pieces[figure] == whole[figure], figure
    carry, spread, both = found[0]
    assert (carry["pairs"], spread["pairs"], both["pairs"]) == (10, 10, 20)
    assert spread["trades"] > 10
    named = {trade["pair"] for trade in spread["trade_list"]}
    assert {name.partition(">")[0].partition(":")[0] for name in named} == {"bybit", "hyperliquid"}
    bybit, hyperliquid = spread["venues"]
    assert bybit["capital"] == hyperliquid["capital"] == spread["capital"] / 2
    assert bybit["equity"] + hyperliquid["equity"] == pytest.approx(spread["capital"] + spread["net_pnl"], abs=1e-8)
    assert min(bybit["largest_in"], hyperliquid["largest_in"]) > 0


def test_carry_and_spreads_are_compared_in_one_command(
    shell: Shell, tables: dict[str, list[Table]], tmp_path: Path
) -> None:
    imported(shell, tmp_path / "home", tables, shuffled=False)

    compared = shell.json("compare", "--legs", "both", "--pairs", ",".join(COINS), home=tmp_path / "home")

    assert {"simple_carry", "simple_spread", "simple_both", "hold"} <= set(compared["strategies"])
