"""A daemon as a process: a second daemon, a stop, a suspension."""

import re
import signal
import time
from pathlib import Path

import pytest

from carryfold.domain.events import EntryDecided, RunStopped
from tests.adapters.daemon.processes import daemon_process, exchange_process, wait_for_seq, write_config
from tests.adapters.daemon.world import SECOND, events_of, verify_all
from tests.adapters.shell import carryfold

SPEED = 300.0
CHOICE = (
    "--pairs", "top:4", "--set", "enter=-0.5", "--set", "exit=-1", "--set", "max_positions=2", "--set", "stale_s=60"
)  # fmt: skip


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a daemon that was halted, suspended, resumed while its prices were old, and stopped."""
    home = tmp_path_factory.mktemp("signals") / "home"
    write_config(home)
    with (
        exchange_process(SPEED, "--history-days", "6") as endpoint,
        daemon_process(home, endpoint, SPEED, *CHOICE) as process,
    ):
        armed = process.line(event="armed")
        wait_for_seq(home, armed["seq"] + 30)
        second = carryfold("run", "--mode", "paper", "--endpoint", endpoint, "--speed", str(SPEED), home=home)
        assert second.returncode == 1, second.stderr  # F10
        assert re.fullmatch(rf"carryfold: the log in .* is owned by process {process.pid}: .*\n", second.stderr)
        assert carryfold("halt", home=home).returncode == 0
        process.freeze()
        exchange_lives_on(home)
        process.send(signal.SIGCONT)
        assert carryfold("resume", home=home).returncode == 0
        wait_for_seq(home, wait_for_seq(home, 0) + 60)
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.texts
        assert process.line(event="stopped")["runs"] == armed["runs"]
    return home


def exchange_lives_on(home: Path) -> None:
    """Read the log for a few minutes of the venue's clock while the daemon is suspended: nothing is written."""
    begins = time.monotonic()
    end = wait_for_seq(home, 0)
    while time.monotonic() < begins + 1.0:
        assert wait_for_seq(home, 0) == end


def test_f31_a_stopped_run_ends_with_its_stop_and_verifies(lived: Path) -> None:
    assert isinstance(events_of(lived)[-1][2], RunStopped)
    (found,) = verify_all(lived)
    assert found.identical
    assert found.recorded_state_hash


def test_f31_a_daemon_that_was_frozen_opens_nothing_on_what_it_knew_before(lived: Path) -> None:
    events = events_of(lived)
    at = [known_at for _, known_at, _ in events]
    frozen = max(range(1, len(at)), key=lambda i: at[i] - at[i - 1])

    assert at[frozen] - at[frozen - 1] > 90 * SECOND, "it was not frozen for long enough to show anything"
    assert all(e.working["price_age"] <= 60 * SECOND for _, _, e in events_of(lived, EntryDecided))
