"""The research commands over two venues: spreads, carry, and the names of pairs."""

from pathlib import Path

import pytest

from tests.adapters.shell import Shell, carryfold, write_files

START_MS = 1704067200000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def two_venues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small market, and a perpetual of its coin at another venue, where longs pay nothing for a week."""
    folder = tmp_path_factory.mktemp("two")
    other = folder / "other"
    other.mkdir()
    rates = [f"X,{START_MS + 8 * HOUR_MS * k},{0.0 if k < 20 else 0.0005}" for k in range(40)]
    bars = [f"X,{START_MS + HOUR_MS * k},{100 + k / 20},1000000" for k in range(330)]
    there = other / "funding.csv", other / "bars.csv"
    there[0].write_text("\n".join(["symbol,settled_at_ms,rate", *rates]))
    there[1].write_text("\n".join(["symbol,open_at_ms,perp_close,perp_turnover_usdt", *bars]))
    for options in (map(str, write_files(folder)), ("--venue", "hyperliquid", *map(str, there))):
        done = carryfold("import", *options, home=folder / "home")
        assert done.returncode == 0, done.stderr
    return folder / "home"


def test_a_spread_is_traded_over_two_accounts(shell: Shell, two_venues: Path) -> None:
    found = shell.json("backtest", "--legs", "spread", "--trades", home=two_venues)

    assert (found["legs"], found["pairs"], found["trades"]) == ("spread", 2, 1)
    (first, *_) = found["trade_list"]
    assert (first["pair"], first["kind"]) == ("hyperliquid:X>bybit:XUSDT", "spread")
    bybit, hyperliquid = found["venues"]
    assert (bybit["name"], hyperliquid["name"]) == ("bybit", "hyperliquid")
    assert found["min_free"] == min(bybit["min_free"], hyperliquid["min_free"])
    assert bybit["equity"] + hyperliquid["equity"] == pytest.approx(found["capital"] + found["net_pnl"], abs=1e-8)
    assert any("nothing is transferred between venues" in text for text in found["assumptions"])
    assert any("one unit of account" in text for text in found["assumptions"])


def test_without_carry_pairs_there_is_no_hold(shell: Shell, two_venues: Path) -> None:
    found = shell.json("compare", "--legs", "spread", home=two_venues)

    assert [*found["strategies"]] == ["simple", "composite"]
    assert shell.json("backtest", "--legs", "spread", home=two_venues)["hold_return_on_capital"] is None


def test_carry_and_spread_stand_side_by_side(shell: Shell, two_venues: Path) -> None:
    found = shell.json("compare", "--legs", "both", home=two_venues)

    assert [*found["strategies"]] == [
        *("simple_carry", "simple_spread", "simple_both"),
        *("composite_carry", "composite_spread", "composite_both", "hold"),
    ]
    for name, figures in found["strategies"].items():
        if name != "hold":
            assert name == f"{figures['strategy']}_{figures['legs']}"
    carry = shell.json("backtest", "--legs", "carry", home=two_venues)
    spread = shell.json("backtest", "--legs", "spread", home=two_venues)
    both = shell.json("backtest", "--set", "legs=both", home=two_venues)
    alone = [found["strategies"][f"simple_{legs}"]["decisions_hash"] for legs in ("carry", "spread", "both")]
    assert alone == [one["decisions_hash"] for one in (carry, spread, both)]
    assert found["strategies"]["hold"]["return_on_capital"] == both["hold_return_on_capital"]
    assert {(one["venue"], one["symbol"]) for one in found["pairs"]} == {("bybit", "XUSDT"), ("hyperliquid", "X")}


def test_text_output_names_the_legs_by_their_kind(shell: Shell, two_venues: Path) -> None:
    carry = shell.run("backtest", "--venue", "bybit", "--trades", home=two_venues).out
    spread = shell.run("backtest", "--legs", "spread", "--trades", home=two_venues).out

    assert "spot P&L" in carry and "perp P&L" in carry and "largest shortfall" not in carry
    assert "long P&L" in spread and "short P&L" in spread and "largest shortfall" in spread
    assert "assumed: nothing is transferred between venues" in spread


@pytest.mark.parametrize(
    ("named", "pairs"),
    [
        ("hyperliquid:X>bybit:XUSDT", 1),
        ("XUSDT", 3),
        ("X", 4),
        ("X/USDT:USDT", 3),
        ("bybit:XUSDT", 3),
        ("hyperliquid:X", 3),
    ],
)
def test_a_pair_is_found_by_each_of_its_names(shell: Shell, two_venues: Path, named: str, pairs: int) -> None:
    assert shell.json("replay", "--legs", "both", "--pairs", named, home=two_venues)["pairs"] == pairs


def test_carry_across_venues_needs_its_option(shell: Shell, two_venues: Path) -> None:
    plain = shell.json("replay", home=two_venues)
    across = shell.json("replay", "--carry-across", home=two_venues)

    assert (plain["pairs"], across["pairs"]) == (2, 3)


def test_an_unknown_choice_of_legs_is_wrong_usage(shell: Shell) -> None:
    result = shell.run("backtest", "--legs", "calendar")

    assert (result.code, result.out) == (2, "")
    assert "legs must be one of carry, spread, both" in result.err


def test_one_venue_has_no_spreads(shell: Shell) -> None:
    result = shell.run("backtest", "--legs", "spread")

    assert (result.code, result.out) == (1, "")
    assert "a spread needs perpetuals of two venues" in result.err


def test_no_decision_about_a_spread_uses_the_future(shell: Shell, two_venues: Path) -> None:
    found = shell.json("lookahead", "--legs", "both", "--cuts", "2", home=two_venues)

    assert found["ok"] and found["decisions"] > 0
