"""The first backtest on a machine compiles the fold, and no later start compiles anything."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from carryfold.domain.fold._compile import FOLDER
from tests.adapters.shell import carryfold

NUMBA_SAYS = "[cache] "


def inventory(folder: Path) -> dict[str, tuple[int, int]]:
    """(size, time of the last change) of every file, by its path."""
    files = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in files.items()}


def start(home: Path, cache: Path, *arguments: str) -> tuple[dict[str, Any], list[str], str]:
    """(JSON, numba's cache messages, stderr) of a command in a process of its own."""
    done = carryfold(*arguments, "--json", home=home, XDG_CACHE_HOME=str(cache), NUMBA_DEBUG_CACHE="1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (answer,) = (line for line in lines if line.startswith("{"))
    return json.loads(answer), [line for line in lines if line.startswith(NUMBA_SAYS)], done.stderr


def check_compiles_nothing(small_home: Path, cache: Path) -> dict[str, Any]:
    """Check that two starts on a filled cache, with two strategies, only read it. Returns the answer of `simple`."""
    compiled = inventory(cache)
    assert any(name.endswith(".nbc") for name in compiled)
    simple, loaded, silent = start(small_home, cache, "backtest")
    composite, loaded_by_other, _ = start(small_home, cache, "backtest", "--set", "strategy=composite")

    assert inventory(cache) == compiled, "a later start wrote to the cache"
    for messages in (loaded, loaded_by_other):
        assert any("data loaded" in line for line in messages)
        assert not any("saved" in line for line in messages), "a later start compiled something"
    assert "compiling" not in silent
    assert (simple["strategy"], composite["strategy"]) == ("simple", "composite")
    return simple


def test_a_later_start_compiles_nothing(small_home: Path, tmp_path: Path) -> None:
    """Works on a copy of this machine's cache, because other tests write to it."""
    warm = carryfold("backtest", home=small_home)
    assert warm.returncode == 0, warm.stderr
    for path in (*FOLDER.rglob("*.nb?"), *FOLDER.parent.glob("digest-*")):
        copy = tmp_path / "carryfold" / path.relative_to(FOLDER.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)

    check_compiles_nothing(small_home, tmp_path)


@pytest.mark.soak
def test_the_first_start_compiles_and_the_second_does_not(small_home: Path, tmp_path: Path) -> None:
    first, saved, announced = start(small_home, tmp_path, "backtest")
    second = check_compiles_nothing(small_home, tmp_path)

    assert any("data saved" in line for line in saved), "numba says when it has compiled"
    assert "compiling the fold" in announced
    assert {**second, "rows_per_second": 0} == {**first, "rows_per_second": 0}
