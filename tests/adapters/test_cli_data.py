"""The commands that show the log: instruments, pairs, and events of every release."""

import json
from pathlib import Path

import pytest

from carryfold.domain import events as ev
from carryfold.domain import legacy
from carryfold.domain.codec import encode
from carryfold.domain.instruments import Instrument, carry_pair
from carryfold.eventlog import EventLog
from tests.adapters.shell import Shell, carryfold

MIDNIGHT = 1_704_067_200_000
HOUR = 3_600_000


@pytest.fixture
def home(shell: Shell, tmp_path: Path) -> Path:
    """A perpetual on a thousand coins with its spot market at one venue, and a perpetual without one at another."""
    settled = [f"1000PEPEUSDT,{MIDNIGHT + 8 * k * HOUR},0.0001" for k in range(4)]
    settled.append(f"1000PEPEUSDT,{MIDNIGHT + 8 * HOUR + HOUR // 2},0.0001")
    spots = ["", *["0.01"] * 9]
    bars = [f"1000PEPEUSDT,{MIDNIGHT + k * HOUR},{spot},{10 + k % 2 * 5}" for k, spot in enumerate(spots)]
    other = [f"PEPE,{MIDNIGHT + k * HOUR},0.00001" for k in range(4)]
    for name, header, lines in (
        ("funding.csv", "symbol,settled_at_ms,rate", settled),
        ("bars.csv", "symbol,open_at_ms,spot_close,perp_close", bars),
        ("other.csv", "symbol,settled_at_ms,rate", other),
    ):
        (tmp_path / name).write_text("\n".join([header, *lines]) + "\n")
    folder = tmp_path / "home"
    assert shell.run("import", str(tmp_path / "funding.csv"), str(tmp_path / "bars.csv"), home=folder).code == 0
    assert shell.run("import", "--venue", "other", str(tmp_path / "other.csv"), home=folder).code == 0
    return folder


def test_pairs_and_instruments_are_listed(shell: Shell, home: Path) -> None:
    pairs = shell.json("pairs", home=home)["pairs"]
    spreads = shell.json("pairs", "--legs", "spread", home=home)["pairs"]
    instruments = shell.json("pairs", "--instruments", home=home)["instruments"]

    assert [(one["pair"], one["priced"], one["lot"]) for one in pairs] == [
        ("bybit:1000PEPEUSDT", True, 0.001), ("other:PEPE", False, 0.000001),
    ]  # fmt: skip
    assert {one["pair"] for one in spreads} == {"bybit:1000PEPEUSDT>other:PEPE", "other:PEPE>bybit:1000PEPEUSDT"}
    assert [(one["venue"], one["symbol"], one["kind"], one["multiplier"]) for one in instruments] == [
        ("bybit", "1000PEPEUSDT", "perp", 1000.0), ("bybit", "PEPEUSDT", "spot", 1.0), ("other", "PEPE", "perp", 1.0),
    ]  # fmt: skip
    assert shell.run("pairs", "--legs", "none", home=home).code == 2


@pytest.mark.parametrize("name", ["1000PEPEUSDT", "bybit:1000PEPEUSDT", "PEPE/USDT:USDT", "PEPE/USDT", "PEPEUSDT"])
def test_an_instrument_is_found_by_each_of_its_names(shell: Shell, home: Path, name: str) -> None:
    assert [one["pair"] for one in shell.json("pairs", "--pairs", name, home=home)["pairs"]] == ["bybit:1000PEPEUSDT"]


def test_an_unknown_name_is_an_error(shell: Shell, home: Path) -> None:
    for command in ("pairs", "rates", "quality"):
        result = shell.run(command, "--pairs", "NOPE", "--venue", "bybit", home=home)
        assert (result.code, result.out) == (1, "")
        assert "no NOPE of venue bybit in the log" in result.err


def test_quality_shows_settlements_prices_and_pairs(shell: Shell, home: Path) -> None:
    found = shell.json("quality", "--pairs", "1000PEPEUSDT", home=home)
    perp, spot = found["instruments"]
    (pair,) = found["pairs"]

    assert (perp["kind"], perp["settlements"], perp["close_settlements"], perp["without_mark"]) == ("perp", 5, 1, 10)
    assert perp["close_together"] == [{"first": "2024-01-01T08:00:00Z", "second": "2024-01-01T08:30:00Z"}]
    assert (spot["symbol"], spot["price_rows"]) == ("PEPEUSDT", 9)
    assert (pair["pair"], pair["rows"], pair["without_spot"], pair["without_perp"]) == ("bybit:1000PEPEUSDT", 9, 1, 0)
    assert pair["suspect"] > 0


