"""Every setting of [daemon], [recording] and [execution] reaches the code that it is for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from carryfold.adapters.bootstrap import Workspace
from carryfold.adapters.cli.run import _settings
from carryfold.adapters.daemon.conflation import RecordingPolicy
from carryfold.adapters.daemon.settings import DaemonSettings, DaemonTable
from carryfold.domain.execution import ExecutionLimits

SOURCE = Path(__file__).resolve().parents[3] / "src" / "carryfold"
ROOMS = (SOURCE / "domain" / "execution", SOURCE / "adapters" / "daemon")
TABLES: dict[str, type[msgspec.Struct]] = {
    "daemon": DaemonTable,
    "recording": RecordingPolicy,
    "execution": ExecutionLimits,
}
NOT_GIVEN = dict.fromkeys(("pairs", "endpoint", "speed", "stop_after_s", "metrics_port", "key_file"))


def changed(table: type[msgspec.Struct]) -> dict[str, object]:
    """A value for each setting that is not its default."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(table):
        default = field.default
        if isinstance(default, bool):
            values[field.name] = not default
        elif isinstance(default, int | float):
            values[field.name] = default - 1 if field.name == "orders_max" else default + 1
        elif isinstance(default, tuple):
            values[field.name] = (*default, 99.0)
        else:
            values[field.name] = "testnet"
    return values


def toml(value: object) -> str:
    if isinstance(value, tuple):
        return str([*value])
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def test_every_setting_of_the_file_reaches_the_daemon(tmp_path: Path) -> None:
    lines = []
    for name, table in TABLES.items():
        lines += [f"[{name}]", *(f"{setting} = {toml(value)}" for setting, value in changed(table).items())]
    (tmp_path / "carryfold.toml").write_text("\n".join(lines))

    settings = _settings(Workspace(tmp_path), "live", dict(NOT_GIVEN), [], [], live=True)

    assert settings.policy == RecordingPolicy(**changed(RecordingPolicy))  # type: ignore[arg-type]
    assert settings.limits == ExecutionLimits(**changed(ExecutionLimits))  # type: ignore[arg-type]
    for name, value in changed(DaemonTable).items():
        assert name == "live" or getattr(settings, name) == value, name


def nodes(kind: type[ast.AST]) -> Iterator[ast.AST]:
    for room in ROOMS:
        for file in room.glob("*.py"):
            tree = ast.parse(file.read_text())
            checks = (node for node in ast.walk(tree) if getattr(node, "name", "") == "__post_init__")
            ignored = {id(node) for check in checks for node in ast.walk(check)}
            yield from (node for node in ast.walk(tree) if isinstance(node, kind) and id(node) not in ignored)


@pytest.mark.parametrize("table", [DaemonSettings, RecordingPolicy, ExecutionLimits])
def test_every_setting_is_read(table: type[msgspec.Struct]) -> None:
    read = {
        node.attr
        for node in nodes(ast.Attribute)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2].strip("_") in (
            "settings", "policy", "limits"
        )
    }  # fmt: skip

    assert [field.name for field in msgspec.structs.fields(table) if field.name not in read] == []


def test_no_constant_stands_where_a_setting_belongs() -> None:
    names = {field.name.upper() for table in TABLES.values() for field in msgspec.structs.fields(table)}
    assigned = {node.id for node in nodes(ast.Name) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}

    assert len(assigned) > 100
    assert names & assigned == set()
