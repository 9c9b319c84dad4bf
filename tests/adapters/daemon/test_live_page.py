"""docs/live.md, docs/execution.md and docs/config.md name every setting, metric and alert."""

import re
from pathlib import Path

import msgspec
import prometheus_client
import pytest

from carryfold.adapters.daemon.conflation import RecordingPolicy
from carryfold.adapters.daemon.metrics import Metrics
from carryfold.adapters.daemon.settings import DaemonTable
from carryfold.domain.execution import ExecutionLimits

ROOT = Path(__file__).resolve().parents[3]
DAEMON = ROOT / "src" / "carryfold" / "adapters" / "daemon"
PAGE = (ROOT / "docs" / "live.md").read_text()
EXECUTION = (ROOT / "docs" / "execution.md").read_text()
SETTINGS = (ROOT / "docs" / "config.md").read_text()


@pytest.mark.parametrize("table", [DaemonTable, RecordingPolicy, ExecutionLimits])
def test_every_setting_is_documented_with_its_default(table: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(table):
        default = field.default
        text = str(default).lower() if isinstance(default, bool) else "none" if default is None else f"{default}"
        if isinstance(default, tuple):
            text = str([int(value) for value in default])
        elif isinstance(default, float):
            text = f"{default:g}"
        assert re.search(rf"^\| {field.name} \| {re.escape(text)} \|", SETTINGS, re.MULTILINE), (field.name, text)


def test_every_metric_is_documented() -> None:
    registry = prometheus_client.CollectorRegistry()
    Metrics(registry)
    names = {metric.name for metric in registry.collect()}

    assert names
    assert [name for name in names if name not in PAGE] == []


def test_every_alert_is_documented() -> None:
    codes = {code for file in DAEMON.glob("*.py") for code in re.findall(r'\.alert\(\s*"([^"]+)"', file.read_text())}

    assert len(codes) >= 12
    assert [code for code in codes if code not in PAGE + EXECUTION] == []
