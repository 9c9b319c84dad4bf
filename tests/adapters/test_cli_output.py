"""The output of the commands: JSON alone for programs, plain text in pipes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.adapters.shell import Shell, answer, carryfold, write_files

REPORTING = (
    ["backtest", "--trades", "--decisions"],
    ["backtest", "--strategy", "hold"],
    ["compare"],
    ["replay"],
    ["lookahead", "--cuts", "1"],
    ["pairs"],
    ["rates"],
    ["quality"],
    ["log", "stat"],
    ["log", "verify"],
    ["project", "status"],
)


def refuse(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


@pytest.mark.parametrize("arguments", REPORTING, ids=" ".join)
def test_json_is_one_object_on_stdout_and_nothing_else(shell: Shell, arguments: list[str]) -> None:
    result = shell.run(*arguments, "--json")

    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 1
    assert isinstance(json.loads(result.out, parse_constant=refuse), dict)


@pytest.mark.parametrize("arguments", REPORTING, ids=" ".join)
def test_text_that_is_piped_is_plain(shell: Shell, arguments: list[str]) -> None:
    result = shell.run(*arguments)

    assert result.code == 0, result.err
    assert result.out.isascii()
    assert "\x1b" not in result.out + result.err
    assert [line for line in result.out.splitlines() if line != line.rstrip()] == []


def test_a_backtest_leads_with_its_returns_against_hold_and_cash(shell: Shell) -> None:
    lines = shell.run("backtest").out.splitlines()

    assert [line.split("  ")[0] for line in lines[2:7]] == [
        "return with idle cash",
        "return on capital",
        "return on deployed capital",
        "hold, with idle cash",
        "cash",
    ]


def test_amounts_in_json_are_the_exact_decimals(shell: Shell) -> None:
    figures = json.loads(shell.run("backtest", "--json").out, parse_float=str, parse_int=str)
    named = {name: round(float(figures[name]) * 1e8) for name in ("net_pnl", "funding", "spot_pnl", "perp_pnl", "fees")}

    assert all(re.fullmatch(r"-?\d+(\.\d{1,8})?", figures[name]) for name in named)
    assert named["net_pnl"] == named["funding"] + named["spot_pnl"] + named["perp_pnl"] - named["fees"]


def test_without_hold_there_is_nothing_to_compare_with(shell: Shell) -> None:
    assert shell.json("backtest", "--no-hold")["hold_return_on_capital"] is None
    assert shell.json("backtest")["hold_return_on_capital"] is not None


def test_comparing_shows_what_each_pair_settled(shell: Shell) -> None:
    compared = shell.json("compare")

    assert [*compared["strategies"]] == ["simple", "composite", "hold"]
    assert compared["cash"]["return_on_capital_annual"] == 0.04
    (pair,) = compared["pairs"]
    assert (pair["symbol"], pair["venue"], pair["settlements"], pair["priced"]) == ("XUSDT", "bybit", 40, True)
    assert pair["rate_sum"] == pytest.approx(20 * 0.0004 - 20 * 0.0001, abs=1e-15)
    assert (pair["share_at_interest"], pair["intervals"], pair["ended"]) == (0.0, {"8": 39}, False)
    assert (pair["first"], pair["last"]) == ("2024-01-01T00:00:00Z", "2024-01-14T00:00:00Z")


def test_the_cursor_in_the_json_gives_the_same_figures_again(shell: Shell) -> None:
    first = shell.json("backtest", "--as-of", "2024-01-09T12:00:00+02:00")
    again = shell.json("backtest", "--as-of", first["as_of"], "--upto-seq", str(first["upto_seq"]))

    assert first["as_of"] == "2024-01-09T10:00:00Z"
    assert {**first, "rows_per_second": 0} == {**again, "rows_per_second": 0}


def test_replay_shows_the_open_position_of_its_moment(shell: Shell) -> None:
    early = shell.json("replay", "--as-of", "2024-01-05")
    late = shell.json("replay")

    assert [one["pair"] for one in early["positions"]] == ["XUSDT"]
    assert late["positions"] == []
    assert early["state_hash"] != late["state_hash"]


def test_an_import_counts_what_it_refused_and_goes_on(shell: Shell, tmp_path: Path) -> None:
    funding, _ = write_files(tmp_path)
    funding.write_text(funding.read_text() + "\nXUSDT,1704067200001,not-a-rate\n")

    result = shell.run("import", str(funding), home=tmp_path / "home")
    counted = shell.json("import", str(funding), home=tmp_path / "home")

    assert result.code == 0
    assert "funding.csv:42" in result.out
    assert (counted["rejected"], counted["appended"], counted["duplicates"]) == (1, 0, 40)


def test_an_import_of_nothing_usable_fails(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("symbol,settled_at_ms,rate\nXUSDT,1704067200000,nan\n")

    result = shell.run("import", str(tmp_path / "bad.csv"), home=tmp_path / "home")

    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("carryfold: nothing in these files could be used")


def test_a_file_that_breaks_off_fails_and_the_others_are_kept(shell: Shell, tmp_path: Path) -> None:
    import gzip

    funding, bars = write_files(tmp_path)
    broken = tmp_path / "funding.csv.gz"
    broken.write_bytes(gzip.compress(funding.read_bytes(), mtime=0)[:-20])

    result = shell.run("import", str(broken), str(bars), home=tmp_path / "home")

    assert result.code == 1
    assert "funding.csv.gz" in result.err.splitlines()[-1]
    found = shell.json("quality", home=tmp_path / "home")
    assert [one["price_rows"] for one in found["instruments"]] == [330, 330]
    assert found["pairs"][0]["rows"] == 330


def test_the_demo_adds_nothing_the_second_time(demo_run: tuple[Path, str], tmp_path: Path) -> None:
    demo_home, first = demo_run
    home = Path(shutil.copytree(demo_home, tmp_path / "home", ignore=shutil.ignore_patterns("owner.sock")))
    events = answer("log", "stat", home=home)["events"]
    second = carryfold("demo", home=home)
    other = carryfold("demo", "--seed", "8", home=home)

    assert "<svg" in (home / "report.html").read_text()
    assert answer("log", "stat", home=home)["events"] == events
    assert (second.returncode, second.stdout.count("nothing added")) == (0, 2), second.stderr
    steps = [re.split(r"(?m)^(?=\d\. )", output) for output in (first, second.stdout)]
    assert steps[0][3:5] == steps[1][3:5], "comparison and look-ahead are about the same history"
    assert (other.returncode, "seed 7" in other.stderr) == (1, True)


def test_the_demo_trades_and_its_run_is_verified(demo_run: tuple[Path, str]) -> None:
    verified = answer("verify-run", home=demo_run[0])

    assert verified["identical"]
    assert [run["mode"] for run in verified["runs"]] == ["paper", "paper"]
    assert min(min(run["decisions"], run["fills"]) for run in verified["runs"]) > 0
    assert all(run["recorded_state_hash"] for run in verified["runs"]), "both were stopped in order"


def test_the_demo_leaves_a_real_log_alone(shell: Shell) -> None:
    result = shell.run("demo")

    assert result.code == 1
    assert "holds another log" in result.err
