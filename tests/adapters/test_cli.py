"""The command line in real processes: output, exit codes, one clear line for every error."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.shell import answer, carryfold, write_files
from tests.oracle.majors import majors_folder

PROMISED = (
    *("strategy", "params", "since", "until", "rows"),
    *("pairs", "settlements", "payments", "suspect", "late"),
    *("capital", "net_pnl", "funding", "spot_pnl", "perp_pnl"),
    *("fees", "borrow", "slippage", "trades", "open_positions"),
    *("refused", "return_on_capital", "hold_return_on_capital", "max_drawdown", "sharpe"),
    *("sharpe_lo", "min_free", "basis_modelled", "decisions_hash", "state_hash"),
    *("rows_per_second", "legs", "long_pnl", "short_pnl", "edge_payments"),
    *("liquidations", "venues"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small market."""
    folder = tmp_path_factory.mktemp("cli")
    done = carryfold("import", *map(str, write_files(folder)), home=folder / "home")
    assert done.returncode == 0, done.stderr
    return folder / "home"


def test_a_backtest_prints_every_promised_figure(home: Path) -> None:
    figures = answer("backtest", home=home)

    assert [name for name in PROMISED if name not in figures] == []
    assert (figures["trades"], figures["settlements"]) == (1, 40)


def test_importing_again_adds_nothing(home: Path) -> None:
    files = [str(home.parent / name) for name in ("bars.csv", "funding.csv")]
    before = answer("log", "stat", home=home)

    carryfold("import", *files, home=home)

    assert answer("log", "stat", home=home)["events"] == before["events"]


def test_the_report_is_one_page_without_outside_resources(home: Path, tmp_path: Path) -> None:
    done = carryfold("backtest", "--html", str(tmp_path / "report.html"), home=home)

    page = (tmp_path / "report.html").read_text()
    assert done.returncode == 0, done.stderr
    assert "<svg" in page
    assert "src=" not in page.replace("src=&", "")
    assert "<link" not in page


def test_replay_of_a_cursor_is_the_same_twice(home: Path) -> None:
    assert answer("replay", home=home)["state_hash"] == answer("replay", home=home)["state_hash"]


def test_halt_without_an_owner_is_recorded(home: Path) -> None:
    done = carryfold("halt", home=home)

    assert done.returncode == 0, done.stderr
    assert "Halted" in carryfold("log", "show", "--kind", "Halted", home=home).stdout


def test_lookahead_finds_nothing(home: Path) -> None:
    assert carryfold("lookahead", home=home).returncode == 0


def test_verify_names_a_damaged_log(home: Path, tmp_path: Path) -> None:
    carryfold("log", "backup", str(tmp_path / "copy"), home=home)
    data = tmp_path / "copy" / "log" / "data.mdb"
    content = bytearray(data.read_bytes())
    at = content.find(b"FundingSettled")
    content[at] ^= 1
    data.write_bytes(bytes(content))

    done = carryfold("log", "verify", home=tmp_path / "copy")

    assert done.returncode == 1
    assert "seq" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["backtest", "--bogus"], 2, "--bogus"),
        (["backtest", "--set", "entre=1"], 2, "entre"),
        (["backtest", "--set", "enter=x"], 2, "enter"),
        (["backtest", "--set", "cadence_s=1e999999999"], 2, "cadence_s"),
        (["backtest", "--pairs", "NOPE"], 2, "NOPE"),
        (["backtest", "--pairs", ","], 2, "no pair is named"),
        (["backtest", "--venue", "NOPE"], 2, "NOPE"),
        (["backtest", "--upto-seq", "0"], 1, "import market data first"),
        (["backtest", "--since", "yesterday"], 2, "yesterday"),
        (["import", "does-not-exist.csv"], 1, "does-not-exist.csv"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_an_error_is_one_clear_line(home: Path, arguments: list[str], code: int, expected: str) -> None:
    done = carryfold(*arguments, home=home)

    assert (done.returncode, done.stdout) == (code, "")
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_home_without_a_log_is_one_clear_line(tmp_path: Path) -> None:
    done = carryfold("compare", home=tmp_path / "nothing")

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    probe = "import sys; from carryfold.adapters.cli import main; sys.argv = ['carryfold', '--help']\n"
    probe += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    probe += "heavy = {'numpy', 'numba', 'lmdb', 'ccxt', 'scipy', 'rich.console', 'pyarrow'} & set(sys.modules)\n"
    probe += "sys.exit(', '.join(sorted(heavy)) or 0)"

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(majors_folder() is None, reason="the real Bybit history is not on this machine")
def test_the_real_majors_through_the_command_line(tmp_path: Path) -> None:
    folder = majors_folder()
    assert folder is not None
    funding, bars = str(folder / "funding.csv.gz"), str(folder / "bars_1h.csv.gz")
    assert carryfold("import", funding, bars, home=tmp_path / "a").returncode == 0
    for file in (bars, funding):  # other order, other calls
        assert carryfold("import", file, home=tmp_path / "b").returncode == 0

    compared = answer("compare", home=tmp_path / "a")
    pairs = {p["symbol"]: p for p in compared["pairs"]}
    first = answer("backtest", "--set", "impact=0", home=tmp_path / "a")
    second = answer("backtest", "--set", "impact=0", home=tmp_path / "b")
    ulp = answer("backtest", "--set", "impact=0", "--set", "exit=0.00010000000000000002", home=tmp_path / "a")

    assert len(pairs) == 7
    assert pairs["BTCUSDT"]["settlements"] == 5770
    assert round(pairs["BTCUSDT"]["rate_sum"], 8) == 0.78540061
    assert round(pairs["BTCUSDT"]["share_at_interest"] * 100, 2) == 46.53
    assert (pairs["SOLUSDT"]["settlements"], round(pairs["SOLUSDT"]["rate_sum"], 8)) == (4743, 0.07250213)
    assert (first["trades"], ulp["trades"], first["basis_modelled"]) == (59, 224, True)
    assert first["decisions_hash"] == second["decisions_hash"]