def test_quality_fits_eighty_columns(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    tables = shell.run("quality", home=home).out.split("\n\n")

    assert [table.split("  ")[0] for table in tables[:3]] == ["perpetual", "instrument", "carry pair"]
    assert max(len(line) for table in tables[:3] for line in table.splitlines()) <= 80


def test_rates_are_of_perpetuals(shell: Shell, home: Path) -> None:
    found = shell.json("rates", home=home)["instruments"]

    assert [(one["venue"], one["symbol"], one["count"]) for one in found] == [
        ("bybit", "1000PEPEUSDT", 5), ("other", "PEPE", 4),
    ]  # fmt: skip
    assert "other:PEPE" in shell.run("rates", "--list", home=home).out


# --- events of any release --------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A log with events of release 0.1.0 and current ones."""
    at = MIDNIGHT * 1_000_000
    perp, pair = Instrument("bybit", "BTCUSDT", "perp"), carry_pair("bybit", "BTCUSDT", spot_symbol="BTCUSDC")
    written = [
        legacy.PairQuoted("bybit", "BTCUSDT", 1, at, 99.0, 100.0, 99.5, 100.5),
        ev.Quoted(*perp, at, 99.5, 100.5),
        ev.ExitDecided(1, at, pair, 3, "rate"),
        ev.RunStarted(at, "paper", {}, "code", "", (pair,)),
        legacy.PairObservationCorrected("bybit", "ETHUSDT", 1, at, "BarClosed", (1.0,), 1),
    ]
    with EventLog.open(tmp_path / "home") as log:
        log.append([(encode(event), None, at) for event in written])
    return tmp_path / "home"


def shown(shell: Shell, home: Path, *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in shell.run("log", "show", "--json", *arguments, home=home).out.splitlines()]


def test_events_are_shown_as_they_were_written_under_the_name_of_their_class(shell: Shell, mixed: Path) -> None:
    old, new, decided, started, corrected = shown(shell, mixed)
    pair = {
        "long": {"venue": "bybit", "symbol": "BTCUSDC", "kind": "spot", "listing": 1},
        "short": {"venue": "bybit", "symbol": "BTCUSDT", "kind": "perp", "listing": 1},
    }

    assert (old["kind"], old["spot_bid"], old["perp_ask"]) == ("PairQuoted", 99.0, 100.5)
    assert (new["kind"], new["instrument_kind"], new["bid"], new["ask"]) == ("Quoted", "perp", 99.5, 100.5)
    assert (corrected["kind"], corrected["observation"]) == ("PairObservationCorrected", "BarClosed")
    assert (decided["pair"], started["pairs"]) == (pair, [pair])
    lines = shell.run("log", "show", "--from", "3", home=mixed).out
    assert lines.count("bybit:spot:BTCUSDC>bybit:BTCUSDT") == 2


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (["--kind", "Quoted"], [1, 2]),  # as it was called then, and today
        (["--kind", "PairQuoted"], [1]),
        (["--pair", "BTCUSDT"], [1, 2, 3]),
        (["--pair", "bybit:BTCUSDT"], [2, 3]),
        (["--pair", "BTCUSDC"], [3]),
        (["--pair", "bybit:spot:BTCUSDC>bybit:BTCUSDT"], [3]),
        (["--kind", "Quoted", "--pair", "BTCUSDC"], []),
    ],
)
def test_events_are_chosen_by_kind_and_by_name(
    shell: Shell, mixed: Path, arguments: list[str], seqs: list[int]
) -> None:
    assert [one["seq"] for one in shown(shell, mixed, *arguments)] == seqs


def test_an_unknown_kind_is_an_error(mixed: Path) -> None:
    done = carryfold("log", "show", "--kind", "PairQuote", home=mixed)

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no kind of event 'PairQuote'" in done.stderr


def test_projections_are_built_again_by_name_and_all_at_once(shell: Shell, home: Path) -> None:
    before = shell.json("rates", home=home)
    one = shell.json("project", "rebuild", "rates", home=home)
    everything = shell.json("project", "rebuild", home=home)
    status = shell.json("project", "status", home=home)

    assert one == {"rebuilt": ["rates"]}
    assert everything["rebuilt"] == ["tape", *(found["name"] for found in status["projections"])]
    assert {found["ok"] for found in status["projections"]} == {True}
    assert status["tape"]["position"] == status["last_seq"] == before["upto_seq"]
    assert shell.json("rates", home=home) == before
    refused = shell.run("project", "rebuild", "rats", home=home)
    assert refused.code == 2
    assert "there is no projection 'rats'; known: tape, registry, " in refused.err
