"""The compiled code on disk is never stale, and a second start compiles nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import carryfold

FOLD_ONE_ROW = """
import sys
sys.path.insert(0, sys.argv[1])
from carryfold.domain.fold import arithmetic, cache_folder
print(arithmetic.clip(2.0), cache_folder().name)
from pathlib import Path
from carryfold.domain.fold._compile import FOLDER
print(len(list(FOLDER.rglob("*.nbc"))), max(f.stat().st_mtime_ns for f in FOLDER.rglob("*.nb?")))
"""

LOADED = """
import sys
import carryfold.domain.fold, carryfold.domain.records, carryfold.domain.row_builder, carryfold.domain.run_filter
print(*(m.__file__ for name, m in sys.modules.items() if name.startswith("carryfold") and m.__file__))
"""


def run(source: Path, cache: Path) -> list[str]:
    """The output of a fresh process with the fold's sources in `source`."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", FOLD_ONE_ROW, str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_an_edit_in_a_callee_is_seen_and_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    package = Path(carryfold.__file__).parent
    shutil.copytree(package, tmp_path / "src" / "carryfold", ignore=shutil.ignore_patterns("__pycache__", "adapters"))
    edited = tmp_path / "src" / "carryfold" / "domain" / "strategies" / "library.py"

    first = run(tmp_path / "src", tmp_path / "cache")
    second = run(tmp_path / "src", tmp_path / "cache")
    edited.write_text(edited.read_text().replace("        return 1.0\n", "        return 7.0\n"))
    third = run(tmp_path / "src", tmp_path / "cache")

    assert first == second, "the second start wrote to the cache"
    assert first[0] == "1.0"
    assert third[0] == "7.0"
    assert third[1] != first[1]


def test_any_file_that_decides_is_part_of_the_cache_folders_name() -> None:
    """Everything of the package that a process loads for the fold, its records and its rows, but for empty files."""
    from carryfold.domain.fold import _compile

    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, env=os.environ
    ).stdout.split()
    decides = {Path(file) for file in loaded if "def " in Path(file).read_text() or "class " in Path(file).read_text()}

    assert len(decides) > 20
    assert decides - set(_compile._SOURCES) == set()
