"""Compiled code is never stale: an edit of any source names another cache folder, and one in a callee of another file
changes what its caller gives."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import carryfold
from carryfold.domain.fold import _compile

PACKAGE = Path(carryfold.__file__).parent
DOMAIN = PACKAGE / "domain"
FOLDERS = ("fold", "strategies")
MODULES = ("codec.py", "events.py", "instruments.py", "legacy.py", "params.py", "records.py", "rows.py")
DECIDING = {
    path.relative_to(DOMAIN).as_posix()
    for path in (*(found for name in FOLDERS for found in (DOMAIN / name).glob("*.py")), *(DOMAIN / m for m in MODULES))
}

# The folder's name as the sources stand, then after an edit of each file in turn (undone again), then with a new file.
NAME_FOLDERS = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

domain = Path(sys.argv[1]) / "carryfold" / "domain"

def name():
    spec = spec_from_file_location("compile_under_test", domain / "fold" / "_compile.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.cache_folder().name

print("-", name())
for edited in sys.argv[2:]:
    path = domain / edited
    text = path.read_text()
    path.write_text(text + "\\nEDITED = 1\\n")
    print(edited, name())
    path.write_text(text.replace('\\"\\"\\"\\n', ' Really.\\"\\"\\"\\n', 1) + "\\n# a comment\\n")
    print("-", name())
    path.write_text(text)
print("-", name())
(domain / "fold" / "extra.py").write_text("EXTRA = 1")
print("extra.py", name())
"""

# Each of these is compiled from another file too: money from arithmetic, rates from codes, ordering from rows,
# observe from the library of strategies.
CALL_ACROSS_FILES = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy
import carryfold
assert carryfold.__file__.startswith(sys.argv[1])
from carryfold.domain.fold import money, observe, ordering, rates, state

market = numpy.zeros(1, state.INSTRUMENT)
market["vol_price"], market["vol_count"], market["vol_m"] = 1.0, 1, 1.0
observe._observe_volatility(market[0], 1.1, 3600 * 10**9)
print(money._payment(1, 1.0, 0, 0.0, 1000.0), rates._snapped_hours(8 * 3600 * 10**9), ordering.phase_of(9))
print(market["vol_m"][0])
"""

EDITS = {
    "fold/arithmetic.py": ("return np.int64(np.rint(scaled))", "return np.int64(np.rint(scaled)) + 1"),
    "fold/codes.py": ("HOUR: Final = 3_600_000_000_000", "HOUR: Final = 7_200_000_000_000"),
    "rows.py": ("INSTRUMENT_DELISTED = 9", "INSTRUMENT_DELISTED = 19"),
    "strategies/library.py": ("return 2.0 / (span + 1.0)", "return 3.0 / (span + 1.0)"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package's sources."""
    ignored = shutil.ignore_patterns("__pycache__", "adapters", "projections")
    shutil.copytree(PACKAGE, tmp_path / "src" / "carryfold", ignore=ignored)
    return tmp_path / "src"


def run(script: str, source: Path, cache: Path, *arguments: str) -> str:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", script, str(source), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_an_edit_of_any_file_names_another_folder_and_one_of_comments_and_docstrings_does_not(
    copy: Path, tmp_path: Path
) -> None:
    lines = [line.split() for line in run(NAME_FOLDERS, copy, tmp_path / "cache", *sorted(DECIDING)).splitlines()]
    edited = {file: folder for file, folder in lines if file != "-"}
    plain = {folder for file, folder in lines if file == "-"}

    assert set(edited) == {*DECIDING, "extra.py"}
    assert len(plain) == 1, "an edit undone, or of words alone, is as if it had never been"
    assert len({*edited.values(), *plain}) == len(edited) + 1


def test_an_edit_in_a_callee_of_another_file_changes_the_result(copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = run(CALL_ACROSS_FILES, copy, cache).split()
    assert len(before) == len(EDITS)
    for i, (name, (old, new)) in enumerate(EDITS.items()):
        path = copy / "carryfold" / "domain" / name
        text = path.read_text()
        assert text.count(old) == 1, f"{name} no longer has: {old}"
        path.write_text(text.replace(old, new))
        after = run(CALL_ACROSS_FILES, copy, cache).split()
        path.write_text(text)

        assert after[i] != before[i], f"the edit of {name} was not seen"
        assert after[:i] + after[i + 1 :] == before[:i] + before[i + 1 :]
    assert run(CALL_ACROSS_FILES, copy, cache).split() == before


def test_the_fold_compiles_nothing_from_outside_its_sources() -> None:
    """Every module that fold files import from the package is among the files of the digest."""
    known = {path.resolve() for path in _compile._SOURCES}
    for path in (found for name in FOLDERS for found in (DOMAIN / name).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("carryfold"):
                assert node.level == 0
                file = PACKAGE.parent.joinpath(*str(node.module).split("."))
                source = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
                assert source.resolve() in known, f"{path.name} imports {node.module}"
