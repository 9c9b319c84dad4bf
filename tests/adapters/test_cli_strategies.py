"""Users' strategy files on the command line: found, named, refused with one line, compared and verified."""

from pathlib import Path

import pytest

from tests.adapters.shell import answer, carryfold

GOOD = """
from carryfold.domain.strategies import NOT_WANTED

PARAMETERS = {"rise": (0.0, -1.0, 1.0)}
SCORES = ("step",)
CAPS = ("fixed",)
GATES = ("rising",)
READS = ("averages",)


def score(v, p, q):
    return q if q >= p.enter else NOT_WANTED


def size(v, p, d):
    d.caps[0] = p.notional
    return p.notional


def gates(v, p, d):
    return 0 if v.rate_8h - v.rate_8h_before >= p.rise else 1


def explain(v, p, d):
    d.scores[0] = v.rate_8h - v.rate_8h_before


def leaves(v, p, q):
    return q < p.exit
"""


def write(folder: Path, text: str = GOOD, name: str = "mine.py") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("q < p.exit", "q < p.exit)"), "mine.py line 29"),
        (GOOD.replace("p.exit", "p.exitt"), "mine.py: leaves reads a field that there is not: 'exitt'"),
        (GOOD.replace("return q if", "return unknown(q) if"), "name 'unknown' is not defined"),
        (GOOD.replace("def leaves", "def leave"), "needs a function leaves with 3 arguments"),
        (GOOD.replace('"rise"', '"enter"'), "there is a parameter 'enter' already"),
        ("import nothing_of_this_name", "mine.py: ModuleNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    small_home: Path, tmp_path: Path, text: str, expected: str
) -> None:
    done = carryfold("backtest", "--json", "--strategy", str(write(tmp_path, text)), home=small_home)

    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_one_clear_line(small_home: Path, tmp_path: Path) -> None:
    named = str(tmp_path / "none.py")
    for arguments in (["lookahead", "--strategy", named], ["verify-run", "--strategy", named]):
        done = carryfold(*arguments, home=small_home)

        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "none.py: cannot be read" in done.stderr


def test_a_configuration_and_the_environment_name_files_too(small_home: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('[parameters]\nstrategy = "./none.py"\n')
    found = [
        carryfold("backtest", "--config", str(config), home=small_home),
        carryfold("log", "stat", home=small_home, CARRYFOLD_STRATEGIES=str(tmp_path / "none.py")),
        carryfold("run", "--mode", "paper", "--set-file", str(config), home=tmp_path / "home"),
        carryfold("run", "--mode", "paper", "--strategy", "./none.py", home=tmp_path / "home"),
    ]

    for done in found:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "none.py: cannot be read" in done.stderr


@pytest.mark.soak
def test_a_strategy_of_a_user_is_run_compared_and_checked(small_home: Path, tmp_path: Path) -> None:
    """Compiles the fold anew."""
    mine = str(write(tmp_path))
    simple = answer("backtest", home=small_home)
    found = answer("backtest", "--strategy", mine, "--set", "rise=0", "--decisions", home=small_home)
    fussy = answer("backtest", "--strategy", mine, "--set", "rise=0.5", home=small_home)
    compared = answer("compare", "--strategy", mine, home=small_home)
    looked = answer("lookahead", "--strategy", mine, "--cuts", "1", home=small_home)

    assert (found["strategy"], found["params"]["own"]) == ("mine", {"rise": 0.0})
    assert found["decisions_hash"] == simple["decisions_hash"]
    assert found["decision_list"][0]["scores"] == {"step": 0.0}
    assert found["decision_list"][0]["caps"] == {"fixed": 1000.0}
    assert (fussy["trades"], fussy["refused"]["rising"] > 0) == (0, True)
    assert [*compared["strategies"]] == ["simple", "composite", "mine", "hold"]
    assert looked["ok"]
