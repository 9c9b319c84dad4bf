"""Users' strategy files: they run like the built-in ones, and errors in them are one line each."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carryfold.domain.fold import CODE_DIGEST
from carryfold.domain.params import ParameterError, parse_settings
from carryfold.domain.strategies import StrategyError, register, registered, strategy_named
from tests.domain.run_user_strategies import MINIMAL, SETS
from tests.once import create_once

BP = 1e-4


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A Python process of its own, in the root of the repository."""
    command = [sys.executable, *arguments]
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(root)]), "NO_COLOR": "1"}
    return subprocess.run(command, check=False, cwd=root, env=environment, input=stdin, capture_output=True, text=True)


# --- running ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of `run_user_strategies`. It compiles a kernel of its own, which takes a while the first time."""

    def make(folder: Path) -> None:
        done = run("-m", "tests.domain.run_user_strategies", str(folder))
        assert done.returncode == 0, done.stderr
        (folder / "printed").write_text(done.stdout)

    found: dict[str, Any] = json.loads((create_once(tmp_path_factory, "own", make) / "printed").read_text())
    return found


@pytest.fixture
def runs(ran: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return dict(zip(SETS, ran["singles"], strict=True))


def test_a_copy_of_simple_in_a_file_decides_like_simple(runs: dict[tuple[str, ...], dict[str, Any]]) -> None:
    simple, minimal = runs["strategy=simple",], runs["strategy=minimal",]

    assert minimal["figures"] == simple["figures"]
    assert minimal["recorded"] == simple["recorded"]
    assert minimal["refused"] == simple["refused"]
    assert [decision[3] for decision in minimal["figures"]["decisions"]] != []
    assert runs["strategy=minimal", "enter=0.0004"]["figures"] == minimal["figures"]


def test_many_sets_of_several_strategies_at_once_are_equal_to_single_runs(ran: dict[str, Any]) -> None:
    assert ran["together"] == [single["hash"] for single in ran["singles"]]
    assert [single["reloaded"] for single in ran["singles"]] == ran["together"], "and to what is read from a snapshot"
    simple, minimal, *others = ran["together"]
    assert simple == minimal
    assert len({minimal, *others}) == len(SETS) - 1


def test_a_decision_is_recorded_with_the_strategys_own_names(runs: dict[tuple[str, ...], dict[str, Any]]) -> None:
    patient = runs["strategy=patient",]
    entries = [event for event in patient["recorded"] if event[0] == "EntryDecided.2"]
    working = entries[0][-1]

    assert len(entries) == 2, "it is exempt from slots, of which there is one"
    assert working["caps"] == {"share": 500.0, "room": working["capital_room"], "never": None}
    assert entries[0][5] == "500.0"
    assert working["scores"]["rate"] == working["estimate_8h"] == 8 * BP, (
        "the fourth settlement of the pair that pays more"
    )
    assert 0.5 < working["scores"]["trend"] <= 1.0
    assert working["score"] == 1.0 + working["scores"]["trend"]
    assert working["passed"][-2:] == ["patience", "open"]
    assert "slots" not in working["passed"]


def test_its_parameters_are_named_set_and_recorded_like_all_others(
    runs: dict[tuple[str, ...], dict[str, Any]],
) -> None:
    by_default, changed = runs["strategy=patient",], runs["strategy=patient", "patience=6", "share=0.25"]
    never = runs["strategy=patient", "patience=1000"]

    assert changed["parameters"]["own"] == {"patience": 6.0, "share": 0.25}
    assert changed["read_back"] and by_default["read_back"]
    first, later = (found["figures"]["decisions"][0] for found in (by_default, changed))
    assert later[0] - first[0] == 3 * 8 * 3600 * 10**9, "three settlements more"
    assert later[3] * 2 == first[3], "half the lots"
    assert never["figures"]["decisions"] == []
    assert never["refused"]["patience"] > by_default["refused"]["patience"] > 0
    assert never["refused"]["open"] == 0


def test_what_is_registered_is_part_of_the_code_that_names_a_run(ran: dict[str, Any]) -> None:
    assert ran["digest"] != CODE_DIGEST


# --- the digest -------------------------------------------------------------------------------------------------------

DIGEST = """
import sys
from pathlib import Path
from carryfold.adapters.strategy_files import register_file
for path in sys.argv[1:]:
    register_file(Path(path))
from carryfold.domain.fold import CODE_DIGEST
print(CODE_DIGEST)
"""


def test_the_digest_depends_on_the_logic_of_a_file_and_not_on_its_comments(tmp_path: Path) -> None:
    def digest(name: str, source: str) -> str:
        path = tmp_path / name
        path.write_text(source)
        done = run("-c", DIGEST, str(path))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    original = digest("mine.py", MINIMAL)

    assert digest("mine.py", MINIMAL.replace('written again."""', 'but mine."""') + "\n# a remark\n") == original
    assert (
        len({original, digest("mine.py", MINIMAL.replace("q < p.exit", "q <= p.exit")), digest("other.py", MINIMAL)})
        == 3
    )


# --- what is wrong with a file ----------------------------------------------------------------------------------------

REGISTER = """
import sys
from pathlib import Path
from carryfold.domain.params import ParameterError, Parameters
from carryfold.adapters.strategy_files import register_file
from carryfold.domain.strategies import StrategyError
for path in sys.argv[1:]:
    try:
        name = register_file(Path(path)).name
        Parameters(strategy=name).record()
        print("taken")
    except (StrategyError, ParameterError) as error:
        print(error)
"""

WRONG = {
    "syntax": (MINIMAL.replace("return p.notional", "return p."), "syntax.py line 9: invalid syntax"),
    "missing": (MINIMAL.replace("def size", "def sized"), "a strategy needs a function size with 3 arguments"),
    "arity": (
        MINIMAL.replace("leaves(v, p, q)", "leaves(v, q)"),
        "a strategy needs a function leaves with 3 arguments",
    ),
    "a_number": (MINIMAL + "gates = 3\n", "a strategy needs a function gates with 3 arguments"),
    "reads": (MINIMAL + "READS = ('averages', 'tea_leaves')\n", "READS names 'tea_leaves'; known: averages, forecast,"),
    "a_text": (MINIMAL + "READS = 'averages'\n", "READS must be a tuple of texts"),
    "long": (MINIMAL + "SCORES = tuple('abcdefghi')\n", "SCORES has more than 8 names"),
    "bounds": (MINIMAL + "PARAMETERS = {'tea': (3, 0, 2)}\n", "the default of tea is not within its bounds"),
    "pairs": (MINIMAL + "PARAMETERS = {'tea': 3}\n", "PARAMETERS must give (default, low, high) by name"),
    "raising": (MINIMAL + "1 / 0\n", "raising.py: ZeroDivisionError: division by zero"),
    "imports": ("import tea_leaves\n" + MINIMAL, "ModuleNotFoundError: No module named 'tea_leaves'"),
    "simple": (MINIMAL, "simple.py: there is a strategy 'simple' already: give the file another name"),
    "my-own": (MINIMAL, "my-own.py: the file's name must be letters, digits and _ alone"),
}


def test_an_error_in_a_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    paths = []
    for name, (source, _) in WRONG.items():
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(source)

    done = run("-c", REGISTER, *map(str, paths), str(tmp_path / "nowhere.py"))

    assert (done.returncode, done.stderr) == (0, "")
    *messages, nowhere = done.stdout.splitlines()
    assert len(messages) == len(WRONG), "each in one line"
    for (name, (_, expected)), line in zip(WRONG.items(), messages, strict=True):
        assert f"{name}.py" in line
        assert expected in line
    assert nowhere == f"{tmp_path / 'nowhere.py'}: cannot be read (No such file or directory)"


def test_errors_of_parameters_and_gates_are_reported_before_anything_is_folded(tmp_path: Path) -> None:
    sources = {
        "exempt": MINIMAL + "EXEMPT = ('tea',)\n",
        "taken": MINIMAL + "PARAMETERS = {'enter': (0.5, 0, 1)}\n",
    }
    messages = []
    for name, source in sources.items():
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        messages.append(run("-c", REGISTER, str(path)).stdout.strip())

    assert messages[0].startswith("exempt: there is no gate 'tea'; known: listed, prices,")
    assert messages[1] == "taken: there is a parameter 'enter' already: give it another name"


def test_a_process_takes_four_files_and_the_same_one_twice(tmp_path: Path) -> None:
    paths = [tmp_path / f"own{n}.py" for n in range(5)]
    for path in paths:
        path.write_text(MINIMAL)

    done = run("-c", REGISTER, *map(str, [*paths[:4], paths[0], paths[4]]))

    assert done.stdout.splitlines() == ["taken"] * 5 + ["own4.py: at most 4 strategy files in one process"]


REGISTER_SOURCE = """
import sys
from carryfold.domain.strategies import register, strategy_named
source = sys.stdin.buffer.read()
register("mine", source, "/nowhere/mine.py")
print(strategy_named("mine").source == source)
"""


def test_the_domain_takes_a_strategy_as_text_and_reads_no_file() -> None:
    done = run("-c", REGISTER_SOURCE, stdin=MINIMAL)

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_file_that_is_named_after_the_fold_was_imported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text(MINIMAL)

    with pytest.raises(StrategyError, match=r"late\.py: strategy files have to be named before the first run"):
        register("late", MINIMAL.encode(), str(path))
    assert [strategy.name for strategy in registered()] == ["simple", "composite", "hold"]


def test_messages_about_an_unknown_strategy_or_parameter_list_the_known_ones() -> None:
    with pytest.raises(StrategyError, match=r"no strategy 'tea'; there are simple, composite, hold, or name a file"):
        strategy_named("tea")
    with pytest.raises(ParameterError, match="no strategy 'tea'"):
        parse_settings(["strategy=tea"])
    with pytest.raises(ParameterError, match="unknown parameter 'patience'; known: strategy, enter,"):
        parse_settings(["patience=3"])


COMPILE = """
import sys
from pathlib import Path
from carryfold.adapters.strategy_files import register_file
register_file(Path(sys.argv[1]))
from carryfold.domain.fold import CompileFailed, State
from carryfold.domain.params import Parameters
try:
    State(Parameters(), [], [])
except CompileFailed as error:
    print(error)
"""

NOT_COMPILED = [
    ("q >= p.enter", "v.tea >= p.enter", "broken.py: score reads a field that there is not: 'tea'"),
    ("return p.notional", "return p.tea", "broken.py: size reads a field that there is not: 'tea'"),
    ("return p.notional", "return str(q)", "broken.py: size cannot be compiled: "),
    ("return p.notional", "import os; return p.notional", "broken.py: size cannot be compiled: "),
    (
        "return q < p.exit",
        "return tea(q)",
        "broken.py: leaves cannot be compiled: NameError: name 'tea' is not defined",
    ),
    ("return q < p.exit", "pass", "broken.py: leaves must give a number always, not none"),
]


@pytest.mark.parametrize(("good", "bad", "expected"), NOT_COMPILED)
def test_a_compile_error_names_file_and_function(tmp_path: Path, good: str, bad: str, expected: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(MINIMAL.replace(good, bad))

    done = run("-c", COMPILE, str(path))

    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(expected)
    assert len(line) < 300
