"""The documentation is complete, and its commands work."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from carryfold.domain import events
from carryfold.domain.params import Parameters
from tests.user_strategies import naming_both

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CARRYFOLD = Path(sys.executable).with_name("carryfold")

FUNDING = "symbol,settled_at_ms,rate\n" + "".join(f"BTCUSDT,{1704067200000 + 28800000 * k},0.0004\n" for k in range(30))
BARS = "symbol,open_at_ms,spot_close,mark_close,perp_close,perp_turnover_usdt\n" + "".join(
    f"BTCUSDT,{1704067200000 + 3600000 * k},100,100,100,1000000\n" for k in range(240)
)


def carryfold(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | changes
    return subprocess.run(
        [str(CARRYFOLD), *arguments], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def documented_commands() -> list[list[str]]:
    """The command lines in README and docs, in order, by page."""
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    found = []
    for page in pages:
        blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines() if line.startswith("carryfold ")]
        if lines:
            found.append(lines)
    return found


@pytest.mark.parametrize("lines", documented_commands(), ids=lambda lines: lines[0])
def test_every_documented_command_runs(lines: list[str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "funding.csv").write_text(FUNDING)
    (tmp_path / "bars.csv").write_text(BARS)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    strategies = naming_both(tmp_path) if any("--strategy ./" in line or "examples/" in line for line in lines) else {}
    for line in lines:
        if line == "carryfold demo":
            assert "report.html" in request.getfixturevalue("demo_run")[1]
            continue
        done = carryfold(*shlex.split(line, comments=True)[1:], cwd=tmp_path, **strategies)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_every_command_is_documented(tmp_path: Path) -> None:
    text = (DOCS / "cli.md").read_text()
    for group in ((), ("log",), ("project",)):
        listed = carryfold(*group, "--help", cwd=tmp_path).stdout.split("Commands:\n")[1]
        for name in re.findall(r"^  (\w+) ", listed, re.MULTILINE):
            if name not in ("log", "project"):
                assert f"## {' '.join((*group, name))}\n" in text, f"{name} is not in docs/cli.md"


def test_every_parameter_is_documented() -> None:
    text = (DOCS / "config.md").read_text()

    assert [name for name in Parameters.__struct_fields__ if f"| {name} |" not in text] == []


def test_every_event_is_documented() -> None:
    text = (DOCS / "events.md").read_text()
    kinds = (*events.MARKET, *events.TRADING, *events.OPERATION)

    assert [kind.__name__ for kind in kinds if f"| {kind.__name__} |" not in text] == []
