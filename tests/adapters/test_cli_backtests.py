"""Backtests by command line: the choice of pairs, sizes as shares, and what is said about them."""

import shutil
from pathlib import Path

import pytest

from carryfold.eventlog import EventLog
from carryfold.projections.pair_choices import record_pair_choice
from tests.adapters.shell import Shell

HINDSIGHT = "pairs chosen with hindsight"


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """A copy of the small home whose log says that a backfill chose its pairs by turnover in 2030."""
    folder = shutil.copytree(small_home, tmp_path / "home")
    with EventLog.open(folder) as log:
        record_pair_choice(log, "bybit", "top:20", 1_900_000_000 * 10**9)
    return folder


def test_a_backfill_that_chose_by_turnover_is_named_in_every_result(shell: Shell, home: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    found = shell.json("backtest", "--html", str(page), home=home)["warnings"]
    compared = shell.json("compare", home=home)["strategies"]

    (warning,) = [one for one in found if HINDSIGHT in one]
    assert "chosen by their turnover on 2030-03-17 (top:20)" in warning
    assert warning in page.read_text()
    assert warning in shell.run("backtest", home=home).out
    assert all(warning in one["warnings"] for one in compared.values())


def test_pairs_that_are_named_are_chosen_with_hindsight(shell: Shell) -> None:
    plain = shell.json("backtest")["warnings"]
    named = shell.json("backtest", "--pairs", "XUSDT")["warnings"]

    assert not [one for one in plain if HINDSIGHT in one]
    assert [one for one in named if HINDSIGHT in one] == [f"{HINDSIGHT}: this run names XUSDT"]


def test_a_universe_is_taken_by_backtest_compare_and_lookahead(shell: Shell) -> None:
    run = shell.json("backtest", "--universe", "top:1")
    compared = shell.json("compare", "--universe", "top:1")["strategies"]
    checked = shell.json("lookahead", "--universe", "top:1", "--cuts", "2")

    assert any("the universe of a month is the 1 perpetual" in one for one in run["assumptions"])
    assert run["refused"]["universe"] > 0, "the market is shorter than a month, so nothing is a member"
    assert all(one["refused"]["universe"] > 0 for name, one in compared.items() if name != "hold_majors")
    assert (checked["ok"], checked["cuts"], checked["checks"]) == (True, 2, 4)


def test_a_universe_of_another_form_is_one_clear_line(shell: Shell) -> None:
    result = shell.run("backtest", "--universe", "best")

    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1 and "top:N" in result.err


def test_twice_the_capital_earns_twice_as_much_with_shares_and_as_much_with_amounts(shell: Shell) -> None:
    def net(*settings: str) -> float:
        options = [part for setting in ("impact=0", *settings) for part in ("--set", setting)]
        return float(shell.json("backtest", "--no-hold", *options)["net_pnl"])

    assert net("capital=20000", "notional=10%") == pytest.approx(2 * net("capital=10000", "notional=10%"), rel=1e-4)
    assert net("capital=20000", "notional=1000") == pytest.approx(net("capital=10000", "notional=1000"), rel=1e-4)
    assert net("notional=10%") == net("notional=1000") != 0


def test_a_look_ahead_check_claims_no_more_than_it_did(shell: Shell) -> None:
    said = shell.run("lookahead", "--cuts", "2").out

    assert "checked at 2 cuts (4 checks): no difference found" in said
    assert "prove" not in said + shell.run("lookahead", "--help").out.lower()


def test_the_first_entry_of_hold_does_not_depend_on_pairs_that_come_later(shell: Shell, tmp_path: Path) -> None:
    """One pair from the first day, four more from day 40: each entry is divided by the pairs known at its time."""
    start_ms, hour_ms = 1704067200000, 3600000
    first_hour = {"AUSDT": 0} | {f"{coin}USDT": 40 * 24 for coin in "BCDE"}
    bars = ["symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt"]
    rates = ["symbol,settled_at_ms,rate"]
    for symbol, first in first_hour.items():
        bars += [f"{symbol},{start_ms + hour_ms * h},100,100,100.02,1000000" for h in range(first, 50 * 24)]
        rates += [f"{symbol},{start_ms + hour_ms * h},0.0001" for h in range(first, 50 * 24, 8)]
    (tmp_path / "bars.csv").write_text("\n".join(bars))
    (tmp_path / "funding.csv").write_text("\n".join(rates))
    home = tmp_path / "home"
    assert shell.run("import", str(tmp_path / "bars.csv"), str(tmp_path / "funding.csv"), home=home).code == 0

    def entries(*options: str) -> list[tuple[str, int]]:
        found = shell.json("backtest", "--strategy", "hold", "--decisions", *options, home=home)["decision_list"]
        return [(one["pair"], one["lots"]) for one in found if one["action"] == "enter"]

    whole, early = entries(), entries("--as-of", "2024-01-31")
    checked = shell.json("lookahead", "--strategy", "hold", home=home)

    assert early == whole[:1] == [("AUSDT", 50_000_000)]
    assert {lots for _, lots in whole[1:]} == {10_000_000}
    assert checked["ok"]
