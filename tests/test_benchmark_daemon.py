"""The benchmark of the daemon runs; its figures are not checked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "daemon_scale.py"


@pytest.mark.soak
def test_a_run_of_twenty_seconds_reports_every_figure(tmp_path: Path) -> None:
    options = ["--minutes", "0.34", "--pairs", "10", "--json", "--dir", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["pairs"], found["unreadable"]) == (10, 0)
    assert found["messages_a_second"] > 1
    assert found["decisions"] > 0, "the operator's commands have made the runs trade"
    assert {"p50", "p99", "max"} == found["commit_to_fold_ms"].keys() == found["commit_to_decision_ms"].keys()
    assert found["queues"]["log writer"]["max"] <= 1_024
    assert found["log_bytes_a_day"] > 0
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
