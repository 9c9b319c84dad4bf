"""The help texts of the commands are those of the documentation."""

import re
from pathlib import Path

import pytest

from carryfold.adapters.cli.app import _COMMANDS, main

GROUPS = {"log": ("stat", "show", "tail", "verify", "backup", "export", "import"), "project": ("status", "rebuild")}
COMMANDS: list[list[str]] = [
    [],
    *(name.split() for name in _COMMANDS if name not in GROUPS),
    *([g, c] for g in GROUPS for c in GROUPS[g]),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "carryfold")
def test_the_help_of_a_command_is_the_one_in_the_documentation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert main([*command, "--help"]) == 0

    help_text = "\n".join(line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines())
    assert f"```text\n{help_text}\n```" in (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert not re.search(r"--[A-Z]", help_text)
