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


def run(source: Path, cache: Path) -> list[str]:
    """What a fresh process makes of the fold's sources in `source`."""
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
    from carryfold.domain.fold import _compile

    domain = Path(_compile.__file__).parent.parent
    sources = {path.relative_to(domain) for path in _compile._SOURCES}

    for folder in ("fold", "strategies"):
        assert {path.relative_to(domain) for path in (domain / folder).glob("*.py")} <= sources
    assert {Path("params.py"), Path("rows.py"), Path("records.py"), Path("legacy.py")} <= sources
